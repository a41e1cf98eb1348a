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
/// A lease has ended if no beat came for its length, in which the watch has looked again and again. Between two looks that
/// are a lease's length apart or more, what kept the watch away may have kept the holder from its beats too: a database
/// that was away, a machine that stood still. So the time counts from the second look, but this is done once for each
/// beat: after another such gap without a beat, the lease has ended. Thus a watch that always looks that seldom still
/// finds what is lost, at its third look.
#[derive(Debug, Default)]
pub struct LeaseWatch {
    looked: Option<Elapsed>,
    seen: HashMap<Fence, Standing>,
}

/// A lease that stands still.
#[derive(Debug, Clone, Copy)]
struct Standing {
    beat: i64,
    since: Elapsed,
    /// A gap between looks was not counted.
    is_excused: bool,
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
            let was_away = away.is_none_or(|away| away >= lease.length);
            let standing = match self.seen.get(&lease.fence).filter(|before| before.beat == lease.beat) {
                None => Standing { beat: lease.beat, since: now, is_excused: false },
                Some(before) if was_away && !before.is_excused => {
                    Standing { since: now, is_excused: true, ..*before }
                }
                Some(before) => *before,
            };
            if now.0.saturating_sub(standing.since.0) >= lease.length {
                ended.push(lease.fence);
            }
            seen.insert(lease.fence, standing);
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

    /// A machine that is overloaded looks seldom, and has to find what is lost all the same.
    #[test]
    fn a_watch_whose_looks_are_rare_ends_a_lease_at_the_third() {
        let mut watch = LeaseWatch::new();
        assert_eq!([0, 300, 600].map(|second| look(&mut watch, 0, second)), [false, false, true]);
        let mut watch = LeaseWatch::new();
        let beats = [0, 1, 1, 2, 3, 3, 3];
        let looks: Vec<bool> = (0..).zip(beats).map(|(at, beat)| look(&mut watch, beat, 300 * at)).collect();
        assert_eq!(looks, [false, false, false, false, false, false, true], "each beat begins again");
    }

    /// The database was away: neither could the watch look, nor the holder beat.
    #[test]
    fn after_a_gap_the_holder_has_the_time_of_a_lease_to_beat() {
        let mut watch = LeaseWatch::new();
        assert!(!look(&mut watch, 0, 0) && !look(&mut watch, 0, 30));
        assert!(!look(&mut watch, 0, 900) && !look(&mut watch, 0, 930));
        assert!(!look(&mut watch, 1, 945), "it lives");
        assert!(!look(&mut watch, 1, 1800), "and another gap is another chance");
        assert!(!look(&mut watch, 1, 1859) && look(&mut watch, 1, 1860));
    }
}
