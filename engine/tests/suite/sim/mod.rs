//! Simulated histories of several processes around one repository: I1 to I6, whatever the
//! store does with calls, and whenever processes stop.

mod collectors;
mod edits;
mod replay;
mod writers;
