//! Names of the files of a log.

use std::fmt;
use std::str::FromStr;

use super::lsn::{Lsn, SegmentBytes, SegmentNumber, Timeline};

/// The folder of an archive in which the log is.
pub const FOLDER: &str = "wal";
/// The digits of each of the three numbers in the name of a segment.
const DIGITS: usize = 8;

/// A segment by its name, such as `000000010000000A000000FF`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentName {
    timeline: Timeline,
    log: u32,
    part: u32,
}

impl SegmentName {
    /// The segment of a timeline by its number.
    #[must_use]
    pub fn new(timeline: Timeline, number: SegmentNumber, bytes: SegmentBytes) -> Self {
        let half = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let (log, part) = (number.0 / bytes.per_log(), number.0 % bytes.per_log());
        Self { timeline, log: half(log), part: half(part) }
    }

    /// In which history.
    #[must_use]
    pub fn timeline(self) -> Timeline {
        self.timeline
    }

    /// Which one it is; none if there is no such segment with this length.
    #[must_use]
    pub fn number(self, bytes: SegmentBytes) -> Option<SegmentNumber> {
        let (log, part) = (u64::from(self.log), u64::from(self.part));
        (part < bytes.per_log()).then(|| SegmentNumber(log * bytes.per_log() + part))
    }

    /// Where it begins; none if there is no such segment with this length.
    #[must_use]
    pub fn start(self, bytes: SegmentBytes) -> Option<Lsn> {
        self.number(bytes).map(|number| bytes.start(number))
    }

    /// The one behind it.
    #[must_use]
    pub fn next(self, bytes: SegmentBytes) -> Option<Self> {
        self.number(bytes).map(|number| Self::new(self.timeline, number.next(), bytes))
    }

    /// The digits that it shares with its neighbours.
    pub(super) fn group(self) -> String {
        format!("{:08X}{:08X}", self.timeline.number(), self.log)
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08X}{:08X}{:08X}", self.timeline.number(), self.log, self.part)
    }
}

/// A file that a server archives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WalName {
    /// How a timeline branched off: `00000002.history`.
    History(Timeline),
    /// A segment.
    Segment(SegmentName),
    /// The begin of a segment, where a timeline ends or a receiver stands: `….partial`.
    Partial(SegmentName),
    /// What a base backup says of itself: `….00000028.backup`.
    Label(SegmentName, u32),
}

impl WalName {
    /// The segment of a timeline by its number.
    #[must_use]
    pub fn segment(timeline: Timeline, number: SegmentNumber, bytes: SegmentBytes) -> Self {
        Self::Segment(SegmentName::new(timeline, number, bytes))
    }

    /// In which history.
    #[must_use]
    pub fn timeline(self) -> Timeline {
        match self {
            Self::History(timeline) => timeline,
            Self::Segment(segment) | Self::Partial(segment) | Self::Label(segment, _) => segment.timeline(),
        }
    }

    /// Its path in an archive.
    #[must_use]
    pub fn path(self) -> String {
        format!("{FOLDER}/{:08X}/{self}", self.timeline().number())
    }

    /// The name at the end of a path in an archive, or in a base backup.
    #[must_use]
    pub fn of_path(path: &str) -> Option<Self> {
        let (folder, name) = path.rsplit_once('/')?;
        let name: Self = name.parse().ok()?;
        (path == name.path() || folder == "data/pg_wal").then_some(name)
    }
}

impl fmt::Display for WalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::History(timeline) => write!(f, "{:08X}.history", timeline.number()),
            Self::Segment(segment) => segment.fmt(f),
            Self::Partial(segment) => write!(f, "{segment}.partial"),
            Self::Label(segment, offset) => write!(f, "{segment}.{offset:08X}.backup"),
        }
    }
}

impl FromStr for WalName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parsed(text).ok_or_else(|| format!("{text} isn't the name of a file of PostgreSQL's log"))
    }
}

fn parsed(text: &str) -> Option<WalName> {
    let (digits, ending) = text.split_at(text.find('.').unwrap_or(text.len()));
    if digits.len() == DIGITS && ending == ".history" {
        return number(digits).and_then(Timeline::new).map(WalName::History);
    }
    let part = |from: usize| number(digits.get(from..from + DIGITS)?);
    if digits.len() != 3 * DIGITS {
        return None;
    }
    let timeline = Timeline::new(part(0)?)?;
    let segment = SegmentName { timeline, log: part(DIGITS)?, part: part(2 * DIGITS)? };
    match ending {
        "" => Some(WalName::Segment(segment)),
        ".partial" => Some(WalName::Partial(segment)),
        _ => {
            let offset = ending.strip_prefix('.')?.strip_suffix(".backup")?;
            Some(WalName::Label(segment, number(offset)?))
        }
    }
}

/// Eight digits as PostgreSQL writes them. Others would be a second name of one file.
fn number(digits: &str) -> Option<u32> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte);
    let is_number = digits.len() == DIGITS && digits.bytes().all(is_digit);
    if is_number { u32::from_str_radix(digits, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::{SegmentName, WalName};
    use crate::postgres::lsn::{SegmentBytes, SegmentNumber, Timeline};

    #[test]
    fn names_are_read_as_they_are_written_and_no_others() {
        for name in [
            "000000010000000A000000FF",
            "000000010000000A000000FF.partial",
            "000000010000000A000000FF.00000028.backup",
            "00000002.history",
        ] {
            let read: WalName = name.parse().expect(name);
            assert_eq!(read.to_string(), name);
            assert_eq!(WalName::of_path(&read.path()), Some(read));
            assert_eq!(WalName::of_path(&format!("data/pg_wal/{name}")), Some(read));
            assert_eq!(WalName::of_path(&format!("wal/00000007/{name}")), None);
        }
        for name in [
            "",
            "archive_status",
            "000000010000000A000000F",
            "000000010000000a000000ff",
            "000000000000000A000000FF",
            "000000010000000A000000FF.done",
            "000000010000000A000000FF.28.backup",
            "000000010000000A000000FF.partial.partial",
            "../00000001.history",
            "00000000.history",
            "+0000002.history",
            "000000010000000Ä00000FF",
        ] {
            assert!(name.parse::<WalName>().is_err(), "{name}");
        }
    }

    #[test]
    fn segments_follow_each_other_across_the_middle_number() {
        let bytes = SegmentBytes::default();
        let name = |text: &str| match text.parse() {
            Ok(WalName::Segment(segment)) => segment,
            other => panic!("{other:?}"),
        };
        let last = name("0000000100000000000000FF");
        assert_eq!(last.number(bytes), Some(SegmentNumber(255)));
        assert_eq!(last.next(bytes), Some(name("000000010000000100000000")));
        assert_eq!(SegmentName::new(Timeline::FIRST, SegmentNumber(255), bytes), last);
        let large = SegmentBytes::new(1 << 30).expect("a length");
        assert_eq!(name("000000010000000000000003").next(large), Some(name("000000010000000100000000")));
        assert_eq!(name("000000010000000000000004").next(large), None, "there are four of a GiB");
    }
}
