//! One suite for both databases: SQLite, and a real PostgreSQL that the tests start.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod counts;
mod deliveries;
mod figures;
mod followed;
mod history;
mod lab;
mod listings;
mod logs;
mod model;
mod newest;
mod open;
mod problems;
mod races;
mod runs;
mod size;
mod slots;
mod snapshots;
mod transfer;
