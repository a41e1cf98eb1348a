//! The API as a client sees it, of a real server with a real repository.

#![allow(clippy::unwrap_used, reason = "tests")]

mod approvals;
mod attacks;
mod client;
mod desk;
mod elsewhere;
mod encrypted;
mod figures;
mod flood;
mod injection;
mod intruders;
mod issuer;
mod lists;
mod managed;
mod projects;
mod raw;
mod resources;
mod restores;
mod sessions;
mod snapshots;
mod stream;
mod visitor;
