//! What holds for every policy and every set of snapshots.

use std::collections::BTreeSet;

use keepfast_format::ids::{HolderId, SessionId};
use keepfast_format::node::Timestamp;
use keepfast_format::numbers::usize_of;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::subsequence;
use proptest::{prop_assert, prop_assert_eq, proptest};

use super::testing::{DAY, HOUR, Made, before, civil, decide_at, id};
use super::{Bucket, Candidate, Count, Group, GroupBy, Miss, Period, Policy, Reach, Reason, Span, Verdict};

const NOW: Timestamp = Timestamp { seconds: 10 * DAY, nanos: 0 };

/// Up to 40 snapshots: in crowds and far apart, some at the same time, some in the future.
fn snapshots() -> impl Strategy<Value = Vec<Made>> {
    let seconds = prop_oneof![
        8 => (-60..10_i64, 0..24_i64, 0..3_i64).prop_map(|(day, hour, part)| day * DAY + hour * HOUR + part * 1200),
        4 => (-70..0_i64).prop_map(|week| week * 7 * DAY),
        2 => (-1500..0_i64).prop_map(|day| day * DAY),
        1 => (0..3_i64).prop_map(|seconds| 10 * DAY - 1 + seconds),
        1 => (10..400_i64).prop_map(|day| day * DAY + HOUR),
    ];
    let text = |words: &'static [&'static str]| {
        subsequence(words, 0..=words.len())
            .prop_map(|words| words.into_iter().map(ToOwned::to_owned).collect::<Vec<String>>())
    };
    let one = (
        seconds,
        (0..2_u8, 0..2_u8),
        text(&["/etc", "/home"]),
        text(&["a", "b"]),
        any::<bool>(),
        0..8_u8,
        0..3_u8,
    );
    vec(one, 0..40).prop_map(|made| {
        (0..)
            .zip(made)
            .map(|(number, (seconds, (host, writer), mut paths, tags, turned, protected, incomplete))| {
                if turned {
                    paths.reverse();
                }
                Made {
                    writer: HolderId::new([writer; 8]),
                    host: format!("host{host}"),
                    paths: paths.into_iter().map(String::into_bytes).collect(),
                    tags,
                    protected: protected == 0,
                    is_complete: incomplete != 0,
                    ..Made::new(number, seconds)
                }
            })
            .collect()
    })
}

fn counts() -> impl Strategy<Value = Option<Count>> {
    prop_oneof![12 => Just(None), 5 => (0..6_u32).prop_map(|n| Some(Count::Number(n))), 1 => Just(Some(Count::All))]
}

fn spans() -> impl Strategy<Value = Option<Span>> {
    let span = (0..2_u32, 0..3_u32, 0..3_u32, 0..9_u32, 0..30_u32)
        .prop_map(|(years, months, weeks, days, hours)| Span { years, months, weeks, days, hours });
    option::weighted(0.1, span)
}

/// Any policy that says something; most have few rules, so that one can be seen without the others.
fn policies() -> impl Strategy<Value = Policy> {
    let tags = prop_oneof![
        1 => Just(Vec::new()),
        1 => vec(subsequence(&["a", "b"], 0..=2), 0..3),
    ];
    let counts = (counts(), counts(), counts(), counts(), counts(), counts());
    let spans = (spans(), spans(), spans(), spans(), spans(), spans());
    (counts, spans, tags, prop_oneof![2 => Just(0), 1 => 1..5_u32])
        .prop_map(|(counts, spans, tags, at_least)| Policy {
            last: counts.0,
            hourly: counts.1,
            daily: counts.2,
            weekly: counts.3,
            monthly: counts.4,
            yearly: counts.5,
            within: spans.0,
            within_hourly: spans.1,
            within_daily: spans.2,
            within_weekly: spans.3,
            within_monthly: spans.4,
            within_yearly: spans.5,
            tags: tags
                .into_iter()
                .map(|list: Vec<&str>| list.into_iter().map(ToOwned::to_owned).collect())
                .collect(),
            at_least,
            max_bytes: None,
        })
        .prop_filter("it says something", |policy| policy.check().is_ok())
}

