//! The primitives of synchronisation of what must not race. The crate `races` compiles the same files with others,
//! which try the orders in which threads can act.

pub use std::sync::atomic;
pub use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, Weak};

/// Marks of packs that get their memory together.
pub const MARKS_PER_BLOCK: usize = 1 << 16;
