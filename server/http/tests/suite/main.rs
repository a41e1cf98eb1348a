//! The API as a client sees it, of a real server with a real repository.

#![allow(clippy::unwrap_used, reason = "tests")]

mod attacks;
mod client;
mod desk;
mod encrypted;
mod figures;
mod lists;
mod resources;
mod restores;
mod sessions;
mod snapshots;
mod stream;
