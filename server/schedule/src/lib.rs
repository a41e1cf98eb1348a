//! When plans run.
//!
//! Everything here is a function of a state and an instant.

pub mod calendar;
pub mod cron;
pub mod names;
pub mod schedule;
pub mod slot;
mod span;
pub mod zone;
