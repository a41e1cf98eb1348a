//! Runs of typical plans.

use std::time::Duration;

use keepfast_observe::anomaly::RunFigures;

pub const MIB: u64 = 1 << 20;
pub const GIB: u64 = 1 << 30;

/// A day of work on a file server: 100 GiB, of which about 1 % changes, and compresses to 40 %.
pub fn workday(day: u64) -> RunFigures {
    let new_bytes = GIB + (day * 7919 % 400) * MIB;
    RunFigures {
        duration: Duration::from_secs(900 + day * 37 % 120),
        source_bytes: 100 * GIB,
        new_bytes,
        stored_bytes: new_bytes * 2 / 5,
        files_before: 200_000,
        files_deleted: 300 + day * 13 % 100,
        files_rewritten: 1500 + day * 29 % 500,
        files_moved: day * 17 % 50,
    }
}

/// The same server on a day on which no one works.
pub fn quiet_day() -> RunFigures {
    RunFigures {
        duration: Duration::from_secs(300),
        new_bytes: 3 * MIB,
        stored_bytes: MIB,
        files_deleted: 0,
        files_rewritten: 5,
        ..workday(0)
    }
}

/// A dump of a database: one stream, of which little is new each day.
pub fn dump(day: u64) -> RunFigures {
    RunFigures {
        duration: Duration::from_secs(60),
        source_bytes: 5 * GIB + day * 10 * MIB,
        new_bytes: 200 * MIB + (day % 5) * 10 * MIB,
        stored_bytes: 40 * MIB,
        files_before: 1,
        files_deleted: 0,
        files_rewritten: 1,
        files_moved: 0,
    }
}

/// This many runs.
pub fn days(count: u64, run: impl Fn(u64) -> RunFigures) -> Vec<RunFigures> {
    (0..count).map(run).collect()
}
