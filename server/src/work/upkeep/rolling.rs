//! Which part of a repository's data a check reads, so that all of it is read in time.
//!
//! Packs lie on a circle, each in a place that never changes. A check reads the stretch that has waited longest, which
//! begins where the newest one ended. So it doesn't matter which packs come and go, and a check that was missed is made
//! up for by the next one. What has to be kept from check to check is when which stretch was read.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use keepfast_operations::requests::CIRCLE;
use serde::{Deserialize, Serialize};

/// Stretches that are remembered. With more, neighbors become one, of the older one's time.
const READINGS_MAX: usize = 128;
/// In how many parts a share is counted.
const WHOLE: u64 = 1000;

/// How much of the data is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rolling {
    /// At least this much each time, in thousandths.
    pub thousandths: u32,
    /// Everything within this time, if the checks that were planned take place.
    pub full_within: Option<Duration>,
}

/// What earlier checks have read, and when. The report of each check has it, for the next one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Readings {
    /// Where the next stretch begins.
    pub next: u32,
    /// When the first check began: what was never read is owed since then.
    pub since: Option<Timestamp>,
    /// The stretches, one after the other; the newest ends at `next`. They are no longer than the circle.
    pub read: Vec<Reading>,
}

/// A stretch that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// How long it is.
    pub length: u64,
    /// When the check began that read all packs that were there then. Null if there has been none.
    pub at: Option<Timestamp>,
}

impl Readings {
    /// As they were stored; if they make no sense, nothing was read.
    #[must_use]
    pub fn sensible(self) -> Self {
        let all = self.read.iter().try_fold(0_u64, |all, reading| all.checked_add(reading.length));
        let is_sensible = all.is_some_and(|all| all <= CIRCLE) && self.read.len() <= READINGS_MAX;
        if is_sensible { self } else { Self::default() }
    }

    /// How much a check reads that begins now, if the next one begins at `next`.
    ///
    /// It is the largest of three: the share that is asked for; the share that, read each time, is everything in time;
    /// and whatever would be too old when the next check begins.
    #[must_use]
    pub fn length(&self, rolling: Rolling, now: Timestamp, next: Timestamp) -> u64 {
        let asked = share_of(u64::from(rolling.thousandths), WHOLE);
        let Some(within) = rolling.full_within else { return asked };
        let until_next = between(now, next).max(Duration::from_secs(1));
        let even = share_of(millis(until_next), millis(within).max(1));
        let is_late = |at: Option<Timestamp>| at.is_none_or(|at| between(at, next) > within);
        let never_read = CIRCLE - self.all();
        let mut late = 0;
        if never_read == 0 || is_late(Some(self.since.unwrap_or(now))) {
            let oldest_first = self.read.iter().take_while(|reading| is_late(reading.at));
            late = never_read + oldest_first.map(|reading| reading.length).sum::<u64>();
        }
        asked.max(even).max(late).min(CIRCLE)
    }

    /// After a check that began at `at` and read a stretch. `is_complete` says that every pack in it could be read: if
    /// not, it counts as read when all of it was read before.
    #[must_use]
    pub fn after(mut self, length: u64, at: Timestamp, is_complete: bool) -> Self {
        let length = length.min(CIRCLE);
        let never_read = CIRCLE - self.all();
        let before = self.cut(length.saturating_sub(never_read));
        let at_before = if length > 0 && never_read > 0 { None } else { before };
        self.since.get_or_insert(at);
        if length > 0 {
            self.read.push(Reading { length, at: if is_complete { Some(at) } else { at_before } });
        }
        // The whole circle ends where it began.
        self.next = self.next.wrapping_add(u32::try_from(length % CIRCLE).unwrap_or(0));
        while self.read.len() > READINGS_MAX {
            self.join_shortest();
        }
        self
    }

    /// Since when everything has been read: each pack that was there at this time has been read since, as far as it is
    /// still there. Nothing if some was never read.
    #[must_use]
    pub fn all_read_since(&self) -> Option<Timestamp> {
        let is_whole = self.all() == CIRCLE;
        let times: Option<Vec<Timestamp>> = self.read.iter().map(|reading| reading.at).collect();
        times.filter(|_| is_whole)?.into_iter().min()
    }

    fn all(&self) -> u64 {
        self.read.iter().map(|reading| reading.length).sum::<u64>().min(CIRCLE)
    }

