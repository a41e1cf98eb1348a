//! When plans run: cron in time zones, elapsed time, conditions, pauses, catching up, promises and their proof,
//! which runs may start, and how fast they may be.
//!
//! Everything here is a function of a state and an instant. Nothing reads a clock, an environment, a file or a
//! socket, and nothing knows the engine: the daemon hands in what it knows, writes what is decided, and asks again.
//!
//! | module | answers |
//! |---|---|
//! | [`cron`], [`zone`], [`calendar`], [`schedule`] | Which instants are a plan's [slots](slot), and what do changes of the clock do to them? |
//! | [`plan`], [`condition`], [`window`] | What does a plan say beside that? |
//! | [`decide`] | What becomes of each slot, given what is known now? |
//! | [`state`], [`outcome`], [`clock`] | What does that need, and what does it say? |
//! | [`admission`] | Which of the runs that wait may start? |
//! | [`promise`], [`problem`] | Is what was promised proven, and how often to tell it? |
//! | [`bandwidth`] | Which limit holds now, and until when? |
//! | [`lint`] | What in the plans will surprise its author? |

pub mod admission;
pub mod bandwidth;
pub mod calendar;
pub mod clock;
pub mod condition;
pub mod cron;
pub mod decide;
pub mod lint;
pub mod names;
pub mod outcome;
pub mod plan;
pub mod problem;
pub mod promise;
pub mod schedule;
pub mod slot;
pub mod span;
pub mod state;
mod stored;
pub mod window;
pub mod zone;
