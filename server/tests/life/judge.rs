//! What has come of a history, compared with what should have.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use keepfast_notify::{Condition, Subject};
use keepfast_server::daemon::promises::OVERDUE;
use keepfast_server::state::{instant, stored};
use keepfast_store::{
    PageSize, PlanId, Run, RunFilter, ScheduleId, Sequence, SlotRecord, SlotVerdict, UtcTime, Verdict,
    VerdictKind,
};
use serde_json::Value;

use crate::clock::{DAY, MINUTE, begin};
use crate::oracle::Span;
use crate::plans::{Plan, Times};
use crate::told::{AT_ONCE, GROUPED, Told, Words};
use crate::world::World;

/// After this many losses a run isn't tried again.
const LOSSES_MAX: usize = 3;

/// What has happened.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    pub good: u64,
    pub failed: u64,
    pub lost: u64,
    pub silent: u64,
    pub fired: u64,
    pub missed: u64,
    pub skipped: u64,
    pub overdue: u64,
    pub kills: u64,
    pub sleeps: u64,
    pub clocks: u64,
    pub messages: u64,
    pub failures: u64,
}

impl Tally {
    pub fn add(&mut self, other: &Self) {
        self.good += other.good;
        self.failed += other.failed;
        self.lost += other.lost;
        self.silent += other.silent;
        self.fired += other.fired;
        self.missed += other.missed;
        self.skipped += other.skipped;
        self.overdue += other.overdue;
        self.kills += other.kills;
        self.sleeps += other.sleeps;
        self.clocks += other.clocks;
        self.messages += other.messages;
        self.failures += other.failures;
    }
}

/// What the world writes down for its judge.
#[derive(Debug, Default)]
pub struct Account {
    pub tally: Tally,
    /// Which try of which slot's run began.
    pub started: BTreeSet<(String, UtcTime, u32)>,
    /// When no one looked, or the clock was not to be trusted.
    unsettled: Vec<Span>,
}

impl Account {
    /// From now on no one looks.
    pub fn unsettled(&mut self, now: Timestamp) {
        self.unsettled.push(Span { from: now, until: Timestamp::MAX });
    }

    /// Someone looks again.
    pub fn settled(&mut self, now: Timestamp) {
        for span in self.unsettled.iter_mut().filter(|span| span.until == Timestamp::MAX) {
            span.until = now;
        }
    }

    /// The clock was set. What it has touched isn't known exactly: tries that wait for a moment wait for another one.
    pub fn jumped(&mut self, before: Timestamp, after: Timestamp) {
        let (from, until) = (before.min(after) - DAY * 2, before.max(after) + DAY * 2);
        self.unsettled.push(Span { from, until });
    }

    fn is_unsettled(&self, from: Timestamp, last: Timestamp) -> bool {
        self.unsettled.iter().any(|span| span.touches(from, last))
    }
}

/// Compares, and says what has happened.
pub async fn judge(world: &mut World) -> Tally {
    let mut tally = world.account.tally;
    for plan in &world.plans {
        let records = records(world, plan).await;
        for record in &records {
            let count = match record.verdict {
                SlotVerdict::Fired => &mut tally.fired,
                SlotVerdict::Missed => &mut tally.missed,
                SlotVerdict::Skipped => &mut tally.skipped,
            };
            *count += u64::from(record.count);
        }
        judge_slots(world, plan, &records);
        judge_outcomes(world, plan, &records).await;
    }
    judge_runs(world).await;
    judge_events(world).await;
    tally.overdue = world.bystander.opened.values().sum();
    tally.failures = world.place.failures;
    if let Some(mut told) = world.told.take() {
        told.step(&world.config, &world.clock).await;
        // What is held back is told in the end, and what is sent again arrives.
        let end = world.clock.wall() + DAY * 2;
        while let Some(next) = told.next.filter(|next| *next < end) {
            world.clock.real = world.clock.when(next);
            told.step(&world.config, &world.clock).await;
        }
        tally.messages = judge_messages(world, &told).await;
    }
    tally
}

async fn records(world: &World, plan: &Plan) -> Vec<SlotRecord> {
    let id = ScheduleId::new(format!("plan:{}", plan.name)).expect("a name");
    let mut records: Vec<SlotRecord> = Vec::new();
    let mut from = stored(Timestamp::MIN);
    loop {
        let page = world.store.slots(&id, from, PageSize::MAX).await.expect("slots");
        let Some(last) = page.last() else { return records };
        from = stored(instant(last.first) + SignedDuration::from_secs(1));
        records.extend(page);
    }
}

