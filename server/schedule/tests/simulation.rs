//! Forty days of thirty plans with a fast clock, over two changes of the clock: sleeps, crashes, programs that die, a store that
//! is away for hours, hosts that are offline for days, pauses, clocks that are set wrongly.
//!
//! `KEEPFAST_SCHEDULE_HISTORIES=1000` plays more histories, `KEEPFAST_SCHEDULE_SEED=7` plays one again.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use jiff::tz::TimeZoneDatabase;
use jiff::{SignedDuration, Timestamp};
use keepfast_schedule::admission::{Limits, Needs, WaitingRun, admit};
use keepfast_schedule::condition::Condition;
use keepfast_schedule::names::RunId;
use keepfast_schedule::plan::{CatchUp, JitterSeed, Overlap, PlanSchedule, When};
use keepfast_schedule::problem::{Problem, ProblemEvent};
use keepfast_schedule::promise::{Promise, Proof, Standing, achieved, standing};
use keepfast_schedule::schedule::Schedule;
use keepfast_schedule::zone::Zone;

use world::{Dice, End, World, Written};

mod world;

const PLANS: u64 = 30;
const DAYS: u64 = 40;
const STEP: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// Europe's clocks change on October 25, those of America on November 1.
const START: &str = "2026-10-01T06:00:00Z";

/// True once in this many times.
fn one_in(dice: &mut Dice, times: u64) -> bool {
    dice.below(times) == 0
}

fn plan(number: u64, dice: &mut Dice) -> PlanSchedule {
    let zones = ["Europe/Paris", "America/New_York", "UTC", "Asia/Kathmandu", "Africa/Cairo"];
    let zone = zones[usize::try_from(dice.below(5)).expect("small")];
    let zone = Zone::named(zone, &TimeZoneDatabase::bundled()).expect("a zone");
    let (minute, hour) = (dice.below(60), dice.below(24));
    let schedule = match dice.below(8) {
        0 => Schedule::elapsed(HOUR * 20).expect("a length"),
        1 => Schedule::calendar("0 */2 * * *".parse().expect("an expression"), zone.clone()),
        2 => Schedule::calendar("30 1-3 * * *".parse().expect("an expression"), zone.clone()),
        3 => Schedule::calendar(format!("{minute} * * * *").parse().expect("an expression"), zone.clone()),
        _ => {
            Schedule::calendar(format!("{minute} {hour} * * *").parse().expect("an expression"), zone.clone())
        }
    };
    let mut plan = PlanSchedule::new(format!("plan-{number}").into(), schedule, zone);
    plan.seed = JitterSeed(dice.next());
    plan.jitter = Duration::from_secs(dice.below(2) * 900);
    plan.deadline = one_in(dice, 2).then_some(HOUR * 6);
    plan.catch_up = if one_in(dice, 4) { CatchUp::Never } else { CatchUp::Once };
    plan.overlap = if one_in(dice, 2) { Overlap::Skip } else { Overlap::QueueOne };
    plan.when = if one_in(dice, 4) { When::Online } else { When::Always };
    if one_in(dice, 6) {
        plan.conditions.push(Condition::Workdays { except: Vec::new() });
    }
    plan
}

/// A plan with its promise and its problem.
struct Promised {
    written: Written,
    promise: Promise,
    problem: Problem,
    opened: u64,
    resolved: u64,
    /// What a bystander sees: whether the promise was broken when he last looked, and how often it began to be.
    was_broken: bool,
    broken: u64,
    good: Vec<Timestamp>,
    resumed: Option<Timestamp>,
    looks_next: Timestamp,
    offline_until: Duration,
    host: String,
    repository: String,
}

/// A run that works.
struct Work {
    plan: usize,
    began: Timestamp,
    ends: Duration,
}

struct Simulation {
    dice: Dice,
    world: World,
    plans: Vec<Promised>,
    work: BTreeMap<RunId, Work>,
    store_away_until: Duration,
    clock_wrong_until: Option<Duration>,
    is_calm: bool,
}

