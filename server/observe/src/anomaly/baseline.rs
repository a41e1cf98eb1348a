//! What is usual: the middle of the past, how far it spreads, and what has happened more than once.

/// One standard deviation of normal values is this many median absolute deviations.
const DEVIATION: f64 = 1.4826;
/// This many standard deviations above the middle are noise.
const NOISE: f64 = 6.0;
/// By this factor, something may exceed what has happened twice.
const HABIT: f64 = 1.5;

/// What is usual for one figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Baseline {
    /// The median.
    pub median: f64,
    /// The median of the distances from it.
    spread: f64,
    /// The second highest. What happened twice is a habit, as a weekly full dump; what happened once may be the
    /// fault that one looks for.
    pub high: f64,
    /// The second lowest.
    low: f64,
}

impl Baseline {
    /// That of these values; none of fewer than two.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        if values.len() < 2 {
            return None;
        }
        let median = median(&mut values);
        let (low, high) = (values[1], values[values.len() - 2]);
        let mut distances: Vec<f64> = values.iter().map(|value| (value - median).abs()).collect();
        Some(Self { median, spread: self::median(&mut distances), high, low })
    }

    /// The greatest amount that is noise or habit.
    pub fn amount_at_most(&self) -> f64 {
        (self.median + NOISE * DEVIATION * self.spread).max(HABIT * self.high)
    }

    /// The same for a share. A share ends at 1, so it may come at most halfway nearer to that.
    pub fn share_at_most(&self) -> f64 {
        let halfway = |usual: f64| f64::midpoint(usual, 1.0);
        let noise = (self.median + NOISE * DEVIATION * self.spread).min(halfway(self.median));
        noise.max((HABIT * self.high).min(halfway(self.high)))
    }

    /// The smallest amount that is noise or habit. Noise explains no fall to less than a tenth, or a figure that
    /// varies much could become 0 and no one would hear of it.
    pub fn amount_at_least(&self) -> f64 {
        let noise = (self.median - NOISE * DEVIATION * self.spread).max(self.median / 10.0);
        noise.min(self.low / HABIT)
    }
}

/// The median of values of which there is at least one, which are sorted by that.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

#[cfg(test)]
mod tests {
    use super::Baseline;

    #[test]
    fn the_middle_is_the_median() {
        assert_eq!(Baseline::of([5.0, 1.0, 100.0]).expect("enough").median, 5.0);
        assert_eq!(Baseline::of([5.0, 1.0, 100.0, 7.0]).expect("enough").median, 6.0);
        assert_eq!(Baseline::of([1.0]), None);
    }

    #[test]
    fn one_high_value_is_no_habit_and_two_are() {
        let once = Baseline::of([1.0, 1.0, 1.0, 1.0, 90.0]).expect("enough");
        assert_eq!(once.amount_at_most(), 1.5);
        let twice = Baseline::of([1.0, 90.0, 1.0, 1.0, 1.0, 100.0]).expect("enough");
        assert_eq!(twice.amount_at_most(), 135.0);
    }

    #[test]
    fn noise_is_six_deviations() {
        let noisy = Baseline::of([8.0, 9.0, 10.0, 11.0, 12.0]).expect("enough");
        assert!((noisy.amount_at_most() - (10.0 + 6.0 * 1.4826)).abs() < 1e-9);
        assert!((noisy.amount_at_least() - (10.0 - 6.0 * 1.4826)).abs() < 1e-9);
        let wild = Baseline::of([10.0, 40.0, 70.0, 90.0, 100.0]).expect("enough");
        assert_eq!(wild.amount_at_least(), 7.0);
        let gone_before = Baseline::of([0.0, 0.0, 70.0, 70.0, 70.0]).expect("enough");
        assert_eq!(gone_before.amount_at_least(), 0.0);
    }

    #[test]
    fn a_share_comes_at_most_halfway_nearer_to_the_whole() {
        let often = Baseline::of([0.8, 0.8, 0.8]).expect("enough");
        assert!((often.share_at_most() - 0.9).abs() < 1e-9);
        let never = Baseline::of([0.0, 0.0, 0.0]).expect("enough");
        assert_eq!(never.share_at_most(), 0.0);
        let wild = Baseline::of([0.0, 0.3, 0.0, 0.3, 0.3, 0.0]).expect("enough");
        assert!((wild.share_at_most() - 0.575).abs() < 1e-9, "{}", wild.share_at_most());
    }
}
