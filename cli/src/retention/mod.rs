//! The retention policy at the command line: its flags, the calendar that it is measured by,
//! and its verdicts for people and scripts.

mod arguments;
mod calendar;
mod render;
mod span;

use jiff::tz::TimeZone;
use keepfast_engine::retention::{Calendar, Candidate, Group, decide};
use keepfast_format::node::Timestamp;

use crate::usage::Usage;

pub use arguments::Keep;
pub use render::{table, to_json};

/// Decides what becomes of each snapshot by the calendar of a time zone. `now` is the present.
///
/// Fails if the flags say nothing about what to keep.
pub fn decide_in<'a>(
    zone: &TimeZone,
    snapshots: &[Candidate<'a>],
    keep: &Keep,
    now: Timestamp,
) -> Result<Vec<Group<'a>>, Usage> {
    let calendar = Calendar {
        civil: &|time| calendar::civil(zone, time),
        before: &|time, span| calendar::before(zone, time, span),
    };
    decide(snapshots, &keep.policy(), keep.group_by, calendar, now).map_err(|error| Usage(error.to_string()))
}
