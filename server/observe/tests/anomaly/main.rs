//! Runs beside those before them: realistic histories with what is expected of each, and what holds for any.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes that are drawn here are positive and far from the largest number"
)]

mod histories;
mod properties;
mod runs;
