//! Malice: objects that are signed and sealed as they should be, or as no one should, and what a
//! repository with them still does. Each file is one kind of attack; `testkit`'s crafter makes the
//! objects.

mod bombs;
mod honest;
mod lies;
mod names;
mod odds;
mod parameters;
mod privileges;
mod unreachable;
mod writers;
