//! The numbers by which the index names packs, frames and chunks. Each is a type of its own, so that one
//! can't be taken for another, and none can be added to anything.

use std::fmt;
use std::ops::RangeInclusive;

use keepfast_format::limits;
use keepfast_format::numbers::usize_of;
use keepfast_format::pack::FrameEntry;

// Numbers of frames and ordinals of chunks have 16 bits, in memory and in the index.
const _: () = assert!(limits::FRAMES_PER_PACK == 1 << 16 && limits::CHUNKS_PER_FRAME == 1 << 16);

/// A pack, by the number that this machine's index gave it. A pack may have several.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackNumber(u32);

impl PackNumber {
    /// The number that an index counts with.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number as it is written.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Its place in a list that has one place for each pack. No machine that this runs on has addresses of
    /// fewer than 32 bits.
    #[must_use]
    pub const fn index(self) -> usize {
        usize_of(self.0)
    }

    /// Orders packs from the one that was added last to the one that was added first.
    pub(super) const fn newest_first(self) -> AgeRank {
        AgeRank(u32::MAX - self.0)
    }

    /// Orders packs from the one that was added first to the one that was added last.
    pub(super) const fn oldest_first(self) -> AgeRank {
        AgeRank(self.0)
    }
}

impl fmt::Display for PackNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A pack's place among others by age: the least is preferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AgeRank(u32);

/// A frame, by its number in its pack, from 0.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameNumber(u16);

impl FrameNumber {
    /// The number as it is written.
    #[must_use]
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// The number as it is written.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Its place among its pack's frames.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// All numbers, in order.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..=u16::MAX).map(Self)
    }

    /// The number of the frame that comes after these; none if a pack has no room for it.
    pub(super) fn after(frames: &[FrameEntry]) -> Option<Self> {
        u16::try_from(frames.len()).ok().map(Self)
    }
}

impl From<FrameNumber> for u32 {
    fn from(frame: FrameNumber) -> Self {
        Self::from(frame.0)
    }
}

impl fmt::Display for FrameNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The frames of a pack with their numbers. A table of more frames than numbers doesn't decode.
pub fn numbered(frames: &[FrameEntry]) -> impl Iterator<Item = (FrameNumber, &FrameEntry)> {
    FrameNumber::all().zip(frames)
}

/// A chunk, by its place among the chunks of its frame, from 0.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ordinal(u16);

impl Ordinal {
    /// The ordinal as it is written.
    #[must_use]
    pub const fn new(ordinal: u16) -> Self {
        Self(ordinal)
    }

    /// The ordinal as it is written.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// All ordinals, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=u16::MAX).map(Self)
    }
}

impl From<Ordinal> for u32 {
    fn from(ordinal: Ordinal) -> Self {
        Self::from(ordinal.0)
    }
}

/// A frame of a pack.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FramePlace {
    /// The pack.
    pub pack: PackNumber,
    /// Its frame.
    pub frame: FrameNumber,
}

/// Neighbouring frames of a pack: at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FrameSpan {
    /// The first.
    pub first: FrameNumber,
    /// The last.
    pub last: FrameNumber,
}

impl FrameSpan {
    /// Whether a frame is one of them.
    #[must_use]
    pub fn contains(self, frame: FrameNumber) -> bool {
        (self.first..=self.last).contains(&frame)
    }

    /// All of them, in order.
    pub fn iter(self) -> impl Iterator<Item = FrameNumber> {
        let numbers: RangeInclusive<u16> = self.first.0..=self.last.0;
        numbers.map(FrameNumber)
    }
}

/// A length or a count that the format keeps far below 2^32: of a chunk, a frame, a pack, or of what is in
/// one. All that is longer is refused where it is decoded, and not made where it is encoded
/// ([`limits::CHUNK_BYTES_MAX`], [`limits::PACK_STORED_BYTES_MAX`], [`limits::CHUNKS_PER_PACK`]). Should
/// one be longer all the same, the result is beyond each of these limits too, so that its reader refuses it.
pub(super) fn format_length(length: usize) -> u32 {
    let length = u32::try_from(length);
    debug_assert!(length.is_ok(), "the format has no length beyond 32 bits here");
    length.unwrap_or(u32::MAX)
}
