//! MongoDB, on a server that speaks like it: what is backed up comes back, and what goes wrong is said.

#[path = "mongodb/attempts.rs"]
mod attempts;
mod kv;
#[path = "mongodb/round_trips.rs"]
mod round_trips;