    /// Takes this much away at the beginning, and says when all of that was read.
    fn cut(&mut self, mut length: u64) -> Option<Timestamp> {
        let mut at = Some(Timestamp::MAX);
        while length > 0 && !self.read.is_empty() {
            let oldest = &mut self.read[0];
            at = at.zip(oldest.at).map(|(one, other)| one.min(other));
            let taken = oldest.length.min(length);
            length -= taken;
            oldest.length -= taken;
            if oldest.length == 0 {
                self.read.remove(0);
            }
        }
        at.filter(|at| *at < Timestamp::MAX)
    }

    fn join_shortest(&mut self) {
        let pairs = self.read.windows(2).map(|pair| pair[0].length + pair[1].length);
        let Some((first, _)) = pairs.enumerate().min_by_key(|(_, length)| *length) else { return };
        let second = self.read.remove(first + 1);
        let joined = &mut self.read[first];
        joined.length += second.length;
        joined.at = joined.at.zip(second.at).map(|(one, other)| one.min(other));
    }
}

/// A share of the circle, rounded up.
fn share_of(part: u64, of: u64) -> u64 {
    let exact = (u128::from(CIRCLE) * u128::from(part)).div_ceil(u128::from(of.max(1)));
    u64::try_from(exact).unwrap_or(CIRCLE).min(CIRCLE)
}

