//! When a lease has ended. A lease is renewed by beats, and has ended when no beat came for its length, by
//! the clock of the one that looks: a clock that neither jumps nor counts the time in which the machine
//! sleeps. No two machines' clocks are compared, and no date: a clock that is set a year ahead
//! ends no lease, and a lease that was written by such a clock still ends.

use std::collections::HashMap;
use std::time::Duration;

use crate::types::Fence;

/// A reading of this machine's clock that never jumps and stands still while the machine sleeps
/// (`CLOCK_MONOTONIC`): the time since any instant that stays the same for the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Elapsed(pub Duration);

/// A lease as the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lease {
    pub fence: Fence,
    pub beat: i64,
    pub length: Duration,
}

/// What one process has seen of leases: since when each one stands still. Each kind of lease needs a watch of
/// its own.
///
/// It has to look several times during a lease's length. If it was away itself for that long (the process was
/// paused, or is new), it begins again.
#[derive(Debug, Default)]
pub struct LeaseWatch {
    looked: Option<Elapsed>,
    seen: HashMap<Fence, (i64, Elapsed)>,
}

impl LeaseWatch {
    /// One that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks at all leases that there are, and says which have ended.
    pub(crate) fn ended(&mut self, leases: &[Lease], now: Elapsed) -> Vec<Fence> {
        let away = self.looked.map(|looked| now.0.saturating_sub(looked.0));
        let mut seen = HashMap::with_capacity(leases.len());
        let mut ended = Vec::new();
        for lease in leases {
            let before = self.seen.get(&lease.fence).filter(|(beat, _)| *beat == lease.beat);
            let since = match before {
                Some((_, since)) if away.is_some_and(|away| away < lease.length) => *since,
                _ => now,
            };
            if now.0.saturating_sub(since.0) >= lease.length {
                ended.push(lease.fence);
            }
            seen.insert(lease.fence, (lease.beat, since));
        }
        self.looked = Some(now);
        self.seen = seen;
        ended
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::time::Duration;

    use super::{Elapsed, Lease, LeaseWatch};
    use crate::types::Fence;

    fn look(watch: &mut LeaseWatch, beat: i64, second: u64) -> bool {
        let lease = Lease { fence: Fence(1), beat, length: Duration::from_secs(60) };
        !watch.ended(&[lease], Elapsed(Duration::from_secs(second))).is_empty()
    }

    #[test]
    fn a_lease_ends_when_it_stands_still_for_its_length() {
        let mut watch = LeaseWatch::new();
        assert!(!look(&mut watch, 0, 1000), "nothing is known of it yet");
        assert!(!look(&mut watch, 0, 1030));
        assert!(!look(&mut watch, 0, 1059));
        assert!(look(&mut watch, 0, 1060));
    }

    #[test]
    fn a_beat_renews_it() {
        let mut watch = LeaseWatch::new();
        assert!(!look(&mut watch, 0, 0));
        assert!(!look(&mut watch, 0, 59));
        assert!(!look(&mut watch, 1, 61));
        assert!(!look(&mut watch, 1, 119));
        assert!(look(&mut watch, 1, 121));
    }

    #[test]
    fn a_watch_that_was_paused_ends_nothing_at_once() {
        let mut watch = LeaseWatch::new();
        assert!(!look(&mut watch, 0, 0));
        assert!(!look(&mut watch, 0, 1000), "the watch was away, and maybe the holder too");
        assert!(!look(&mut watch, 0, 1030));
        assert!(look(&mut watch, 0, 1060));
    }
}
