//! What runs plans: it turns definitions from files into operations, carries them out with their hooks, writes what
//! came of them into the state, and says how each plan stands to its promise.
//!
//! The layers are `cli → server → operations → engine`; beside it stand the definitions (`keepfast-config`), the
//! calendar (`keepfast-schedule`) and the state (`keepfast-store`), which know nothing of each other. A run works on
//! threads of its own and waits for the state; it never works on the threads of an asynchronous runtime.

#![warn(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_possible_wrap)]

pub mod access;
pub mod browse;
pub mod catalogue;
pub mod cleanup;
pub mod connect;
pub mod control;
pub mod convert;
pub mod daemon;
pub mod definitions;
pub mod drills;
pub mod edits;
pub mod error;
pub mod estimate;
pub mod existing;
pub mod failure;
pub mod idle;
pub mod listen;
pub mod lock;
pub mod managed;
pub mod notices;
pub mod observed;
pub mod once;
pub mod pauses;
pub mod previews;
pub mod recovery;
pub mod restores;
pub mod running;
pub mod runs;
pub mod secrets;
pub mod space;
pub mod state;
pub mod status;
pub mod surroundings;
#[cfg(test)]
mod testing;
pub mod usual;
pub mod warm;
pub mod work;

pub use error::{Result, ServerError};
/// A handle of the state, for callers that only pass it on.
pub use keepfast_store::Store as StateHandle;