fn groupings() -> impl Strategy<Value = GroupBy> {
    any::<(bool, bool, bool, bool)>().prop_map(|(writer, host, paths, tags)| GroupBy {
        writer,
        host,
        paths,
        tags,
    })
}

fn groups<'a>(made: &'a [Made], policy: &Policy, by: GroupBy) -> Vec<Group<'a>> {
    decide_at(made, policy, by, NOW).expect("a policy that says something")
}

fn forgotten(made: &[Made], policy: &Policy, by: GroupBy) -> BTreeSet<SessionId> {
    groups(made, policy, by).iter().flat_map(Group::forgotten).collect()
}

/// At least what `policy` keeps by each rule, and what `more` does.
fn at_least_both(policy: &Policy, more: &Policy) -> Policy {
    let count = |one: Option<Count>, other: Option<Count>| match (one, other) {
        (Some(Count::All), _) | (_, Some(Count::All)) => Some(Count::All),
        (Some(Count::Number(one)), Some(Count::Number(other))) => {
            Some(Count::Number(one.saturating_add(other)))
        }
        (one, other) => one.or(other),
    };
    let span = |one: Option<Span>, other: Option<Span>| match (one, other) {
        (Some(one), Some(other)) => Some(Span {
            years: one.years + other.years,
            months: one.months + other.months,
            weeks: one.weeks + other.weeks,
            days: one.days + other.days,
            hours: one.hours + other.hours,
        }),
        (one, other) => one.or(other),
    };
    Policy {
        last: count(policy.last, more.last),
        hourly: count(policy.hourly, more.hourly),
        daily: count(policy.daily, more.daily),
        weekly: count(policy.weekly, more.weekly),
        monthly: count(policy.monthly, more.monthly),
        yearly: count(policy.yearly, more.yearly),
        within: span(policy.within, more.within),
        within_hourly: span(policy.within_hourly, more.within_hourly),
        within_daily: span(policy.within_daily, more.within_daily),
        within_weekly: span(policy.within_weekly, more.within_weekly),
        within_monthly: span(policy.within_monthly, more.within_monthly),
        within_yearly: span(policy.within_yearly, more.within_yearly),
        tags: policy.tags.iter().chain(&more.tags).cloned().collect(),
        at_least: policy.at_least + more.at_least,
        max_bytes: None,
    }
}

/// The group seen from one of its snapshots, for claims that say what words mean.
struct View<'g, 'a> {
    past: Vec<&'g Candidate<'a>>,
    place: usize,
}

