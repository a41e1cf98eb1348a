//! When a message that didn't arrive is sent again: for a day, at growing distances.

use std::time::Duration;

use jiff::Timestamp;

use crate::decide::later;

/// For how long a message is sent again.
pub const GIVE_UP_AFTER: Duration = Duration::from_secs(24 * 3_600);
/// A message gets this many attempts, however long the server wasn't there or whatever became of its clock.
pub const ATTEMPTS_MIN: u32 = 8;
/// And no more than this many, even if the clock doesn't get on.
pub const ATTEMPTS_MAX: u32 = 60;

const FIRST: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_secs(3_600);

/// What comes after an attempt that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Another one then.
    At(Timestamp),
    /// No other: the message can't be delivered.
    GiveUp,
}

/// What comes after the `attempts`-th attempt, which failed `now`. The first one was at `first`; the other end may have
/// `asked` for a pause. `seed` scatters attempts, so that messages which failed together don't come back together.
#[must_use]
pub fn next(attempts: u32, first: Timestamp, now: Timestamp, asked: Option<Duration>, seed: u64) -> Next {
    let end = later(first, GIVE_UP_AFTER);
    if attempts >= ATTEMPTS_MAX || (now >= end && attempts >= ATTEMPTS_MIN) {
        return Next::GiveUp;
    }
    let doublings = attempts.saturating_sub(1).min(7);
    let wait = FIRST.saturating_mul(1 << doublings).min(LONGEST);
    // Between 80 and 100 % of it, by a number that looks random in its low bits.
    let scatter =
        u32::try_from((seed ^ u64::from(attempts)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 59).unwrap_or(0);
    let wait = wait * (128 + scatter) / 160;
    let wait = wait.max(asked.unwrap_or_default().min(GIVE_UP_AFTER));
    let at = later(now, wait);
    // The last attempt is at the end itself.
    Next::At(if now < end && attempts >= ATTEMPTS_MIN { at.min(end) } else { at })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::{SignedDuration, Timestamp};

    use super::{ATTEMPTS_MAX, ATTEMPTS_MIN, Next, next};

    const START: Timestamp = Timestamp::constant(1_767_225_600, 0);

    /// Instants of all attempts, in seconds after the first.
    fn attempts(asked: Option<Duration>, seed: u64, jump: SignedDuration) -> Vec<i64> {
        let (mut now, mut all) = (START, vec![0]);
        loop {
            let count = u32::try_from(all.len()).expect("few");
            match next(count, START, now, asked, seed) {
                Next::At(at) => now = at + jump,
                Next::GiveUp => return all,
            }
            all.push(now.duration_since(START).as_secs());
        }
    }

    #[test]
    fn a_message_is_sent_again_for_a_day_and_more_and_more_seldom() {
        let all = attempts(None, 7, SignedDuration::ZERO);
        assert!((25..40).contains(&all.len()), "{all:?}");
        assert!((24..=30).contains(&all[1]), "{all:?}");
        assert_eq!(*all.last().expect("an attempt"), 86_400);
        let gaps: Vec<i64> = all.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.iter().all(|gap| *gap <= 3_600), "{gaps:?}");
        assert!(gaps[..7].is_sorted(), "{gaps:?}");
    }

    #[test]
    fn messages_that_fail_together_come_back_apart() {
        let firsts: std::collections::BTreeSet<i64> =
            (0..64).map(|seed| attempts(None, seed, SignedDuration::ZERO)[5]).collect();
        assert!(firsts.len() > 10, "{firsts:?}");
    }

    #[test]
    fn a_pause_that_the_other_end_asks_for_is_kept() {
        let all = attempts(Some(Duration::from_secs(7_200)), 7, SignedDuration::ZERO);
        assert!(all.windows(2).take(7).all(|pair| pair[1] - pair[0] >= 7_200), "{all:?}");
        let Next::At(at) = next(1, START, START, Some(Duration::MAX), 1) else { panic!("it gives up") };
        assert_eq!(at.duration_since(START), SignedDuration::from_hours(24));
    }

    #[test]
    fn a_clock_that_jumps_neither_drops_a_message_nor_keeps_it_for_ever() {
        let year = SignedDuration::from_hours(365 * 24);
        assert_eq!(attempts(None, 1, year).len(), usize::try_from(ATTEMPTS_MIN).expect("few"));
        let back = SignedDuration::from_hours(-2);
        assert_eq!(attempts(None, 1, back).len(), usize::try_from(ATTEMPTS_MAX).expect("few"));
    }
}
