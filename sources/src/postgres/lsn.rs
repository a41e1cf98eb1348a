//! Places in PostgreSQL's write-ahead log: positions, timelines and segments, each a type of its own.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A position in the log: bytes since the server was made. PostgreSQL writes it as `0/16B3748`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Lsn(pub u64);

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

impl FromStr for Lsn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text} isn't a position of the log, such as 0/16B3748");
        let (high, low) = text.split_once('/').ok_or_else(wrong)?;
        let half = |digits: &str| {
            let is_plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            if is_plain { u32::from_str_radix(digits, 16).ok() } else { None }
        };
        let (high, low) = (half(high).ok_or_else(wrong)?, half(low).ok_or_else(wrong)?);
        Ok(Self(u64::from(high) << 32 | u64::from(low)))
    }
}

impl TryFrom<String> for Lsn {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Lsn> for String {
    fn from(lsn: Lsn) -> Self {
        lsn.to_string()
    }
}

/// One history of a server. A copy that is promoted begins another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timeline(NonZeroU32);

impl Timeline {
    /// The one that a server begins with.
    pub const FIRST: Self = Self(NonZeroU32::MIN);

    /// By its number, which isn't zero.
    #[must_use]
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Timeline {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| format!("{text} isn't the number of a timeline"))
    }
}

/// The length of a segment, by which a server cuts its log: a power of two between 1 MiB and 1 GiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct SegmentBytes(NonZeroU32);

/// 16 MiB, unless a server was made with another length.
impl Default for SegmentBytes {
    fn default() -> Self {
        Self(const { NonZeroU32::new(16 << 20).expect("it isn't zero") })
    }
}

impl SegmentBytes {
    /// A length that PostgreSQL can have.
    #[must_use]
    pub fn new(bytes: u64) -> Option<Self> {
        let is_one = bytes.is_power_of_two() && (1 << 20..=1 << 30).contains(&bytes);
        let bytes = u32::try_from(bytes).ok().and_then(NonZeroU32::new)?;
        is_one.then_some(Self(bytes))
    }

    /// As `SHOW wal_segment_size` writes it: `16MB`.
    #[must_use]
    pub fn shown(text: &str) -> Option<Self> {
        let (digits, unit) = text.split_at(text.find(|sign: char| !sign.is_ascii_digit())?);
        let shift = match unit {
            "B" => 0,
            "kB" => 10,
            "MB" => 20,
            "GB" => 30,
            _ => return None,
        };
        digits.parse::<u64>().ok()?.checked_mul(1 << shift).and_then(Self::new)
    }

    /// The bytes.
    #[must_use]
    pub fn get(self) -> u64 {
        u64::from(self.0.get())
    }

    /// How many there are for each of the middle numbers in a segment's name.
    #[must_use]
    pub fn per_log(self) -> u64 {
        (1 << 32) / self.get()
    }

    /// The segment in which a position is.
    #[must_use]
    pub fn of(self, lsn: Lsn) -> SegmentNumber {
        SegmentNumber(lsn.0 / self.get())
    }

    /// The segment that has the byte before a position: the last one that is needed to get there.
    #[must_use]
    pub fn before(self, lsn: Lsn) -> SegmentNumber {
        self.of(Lsn(lsn.0.saturating_sub(1)))
    }

    /// Where a segment begins.
    #[must_use]
    pub fn start(self, number: SegmentNumber) -> Lsn {
        Lsn(number.0.saturating_mul(self.get()))
    }
}

impl TryFrom<u64> for SegmentBytes {
    type Error = String;

    fn try_from(bytes: u64) -> Result<Self, String> {
        Self::new(bytes).ok_or_else(|| format!("{bytes} isn't the length of a segment"))
    }
}

impl From<SegmentBytes> for u64 {
    fn from(bytes: SegmentBytes) -> Self {
        bytes.get()
    }
}

/// Which segment of the log, counted from its begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentNumber(pub u64);

impl SegmentNumber {
    /// The one behind it.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::{Lsn, SegmentBytes, SegmentNumber};

    #[test]
    fn positions_are_read_as_they_are_written() {
        for (text, bytes) in [("0/0", 0), ("0/16B3748", 0x16B_3748), ("1A/FF000000", 0x1A_FF00_0000)] {
            assert_eq!(text.parse(), Ok(Lsn(bytes)));
            assert_eq!(Lsn(bytes).to_string(), text);
        }
        for text in ["", "16B3748", "0/", "/0", "0/+1", "0/1G", "0/100000000", "-1/0"] {
            assert!(text.parse::<Lsn>().is_err(), "{text}");
        }
    }

    #[test]
    fn lengths_of_segments_are_powers_of_two() {
        assert_eq!(SegmentBytes::shown("16MB"), Some(SegmentBytes::default()));
        assert_eq!(SegmentBytes::shown("1GB").map(SegmentBytes::get), Some(1 << 30));
        for text in ["", "16", "16TB", "3MB", "2GB", "99999999999999999999GB"] {
            assert_eq!(SegmentBytes::shown(text), None, "{text}");
        }
        let bytes = SegmentBytes::default();
        assert_eq!(bytes.of(Lsn(16 << 20)), SegmentNumber(1));
        assert_eq!(bytes.before(Lsn(16 << 20)), SegmentNumber(0));
        assert_eq!(bytes.start(SegmentNumber(2)), Lsn(32 << 20));
    }
}
