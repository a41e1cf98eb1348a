//! Retention: which snapshots stay and which go by a policy, and why. It only decides.
//!
//! Snapshots are first divided into groups, and each group is judged alone. A snapshot stays
//! if any rule keeps it:
//!
//! - *last*: it is one of the newest.
//! - *hourly … yearly*: it is the newest of its hour … year, for as many of these as the rule
//!   counts; those without a snapshot don't count. While there are fewer, the group's oldest
//!   stays too, so that a history keeps its beginning until there is enough of it.
//! - *within*: it is no older than a span before the group's newest (not before the present:
//!   a machine that is off for a year loses nothing). *within-hourly … -yearly*: and it is the
//!   newest of its hour … year, or the group's oldest.
//! - *tags*: it has all labels of one list.
//!
//! Whatever the rules say, protected snapshots stay, and the newest of each group. Both count
//! in the rules like any other, so protecting a snapshot never changes what becomes of others.
//! A policy may also have a floor: that many of the newest *complete* snapshots stay, those from which nothing was
//! skipped. So a series of bad runs pushes no good snapshot out.
//! One whose time lies in the future stays too, and counts nowhere: a clock that was wrong once
//! must not push real history out of the counts, or out of a span before the newest.
//!
//! A policy with more rules never forgets more, and forgetting twice forgets no more than once.
//!
//! A limit of size comes after all of that: [`fit`] lets the oldest go until the rest fits.

mod calendar;
mod policy;
mod size;
mod verdict;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use keepfast_format::ids::{HolderId, SessionId};
use keepfast_format::node::Timestamp;
use keepfast_format::snapshot::Snapshot;

pub use calendar::{Bucket, Calendar, Civil};
pub use policy::{Count, GroupBy, Period, Policy, PolicyError, Reach, Span};
pub use size::{Fit, fit};
pub use verdict::{Miss, Reason, Verdict};

/// What the rules look at in a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Its id.
    pub id: SessionId,
    /// The writer that its history is counted under: the first one that its own writer continues, or
    /// else its own writer.
    pub writer: HolderId,
    /// When its run began.
    pub time: Timestamp,
    /// Which it is of those of one time: see [`edition`].
    pub edition: u64,
    /// The machine.
    pub host: &'a str,
    /// What was backed up.
    pub paths: &'a [Vec<u8>],
    /// Labels.
    pub tags: &'a [String],
    /// Whether it must stay.
    pub protected: bool,
    /// Whether nothing was skipped when it was made.
    pub is_complete: bool,
}

impl<'a> Candidate<'a> {
    /// What the rules look at in this snapshot, whose history is counted under this writer.
    #[must_use]
    pub fn of(snapshot: &'a Snapshot, writer: HolderId, protected: bool) -> Self {
        let body = &snapshot.body;
        Self {
            id: snapshot.head.id,
            writer,
            time: body.start,
            edition: edition(snapshot),
            host: &body.host,
            paths: &body.paths,
            tags: &body.tags,
            protected,
            is_complete: body.statistics.skipped == 0,
        }
    }
}

/// A number that is higher for a snapshot that stands in another one's place than for that one: they have
/// the same time.
#[must_use]
pub fn edition(snapshot: &Snapshot) -> u64 {
    snapshot.body.origin.map_or(0, |_| snapshot.head.sequence.saturating_add(1))
}

/// What the snapshots of a group have in common; `None` where they needn't.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupKey<'a> {
    /// The writer that their history is counted under.
    pub writer: Option<HolderId>,
    /// The machine.
    pub host: Option<&'a str>,
    /// The backed-up paths, sorted: their order on a command line means nothing.
    pub paths: Option<Vec<&'a [u8]>>,
    /// The labels, sorted.
    pub tags: Option<Vec<&'a str>>,
}

impl<'a> GroupKey<'a> {
    fn of(candidate: &Candidate<'a>, by: GroupBy) -> Self {
        Self {
            writer: by.writer.then_some(candidate.writer),
            host: by.host.then_some(candidate.host),
            paths: by.paths.then(|| sorted(candidate.paths.iter().map(Vec::as_slice))),
            tags: by.tags.then(|| sorted(candidate.tags.iter().map(String::as_str))),
        }
    }
}