impl Simulation {
    fn new(seed: u64, is_calm: bool) -> Self {
        let mut dice = Dice(seed);
        let start: Timestamp = START.parse().expect("an instant");
        let promised = |number| {
            let plan = plan(number, &mut dice);
            let promise = Promise::of(&plan, None, None, start).expect("it runs more than once");
            Promised {
                written: Written::new(plan, start),
                promise,
                problem: Problem::default(),
                opened: 0,
                resolved: 0,
                was_broken: false,
                broken: 0,
                good: Vec::new(),
                resumed: None,
                looks_next: start,
                offline_until: Duration::ZERO,
                host: format!("host-{}", number % 10),
                repository: format!("repository-{}", number % 4),
            }
        };
        let plans = (0..PLANS).map(promised).collect();
        let (work, store_away_until) = (BTreeMap::new(), Duration::ZERO);
        Self {
            world: World::new(start),
            plans,
            work,
            store_away_until,
            clock_wrong_until: None,
            is_calm,
            dice,
        }
    }

    fn play(&mut self) -> Result<(), String> {
        let mut minute = 0_u64;
        while self.world.real < Duration::from_secs(DAYS * 86_400) {
            if !self.is_calm {
                self.disturb()?;
            }
            self.finish_runs();
            for at in 0..self.plans.len() {
                self.look(at, true)?;
            }
            self.admit();
            // Every ten minutes.
            if minute.is_multiple_of(10) {
                self.watch();
            }
            self.world.pass(STEP);
            minute += 1;
        }
        Ok(())
    }

    /// What may go wrong in a minute.
    fn disturb(&mut self) -> Result<(), String> {
        let dice = &mut self.dice;
        if one_in(dice, 5_000) {
            let seconds = dice.below(12 * 3600);
            self.world.pass(Duration::from_secs(seconds));
            self.plans.iter_mut().for_each(|plan| plan.looks_next = Timestamp::MIN);
        }
        if one_in(dice, 3_000) {
            // The server is killed in the middle of a look: what it decided last is lost, and so are its runs.
            let at = usize::try_from(dice.below(PLANS)).expect("small");
            self.look(at, false)?;
            for id in std::mem::take(&mut self.work).into_keys() {
                self.die(&id);
            }
            self.world.restart();
            self.plans.iter_mut().for_each(|plan| plan.looks_next = Timestamp::MIN);
        }
        let dice = &mut self.dice;
        if one_in(dice, 10_000) {
            self.store_away_until = self.world.real + Duration::from_secs(dice.below(10 * 3600));
        }
        if one_in(dice, 1_000) {
            let at = usize::try_from(dice.below(PLANS)).expect("small");
            self.plans[at].offline_until = self.world.real + Duration::from_secs(dice.below(3 * 86_400));
        }
        if one_in(dice, 2_000) {
            let at = usize::try_from(dice.below(PLANS)).expect("small");
            let wall = self.world.wall();
            let until = wall + Duration::from_secs(dice.below(2 * 86_400));
            self.plans[at].written.state.pause(wall, Some(until));
        }
        match self.clock_wrong_until {
            Some(until) if until <= self.world.real => {
                self.clock_wrong_until = None;
                self.world.set_clock(SignedDuration::ZERO);
                self.plans.iter_mut().for_each(|plan| plan.looks_next = Timestamp::MIN);
            }
            None if one_in(dice, 15_000) => {
                let by = SignedDuration::from_secs(i64::try_from(dice.below(400 * 86_400)).expect("small"));
                self.world.set_clock(if one_in(dice, 2) { by } else { -by });
                self.clock_wrong_until = Some(self.world.real + Duration::from_secs(60 + dice.below(7200)));
                self.plans.iter_mut().for_each(|plan| plan.looks_next = Timestamp::MIN);
            }
            _ => {}
        }
        if let Some(id) = one_in(dice, 5_000).then(|| self.work.keys().next().cloned()).flatten() {
            self.work.remove(&id);
            self.die(&id);
        }
        Ok(())
    }