/// Each slot has one outcome, but for the newest, which may wait.
fn judge_slots(world: &World, plan: &Plan, records: &[SlotRecord]) {
    let (seed, name, now) = (world.seed, &plan.name, world.clock.wall());
    let calendar = match &plan.times {
        Times::Calendar(calendar) => calendar,
        Times::Every(every) => {
            // A slot that passes while a run works is that run's: the next one counts from when the run began, and may
            // come soon.
            let is_of_a_run = |record: &SlotRecord| {
                let why = record.reason.as_ref().map_or("", |reason| reason.as_str());
                record.verdict == SlotVerdict::Skipped && why.ends_with("was not over")
            };
            let is_calm = |pair: &&[SlotRecord]| {
                let (before, after) = (&pair[0], &pair[1]);
                !world.account.is_unsettled(instant(before.first), instant(after.first))
                    && !is_of_a_run(before)
            };
            for pair in records.windows(2).filter(is_calm) {
                let apart = instant(pair[1].first).duration_since(instant(pair[0].last)).unsigned_abs();
                assert!(apart >= *every, "seed {seed}: {name} has two slots within {apart:?}: {pair:?}");
            }
            let is_paused =
                world.bystander.plans[name].pauses().any(|pause| pause.touches(now - DAY * 4, now));
            let last = records.last().map(|record| instant(record.last)).expect("it has slots");
            assert!(is_paused || last + DAY * 4 > now, "seed {seed}: {name} stopped at {last}");
            return;
        }
    };
    let slots = calendar.slots(begin(), now);
    let mut told = 0;
    let mut open = Vec::new();
    for slot in &slots {
        let at = stored(*slot);
        match records.iter().filter(|record| record.first <= at && at <= record.last).count() {
            0 => open.push(slot),
            1 => told += 1,
            count => panic!("seed {seed}: {name} has {count} outcomes for {slot}"),
        }
    }
    assert!(open.len() <= 1, "seed {seed}: {name} has no outcomes for {open:?}");
    let newest = records.iter().map(|record| instant(record.last)).max();
    let is_newest = open.iter().all(|slot| newest.is_none_or(|newest| newest < **slot));
    assert!(is_newest, "seed {seed}: {name} has no outcome for {open:?}, and one for {newest:?}");
    let counted: u64 = records.iter().map(|record| u64::from(record.count)).sum();
    assert_eq!(counted, told, "seed {seed}: {name}'s slots");
    let unknown = records.iter().find(|record| !slots.contains(&instant(record.first)));
    assert!(unknown.is_none(), "seed {seed}: {name} has an outcome for no slot: {unknown:?}");
}

async fn runs(world: &World, filter: &RunFilter) -> Vec<Run> {
    let mut all = Vec::new();
    let mut before = None;
    loop {
        let page = world.store.runs(filter, before, PageSize::MAX).await.expect("runs");
        all.extend(page.rows);
        before = page.next;
        if before.is_none() {
            return all;
        }
    }
}

/// A slot that has no run has a reason for that, and one in a pause has none.
async fn judge_outcomes(world: &World, plan: &Plan, records: &[SlotRecord]) {
    let Times::Calendar(_) = &plan.times else { return };
    let (seed, name) = (world.seed, &plan.name);
    let watched = &world.bystander.plans[name];
    let filter = RunFilter { plan: Some(PlanId::new(&**name).expect("a name")), ..RunFilter::default() };
    let runs = runs(world, &filter).await;
    let is_fired = |run: &&Run| run.started.is_some() || run.ended.is_none();
    let works: Vec<(UtcTime, Span)> = runs
        .iter()
        .filter(is_fired)
        .filter_map(|run| {
            let until = run.ended.map_or(Timestamp::MAX, |ended| instant(ended) + MINUTE);
            Some((run.slot?.at, Span { from: instant(run.created), until }))
        })
        .collect();
    for record in records {
        let (from, last) = (instant(record.first), instant(record.last));
        let is_paused = watched.pauses().any(|pause| pause.touches(from, last));
        if record.verdict == SlotVerdict::Fired {
            assert!(!is_paused, "seed {seed}: {name} is paused, and fires for {from}");
            continue;
        }
        let (from, last) = (from - MINUTE * 2, last + plan.jitter + MINUTE * 2);
        let is_near_pause = watched.pauses().any(|pause| pause.touches(from, last));
        let is_held_up = works.iter().any(|(slot, span)| *slot != record.first && span.touches(from, last));
        let has_reason = is_near_pause || is_held_up || world.account.is_unsettled(from, last);
        assert!(has_reason, "seed {seed}: {name} doesn't fire for no reason: {record:?}");
    }
}

