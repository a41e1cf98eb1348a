//! Conversions between lengths in memory and the numbers of the format. None of them can lose a bit.

/// A number of 32 bits as a length in memory.
#[must_use]
#[inline]
pub const fn usize_of(number: u32) -> usize {
    const { assert!(usize::BITS >= u32::BITS, "addresses need 32 bits or more") };
    number as usize
}

/// A length in memory as a number of 64 bits.
#[must_use]
#[inline]
pub const fn u64_of(length: usize) -> u64 {
    const { assert!(usize::BITS <= u64::BITS, "addresses have 64 bits or fewer") };
    length as u64
}

/// A length in memory, or a count of items in memory, as a number of 32 bits.
///
/// It panics for 4 GiB or more. SPEC's limits keep every structure with such a field far below that, so
/// a larger one is a mistake of the program, and a wrong length must never be stored.
#[must_use]
#[track_caller]
pub fn u32_of(length: usize) -> u32 {
    u32::try_from(length).expect("SPEC's limits keep this length below 4 GiB")
}
