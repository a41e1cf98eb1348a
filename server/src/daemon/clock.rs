//! The clocks of this machine.

use std::time::Duration;

use jiff::Timestamp;
use keepfast_schedule::clock::ClockReading;
use keepfast_store::Elapsed;

/// All clocks at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The clock on the wall, and the one that counts since the boot.
    pub clocks: ClockReading,
    /// The clock that neither jumps nor counts the time in which the machine sleeps.
    pub steady: Elapsed,
}

impl Reading {
    /// What the clock on the wall shows.
    #[must_use]
    pub fn wall(&self) -> Timestamp {
        self.clocks.wall
    }
}

/// Where the time comes from.
pub trait Clocks: Send + Sync {
    /// Reads all clocks.
    fn read(&self) -> Reading;
}

/// The clocks of the system.
#[derive(Debug, Clone)]
pub struct SystemClocks {
    boot: String,
}

impl SystemClocks {
    /// `boot` names the machine's boot: what Linux has in `/proc/sys/kernel/random/boot_id`.
    #[must_use]
    pub fn new(boot: String) -> Self {
        Self { boot }
    }
}

impl Clocks for SystemClocks {
    fn read(&self) -> Reading {
        use rustix::time::{ClockId, clock_gettime};
        let since = |clock| {
            let time = clock_gettime(clock);
            let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
            Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), nanos)
        };
        Reading {
            clocks: ClockReading {
                wall: Timestamp::now(),
                since_boot: since(ClockId::Boottime),
                boot: self.boot.clone(),
            },
            steady: Elapsed(since(ClockId::Monotonic)),
        }
    }
}