/// A snapshot and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision<'a> {
    /// The snapshot.
    pub snapshot: Candidate<'a>,
    /// What becomes of it.
    pub verdict: Verdict,
}

/// Snapshots that were judged together, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group<'a> {
    /// What they have in common.
    pub key: GroupKey<'a>,
    /// What becomes of each.
    pub decisions: Vec<Decision<'a>>,
}

impl Group<'_> {
    /// The snapshots that go, oldest first.
    pub fn forgotten(&self) -> impl Iterator<Item = SessionId> {
        self.decisions
            .iter()
            .filter(|decision| !decision.verdict.keeps())
            .map(|decision| decision.snapshot.id)
    }
}

/// Decides what becomes of each snapshot. `now` is the present; snapshots that are later stay.
/// Neither groups nor verdicts depend on the order of the snapshots.
///
/// Fails with [`PolicyError::Empty`] if the policy says nothing about what to keep.
pub fn decide<'a>(
    snapshots: &[Candidate<'a>],
    policy: &Policy,
    by: GroupBy,
    calendar: Calendar<'_>,
    now: Timestamp,
) -> Result<Vec<Group<'a>>, PolicyError> {
    policy.check()?;
    let mut groups: BTreeMap<GroupKey<'a>, Vec<Candidate<'a>>> = BTreeMap::new();
    for candidate in snapshots {
        groups.entry(GroupKey::of(candidate, by)).or_default().push(*candidate);
    }
    let judged = groups.into_iter().map(|(key, mut snapshots)| {
        snapshots.sort_unstable_by_key(|snapshot| (snapshot.time, snapshot.edition, snapshot.id));
        Group { key, decisions: judge(&snapshots, policy, calendar, now) }
    });
    Ok(judged.collect())
}

/// The verdicts on a group, which is sorted from old to new.
fn judge<'a>(
    snapshots: &[Candidate<'a>],
    policy: &Policy,
    calendar: Calendar<'_>,
    now: Timestamp,
) -> Vec<Decision<'a>> {
    let (past, future) = snapshots.split_at(snapshots.partition_point(|snapshot| snapshot.time <= now));
    let mut tally = Tally { past, answers: vec![Answers::default(); past.len()] };
    if let Some(newest) = past.last() {
        // A calendar that errs must at least not make the newest older than itself.
        let oldest_within = |span| (calendar.before)(newest.time, span).min(newest.time);
        tally.protection();
        if let Some(of) = policy.last() {
            tally.last(of);
        }
        let periods = policy.periods();
        if !periods.is_empty() {
            let civil: Vec<Civil> = past.iter().map(|snapshot| (calendar.civil)(snapshot.time)).collect();
            for (period, reach) in periods {
                tally.period(period, reach, &civil, oldest_within);
            }
        }
        if let Some(span) = policy.within() {
            tally.within(span, oldest_within(span));
        }
        tally.tags(policy);
        tally.size(policy);
        tally.floor(policy.at_least);
    }
    let newest = past.len().saturating_sub(1);
    let verdicts = tally.answers.into_iter().enumerate().map(|(place, answers)| {
        if !answers.reasons.is_empty() {
            Verdict::Keep(answers.reasons)
        } else if place == newest {
            Verdict::Keep(vec![Reason::Newest])
        } else {
            Verdict::Forget(answers.misses)
        }
    });
    let ahead = future.iter().map(|snapshot| {
        let protected = snapshot.protected.then_some(Reason::Protected);
        Verdict::Keep(protected.into_iter().chain([Reason::Future]).collect())
    });
    let all = verdicts.chain(ahead);
    snapshots.iter().zip(all).map(|(snapshot, verdict)| Decision { snapshot: *snapshot, verdict }).collect()
}

/// What the rules say about one snapshot.
#[derive(Clone, Default)]
struct Answers {
    reasons: Vec<Reason>,
    misses: Vec<Miss>,
}

/// What the rules have said so far about the snapshots of a group, which are sorted from old
/// to new and not in the future.
struct Tally<'s, 'a> {
    past: &'s [Candidate<'a>],
    answers: Vec<Answers>,
}

impl Tally<'_, '_> {
    fn say(&mut self, place: usize, answer: Result<Reason, Miss>) {
        match answer {
            Ok(reason) => self.answers[place].reasons.push(reason),
            Err(miss) => self.answers[place].misses.push(miss),
        }
    }

