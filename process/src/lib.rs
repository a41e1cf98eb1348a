//! What a run and the programs that it starts have in common: that a run can be cancelled, that no program outlives it,
//! and that no secret comes into what is kept of what programs print.
//!
//! Backends, databases and operations stand on this. It knows nothing of backups.

pub mod cancel;
pub mod child;
pub mod redact;
pub mod tool;

pub use cancel::Cancel;
