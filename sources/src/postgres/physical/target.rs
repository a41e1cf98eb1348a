//! Up to where a server is restored, and which base backup can get there.

use std::fmt;

use jiff::Timestamp;

use super::super::base::Base;
use super::super::lsn::Lsn;
use crate::error::{Result, SourceError};
use crate::restore::Until;

/// Up to where the log is replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// As far as it goes.
    End,
    /// Only as far as the files of the base backup need it to be one state.
    Consistent,
    /// To a point in time.
    At(Until),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::End => f.write_str("the end of the log"),
            Self::Consistent => f.write_str("the end of the base backup"),
            Self::At(Until::Time(time)) => write!(f, "{time}"),
            Self::At(Until::Position(lsn)) => write!(f, "the position {lsn}"),
            Self::At(Until::Name(name)) => write!(f, "the restore point {name}"),
            Self::At(Until::Transaction(xid)) => write!(f, "the transaction {xid}"),
        }
    }
}

impl Target {
    /// The moment, if it is one.
    pub(super) fn time(&self) -> Result<Option<Timestamp>> {
        let Self::At(Until::Time(text)) = self else { return Ok(None) };
        text.parse().map(Some).map_err(|error: jiff::Error| SourceError::Unsupported {
            object: text.clone(),
            why: format!("it isn't an instant, such as 2026-11-28T10:23:40Z: {error}"),
        })
    }

    /// The position, if it is one.
    pub(super) fn position(&self) -> Result<Option<Lsn>> {
        let Self::At(Until::Position(text)) = self else { return Ok(None) };
        let wrong = |why| SourceError::Unsupported { object: "target".to_owned(), why };
        text.parse().map(Some).map_err(wrong)
    }

    /// Whether a base backup can get there; for a name or a transaction only a restore can tell.
    fn is_behind(&self, base: &Base) -> Result<bool> {
        let is_late = self.time()?.is_none_or(|time| base.stopped <= time);
        Ok(is_late && self.position()?.is_none_or(|position| base.stop <= position))
    }

    /// An error if a base backup was complete only after the target.
    pub(super) fn refuse_if_before(&self, base: &Base) -> Result<()> {
        if self.is_behind(base)? {
            return Ok(());
        }
        let why = format!(
            "the base backup was complete only at {} ({}): that is the first moment that can be restored from it; take an \
             earlier base backup for {self}",
            base.stopped, base.stop
        );
        Err(SourceError::Unsupported { object: self.to_string(), why })
    }
}

/// The base backup to restore from: the newest that was complete by then, so that as little of the log as possible is
/// replayed. Whether a restore point or a transaction lies behind the newest is seen only when it is restored.
pub fn choose<'b>(bases: &'b [Base], target: &Target) -> Result<&'b Base> {
    let mut found: Option<&Base> = None;
    for base in bases {
        if target.is_behind(base)? && found.is_none_or(|found| found.stopped < base.stopped) {
            found = Some(base);
        }
    }
    let earliest = bases.iter().min_by_key(|base| base.stopped);
    found.ok_or_else(|| SourceError::Missing {
        object: target.to_string(),
        why: match earliest {
            Some(base) => format!(
                "no base backup was complete by then: the first moment that can be restored is {} ({})",
                base.stopped, base.stop
            ),
            None => "there is no base backup".to_owned(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::{Target, choose};
    use crate::postgres::base::Base;
    use crate::postgres::lsn::{Lsn, SegmentBytes, Timeline};
    use crate::restore::Until;

    fn base(hour: i64, stop: u64) -> Base {
        Base {
            server: "15.20".to_owned(),
            system: 1,
            timeline: Timeline::FIRST,
            start: Lsn(stop - 1),
            stop: Lsn(stop),
            stopped: jiff::Timestamp::from_second(hour * 3600).expect("a moment"),
            segment_bytes: SegmentBytes::default(),
            has_checksums: false,
            tablespaces: Vec::new(),
        }
    }

    #[test]
    fn the_newest_base_backup_that_was_complete_by_then_is_taken() {
        let bases = [base(1, 0x100), base(3, 0x300), base(2, 0x200)];
        let stop = |target: Target| {
            choose(&bases, &target).map(|base| base.stop.0).map_err(|error| error.to_string())
        };
        let time = |text: &str| Target::At(Until::Time(text.to_owned()));
        let position = |text: &str| Target::At(Until::Position(text.to_owned()));
        assert_eq!(stop(Target::End), Ok(0x300));
        assert_eq!(stop(time("1970-01-01T02:00:00Z")), Ok(0x200), "complete at that very moment");
        assert_eq!(stop(time("1970-01-01T03:59:59+01:00")), Ok(0x200));
        assert_eq!(stop(position("0/1FF")), Ok(0x100));
        assert_eq!(stop(Target::At(Until::Name("before".to_owned()))), Ok(0x300));
        let early = stop(time("1970-01-01T00:59:59Z")).expect_err("early");
        assert!(
            early.contains("the first moment that can be restored is 1970-01-01T01:00:00Z (0/100)"),
            "{early}"
        );
        assert!(stop(time("yesterday")).expect_err("no instant").contains("isn't an instant"));
        assert!(stop(position("x")).is_err());
        assert!(choose(&[], &Target::End).is_err());
    }
}