    fn protection(&mut self) {
        for (snapshot, answers) in self.past.iter().zip(&mut self.answers) {
            answers.reasons.extend(snapshot.protected.then_some(Reason::Protected));
        }
    }

    fn last(&mut self, of: Count) {
        for (place, nth) in (0..self.past.len()).rev().zip(1..) {
            let answer = if of.admits(nth) { Ok(Reason::Last { nth, of }) } else { Err(Miss::Last { of }) };
            self.say(place, answer);
        }
    }

    fn period(
        &mut self,
        period: Period,
        reach: Reach,
        civil: &[Civil],
        oldest_within: impl Fn(Span) -> Timestamp,
    ) {
        let (of, bound) = match reach {
            Reach::Count(of) => (of, None),
            Reach::Within(span) => (Count::All, Some((span, oldest_within(span)))),
        };
        // All buckets so far, not only the last one: clocks that are set back past midnight
        // make a day begin twice.
        let mut standing: BTreeMap<Bucket, SessionId> = BTreeMap::new();
        for place in (0..self.past.len()).rev() {
            let snapshot = &self.past[place];
            let bucket = Bucket::of(period, &civil[place]);
            let nth = u32::try_from(standing.len()).unwrap_or(u32::MAX).saturating_add(1);
            let answer = match (bound, standing.get(&bucket)) {
                (Some((span, bound)), _) if snapshot.time < bound => {
                    Err(Miss::Older { period: Some(period), span })
                }
                (_, None) if of.admits(nth) => {
                    standing.insert(bucket, snapshot.id);
                    Ok(Reason::Period { period, reach, bucket, nth })
                }
                (_, None) => Err(Miss::Full { period, of }),
                (_, Some(_)) if place == 0 && of.admits(nth) => Ok(Reason::Oldest { period, reach, nth }),
                (_, Some(by)) => Err(Miss::Taken { period, reach, bucket, by: *by }),
            };
            self.say(place, answer);
        }
    }

    fn within(&mut self, span: Span, bound: Timestamp) {
        for place in 0..self.past.len() {
            let near = self.past[place].time >= bound;
            let older = Miss::Older { period: None, span };
            self.say(place, if near { Ok(Reason::Within(span)) } else { Err(older) });
        }
    }

    fn tags(&mut self, policy: &Policy) {
        let lists: Vec<_> = policy.tag_lists().collect();
        for (snapshot, answers) in self.past.iter().zip(&mut self.answers) {
            let has_all = |list: &&&Vec<String>| list.iter().all(|tag| has_tag(snapshot.tags, tag));
            let before = answers.reasons.len();
            answers.reasons.extend(lists.iter().filter(has_all).map(|list| Reason::Tags((*list).clone())));
            if !lists.is_empty() && answers.reasons.len() == before {
                answers.misses.push(Miss::Tags);
            }
        }
    }

    /// Without rules, all may stay as far as they fit.
    fn size(&mut self, policy: &Policy) {
        let Some(max_bytes) = policy.max_bytes.filter(|_| !policy.has_rule()) else { return };
        self.answers.iter_mut().for_each(|answers| answers.reasons.push(Reason::Size { max_bytes }));
    }

    /// Comes after all rules: it gives a reason only where no rule has one.
    fn floor(&mut self, of: u32) {
        for (place, nth) in newest_complete(self.past, of).into_iter().zip(1..) {
            let reasons = &mut self.answers[place].reasons;
            if reasons.is_empty() {
                reasons.push(Reason::Floor { nth, of });
            }
        }
    }
}

/// The places of this many of the newest complete snapshots, newest first.
fn newest_complete(past: &[Candidate<'_>], of: u32) -> Vec<usize> {
    let complete = (0..past.len()).rev().filter(|place| past[*place].is_complete);
    complete.take(usize::try_from(of).unwrap_or(usize::MAX)).collect()
}

/// Whether one of a snapshot's labels is this one. Labels have no commas, but for those that were made
/// before commas separated labels: such a one stands for itself and for each of its parts.
#[must_use]
pub fn has_tag(tags: &[String], tag: &str) -> bool {
    tags.iter().any(|own| own == tag || own.split(',').any(|part| part.trim() == tag))
}

fn sorted<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.collect();
    items.sort_unstable();
    items.dedup();
    items
}
