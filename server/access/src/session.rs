//! How long sessions last, and how old a proof of who someone is may be.

use std::time::Duration;

use crate::moment::Moment;

/// How long sessions last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionPolicy {
    /// Without being used.
    pub idle: Duration,
    /// However they are used.
    pub absolute: Duration,
    /// How old the last proof of who someone is may be for what is dangerous.
    pub proof: Duration,
    /// How long a browser stays known.
    pub device: Duration,
}

impl SessionPolicy {
    /// What sessions have: half a day without use, a week in all, a quarter of an hour for what is dangerous; and a browser
    /// is known for a year.
    pub const USUAL: Self = Self {
        idle: Duration::from_hours(12),
        absolute: Duration::from_hours(7 * 24),
        proof: Duration::from_mins(15),
        device: Duration::from_hours(365 * 24),
    };

    /// Whether a session that began and was used then is over now.
    #[must_use]
    pub fn is_over(&self, began: Moment, used: Moment, now: Moment) -> bool {
        let longer = |earlier: Moment, length: Duration| now.since(earlier).is_some_and(|age| age >= length);
        longer(began, self.absolute) || longer(used, self.idle)
    }

    /// Whether someone has to show a password or a code again before something dangerous. A proof from the future is none: a
    /// clock was set back.
    #[must_use]
    pub fn needs_proof(&self, shown: Moment, now: Moment) -> bool {
        now.since(shown).is_none_or(|age| age >= self.proof)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::SessionPolicy;
    use crate::moment::Moment;

    const NOW: Moment = Moment::from_micros(1_800_000_000_000_000);

    fn ago(length: Duration) -> Moment {
        Moment::from_micros(NOW.as_micros() - i64::try_from(length.as_micros()).expect("a length"))
    }

    #[test]
    fn a_session_is_over_when_it_is_idle_or_old() {
        let policy = SessionPolicy::USUAL;
        let second = Duration::from_secs(1);
        assert!(!policy.is_over(ago(policy.absolute - second), ago(policy.idle - second), NOW));
        assert!(policy.is_over(ago(policy.absolute), NOW, NOW), "old, and used");
        assert!(policy.is_over(ago(policy.idle), ago(policy.idle), NOW), "idle");
        assert!(!policy.is_over(NOW, NOW, ago(second)), "a clock was set back");
    }

    #[test]
    fn what_is_dangerous_needs_a_proof_that_is_not_old() {
        let policy = SessionPolicy::USUAL;
        assert!(!policy.needs_proof(NOW, NOW));
        assert!(!policy.needs_proof(ago(policy.proof - Duration::from_secs(1)), NOW));
        assert!(policy.needs_proof(ago(policy.proof), NOW));
        assert!(policy.needs_proof(NOW, ago(Duration::from_secs(1))), "a clock was set back");
    }
}
