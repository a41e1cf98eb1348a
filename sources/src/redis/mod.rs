//! Redis and Valkey: dumps by replication, restores key by key, and servers of their own that load a dump.

mod connection;
mod drill;
mod dump;
mod rdb;
mod resp;
mod restore;
mod server;
mod survey;

pub(crate) use drill::{ask, boot, examine};
pub(crate) use dump::dump;
pub(crate) use restore::{plan, restore};
pub(crate) use survey::survey;
