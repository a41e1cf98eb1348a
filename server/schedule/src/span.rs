//! Lengths of time: sums that stop at the calendar's edge instead of failing, and words for people.

use std::time::Duration;

use jiff::Timestamp;

/// An instant that is later by this much, or the calendar's last.
pub(crate) fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// An instant that is earlier by this much, or the calendar's first.
pub(crate) fn earlier(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_sub(by).unwrap_or(Timestamp::MIN)
}

/// The time from one instant to a later one; zero if it isn't later.
pub(crate) fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or(Duration::ZERO)
}

/// A length of time as its two largest units.
#[must_use]
pub fn in_words(length: Duration) -> String {
    let seconds = length.as_secs();
    let units = [
        ("d", seconds / 86_400),
        ("h", seconds / 3600 % 24),
        ("min", seconds / 60 % 60),
        ("s", seconds % 60),
    ];
    let Some(first) = units.iter().position(|(_, count)| *count > 0) else { return "0 s".to_owned() };
    let shown = units.iter().skip(first).take(2).filter(|(_, count)| *count > 0);
    shown.map(|(unit, count)| format!("{count} {unit}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{between, earlier, in_words, later};
    use jiff::Timestamp;
    use std::time::Duration;

    #[test]
    fn lengths_read_well() {
        let words = |seconds| in_words(Duration::from_secs(seconds));
        assert_eq!(words(0), "0 s");
        assert_eq!(words(59), "59 s");
        assert_eq!(words(3 * 3600), "3 h");
        assert_eq!(words(26 * 3600 + 59), "1 d 2 h");
        assert_eq!(words(90 * 60), "1 h 30 min");
    }

    #[test]
    fn sums_stop_at_the_edge() {
        assert_eq!(later(Timestamp::MAX, Duration::MAX), Timestamp::MAX);
        assert_eq!(earlier(Timestamp::MIN, Duration::from_secs(1)), Timestamp::MIN);
        assert_eq!(between(Timestamp::MAX, Timestamp::MIN), Duration::ZERO);
    }
}
