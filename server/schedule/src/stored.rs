//! What a plan's schedule remembers, as a document. Reading it needs the time zones of the machine that reads, and so a
//! function with a database of them.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZoneDatabase;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::cron::{Cron, CronError};
use crate::schedule::{EveryError, Schedule};
use crate::state::{Birth, FiredSlots, Pause, Pending, PlanState};
use crate::zone::{Zone, ZoneError};

/// Why a stored schedule can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum StoredError {
    #[error(transparent)]
    Cron(#[from] CronError),
    #[error(transparent)]
    Zone(#[from] ZoneError),
    #[error(transparent)]
    Every(#[from] EveryError),
}

/// A schedule as text.
#[derive(Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum StoredSchedule {
    Calendar { cron: String, zone: String },
    Elapsed { every_seconds: u64 },
}

impl StoredSchedule {
    fn schedule(&self, zones: &TimeZoneDatabase) -> Result<Schedule, StoredError> {
        Ok(match self {
            Self::Calendar { cron, zone } => {
                Schedule::calendar(cron.parse::<Cron>()?, Zone::named(zone, zones)?)
            }
            Self::Elapsed { every_seconds } => Schedule::elapsed(Duration::from_secs(*every_seconds))?,
        })
    }
}

impl Serialize for Schedule {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let stored = match self {
            Self::Calendar { cron, zone } => {
                StoredSchedule::Calendar { cron: cron.as_str().to_owned(), zone: zone.name().to_owned() }
            }
            Self::Elapsed { every } => StoredSchedule::Elapsed { every_seconds: every.length().as_secs() },
        };
        stored.serialize(to)
    }
}

/// [`PlanState`], with its schedule as text.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredState {
    schedule: StoredSchedule,
    accounted: Timestamp,
    pending: Option<Pending>,
    anchor: Timestamp,
    pauses: Vec<Pause>,
    fired: FiredSlots,
    /// Nothing in documents of programs that didn't remember it.
    #[serde(default)]
    birth: Option<Birth>,
}

impl PlanState {
    /// Reads a document that was written from a state. Fails if the database doesn't have its time zone (any more).
    pub fn read<'de, D: Deserializer<'de>>(from: D, zones: &TimeZoneDatabase) -> Result<Self, D::Error> {
        let StoredState { schedule, accounted, pending, anchor, pauses, fired, birth } =
            StoredState::deserialize(from)?;
        let schedule = schedule.schedule(zones).map_err(D::Error::custom)?;
        // It was born before that; slots until then are accounted for.
        let birth = birth.unwrap_or_else(|| Birth::at(accounted));
        Ok(Self { schedule, accounted, pending, anchor, pauses, fired, birth })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;
    use jiff::tz::TimeZoneDatabase;
    use serde_json::{Value, json};

    use crate::schedule::Schedule;
    use crate::state::PlanState;
    use crate::zone::Zone;

    fn state(schedule: Schedule) -> PlanState {
        PlanState::new(schedule, "2026-03-29T01:00:00.25Z".parse::<Timestamp>().expect("an instant"))
    }

    fn document(state: &PlanState) -> Value {
        serde_json::to_value(state).expect("a document")
    }

    fn read(document: Value) -> Result<PlanState, String> {
        PlanState::read(document, &TimeZoneDatabase::bundled()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_schedule_is_stored_as_people_write_it() {
        let zone = Zone::named("Europe/Paris", &TimeZoneDatabase::bundled()).expect("a zone");
        let calendar = Schedule::calendar("30  1 * * FRI#2".parse().expect("an expression"), zone);
        let stored = document(&state(calendar));
        assert_eq!(stored["schedule"], json!({"cron": "30 1 * * fri#2", "zone": "Europe/Paris"}));
        assert_eq!(stored["accounted"], json!("2026-03-29T01:00:00.25Z"));
        let elapsed = Schedule::elapsed(Duration::from_secs(72_000)).expect("long enough");
        assert_eq!(document(&state(elapsed))["schedule"], json!({"every_seconds": 72_000}));
    }

    #[test]
    fn what_this_machine_cannot_use_is_an_error_that_names_it() {
        let state = state(Schedule::elapsed(Duration::from_secs(60)).expect("long enough"));
        let good = document(&state);
        assert!(read(good.clone()).is_ok());
        let cases = [
            (json!({"cron": "0 0 * * *", "zone": "Europe/Nowhere"}), "Europe/Nowhere"),
            (json!({"cron": "0 0 * * *", "zone": "localtime"}), "depends on the machine"),
            (json!({"cron": "0 0 * *", "zone": "UTC"}), "4 fields instead of 5"),
            (json!({"every_seconds": 59}), "too often"),
            (json!({"every": 60}), "did not match"),
        ];
        for (schedule, expected) in cases {
            let mut stored = good.clone();
            stored["schedule"] = schedule;
            let error = read(stored).expect_err(expected);
            assert!(error.contains(expected), "{error}");
        }
        let mut older = good.clone();
        older.as_object_mut().expect("an object").remove("birth").expect("it is there");
        assert_eq!(read(older).expect("a state of an older program").birth, state.birth);
        let mut stored = good;
        stored["accounts"] = json!(1);
        assert!(read(stored).expect_err("no such field").contains("accounts"));
    }
}
