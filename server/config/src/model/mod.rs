//! What files define, as types. Each file here is a part of the one table of keys.

pub mod drill;
pub mod hook;
pub mod plan;
pub mod project;
pub mod reference;
pub mod repository;
pub mod retention;
pub mod root;
pub mod route;
pub mod schedule;
pub mod secret;
pub mod server;
pub mod source;
pub mod target;
