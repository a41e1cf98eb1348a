//! The repository format: bytes to values and back, as `SPEC.md` defines it.
//!
//! This crate does no I/O and uses no clock, thread, environment or source of
//! randomness: nonces, salts and fresh keys are arguments. Another program needs no other
//! crate of this project to read repositories.

pub mod catalogue;
pub mod chunker;
pub mod compress;
pub mod config;
pub mod content;
pub mod decision;
pub mod epoch;
pub mod error;
pub mod frame;
pub mod ids;
pub mod keyring;
pub mod keys;
pub mod limits;
pub mod links;
pub mod names;
pub mod node;
pub mod numbers;
pub mod pack;
pub mod segment;
pub mod session;
pub mod signed;
pub mod slot;
pub mod snapshot;
pub mod state;
pub mod tree;

mod aead;
mod cbor;
mod item;
mod metadata;
mod records;
mod sealing;
mod wire;

pub use error::{Category, FormatError};

/// The newest version of the format that this crate reads, and the one it writes.
pub const FORMAT_VERSION: u8 = 1;
