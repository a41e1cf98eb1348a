//! Drills: restores that prove that backups are of use. Which snapshot is taken, where it is restored to, what is asked of
//! it, how answers are judged, and what is kept as evidence.
//!
//! This crate knows no repository: who restores joins it with one. It knows no clock and no randomness either: both come
//! in as arguments.

pub mod choose;
pub mod corruption;
pub mod database;
pub mod evidence;
pub mod expect;
pub mod goal;
pub mod live;
pub mod log;
pub mod processes;
pub mod scratch;
pub mod verdict;
