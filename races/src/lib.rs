//! The engine's files in which threads must not race, and the numbers that they work on, compiled with primitives that try the orders in which
//! threads can act (shuttle: Burckhardt et al., "A Randomized Scheduler with Probabilistic Guarantees of Finding
//! Bugs", 2010). The tests of this crate state what must hold in each order.

#![allow(
    missing_docs,
    dead_code,
    reason = "the files are the engine's: it uses all that is in them, and makes none of it public"
)]

/// What the engine's `sync` is here. A cell that is set once has no order that matters: its value is always the same.
pub mod sync {
    pub use std::sync::OnceLock;

    pub use shuttle::sync::atomic;
    pub use shuttle::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, Weak};

    /// Few: each mark that could be raced for is followed here.
    pub const MARKS_PER_BLOCK: usize = 4;
}

#[path = "../../engine/src/repo/claims.rs"]
pub mod claims;
#[path = "../../engine/src/repo/marks.rs"]
pub mod marks;
#[path = "../../engine/src/repo/numbers.rs"]
pub mod numbers;
#[path = "../../engine/src/repo/takeover.rs"]
pub mod takeover;