/// The time from one instant to another; none if the clock was set back between them.
fn between(from: Timestamp, to: Timestamp) -> Duration {
    let passed: SignedDuration = to.duration_since(from);
    Duration::try_from(passed).unwrap_or_default()
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use jiff::Timestamp;
    use keepfast_engine::check::Stretch;
    use keepfast_operations::requests::CIRCLE;
    use proptest::collection::vec;
    use proptest::prelude::{any, prop_assert, proptest};

    use super::{READINGS_MAX, Readings, Rolling};

    const DAY: i64 = 86_400;
    const DAYS: fn(u64) -> Duration = |days| Duration::from_secs(days * 86_400);

    fn day(number: i64) -> Timestamp {
        Timestamp::from_second(number * DAY).expect("it is in the calendar")
    }

    fn lies_on(place: u32, begin: u32, length: u64) -> bool {
        Stretch { begin, length }.includes(place)
    }

    #[test]
    fn a_share_each_time_reads_everything_in_as_many_checks() {
        let rolling = Rolling { thousandths: 50, full_within: None };
        let mut readings = Readings::default();
        for number in 0..20 {
            assert_eq!(readings.all_read_since(), None);
            let length = readings.length(rolling, day(number), day(number + 7));
            assert_eq!(length, CIRCLE.div_ceil(20));
            readings = readings.after(length, day(number), true);
        }
        assert_eq!(readings.all_read_since(), Some(day(0)));
        readings = readings.after(CIRCLE.div_ceil(20), day(20), true);
        assert_eq!(readings.all_read_since(), Some(day(1)), "the oldest stretch was read again");
    }

    #[test]
    fn a_stretch_goes_over_the_end_of_the_circle() {
        let places = [u32::MAX - 2, u32::MAX - 1, u32::MAX, 0, 1, 2];
        let on = |length| places.map(|place| lies_on(place, u32::MAX - 1, length));
        assert_eq!(on(4), [false, true, true, true, true, false]);
        assert_eq!((on(0), on(CIRCLE)), ([false; 6], [true; 6]));
    }

    #[test]
    fn a_time_asks_for_more_than_the_share_and_for_all_that_is_late() {
        let rolling = Rolling { thousandths: 10, full_within: Some(DAYS(40)) };
        let first = Readings::default();
        let weekly = |readings: &Readings, at| readings.length(rolling, day(at), day(at + 7));
        assert_eq!(weekly(&first, 0), (CIRCLE * 7).div_ceil(40));
        let readings = first.after(weekly(&Readings::default(), 0), day(0), true);
        let missed = weekly(&readings, 100);
        assert_eq!(missed, CIRCLE, "after a hundred days without a check, everything is late");
        let rare = readings.length(rolling, day(5), day(65));
        assert_eq!(rare, CIRCLE, "two months until the next check");
        assert_eq!(
            Readings::default().length(Rolling { thousandths: 0, full_within: None }, day(0), day(1)),
            0
        );
    }

    #[test]
    fn a_stretch_that_could_not_be_read_counts_as_it_was() {
        let half = CIRCLE / 2;
        let once = Readings::default().after(half, day(1), true).after(half, day(2), false);
        assert_eq!((once.all_read_since(), once.next), (None, 0));
        let again = once.after(half, day(3), true).after(half, day(4), true);
        assert_eq!(again.all_read_since(), Some(day(3)));
        let incomplete = again.after(half, day(5), false);
        assert_eq!(incomplete.all_read_since(), Some(day(3)), "it was read on the third day, and not since");
    }

    #[test]
    fn what_was_stored_survives_and_nonsense_counts_for_nothing() {
        let readings = Readings::default().after(7, day(1), true).after(9, day(2), true);
        let written = serde_json::to_string(&readings).expect("a text");
        assert_eq!(
            written,
            r#"{"next":16,"since":"1970-01-02T00:00:00Z","read":[{"length":7,"at":"1970-01-02T00:00:00Z"},"#
                .to_owned()
                + r#"{"length":9,"at":"1970-01-03T00:00:00Z"}]}"#
        );
        let read: Readings = serde_json::from_str(&written).expect("readings");
        assert_eq!(read.clone().sensible(), read);
        let nonsense = r#"{"next": 4, "read": [{"length": 18446744073709551615, "at": null}]}"#;
        let read: Readings = serde_json::from_str(nonsense).expect("readings");
        assert_eq!(read.sensible(), Readings::default());
    }

    proptest! {
        /// Packs come and go, checks are missed, and some can't read everything: what is said is true, and as long as
        /// checks take place as planned, nothing gets older than it may.
        #[test]
        fn whatever_comes_and_goes_each_pack_that_stays_is_read_in_time(
            stays in vec(any::<u32>(), 1..20),
            thousandths in 0_u32..200,
            within in 8_u64..60,
            checks in vec((1_i64..8, any::<bool>(), 0_u8..8, vec(any::<u32>(), 0..4)), 1..300),
        ) {
            let rolling = Rolling { thousandths, full_within: Some(DAYS(within)) };
            let mut readings = Readings::default();
            // When each was read last, or came.
            let mut last: BTreeMap<u32, Timestamp> = stays.iter().map(|place| (*place, day(0))).collect();
            let mut came: BTreeMap<u32, Timestamp> = last.clone();
            let (mut today, mut is_on_time) = (0, true);
            for (gap, is_missed, luck, comes) in checks {
                for place in comes {
                    came.entry(place).or_insert(day(today));
                    last.entry(place).or_insert(day(today));
                }
                let (now, next) = (day(today), day(today + gap));
                today += gap;
                if is_missed && luck < 2 {
                    is_on_time = false;
                    continue;
                }
                let (begin, length) = (readings.next, readings.length(rolling, now, next));
                let is_complete = luck > 0;
                if is_complete {
                    last.iter_mut().filter(|(place, _)| lies_on(**place, begin, length)).for_each(|(_, at)| *at = now);
                } else {
                    is_on_time = false;
                }
                readings = readings.after(length, now, is_complete);
                prop_assert!(readings.read.len() <= READINGS_MAX);
                if let Some(since) = readings.all_read_since() {
                    for (place, at) in &last {
                        prop_assert!(came[place] > since || *at >= since, "{place} wasn't read since {since}");
                    }
                }
                if is_on_time {
                    for place in &stays {
                        let age = next.duration_since(last[place]).as_secs();
                        prop_assert!(age <= i64::try_from(within).expect("it is small") * DAY, "{place}: {age}");
                    }
                }
            }
        }

        /// Without a time, repeated checks read everything in as many as there are shares.
        #[test]
        fn after_as_many_checks_as_there_are_shares_everything_was_read(thousandths in 1_u32..1000, begin in any::<u32>()) {
            let rolling = Rolling { thousandths, full_within: None };
            let mut readings = Readings { next: begin, ..Readings::default() };
            for number in 0..i64::from(1000_u32.div_ceil(thousandths)) {
                prop_assert!(readings.all_read_since().is_none());
                let length = readings.length(rolling, day(number), day(number + 1));
                readings = readings.after(length, day(number), true);
            }
            prop_assert!(readings.all_read_since().is_some());
        }
    }
}
