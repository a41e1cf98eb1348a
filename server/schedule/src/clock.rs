//! Whether the clock on the wall was set, or no one was awake to look at it.
//!
//! Two clocks tell: the wall clock, which people and NTP set, and the one that counts since the machine's boot,
//! through sleep, too. Both are handed in.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// How often the scheduler looks at least. It never sleeps longer: a timer of hours doesn't notice that the
/// clock was set or that the machine slept.
pub const LOOK_EVERY: Duration = Duration::from_secs(30);

/// By how much the clocks differ when the wall clock counts as set.
pub const JUMP_MIN: Duration = Duration::from_secs(60);

/// After how long without a look the scheduler counts as having been away.
pub const AWAY_MIN: Duration = Duration::from_secs(90);

/// Both clocks at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockReading {
    /// The clock on the wall.
    pub wall: Timestamp,
    /// The time since the machine's boot, with the time that it slept.
    pub since_boot: Duration,
    /// Which boot that was.
    pub boot: String,
}

/// What happened since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockEvent {
    /// The wall clock was set, by this much; a negative length is backwards.
    Set {
        /// Difference to the time that passed.
        by: SignedDuration,
    },
    /// No one looked for this long: the machine slept, or the process was stopped.
    Away {
        /// Time without a look.
        lasted: Duration,
    },
    /// The machine was booted in between, so that the clocks can't be compared.
    Booted,
}

/// Remembers the last look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockWatch {
    last: ClockReading,
    awake_since: Timestamp,
}

impl ClockWatch {
    /// Begins, at the start of the process.
    pub fn start(reading: ClockReading) -> Self {
        Self { awake_since: reading.wall, last: reading }
    }

    /// Since when the scheduler has looked without a break and the wall clock hasn't been set. Runs that catch up
    /// are spread from then on.
    pub fn awake_since(&self) -> Timestamp {
        self.awake_since
    }

    /// Looks again.
    pub fn look(self, reading: ClockReading) -> (Self, Vec<ClockEvent>) {
        let mut events = Vec::new();
        if self.last.boot != reading.boot {
            events.push(ClockEvent::Booted);
        } else {
            let passed = reading.since_boot.saturating_sub(self.last.since_boot);
            let shown = reading.wall.duration_since(self.last.wall);
            let by = shown.saturating_sub(SignedDuration::try_from(passed).unwrap_or(SignedDuration::MAX));
            if by.unsigned_abs() > JUMP_MIN {
                events.push(ClockEvent::Set { by });
            }
            if passed > AWAY_MIN {
                events.push(ClockEvent::Away { lasted: passed });
            }
        }
        let awake_since = if events.is_empty() { self.awake_since } else { reading.wall };
        (Self { last: reading, awake_since }, events)
    }
}

#[cfg(test)]
mod tests {
    use super::{ClockEvent, ClockReading, ClockWatch};
    use jiff::{SignedDuration, Timestamp};
    use std::time::Duration;

    fn reading(wall: i64, since_boot: u64, boot: &str) -> ClockReading {
        ClockReading {
            wall: Timestamp::from_second(wall).expect("an instant"),
            since_boot: Duration::from_secs(since_boot),
            boot: boot.to_owned(),
        }
    }

    fn events(wall: i64, since_boot: u64, boot: &str) -> Vec<ClockEvent> {
        let (watch, events) =
            ClockWatch::start(reading(1_000_000, 500, "a")).look(reading(wall, since_boot, boot));
        let since = if events.is_empty() { 1_000_000 } else { wall };
        assert_eq!(watch.awake_since().as_second(), since);
        events
    }

    #[test]
    fn a_set_clock_and_sleep_are_told_apart() {
        assert_eq!(events(1_000_030, 530, "a"), []);
        assert_eq!(events(1_000_080, 530, "a"), [], "NTP corrects by less than a minute");
        let by = SignedDuration::from_hours(24 * 365);
        assert_eq!(events(1_000_030 + by.as_secs(), 530, "a"), [ClockEvent::Set { by }]);
        assert_eq!(events(1_000_030 - by.as_secs(), 530, "a"), [ClockEvent::Set { by: -by }]);
        let lasted = Duration::from_secs(8 * 3600);
        assert_eq!(events(1_028_800, 29_300, "a"), [ClockEvent::Away { lasted }]);
        assert_eq!(events(1_000_100, 5, "b"), [ClockEvent::Booted]);
    }
}
