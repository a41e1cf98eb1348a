//! Gaps: what isn't in an archive though it is needed, told before someone needs it.

use std::collections::BTreeMap;
use std::fmt;

use super::super::base::Base;
use super::super::lsn::{Lsn, SegmentBytes, SegmentNumber, Timeline};
use super::super::segment::SegmentName;
use super::archive::Archive;

/// Something that isn't there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gap {
    /// Segments that follow each other.
    Segments {
        /// The first.
        first: SegmentName,
        /// The last.
        last: SegmentName,
        /// How many.
        count: u64,
        /// From here on nothing can be restored, up to the next base backup that begins behind the gap.
        from: Lsn,
    },
    /// How a timeline branched off.
    History(Timeline),
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Segments { first, last, count, from } => {
                if first == last {
                    write!(f, "segment {first} of the log is missing")?;
                } else {
                    write!(f, "{count} segments of the log are missing, {first} to {last}")?;
                }
                write!(f, ": nothing behind {from} can be restored by an earlier base backup; make a new one")
            }
            Self::History(timeline) => {
                write!(
                    f,
                    "{:08X}.history is missing: timeline {timeline} can't be restored",
                    timeline.number()
                )
            }
        }
    }
}

impl Archive {
    /// What is missing, given the base backups of which the log is kept. With none, what lies between segments that are
    /// there.
    #[must_use]
    pub fn gaps(&self, bases: &[Base], bytes: SegmentBytes) -> Vec<Gap> {
        let mut needed: BTreeMap<Timeline, Needed> = BTreeMap::new();
        let mut need = |timeline: Timeline, first: SegmentNumber, last: SegmentNumber| {
            let needed = needed.entry(timeline).or_insert(Needed { first, last });
            needed.first = needed.first.min(first);
            needed.last = needed.last.max(last);
        };
        for base in bases {
            need(base.timeline, bytes.of(base.start), bytes.before(base.stop));
        }
        let mut gaps = Vec::new();
        for timeline in self.timelines() {
            let history = self.history(timeline);
            if history.is_none() {
                gaps.push(Gap::History(timeline));
            }
            let numbers = self.numbers(timeline, bytes);
            let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else { continue };
            let origin = history.as_ref().and_then(|history| history.branches().last().copied());
            let has_base = |base: &&Base| base.timeline == timeline;
            let is_before = |base: &Base| {
                let left = history.as_ref().and_then(|history| history.left(base.timeline));
                left.is_some_and(|left| base.stop <= left)
            };
            let own = bases.iter().filter(has_base).map(|base| bytes.of(base.start)).min();
            // Nothing needs what lies before all base backups; those of an older timeline need the begin of this one.
            let begin = match (own, origin) {
                (_, Some(branch)) if bases.iter().any(is_before) => bytes.of(branch.at),
                (Some(begin), _) => begin,
                _ => *first,
            };
            if *last >= begin {
                need(timeline, begin, *last);
            }
        }
        // A timeline is needed up to where another left it: that one has the segment in which this is.
        for history in self.histories() {
            let Some(branch) = history.branches().last() else { continue };
            let numbers = self.numbers(branch.from, bytes);
            let begin = bases.iter().filter(|base| base.timeline == branch.from && base.stop <= branch.at);
            let begin = begin.map(|base| bytes.of(base.start)).min();
            let begin = begin.or(numbers.first().copied().filter(|_| bases.is_empty()));
            let end = bytes.of(branch.at);
            if let (Some(begin), Some(last)) = (begin, end.0.checked_sub(1).map(SegmentNumber))
                && begin <= last
                && self.timelines().contains(&history.of)
            {
                need(branch.from, begin, last);
            }
        }
        for (timeline, Needed { first, last }) in needed {
            let numbers = self.numbers(timeline, bytes);
            let mut next = first;
            let behind = std::iter::once(last.next());
            for number in numbers.range(first..=last).copied().chain(behind) {
                if number > next {
                    gaps.push(Gap::Segments {
                        first: SegmentName::new(timeline, next, bytes),
                        last: SegmentName::new(timeline, SegmentNumber(number.0 - 1), bytes),
                        count: number.0 - next.0,
                        from: bytes.start(next),
                    });
                }
                next = number.next();
            }
        }
        gaps
    }
}

