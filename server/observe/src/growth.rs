//! How fast something grows, and when there is no room left.
//!
//! The measure is the median of the slopes between all pairs of days that are a week apart or more (Theil and Sen). A day on
//! which much was added, or a prune that removed much, is a few of many pairs, and doesn't move the median.

use std::time::Duration;

use crate::anomaly::median;

/// Pairs of days are this far apart at least: nights differ, weeks are alike.
const APART_DAYS_MIN: u32 = 7;
/// One of this many slopes is below the lower pace, and one above the higher.
const OUTER_PART: usize = 10;
/// What is farther away isn't foreseen.
const FORESEEN_DAYS_MAX: f64 = 3653.0;
const DAY_SECONDS: f64 = 86_400.0;

/// How much there was at the end of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// The day's number, from any beginning.
    pub day: u32,
    /// How much: bytes.
    pub amount: u64,
}

/// How fast something grows: bytes in a day; negative where it shrinks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Growth {
    /// The middle of all slopes.
    pub usual: f64,
    /// One of ten slopes is lower.
    pub low: f64,
    /// One of ten slopes is higher.
    pub high: f64,
}

impl Growth {
    /// How fast it grows, by levels in the order of days; nothing if these are of less than a week.
    #[must_use]
    pub fn of(levels: &[Level]) -> Option<Self> {
        let mut slopes = Vec::new();
        for (at, begin) in levels.iter().enumerate() {
            let later = levels[at..].iter().filter(|end| end.day.saturating_sub(begin.day) >= APART_DAYS_MIN);
            slopes.extend(later.map(|end| slope(*begin, *end)));
        }
        let last = slopes.len().checked_sub(1)?;
        let outer = slopes.len() / OUTER_PART;
        // It sorts them.
        let usual = median(&mut slopes);
        Some(Self { usual, low: slopes[outer], high: slopes[last - outer] })
    }
}

fn slope(begin: Level, end: Level) -> f64 {
    (end.amount as f64 - begin.amount as f64) / f64::from(end.day - begin.day)
}

/// How long it takes until this much more is there; nothing if it doesn't grow, or it takes more than ten years.
#[must_use]
pub fn time_until(left: u64, per_day: f64) -> Option<Duration> {
    let days = (per_day > 0.0).then(|| left as f64 / per_day)?;
    (days <= FORESEEN_DAYS_MAX).then(|| Duration::from_secs_f64(days * DAY_SECONDS))
}

/// How much there is after this many days; never less than nothing.
#[must_use]
pub fn amount_after(amount: u64, per_day: f64, days: u32) -> u64 {
    let after = amount as f64 + per_day * f64::from(days);
    // A number with a fraction becomes the nearest that there is.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate, and not negative"
    )]
    let after = after.max(0.0) as u64;
    after
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::time::Duration;

    use super::{Growth, Level, amount_after, time_until};

    fn levels(amounts: impl IntoIterator<Item = u64>) -> Vec<Level> {
        (0..).zip(amounts).map(|(day, amount)| Level { day, amount }).collect()
    }

    #[test]
    fn steady_growth_is_found_exactly() {
        let growth = Growth::of(&levels((0..30).map(|day| 1000 + day * 50))).unwrap();
        assert_eq!((growth.low, growth.usual, growth.high), (50.0, 50.0, 50.0));
        let shrinking = Growth::of(&levels((0..30).map(|day| 9000 - day * 50))).unwrap();
        assert_eq!(shrinking.usual, -50.0);
        assert_eq!(Growth::of(&levels([5; 30])).unwrap().usual, 0.0);
    }

    #[test]
    fn less_than_a_week_says_nothing() {
        assert_eq!(Growth::of(&levels([1, 2, 3, 4, 5, 6, 7])), None);
        assert_eq!(Growth::of(&levels([1, 2, 3, 4, 5, 6, 7, 8])).unwrap().usual, 1.0);
        assert_eq!(Growth::of(&[]), None);
    }

    /// Someone added a disk image on one day: a line through the ends would say five times as much.
    #[test]
    fn one_day_with_much_does_not_move_it() {
        let amount = |day: u64| 1000 + day * 50 + if day >= 25 { 6000 } else { 0 };
        let growth = Growth::of(&levels((0..30).map(amount))).unwrap();
        assert!((45.0..80.0).contains(&growth.usual), "{growth:?}");
        assert!(growth.high > 200.0, "the range has it: {growth:?}");
    }

    /// Weekly prunes make teeth: what counts is how they rise.
    #[test]
    fn prunes_are_no_shrinking() {
        let amount = |day: u64| 10_000 + day / 7 * 100 + day % 7 * 60;
        let growth = Growth::of(&levels((0..90).map(amount))).unwrap();
        assert!((12.0..17.0).contains(&growth.usual), "100 in a week: {growth:?}");
    }

    #[test]
    fn what_is_too_far_away_is_not_foreseen() {
        assert_eq!(time_until(500, 50.0), Some(Duration::from_secs(10 * 86_400)));
        assert_eq!(time_until(0, 50.0), Some(Duration::ZERO));
        assert_eq!(time_until(500, 0.0), None);
        assert_eq!(time_until(500, -1.0), None);
        assert_eq!(time_until(u64::MAX, 1.0), None);
        assert_eq!(time_until(500, f64::NAN), None);
        assert_eq!([amount_after(100, 2.5, 90), amount_after(100, -2.5, 90)], [325, 0]);
    }
}
