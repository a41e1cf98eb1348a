//! Which snapshot a drill takes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A rule that takes one snapshot of many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Choose {
    /// The newest.
    Latest,
    /// The oldest.
    Oldest,
    /// Any one that isn't older than this instant.
    RandomSince(Timestamp),
}

/// The snapshot that a rule takes; none if there is none to take. Each equal seed takes the same one of the same snapshots.
pub fn choose<T>(snapshots: &[T], time: impl Fn(&T) -> Timestamp, rule: Choose, seed: u64) -> Option<&T> {
    match rule {
        // Of several with one time, the last of the list, as it is in the order of names.
        Choose::Latest => snapshots.iter().max_by_key(|one| time(one)),
        Choose::Oldest => snapshots.iter().min_by_key(|one| time(one)),
        Choose::RandomSince(since) => {
            let fitting: Vec<&T> = snapshots.iter().filter(|one| time(one) >= since).collect();
            let count = u64::try_from(fitting.len()).ok().filter(|count| *count > 0)?;
            let at = usize::try_from(seed % count).ok()?;
            fitting.get(at).copied()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Choose, Timestamp, choose};

    fn at(seconds: &i64) -> Timestamp {
        Timestamp::from_second(*seconds).expect("an instant")
    }

    #[test]
    fn the_newest_the_oldest_or_any_within_a_span_is_taken() {
        let times = [30_i64, 10, 20, 40];
        let taken = |rule, seed| choose(&times, at, rule, seed).copied();
        assert_eq!((taken(Choose::Latest, 7), taken(Choose::Oldest, 7)), (Some(40), Some(10)));
        let all: std::collections::BTreeSet<_> =
            (0..20).filter_map(|seed| taken(Choose::RandomSince(at(&20)), seed)).collect();
        assert_eq!(all, [20, 30, 40].into());
        assert_eq!(taken(Choose::RandomSince(at(&20)), 5), taken(Choose::RandomSince(at(&20)), 5));
        assert_eq!(taken(Choose::RandomSince(at(&41)), 0), None);
        assert_eq!(choose(&[], at, Choose::Latest, 0), None);
    }
}
