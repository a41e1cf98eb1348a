//! What tests of this crate share.

pub mod repository;
pub mod state;