/// The segments of a timeline that are needed.
struct Needed {
    first: SegmentNumber,
    last: SegmentNumber,
}

#[cfg(test)]
mod tests {
    use super::super::history::History;
    use super::{Archive, Gap};
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

    /// Segments by timeline and number, and the histories.
    fn archive(segments: &[(u32, u64)], histories: &[(u32, &str)]) -> Archive {
        let name =
            |(line, number): &(u32, u64)| WalName::segment(timeline(*line), SegmentNumber(*number), length());
        let of = |(line, text): &(u32, &str)| History::parse(timeline(*line), text).expect("a history");
        Archive::of(segments.iter().map(name), histories.iter().map(of))
    }

    fn base(line: u32, start: u64, stop: u64) -> Base {
        Base {
            server: "15.20".to_owned(),
            system: 1,
            timeline: timeline(line),
            start: Lsn(start * MIB + 40),
            stop: Lsn(stop * MIB + 80),
            stopped: jiff::Timestamp::UNIX_EPOCH,
            segment_bytes: length(),
            has_checksums: false,
            tablespaces: Vec::new(),
        }
    }

    fn shown(gaps: &[Gap]) -> Vec<String> {
        let short = |gap: &Gap| match gap {
            Gap::Segments { first, count, .. } => {
                format!("{}/{} +{count}", first.timeline(), first.number(length()).expect("a number").0)
            }
            Gap::History(timeline) => format!("history {timeline}"),
        };
        gaps.iter().map(short).collect()
    }

    #[test]
    fn a_missing_segment_is_a_gap_if_a_base_backup_needs_it() {
        let there = archive(&[(1, 3), (1, 4), (1, 7), (1, 9)], &[]);
        assert_eq!(shown(&there.gaps(&[], length())), ["1/5 +2", "1/8 +1"]);
        assert_eq!(shown(&there.gaps(&[base(1, 3, 4)], length())), ["1/5 +2", "1/8 +1"]);
        assert_eq!(shown(&there.gaps(&[base(1, 7, 7)], length())), ["1/8 +1"], "older ones aren't needed");
        assert_eq!(shown(&there.gaps(&[base(1, 1, 3)], length())), ["1/1 +2", "1/5 +2", "1/8 +1"]);
        assert_eq!(shown(&there.gaps(&[base(1, 9, 11)], length())), ["1/10 +2"], "the end of a base backup");
        assert!(archive(&[], &[]).gaps(&[], length()).is_empty());
        let text = there.gaps(&[base(1, 7, 7)], length())[0].to_string();
        assert_eq!(
            text,
            "segment 000000010000000000000008 of the log is missing: nothing behind 0/800000 can be restored by an \
             earlier base backup; make a new one"
        );
    }

    #[test]
    fn a_timeline_is_needed_up_to_where_another_left_it() {
        let history = [(2, "1\t0/500100\tpromoted")];
        let whole = archive(&[(1, 3), (1, 4), (2, 5), (2, 6)], &history);
        assert!(whole.gaps(&[base(1, 3, 3)], length()).is_empty());
        let end = archive(&[(1, 3), (2, 5), (2, 6)], &history);
        assert_eq!(shown(&end.gaps(&[base(1, 3, 3)], length())), ["1/4 +1"]);
        let begin = archive(&[(1, 3), (1, 4), (2, 6)], &history);
        assert_eq!(shown(&begin.gaps(&[base(1, 3, 3)], length())), ["2/5 +1"]);
        assert!(
            begin.gaps(&[base(2, 6, 6)], length()).is_empty(),
            "a base backup behind it needs none of that"
        );
        let none = archive(&[(1, 3), (1, 4), (2, 5)], &[]);
        assert_eq!(shown(&none.gaps(&[base(1, 3, 3)], length())), ["history 2"]);
    }

    #[test]
    fn what_lies_between_is_counted_without_a_walk_along_it() {
        let far = archive(&[(1, 3), (1, 3_000_000_000)], &[]);
        assert_eq!(shown(&far.gaps(&[], length())), ["1/4 +2999999996"]);
    }
}