impl<'a> View<'_, 'a> {
    fn me(&self) -> &Candidate<'a> {
        self.past[self.place]
    }

    fn newer(&self) -> usize {
        self.past.len() - 1 - self.place
    }

    fn bucket(&self, period: Period) -> Bucket {
        Bucket::of(period, &civil(self.me().time))
    }

    /// The periods of newer snapshots.
    fn newer_buckets(&self, period: Period) -> BTreeSet<Bucket> {
        self.past[self.place + 1..].iter().map(|other| Bucket::of(period, &civil(other.time))).collect()
    }

    fn older_than(&self, span: Span) -> bool {
        self.me().time < before(self.past[self.past.len() - 1].time, span)
    }

    fn reaches(&self, reach: Reach, nth: usize) -> bool {
        match reach {
            Reach::Count(Count::All) => true,
            Reach::Count(Count::Number(number)) => nth <= usize_of(number),
            Reach::Within(span) => !self.older_than(span),
        }
    }

    fn has_all(&self, tags: &[String]) -> bool {
        tags.iter().all(|tag| self.me().tags.contains(tag))
    }

    fn confirms(&self, reason: &Reason, policy: &Policy) -> bool {
        match reason {
            Reason::Protected => self.me().protected,
            Reason::Future => self.me().time > NOW,
            Reason::Newest => self.newer() == 0,
            Reason::Last { nth, of } => {
                policy.last == Some(*of)
                    && usize_of(*nth) == self.newer() + 1
                    && self.reaches(Reach::Count(*of), self.newer() + 1)
            }
            Reason::Period { period, reach, bucket, nth } => {
                let newer = self.newer_buckets(*period);
                *bucket == self.bucket(*period)
                    && !newer.contains(bucket)
                    && usize_of(*nth) == newer.len() + 1
                    && self.reaches(*reach, newer.len() + 1)
                    && asked(policy, *period, *reach)
            }
            Reason::Oldest { period, reach, nth } => {
                let newer = self.newer_buckets(*period);
                self.place == 0
                    && usize_of(*nth) == newer.len() + 1
                    && self.reaches(*reach, newer.len() + 1)
                    && asked(policy, *period, *reach)
            }
            Reason::Within(span) => policy.within == Some(*span) && !self.older_than(*span),
            Reason::Tags(tags) => !tags.is_empty() && policy.tags.contains(tags) && self.has_all(tags),
            Reason::Floor { nth, of } => {
                let newer = self.past[self.place + 1..].iter().filter(|other| other.is_complete).count();
                self.me().is_complete && *of == policy.at_least && *nth <= *of && usize_of(*nth) == newer + 1
            }
            Reason::Size { max_bytes } => policy.max_bytes == Some(*max_bytes) && !policy.has_rule(),
        }
    }

    fn confirms_miss(&self, miss: &Miss, policy: &Policy) -> bool {
        match miss {
            Miss::Last { of } => {
                policy.last == Some(*of) && !self.reaches(Reach::Count(*of), self.newer() + 1)
            }
            Miss::Full { period, of } => {
                let mut newer = self.newer_buckets(*period);
                newer.remove(&self.bucket(*period));
                !self.reaches(Reach::Count(*of), newer.len() + 1) && asked(policy, *period, Reach::Count(*of))
            }
            Miss::Taken { period, reach, bucket, by } => {
                let same = |other: &&&Candidate<'_>| Bucket::of(*period, &civil(other.time)) == *bucket;
                let room = self.reaches(*reach, self.newer_buckets(*period).len() + 1);
                *bucket == self.bucket(*period)
                    && !(self.place == 0 && room)
                    && self
                        .past
                        .iter()
                        .rfind(same)
                        .is_some_and(|other| other.id == *by && *by != self.me().id)
                    && asked(policy, *period, *reach)
            }
            Miss::Older { period: None, span } => policy.within == Some(*span) && self.older_than(*span),
            Miss::Older { period: Some(period), span } => {
                self.older_than(*span) && asked(policy, *period, Reach::Within(*span))
            }
            Miss::Tags => policy.tags.iter().all(|tags| tags.is_empty() || !self.has_all(tags)),
            // It is said after the rules have been asked.
            Miss::Size { .. } => false,
        }
    }
}

fn asked(policy: &Policy, period: Period, reach: Reach) -> bool {
    let (count, span) = match period {
        Period::Hour => (policy.hourly, policy.within_hourly),
        Period::Day => (policy.daily, policy.within_daily),
        Period::Week => (policy.weekly, policy.within_weekly),
        Period::Month => (policy.monthly, policy.within_monthly),
        Period::Year => (policy.yearly, policy.within_yearly),
    };
    match reach {
        Reach::Count(of) => count == Some(of),
        Reach::Within(within) => span == Some(within),
    }
}

/// How many rules of a policy say something.
fn rules(policy: &Policy) -> usize {
    let counts = [policy.last, policy.hourly, policy.daily, policy.weekly, policy.monthly, policy.yearly];
    let spans = [
        policy.within,
        policy.within_hourly,
        policy.within_daily,
        policy.within_weekly,
        policy.within_monthly,
        policy.within_yearly,
    ];
    counts.iter().flatten().filter(|count| **count != Count::Number(0)).count()
        + spans.iter().flatten().filter(|span| **span != Span::default()).count()
        + usize::from(policy.tags.iter().any(|tags| !tags.is_empty()))
}

