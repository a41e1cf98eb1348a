//! What hears of a run.

use super::counters::Counters;
use super::events::Event;

/// Hears of a run. Called from many threads.
pub trait Listener: Send + Sync {
    /// Something happened.
    fn event(&self, event: &Event);

    /// Work was counted. For listeners that act on progress; one that shows it reads the counters when it likes.
    fn counted(&self, _counters: &Counters) {}
}

/// Hears everything and does nothing.
#[derive(Debug, Default, Clone, Copy)]
pub struct Unheard;

impl Listener for Unheard {
    fn event(&self, _: &Event) {}
}
