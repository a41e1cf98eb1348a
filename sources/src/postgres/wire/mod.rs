//! A small client of PostgreSQL's protocol for what other clients don't speak: replication. It is synchronous, each wait
//! ends when the run is cancelled, and what a server sends is bounded before memory is taken.

mod connection;
mod login;
mod socket;

pub(crate) use connection::{Connection, Message, Table};
pub(crate) use login::{Mode, connect};
