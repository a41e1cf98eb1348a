//! How much was stored at the end of each day: what checks and prunes have found, and what backups have added to that.

use jiff::{SignedDuration, Timestamp};
use keepfast_api::storage::StorageDay;

/// How much was found at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    pub at: Timestamp,
    pub bytes: u64,
}

/// How much was stored at the end of each day that anything is known of. `bounds` are the beginnings of days and the end of
/// the last one, `added` is what backups have stored in each, `found` is in the order of time and may begin before.
///
/// If nothing was ever found, it is only known how much more there is than at first.
pub fn levels(bounds: &[Timestamp], added: &[u64], found: &[Found]) -> Vec<StorageDay> {
    let days = Days { bounds, added };
    let is_known = |day: &usize| added[*day] > 0 || days.has(*day, found);
    let is_older = found.first().zip(bounds.first()).is_some_and(|(first, begin)| first.at < *begin);
    let first = if is_older { Some(0) } else { (0..added.len()).find(is_known) };
    let Some(first) = first else { return Vec::new() };
    let level = |day: usize| {
        let end = bounds[day + 1];
        let before = found.iter().rfind(|found| found.at < end);
        match (before, found.first()) {
            (Some(before), _) => before.bytes.saturating_add(days.added_between(before.at, end)),
            (None, Some(after)) => after.bytes.saturating_sub(days.added_between(end, after.at)),
            (None, None) => days.added_between(bounds[0], end),
        }
    };
    let all = first..added.len();
    all.map(|day| StorageDay {
        at: bounds[day + 1],
        bytes: level(day),
        added_bytes: added[day],
        measured: days.has(day, found),
    })
    .collect()
}

struct Days<'a> {
    bounds: &'a [Timestamp],
    added: &'a [u64],
}

impl Days<'_> {
    fn has(&self, day: usize, found: &[Found]) -> bool {
        found.iter().any(|found| self.bounds[day] <= found.at && found.at < self.bounds[day + 1])
    }

    /// What was added between two instants. Of a day that lies in it with a part, that part of what the day has added.
    fn added_between(&self, from: Timestamp, until: Timestamp) -> u64 {
        let of_day = |(day, added): (usize, &u64)| {
            let (begin, end) = (self.bounds[day], self.bounds[day + 1]);
            let part = until.min(end).duration_since(from.max(begin));
            share(*added, part, end.duration_since(begin))
        };
        self.added.iter().enumerate().map(of_day).fold(0, u64::saturating_add)
    }
}

fn share(amount: u64, part: SignedDuration, whole: SignedDuration) -> u64 {
    let millis = |time: SignedDuration| u128::try_from(time.as_millis()).unwrap_or(0);
    let (part, whole) = (millis(part), millis(whole));
    if part >= whole {
        return amount;
    }
    u64::try_from(u128::from(amount) * part / whole).unwrap_or(amount)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::{Found, levels};

    const DAY: i64 = 86_400;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).expect("an instant")
    }

    fn of(added: &[u64], found: &[(i64, u64)]) -> Vec<(u64, bool)> {
        let bounds: Vec<_> = (0..).zip(0..=added.len()).map(|(day, _)| at(day * DAY)).collect();
        let found: Vec<_> =
            found.iter().map(|(second, bytes)| Found { at: at(*second), bytes: *bytes }).collect();
        levels(&bounds, added, &found).iter().map(|day| (day.bytes, day.measured)).collect()
    }

    #[test]
    fn backups_add_to_what_was_found_and_a_check_corrects_it() {
        // Found at noon of the second day; on the last day it is known again.
        let days = of(&[10, 20, 30, 40], &[(DAY + DAY / 2, 1000), (3 * DAY + DAY / 2, 900)]);
        assert_eq!(days, [(990, false), (1010, true), (1040, false), (920, true)]);
    }

    #[test]
    fn what_was_found_long_before_counts_from_the_first_day_on() {
        assert_eq!(of(&[0, 5], &[(-9 * DAY, 100)]), [(100, false), (105, false)]);
    }

    #[test]
    fn days_before_the_first_backup_are_unknown() {
        assert_eq!(of(&[0, 0, 7, 1], &[]), [(7, false), (8, false)]);
        assert_eq!(of(&[0, 0], &[]), []);
        assert_eq!(of(&[5, 9], &[(2 * DAY - 1, 3)]), [(0, false), (3, true)], "never less than nothing");
    }
}
