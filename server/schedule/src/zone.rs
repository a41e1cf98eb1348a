//! Time zones by their IANA names, and the stretches of time in which a zone's clock runs evenly.

use std::fmt;
use std::sync::Arc;

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};

/// Bytes that a name may have.
const NAME_BYTES_MAX: usize = 64;

/// A second: slots are whole ones.
const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// Why a name is no time zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZoneError {
    /// The database doesn't have it.
    #[error(
        "time zone {name:?} is not in the time zone database: write an IANA name such as Europe/Paris or UTC"
    )]
    Unknown {
        /// What was written.
        name: String,
    },
    /// It means something else on each machine.
    #[error(
        "time zone {name:?} depends on the machine that reads it: write an IANA name such as Europe/Paris or UTC"
    )]
    OfThisMachine {
        /// What was written.
        name: String,
    },
}

/// A time zone that the database has. Two are equal if their names are.
#[derive(Clone)]
pub struct Zone {
    name: Arc<str>,
    zone: TimeZone,
}

impl Zone {
    /// The zone with this IANA name, from a database that the caller has opened.
    ///
    /// Fails if the database doesn't have it: better when a plan is loaded than at night.
    pub fn named(name: &str, database: &TimeZoneDatabase) -> Result<Self, ZoneError> {
        let of_this_machine = ["localtime", "local", "posixrules", "factory", "etc/unknown"];
        if of_this_machine.contains(&name.to_ascii_lowercase().as_str()) {
            return Err(ZoneError::OfThisMachine { name: name.to_owned() });
        }
        let unknown = || ZoneError::Unknown { name: name.chars().take(NAME_BYTES_MAX).collect() };
        if name.len() > NAME_BYTES_MAX {
            return Err(unknown());
        }
        let zone = database.get(name).map_err(|_| unknown())?;
        // As the database spells it.
        let name = zone.iana_name().unwrap_or(name).into();
        Ok(Self { name, zone })
    }

    /// Coordinated universal time.
    pub fn utc() -> Self {
        Self { name: "UTC".into(), zone: TimeZone::UTC }
    }

    /// The IANA name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What calendar and clock show at an instant.
    pub fn wall(&self, at: Timestamp) -> DateTime {
        self.zone.to_datetime(at)
    }

    /// The distance to UTC at an instant.
    pub fn offset(&self, at: Timestamp) -> Offset {
        self.zone.to_offset(at)
    }

    /// The first instant at or after which the clock shows this time or a later one.
    pub(crate) fn first_instant_of(&self, wall: DateTime) -> Timestamp {
        let edge = if wall.year() < 0 { Timestamp::MIN } else { Timestamp::MAX };
        let ambiguous = self.zone.to_ambiguous_timestamp(wall);
        if let jiff::tz::AmbiguousOffset::Gap { after, .. } = ambiguous.offset() {
            // Counted with the later offset, the time lies before the gap's end, which is a transition.
            let Ok(inside) = after.to_timestamp(wall) else { return edge };
            let transition = self.zone.following(inside.saturating_sub_second()).next();
            return transition.map_or(edge, |transition| transition.timestamp());
        }
        ambiguous.earlier().unwrap_or(edge)
    }

    /// The stretch without a change of the clock in which an instant lies.
    pub(crate) fn stretch(&self, at: Timestamp) -> Stretch {
        let whole = at.as_second();
        let whole = Timestamp::from_second(whole).unwrap_or(at);
        let next_second = whole.checked_add(SECOND).unwrap_or(Timestamp::MAX);
        let start = self.zone.preceding(next_second).next().map(|transition| transition.timestamp());
        let end = self.zone.following(whole).next().map(|transition| transition.timestamp());
        Stretch {
            offset: self.offset(at),
            before: start.map(|start| self.offset(start.saturating_sub_second())),
            after: end.map(|end| self.offset(end)),
            start,
            end,
        }
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "Zone({})", self.name)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.name)
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Zone {}

/// A second less, as far as there is one.
trait SaturatingSecond {
    fn saturating_sub_second(self) -> Self;
}

impl SaturatingSecond for Timestamp {
    fn saturating_sub_second(self) -> Self {
        self.checked_sub(SECOND).unwrap_or(Timestamp::MIN)
    }
}

/// A stretch of time with one offset to UTC.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stretch {
    /// Its first instant; `None` if it has no beginning.
    pub(crate) start: Option<Timestamp>,
    /// The first instant after it; `None` if it has no end.
    pub(crate) end: Option<Timestamp>,
    pub(crate) offset: Offset,
    /// The offset of the stretch before it.
    pub(crate) before: Option<Offset>,
    /// The offset of the stretch after it.
    pub(crate) after: Option<Offset>,
}

impl Stretch {
    /// The first time that the clock shows in it.
    pub(crate) fn first_wall(&self) -> DateTime {
        self.start.map_or(DateTime::MIN, |start| self.offset.to_datetime(start))
    }

    /// What the clock would show at its end if it went on.
    pub(crate) fn end_wall(&self) -> DateTime {
        self.end.map_or(DateTime::MAX, |end| self.offset.to_datetime(end))
    }

    /// What the clock would have shown at its start without a change.
    pub(crate) fn start_wall_before(&self) -> DateTime {
        match (self.start, self.before) {
            (Some(start), Some(before)) => before.to_datetime(start),
            _ => DateTime::MIN,
        }
    }

    /// What the clock shows first after it.
    pub(crate) fn next_first_wall(&self) -> DateTime {
        match (self.end, self.after) {
            (Some(end), Some(after)) => after.to_datetime(end),
            _ => DateTime::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Zone, ZoneError};
    use jiff::Timestamp;
    use jiff::tz::TimeZoneDatabase;

    #[test]
    fn names_are_checked() {
        let database = TimeZoneDatabase::bundled();
        assert_eq!(Zone::named("europe/paris", &database).expect("it is there").name(), "Europe/Paris");
        let unknown = Zone::named("Europe/Pariss", &database);
        assert_eq!(unknown, Err(ZoneError::Unknown { name: "Europe/Pariss".to_owned() }));
        assert!(matches!(Zone::named("localtime", &database), Err(ZoneError::OfThisMachine { .. })));
        assert!(matches!(Zone::named(&"a".repeat(1000), &database), Err(ZoneError::Unknown { .. })));
        let none = TimeZoneDatabase::none();
        assert!(Zone::named("Europe/Paris", &none).is_err(), "an image without a database says so at load");
    }

    #[test]
    fn a_time_in_a_gap_begins_after_it() {
        let paris = Zone::named("Europe/Paris", &TimeZoneDatabase::bundled()).expect("it is there");
        let at = |text: &str| text.parse::<Timestamp>().expect("an instant");
        let wall = |text: &str| text.parse().expect("a time");
        assert_eq!(paris.first_instant_of(wall("2026-03-29T02:30:00")), at("2026-03-29T01:00:00Z"));
        assert_eq!(paris.first_instant_of(wall("2026-10-25T02:30:00")), at("2026-10-25T00:30:00Z"));
        assert_eq!(paris.first_instant_of(wall("2026-11-25T02:30:00")), at("2026-11-25T01:30:00Z"));
    }
}