proptest! {
    #[test]
    fn every_reason_is_true(made in snapshots(), policy in policies(), by in groupings()) {
        for group in groups(&made, &policy, by) {
            let all: Vec<_> = group.decisions.iter().map(|decision| &decision.snapshot).collect();
            let past: Vec<_> = all.iter().copied().filter(|snapshot| snapshot.time <= NOW).collect();
            for (place, decision) in group.decisions.iter().enumerate() {
                let future = decision.snapshot.time > NOW;
                let view = if future { View { past: all.clone(), place } } else { View { past: past.clone(), place } };
                match &decision.verdict {
                    Verdict::Keep(reasons) => {
                        prop_assert!(!reasons.is_empty());
                        prop_assert_eq!(reasons.contains(&Reason::Future), future);
                        prop_assert_eq!(reasons.contains(&Reason::Protected), decision.snapshot.protected);
                        for reason in reasons {
                            prop_assert!(view.confirms(reason, &policy), "{}: {:?}", reason, decision);
                        }
                    }
                    Verdict::Forget(misses) => {
                        prop_assert!(!future && !decision.snapshot.protected && view.newer() > 0);
                        prop_assert_eq!(misses.len(), rules(&policy), "each rule says why not");
                        for miss in misses {
                            prop_assert!(view.confirms_miss(miss, &policy), "{}: {:?}", miss, decision);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn each_snapshot_is_judged_once_in_its_group(made in snapshots(), policy in policies(), by in groupings()) {
        let groups = groups(&made, &policy, by);
        let mut seen = BTreeSet::new();
        for group in &groups {
            prop_assert!(group.decisions.is_sorted_by_key(|decision| (decision.snapshot.time, decision.snapshot.id)));
            for decision in &group.decisions {
                prop_assert!(seen.insert(decision.snapshot.id));
                prop_assert!(!by.writer || group.key.writer == Some(decision.snapshot.writer));
                prop_assert!(!by.host || group.key.host == Some(decision.snapshot.host));
            }
        }
        prop_assert_eq!(seen.len(), made.len());
    }

    #[test]
    fn the_order_of_snapshots_means_nothing(
        (made, shuffled) in snapshots().prop_flat_map(|made| (Just(made.clone()), Just(made).prop_shuffle())),
        policy in policies(),
        by in groupings(),
    ) {
        prop_assert_eq!(groups(&made, &policy, by), groups(&shuffled, &policy, by));
    }

    #[test]
    fn a_more_generous_policy_never_forgets_more(
        made in snapshots(),
        policy in policies(),
        more in policies(),
        by in groupings(),
    ) {
        let generous = forgotten(&made, &at_least_both(&policy, &more), by);
        prop_assert!(generous.is_subset(&forgotten(&made, &policy, by)));
    }

    #[test]
    fn smaller_groups_never_forget_more(made in snapshots(), policy in policies(), by in groupings()) {
        let finest = forgotten(&made, &policy, GroupBy { writer: true, host: true, paths: true, tags: true });
        prop_assert!(finest.is_subset(&forgotten(&made, &policy, by)));
    }

    #[test]
    fn forgetting_again_forgets_nothing_more(made in snapshots(), policy in policies(), by in groupings()) {
        let gone = forgotten(&made, &policy, by);
        let rest: Vec<Made> = made.into_iter().filter(|made| !gone.contains(&id(made.number))).collect();
        prop_assert_eq!(forgotten(&rest, &policy, by), BTreeSet::new());
    }

    #[test]
    fn protecting_one_keeps_it_and_changes_no_other(
        made in snapshots(),
        which in any::<proptest::sample::Index>(),
        policy in policies(),
        by in groupings(),
    ) {
        if made.is_empty() {
            return Ok(());
        }
        let mut safer = made.clone();
        let which = which.index(made.len());
        safer[which].protected = true;
        let mut expected = forgotten(&made, &policy, by);
        expected.remove(&id(safer[which].number));
        prop_assert_eq!(forgotten(&safer, &policy, by), expected);
    }

    #[test]
    fn what_lies_in_the_future_changes_nothing(made in snapshots(), policy in policies(), by in groupings()) {
        let past: Vec<Made> = made.iter().filter(|made| made.time <= NOW).cloned().collect();
        prop_assert_eq!(forgotten(&made, &policy, by), forgotten(&past, &policy, by));
    }
}
