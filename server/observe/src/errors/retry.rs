//! When something that failed is tried again.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::errors::category::Category;

/// A number that can't be used for trying again.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum RetryError {
    /// Waits would become shorter.
    #[error("{0} can't be how waits grow: it has to be a number of at least 1, as 3")]
    Growth(f64),
    /// Not a share.
    #[error("{0} can't be a share of a wait: it has to be from 0 to 1, as 0.2")]
    Jitter(f64),
}

/// By what each wait is longer than the one before; at least 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Growth(f64);

impl Growth {
    /// A growth.
    ///
    /// # Errors
    /// It isn't a number of at least 1.
    pub fn new(growth: f64) -> Result<Self, RetryError> {
        if growth.is_finite() && growth >= 1.0 { Ok(Self(growth)) } else { Err(RetryError::Growth(growth)) }
    }
}

/// The share of a wait that chance may take away, so that what failed together isn't tried again together;
/// from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Jitter(f64);

impl Jitter {
    /// A share.
    ///
    /// # Errors
    /// It isn't from 0 to 1.
    pub fn new(share: f64) -> Result<Self, RetryError> {
        if (0.0..=1.0).contains(&share) { Ok(Self(share)) } else { Err(RetryError::Jitter(share)) }
    }
}

/// Whether trying again helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// As often as the policy says: it may be over in a while.
    AsOften,
    /// One time more: it may have been a moment, and nothing changes after that without a person.
    Once,
    /// It fails again until a person does something, or trying does harm.
    Never,
}

impl Category {
    /// Whether trying again helps.
    #[must_use]
    pub const fn retry(self) -> Retry {
        match self {
            Self::Network => Retry::AsOften,
            // A database may have been restarting. More attempts run a failing command again and again.
            Self::Source => Retry::Once,
            // A password that was refused is refused again, and some servers lock accounts for that.
            Self::Credentials
            | Self::Space
            | Self::Permission
            | Self::Damage
            | Self::Configuration
            | Self::Bug => Retry::Never,
        }
    }
}

/// How often and when something that failed is tried again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// Attempts in all, with the first one.
    pub attempts: NonZeroU32,
    /// The wait after the first attempt.
    pub first: Duration,
    /// How waits grow.
    pub growth: Growth,
    /// No wait is longer.
    pub longest: Duration,
    /// What chance may take away from a wait.
    pub jitter: Jitter,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: NonZeroU32::new(3).expect("3 isn't 0"),
            first: Duration::from_secs(120),
            growth: Growth(3.0),
            longest: Duration::from_secs(3600),
            jitter: Jitter(0.2),
        }
    }
}

impl RetryPolicy {
    /// How long to wait after this many attempts have failed, the last one with this kind of error; none if it
    /// isn't tried again. The same seed has the same waits; take another for each run.
    #[must_use]
    pub fn wait(&self, category: Category, failed: NonZeroU32, seed: u64) -> Option<Duration> {
        let attempts = match category.retry() {
            Retry::AsOften => self.attempts.get(),
            Retry::Once => self.attempts.get().min(2),
            Retry::Never => 1,
        };
        if failed.get() >= attempts {
            return None;
        }
        // A power that is too large for a float is infinite, and the longest wait then.
        let exponent = i32::try_from(failed.get() - 1).unwrap_or(i32::MAX);
        let longest = self.longest.as_secs_f64();
        let full = (self.first.as_secs_f64() * self.growth.0.powi(exponent)).min(longest);
        // 0 times infinity, for a first wait of nothing.
        let full = if full.is_nan() { 0.0 } else { full };
        let seconds = full * (1.0 - self.jitter.0 * chance(seed, failed.get()));
        Some(Duration::try_from_secs_f64(seconds).unwrap_or(self.longest).min(self.longest))
    }
}

