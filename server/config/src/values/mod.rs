//! Values that are written as strings: lengths of time, sizes, shares, times of day, addresses, names; and amounts of
//! money.

pub mod address;
pub mod amount;
pub mod money;
pub mod name;
pub mod time;
pub mod window;

/// A number of digits at the start of a text, and what follows it.
pub(crate) fn leading_number(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|sign: char| !sign.is_ascii_digit()).unwrap_or(text.len());
    let number = text[..digits].parse().ok()?;
    Some((number, &text[digits..]))
}
