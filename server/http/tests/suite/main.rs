//! The API as a client sees it, of a real server with a real repository.

#![allow(clippy::unwrap_used, reason = "tests")]

mod attacks;
mod client;
mod desk;
mod encrypted;
mod flood;
mod injection;
mod intruders;
mod lists;
mod raw;
mod resources;
mod sessions;
mod snapshots;
mod stream;