/// A number from 0 to below 1 that looks random: one step of SplitMix64 (Steele, Lea, Flood 2014), whose
/// states lie apart by its own increment for each attempt.
fn chance(seed: u64, attempt: u32) -> f64 {
    let mut state = seed.wrapping_add(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(u64::from(attempt)));
    state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    state ^= state >> 31;
    // A float has 53 bits of precision.
    (state >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::{Growth, Jitter, RetryPolicy};
    use crate::errors::category::Category;

    fn policy(attempts: u32, jitter: f64) -> RetryPolicy {
        RetryPolicy {
            attempts: NonZeroU32::new(attempts).expect("some"),
            first: Duration::from_secs(120),
            growth: Growth::new(3.0).expect("a growth"),
            longest: Duration::from_secs(3600),
            jitter: Jitter::new(jitter).expect("a share"),
        }
    }

    fn waits(policy: &RetryPolicy, category: Category) -> Vec<u64> {
        let wait = |failed| policy.wait(category, NonZeroU32::new(failed)?, 7);
        (1..).map_while(wait).map(|wait| wait.as_secs()).collect()
    }

    #[test]
    fn waits_grow_to_the_longest() {
        assert_eq!(waits(&policy(7, 0.0), Category::Network), [120, 360, 1080, 3240, 3600, 3600]);
        assert_eq!(waits(&policy(1, 0.0), Category::Network), []);
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for (category, expected) in [
            (Category::Network, 6),
            (Category::Credentials, 0),
            (Category::Source, 1),
            (Category::Space, 0),
            (Category::Permission, 0),
            (Category::Damage, 0),
            (Category::Configuration, 0),
            (Category::Bug, 0),
        ] {
            assert_eq!(waits(&policy(7, 0.0), category).len(), expected, "{category:?}");
            assert_eq!(waits(&policy(1, 0.0), category).len(), 0, "{category:?}");
        }
    }

    #[test]
    fn runs_that_failed_together_are_spread() {
        let policy = policy(3, 0.5);
        let first = NonZeroU32::MIN;
        let wait = |seed| policy.wait(Category::Network, first, seed).expect("a wait").as_secs_f64();
        let mut waits: Vec<f64> = (0..1000).map(wait).collect();
        waits.sort_by(f64::total_cmp);
        assert!(waits[0] >= 60.0 && waits[999] <= 120.0);
        // In each tenth of the range lies about a tenth of them.
        for tenth in 0..10 {
            let from = 60.0 + 6.0 * f64::from(tenth);
            let count = waits.iter().filter(|wait| (from..from + 6.0).contains(*wait)).count();
            assert!((60..140).contains(&count), "{count} from {from} s");
        }
    }

    #[test]
    fn numbers_that_make_no_policy_are_refused() {
        for number in [0.9, f64::NAN, f64::INFINITY, -1.0] {
            assert!(Growth::new(number).is_err(), "{number}");
        }
        for number in [1.1, f64::NAN, -0.1] {
            assert!(Jitter::new(number).is_err(), "{number}");
        }
    }

    proptest! {
        #[test]
        fn a_wait_is_bounded_and_the_same_each_time(
            attempts in 1_u32.., failed in 1_u32.., seed in any::<u64>(),
            first in any::<u64>(), longest in any::<u64>(), growth in 1.0_f64..1e300, jitter in 0.0..=1.0,
        ) {
            let policy = RetryPolicy {
                attempts: NonZeroU32::new(attempts).expect("some"),
                first: Duration::from_secs(first),
                growth: Growth::new(growth).expect("a growth"),
                longest: Duration::from_secs(longest),
                jitter: Jitter::new(jitter).expect("a share"),
            };
            let failed = NonZeroU32::new(failed).expect("some");
            let wait = policy.wait(Category::Network, failed, seed);
            prop_assert_eq!(wait.is_some(), failed.get() < attempts);
            prop_assert!(wait.unwrap_or_default() <= policy.longest);
            prop_assert_eq!(wait, policy.wait(Category::Network, failed, seed));
        }
    }
}