/// All runs are over, and those that were lost were found, and are tried again unless that happened too often.
async fn judge_runs(world: &World) {
    let lost = RunFilter { verdict: Some(VerdictKind::Lost), ..RunFilter::default() };
    let lost = runs(world, &lost).await;
    let found = u64::try_from(lost.len()).expect("a number");
    let known = world.account.tally.lost;
    // Where an answer of the database got lost, runs may have been taken of which no one knew.
    let is_right = if world.place.is_shaky() { known <= found } else { known == found };
    assert!(is_right, "seed {}: {known} runs were lost, and {found} were found to be", world.seed);
    for run in lost.iter().filter(|_| !world.place.is_shaky()) {
        let of_root = RunFilter { root: Some(run.root.clone()), ..RunFilter::default() };
        let lineage = runs(world, &of_root).await;
        let losses = lineage.iter().filter(|other| other.verdict == Some(Verdict::Lost)).count();
        let is_tried_again = lineage.iter().any(|other| other.parent.as_ref() == Some(&run.id));
        assert!(is_tried_again || losses >= LOSSES_MAX, "seed {}: given up: {run:?}", world.seed);
    }
    let active = world.store.active_runs().await.expect("runs");
    assert!(active.is_empty(), "seed {}: {active:?}", world.seed);
}

/// Beginnings and ends of the problems of a kind, by their subject.
#[derive(Debug, Default, PartialEq, Eq)]
struct Turns {
    opened: BTreeMap<String, u64>,
    resolved: BTreeMap<String, u64>,
}

/// Each time that a plan was overdue or the clock was set was one event, and its end was, too.
async fn judge_events(world: &World) {
    let mut turns: BTreeMap<String, Turns> = BTreeMap::new();
    let mut after = Sequence::START;
    loop {
        let page = world.store.events_after(after, PageSize::MAX).await.expect("events");
        let Some(last) = page.events.last() else { break };
        after = last.sequence;
        for event in &page.events {
            let kind = event.document.get("kind").and_then(Value::as_str).unwrap_or_default();
            let subject = event.subject.as_str();
            let subject = subject.split_once(':').map_or(subject, |(_, name)| name).to_owned();
            let count = match event.kind.as_str() {
                "problem.opened" => turns.entry(kind.to_owned()).or_default().opened.entry(subject),
                "problem.resolved" => turns.entry(kind.to_owned()).or_default().resolved.entry(subject),
                _ => continue,
            };
            *count.or_default() += 1;
        }
    }
    let overdue = turns.remove(OVERDUE).unwrap_or_default();
    assert_eq!(overdue.opened, world.bystander.opened, "seed {}: overdue", world.seed);
    assert_eq!(overdue.resolved, world.bystander.resolved, "seed {}: overdue no more", world.seed);
    let clock = turns.remove("clock").unwrap_or_default();
    let counts = [clock.opened, clock.resolved].map(|counts| counts.values().sum::<u64>());
    let expected = [world.clock_news.opened, world.clock_news.resolved];
    assert_eq!(counts, expected, "seed {}: times that the clock was set", world.seed);
    assert!(turns.is_empty(), "seed {}: {turns:?}", world.seed);
}

/// Each beginning of a problem and each end is told once to each target, in a message that arrives.
async fn judge_messages(world: &World, told: &Told) -> u64 {
    let seed = world.seed;
    let mut messages = 0;
    for target in [AT_ONCE, GROUPED] {
        let words = told.of(target, Condition::Overdue).await;
        for name in world.bystander.plans.keys() {
            let count = |counts: &BTreeMap<String, u64>| counts.get(name).copied().unwrap_or_default();
            let (opened, resolved) = (count(&world.bystander.opened), count(&world.bystander.resolved));
            let words = words.get(&Subject::Plan(name.clone())).copied().unwrap_or_default();
            let expected = Words { opened, resolved, idle: 0, is_open: opened > resolved, ..words };
            assert_eq!(words, expected, "seed {seed}: what {target} hears of {name}");
            // A target that is told at once hears of each in a message, unless there were too many.
            let changes = opened + resolved;
            let is_calm = target == AT_ONCE && changes <= 3;
            assert!(!is_calm || words.messages == changes, "seed {seed}: {name}: {words:?}");
            messages += words.messages;
        }
    }
    let clock = told.of(AT_ONCE, Condition::Clock).await.into_values().next().unwrap_or_default();
    let expected = (world.clock_news.opened, world.clock_news.resolved, 0);
    assert_eq!((clock.opened, clock.resolved, clock.idle), expected, "seed {seed}: the clock");
    messages
}
