//! Operations on repositories in real directories, as a server runs them.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod desk;
mod drill;
mod folder;
mod open;
mod others;
mod requests;
mod secrets;
mod size;