    fn die(&mut self, id: &RunId) {
        for plan in &mut self.plans {
            let runs = plan.written.runs.iter_mut();
            runs.filter(|run| run.open.run == *id).for_each(|run| run.died = Some(self.world.real));
        }
    }

    fn finish_runs(&mut self) {
        let over: Vec<RunId> = self
            .work
            .iter()
            .filter(|(_, work)| work.ends <= self.world.real)
            .map(|(id, _)| id.clone())
            .collect();
        for id in over {
            let work = self.work.remove(&id).expect("it is there");
            let plan = &mut self.plans[work.plan];
            plan.written.runs.retain(|run| run.open.run != id);
            if self.store_away_until <= self.world.real {
                plan.good.push(work.began);
                plan.written.last_good = achieved(plan.good.iter().copied(), self.world.wall());
            }
        }
    }

    fn look(&mut self, at: usize, commits: bool) -> Result<(), String> {
        let plan = &mut self.plans[at];
        let wall = self.world.wall();
        // Nothing happens between looks while no run waits or works.
        let is_busy = plan.written.state.pending.is_some() || !plan.written.runs.is_empty();
        if !is_busy && wall < plan.looks_next && commits {
            return Ok(());
        }
        let is_online = plan.offline_until <= self.world.real;
        let was_paused = !plan.written.state.pauses.is_empty();
        plan.written.look(&self.world, is_online, commits)?;
        if was_paused && plan.written.state.pauses.is_empty() {
            plan.resumed = Some(wall);
        }
        let state = &plan.written.state;
        let next = state.schedule.next(wall, state.anchor).map_or(Timestamp::MAX, |slot| slot.instant());
        plan.looks_next = next.min(wall + HOUR);
        Ok(())
    }

    fn admit(&mut self) {
        let limits = Limits {
            total: NonZeroU32::new(8),
            per_repository: NonZeroU32::new(4),
            per_host: NonZeroU32::new(2),
            ..Limits::default()
        };
        let (mut waiting, mut working) = (Vec::new(), Vec::new());
        for plan in &self.plans {
            for open in plan.written.runs.iter().filter(|run| run.died.is_none()).map(|run| &run.open) {
                let needs = Needs {
                    run: open.run.clone(),
                    plan: Some(plan.written.plan.plan.clone()),
                    repositories: [plan.repository.as_str().into()].into(),
                    host: plan.host.as_str().into(),
                };
                if self.work.contains_key(&open.run) {
                    working.push(needs);
                } else {
                    let slot = open.of.map_or(Timestamp::MIN, |slot| slot.instant());
                    waiting.push(WaitingRun { needs, slot, sequence: 0, start_by: None });
                }
            }
        }
        let admission = admit(&limits, &working, &waiting, self.world.wall());
        for id in admission.start {
            let plan =
                self.plans.iter().position(|plan| plan.written.runs.iter().any(|run| run.open.run == id));
            let minutes = 2 + self.dice.below(if self.is_calm { 10 } else { 90 });
            let work = Work {
                plan: plan.expect("the run of a plan"),
                began: self.world.wall(),
                ends: self.world.real + STEP * u32::try_from(minutes).expect("small"),
            };
            self.work.insert(id, work);
        }
    }

    /// The watcher, which is not the scheduler, and a bystander who only sees snapshots.
    fn watch(&mut self) {
        let now = self.world.wall();
        for (at, plan) in self.plans.iter_mut().enumerate() {
            let running_since =
                self.work.values().filter(|work| work.plan == at).map(|work| work.began).min();
            let proof = Proof {
                born: START.parse().expect("an instant"),
                achieved: achieved(plan.good.iter().copied(), now),
                running_since,
                pause: plan.written.state.pause_at(now).copied(),
                resumed: plan.resumed,
            };
            let broken_since = match standing(&plan.promise, &proof, now) {
                Standing::Overdue { since, alerts: true } => Some(since),
                _ => None,
            };
            let (problem, event) = plan.problem.observe(broken_since, Some(HOUR * 24), now);
            plan.problem = problem;
            match event {
                Some(ProblemEvent::Opened { .. }) => plan.opened += 1,
                Some(ProblemEvent::Resolved { .. }) => plan.resolved += 1,
                _ => {}
            }
            let newest = plan.good.iter().filter(|good| **good <= now).max().copied();
            let counts_from =
                newest.unwrap_or(proof.born).min(now).max(plan.resumed.unwrap_or(Timestamp::MIN).min(now));
            let age = now.duration_since(counts_from);
            let patience = SignedDuration::try_from(plan.promise.within).expect("short");
            let patience = if running_since.is_some() { patience * 2 } else { patience };
            let is_broken = proof.pause.is_none() && age > patience;
            plan.broken += u64::from(is_broken && !plan.was_broken);
            plan.was_broken = is_broken;
        }
    }

