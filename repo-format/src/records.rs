//! Lists of records of one size in one byte string: the ids and names that garbage collection stores.

use crate::{FormatError, limits};

/// The byte string of a list.
pub fn join<const N: usize, T>(items: &[T], to_bytes: impl Fn(&T) -> [u8; N]) -> Vec<u8> {
    items.iter().flat_map(to_bytes).collect()
}

/// Splits a byte string into records, which must ascend strictly. So each set has one encoding, and a
/// binary search works on the list as it is read.
pub fn split_ascending<const N: usize, T: Ord>(
    what: &'static str,
    bytes: &[u8],
    from_bytes: impl Fn(&[u8; N]) -> T,
) -> Result<Vec<T>, FormatError> {
    let (records, rest) = bytes.as_chunks::<N>();
    if !rest.is_empty() {
        return Err(FormatError::Malformed { what, why: "a list ends within an item" });
    }
    if records.len() > limits::EPOCH_ITEMS_MAX {
        return Err(FormatError::OverLimit { what, field: "list" });
    }
    let items: Vec<T> = records.iter().map(from_bytes).collect();
    if items.is_sorted_by(|a, b| a < b) {
        Ok(items)
    } else {
        Err(FormatError::Malformed { what, why: "its items don't ascend" })
    }
}
