//! Which files of the log a restore needs, and how far they go.

use super::super::base::Base;
use super::super::lsn::{Lsn, Timeline};
use super::super::segment::{SegmentName, WalName};
use super::archive::Archive;
use crate::error::{Result, SourceError};

/// The log from a base backup on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The files, in the order in which they are read.
    pub files: Vec<WalName>,
    /// Where the log ends that is there without a gap: the end of its last segment.
    pub end: Lsn,
    /// The first segment that isn't there, though later ones are.
    pub gap: Option<SegmentName>,
}

impl Archive {
    /// The log that a restore of a base backup reads along a timeline, up to a position or as far as it goes. A segment
    /// that isn't there is an error if the base backup or the position needs it.
    pub fn chain(&self, base: &Base, along: Timeline, until: Option<Lsn>) -> Result<Chain> {
        let bytes = base.segment_bytes;
        let history = self.history(along).ok_or_else(|| SourceError::Missing {
            object: WalName::History(along).to_string(),
            why: "it isn't in the archive of the log, and the restore goes along its timeline".to_owned(),
        })?;
        if !history.knows(base.timeline) {
            let why =
                format!("it doesn't come from timeline {}, in which the base backup was made", base.timeline);
            return Err(SourceError::Unsupported { object: format!("timeline {along}"), why });
        }
        if let Some(left) = history.left(base.timeline).filter(|left| base.stop > *left) {
            let why = format!(
                "it left timeline {} at {left}, before the base backup was complete at {}: take an earlier base backup",
                base.timeline, base.stop
            );
            return Err(SourceError::Unsupported { object: format!("timeline {along}"), why });
        }
        let path = history.from(base.timeline);
        // A server stops at the first record that begins at the position or behind it, so that it reads on from there.
        let needed = match until {
            Some(until) if until > base.stop => bytes.of(until),
            _ => bytes.before(base.stop),
        };
        let last = until.map(|_| needed);
        let mut files: Vec<WalName> = path
            .iter()
            .map(|(timeline, _)| WalName::History(*timeline))
            .filter(|name| self.has(*name))
            .collect();
        let mut number = bytes.of(base.start);
        loop {
            // The newest timeline that had begun by then has the segment.
            let begun = path.iter().rev().find(|(_, begin)| bytes.of(*begin) <= number);
            let timeline = begun.map_or(base.timeline, |(timeline, _)| *timeline);
            let name = SegmentName::new(timeline, number, bytes);
            if last.is_some_and(|last| number > last) {
                return Ok(Chain { files, end: bytes.start(number), gap: None });
            }
            if self.has(WalName::Segment(name)) {
                files.push(WalName::Segment(name));
            } else if self.has(WalName::Partial(name)) {
                files.push(WalName::Partial(name));
            } else if number <= needed {
                let why = match until {
                    Some(until) if number > bytes.before(base.stop) => format!(
                        "it isn't in the archive of the log, which can be followed up to {} without it, and not to {until}",
                        bytes.start(number)
                    ),
                    _ => "it isn't in the archive of the log, and without it this base backup can't be restored".to_owned(),
                };
                return Err(SourceError::Missing { object: format!("segment {name}"), why });
            } else {
                let later = path.iter().any(|(timeline, _)| {
                    self.numbers(*timeline, bytes).last().is_some_and(|newest| *newest > number)
                });
                return Ok(Chain { files, end: bytes.start(number), gap: later.then_some(name) });
            }
            number = number.next();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::history::History;
    use super::Archive;
    use crate::postgres::base::Base;
    use crate::postgres::lsn::{Lsn, SegmentBytes, SegmentNumber, Timeline};
    use crate::postgres::segment::WalName;

    const MIB: u64 = 1 << 20;

    fn length() -> SegmentBytes {
        SegmentBytes::new(MIB).expect("a length")
    }

    fn timeline(number: u32) -> Timeline {
        Timeline::new(number).expect("a number")
    }

    fn archive(segments: &[(u32, u64)]) -> Archive {
        let name =
            |(line, number): &(u32, u64)| WalName::segment(timeline(*line), SegmentNumber(*number), length());
        let histories = [History::parse(timeline(2), "1 0/500100 x").expect("a history")];
        Archive::of(segments.iter().map(name).chain([WalName::History(timeline(2))]), histories)
    }

    fn base() -> Base {
        Base {
            server: "15.20".to_owned(),
            system: 1,
            timeline: Timeline::FIRST,
            start: Lsn(3 * MIB + 40),
            stop: Lsn(4 * MIB),
            stopped: jiff::Timestamp::UNIX_EPOCH,
            segment_bytes: length(),
            has_checksums: false,
            tablespaces: Vec::new(),
        }
    }

    fn chain(archive: &Archive, along: u32, until: Option<u64>) -> Result<(String, u64, bool), String> {
        let chain =
            archive.chain(&base(), timeline(along), until.map(Lsn)).map_err(|error| error.to_string())?;
        let short = |name: &WalName| match name {
            WalName::Segment(name) => {
                format!("{}/{}", name.timeline(), name.number(length()).expect("a number").0)
            }
            other => other.to_string(),
        };
        let files: Vec<String> = chain.files.iter().map(short).collect();
        Ok((files.join(" "), chain.end.0 / MIB, chain.gap.is_some()))
    }

    #[test]
    fn a_restore_needs_the_log_from_the_start_of_its_base_along_its_timeline() {
        let all = archive(&[(1, 2), (1, 3), (1, 4), (1, 5), (1, 6), (2, 5), (2, 6)]);
        assert_eq!(chain(&all, 1, None), Ok(("1/3 1/4 1/5 1/6".to_owned(), 7, false)));
        assert_eq!(chain(&all, 1, Some(4 * MIB)), Ok(("1/3".to_owned(), 4, false)), "the base backup alone");
        assert_eq!(chain(&all, 1, Some(5 * MIB)), Ok(("1/3 1/4 1/5".to_owned(), 6, false)));
        assert_eq!(chain(&all, 1, Some(6 * MIB - 1)), Ok(("1/3 1/4 1/5".to_owned(), 6, false)));
        assert_eq!(chain(&all, 2, None), Ok(("00000002.history 1/3 1/4 2/5 2/6".to_owned(), 7, false)));
        assert!(chain(&all, 3, None).expect_err("no file").contains("00000003.history"));
    }

    #[test]
    fn a_gap_is_named_and_an_error_if_the_target_lies_behind_it() {
        let hole = archive(&[(1, 3), (1, 5)]);
        assert_eq!(chain(&hole, 1, None), Ok(("1/3".to_owned(), 4, true)));
        let error = chain(&hole, 1, Some(5 * MIB + 9)).expect_err("behind the gap");
        assert!(
            error.contains("segment 000000010000000000000004: ") && error.contains("up to 0/400000"),
            "{error}"
        );
        let none = archive(&[(1, 4)]);
        let error = chain(&none, 1, None).expect_err("the base's own");
        assert!(error.contains("this base backup can't be restored"), "{error}");
        let late = archive(&[(1, 3), (1, 4)]);
        assert!(chain(&late, 1, Some(9 * MIB)).is_err(), "behind the end");
    }
}
