//! The clocks of a machine that sleeps, and whose clock on the wall is set.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use keepfast_schedule::clock::ClockReading;
use keepfast_server::daemon::clock::Reading;
use keepfast_store::{Elapsed, UtcTime};

use keepfast_server::state::stored;

pub const SECOND: Duration = Duration::from_secs(1);
pub const MINUTE: Duration = Duration::from_secs(60);
pub const HOUR: Duration = Duration::from_secs(3600);
pub const DAY: Duration = Duration::from_secs(86_400);

/// When histories begin. The clocks of Lord Howe go ahead on October 4, Europe's go back on the 25th, America's on
/// November 1.
const BEGIN: &str = "2026-10-01T06:00:00Z";

pub fn begin() -> Timestamp {
    BEGIN.parse().expect("an instant")
}

/// Time as it really passes, and as the machine's clocks show it.
pub struct Clock {
    /// Since the beginning.
    pub real: Duration,
    asleep: Duration,
    wrong_by: SignedDuration,
}

impl Clock {
    pub fn new() -> Self {
        Self { real: Duration::ZERO, asleep: Duration::ZERO, wrong_by: SignedDuration::ZERO }
    }

    /// What the clock on the wall shows.
    pub fn wall(&self) -> Timestamp {
        begin() + self.real + self.wrong_by
    }

    /// The same, as the state has it.
    pub fn stored(&self) -> UtcTime {
        stored(self.wall())
    }

    /// When the clock on the wall will show this, as far as one can know now. What it has shown already is now.
    pub fn when(&self, wall: Timestamp) -> Duration {
        let left = wall.duration_since(self.wall());
        self.real + Duration::try_from(left).unwrap_or(Duration::ZERO)
    }

    /// Time that the machine was awake.
    pub fn steady(&self) -> Duration {
        self.real - self.asleep
    }

    pub fn elapsed(&self) -> Elapsed {
        Elapsed(self.steady())
    }

    pub fn reading(&self) -> Reading {
        let clocks = ClockReading { wall: self.wall(), since_boot: self.real, boot: "a boot".to_owned() };
        Reading { clocks, steady: self.elapsed() }
    }

    pub fn wrong_by(&self) -> SignedDuration {
        self.wrong_by
    }

    /// Someone sets the clock on the wall: this far from the truth.
    pub fn set(&mut self, wrong_by: SignedDuration) {
        self.wrong_by = wrong_by;
    }

    /// The machine sleeps.
    pub fn sleep(&mut self, length: Duration) {
        self.real += length;
        self.asleep += length;
    }
}