    /// What has to be true in the end.
    fn check(&self) -> Result<(), String> {
        for plan in &self.plans {
            let name = &plan.written.plan.plan;
            plan.written
                .check_account(START.parse().expect("an instant"))
                .map_err(|error| format!("{name}: {error}"))?;
            if plan.opened != plan.broken || plan.opened - plan.resolved != u64::from(plan.was_broken) {
                let (opened, resolved, broken) = (plan.opened, plan.resolved, plan.broken);
                return Err(format!("{name}: broken {broken} times, opened {opened}, resolved {resolved}"));
            }
            if plan.good.is_empty() {
                return Err(format!(
                    "{name} has no good run in {DAYS} days: {:?}, {} runs aren't over",
                    plan.written.plan,
                    plan.written.runs.len()
                ));
            }
        }
        Ok(())
    }
}

fn seeds() -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    match number("KEEPFAST_SCHEDULE_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("KEEPFAST_SCHEDULE_HISTORIES").unwrap_or(12)).collect(),
    }
}

#[test]
fn forty_days_of_thirty_plans_keep_their_accounts() {
    let mut ends = BTreeMap::<String, u64>::new();
    let (mut opened, mut resolved) = (0, 0);
    for seed in seeds() {
        let mut simulation = Simulation::new(seed, false);
        let result = simulation.play().and_then(|()| simulation.check());
        result.unwrap_or_else(|error| panic!("KEEPFAST_SCHEDULE_SEED={seed}: {error}"));
        for plan in &simulation.plans {
            opened += plan.opened;
            resolved += plan.resolved;
            for end in plan.written.ends.values() {
                let code = match end {
                    End::Fired => "fired".to_owned(),
                    End::Closed(outcome) => outcome.code().to_owned(),
                };
                *ends.entry(code).or_default() += 1;
            }
        }
    }
    // The histories have to be rich enough to show something.
    for code in [
        "fired",
        "missed.away",
        "missed.superseded",
        "missed.host-offline",
        "skipped.paused",
        "skipped.overlap",
        "skipped.condition",
        "skipped.catch-up-never",
        "skipped.host-offline",
    ] {
        assert!(seeds().len() < 12 || ends.contains_key(code), "no slot ended as {code}: {ends:?}");
    }
    assert!(seeds().len() < 12 || (opened > 0 && resolved > 0), "no promise was broken and kept again");
}

/// No false alarm: nothing is disturbed, so that every promise is kept and every slot fires at its time.
#[test]
fn forty_calm_days_break_no_promise() {
    for seed in seeds() {
        let mut simulation = Simulation::new(seed, true);
        let result = simulation.play().and_then(|()| simulation.check());
        result.unwrap_or_else(|error| panic!("KEEPFAST_SCHEDULE_SEED={seed}: {error}"));
        for plan in &simulation.plans {
            let name = &plan.written.plan.plan;
            assert_eq!(plan.opened, 0, "KEEPFAST_SCHEDULE_SEED={seed}: {name} was called overdue");
            for (slot, end) in &plan.written.ends {
                let is_fine = match end {
                    End::Fired => true,
                    End::Closed(outcome) => matches!(outcome.code(), "skipped.condition" | "skipped.overlap"),
                };
                assert!(is_fine, "KEEPFAST_SCHEDULE_SEED={seed}: {name}'s slot {slot} ended as {end:?}");
            }
        }
    }
}
