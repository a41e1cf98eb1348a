//! SQLite, with programs that write meanwhile: what is backed up comes back, and what goes wrong is said.

#[path = "sqlite/attempts.rs"]
mod attempts;
mod kv;
#[path = "sqlite/restores.rs"]
mod restores;
#[path = "sqlite/round_trips.rs"]
mod round_trips;
