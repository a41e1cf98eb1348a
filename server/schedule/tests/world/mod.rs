//! A world for tests: clocks that are set, machines that sleep, servers that crash before or after they write,
//! hosts that come and go, and runs that end well, badly or not at all. All of it is drawn from a seed.
//!
//! The world keeps its own account of what each plan promised, made from the schedule alone, and compares it with
//! what was written.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use keepfast_schedule::clock::{ClockReading, ClockWatch};
use keepfast_schedule::condition::Machine;
use keepfast_schedule::decide::{Facts, decide};
use keepfast_schedule::names::RunId;
use keepfast_schedule::outcome::{Outcome, Record};
use keepfast_schedule::plan::PlanSchedule;
use keepfast_schedule::schedule::Schedule;
use keepfast_schedule::slot::Slot;
use keepfast_schedule::state::{OpenRun, PlanState};

/// A small generator of random numbers, so that a seed is all that a replay needs.
#[derive(Debug, Clone)]
pub struct Dice(pub u64);

impl Dice {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below another.
    pub fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }
}

/// How a slot ended, as a reader of the records sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It became a run.
    Fired,
    /// It had none.
    Closed(Outcome),
}

/// How long a run's program is gone before the run counts as lost.
const LEASE: Duration = Duration::from_secs(120);

/// Runs that a slot has when all of them are lost.
const ATTEMPTS_MAX: u32 = 3;

/// A run that isn't over, as the store of the runs has it.
pub struct Run {
    /// What a plan's schedule is told of it.
    pub open: OpenRun,
    /// 1 for the first; more for those that repeat lost ones.
    pub attempt: u32,
    /// The real time at which its program died; `None` if it lives or waits.
    pub died: Option<Duration>,
}

/// A plan with all that is written of it.
pub struct Written {
    /// Its schedule as it is now.
    pub plan: PlanSchedule,
    /// What it remembers.
    pub state: PlanState,
    /// How each slot ended, by the newest record.
    pub ends: BTreeMap<Slot, End>,
    /// Slots that fired, ever.
    pub fired: BTreeSet<Slot>,
    /// Runs that aren't over.
    pub runs: Vec<Run>,
    /// When its newest good run began.
    pub last_good: Option<Timestamp>,
    /// The most records that one look wrote.
    pub records_max: usize,
    next_run: u64,
}

impl Written {
    /// A plan that begins now.
    pub fn new(plan: PlanSchedule, now: Timestamp) -> Self {
        Self {
            state: PlanState::new(plan.schedule.clone(), now),
            plan,
            ends: BTreeMap::new(),
            fired: BTreeSet::new(),
            runs: Vec::new(),
            last_good: None,
            records_max: 0,
            next_run: 0,
        }
    }

    /// Reads a record as anyone would, and says what is wrong with it.
    fn read(&mut self, record: &Record, before: &PlanState) -> Result<(), String> {
        match record {
            Record::Fire(fire) => {
                if !self.fired.insert(fire.slot) {
                    return Err(format!("slot {} fires twice", fire.slot));
                }
                if let Some(end) = self.ends.insert(fire.slot, End::Fired) {
                    return Err(format!("slot {} fires after {end:?}", fire.slot));
                }
            }
            Record::Closed { slots, outcome } => {
                let schedule = &before.schedule;
                let found = if slots.count == 1 {
                    vec![slots.first]
                } else if let Schedule::Elapsed { every } = schedule {
                    let next = |slot: &Slot| Some(Slot::at(slot.instant() + every.length()));
                    std::iter::successors(Some(slots.first), next)
                        .take_while(|slot| *slot <= slots.last)
                        .collect()
                } else {
                    let from = slots.first.instant() - Duration::from_secs(1);
                    let all = schedule.slots(from, before.anchor).map(|planned| planned.slot);
                    all.take_while(|slot| *slot <= slots.last).collect()
                };
                let open: Vec<Slot> = found.into_iter().filter(|slot| !self.fired.contains(slot)).collect();
                if u64::try_from(open.len()) != Ok(slots.count) || !slots.is_exact {
                    return Err(format!("{slots:?} says a count that is not {}", open.len()));
                }
                for slot in open {
                    if let Some(end) = self.ends.insert(slot, End::Closed(outcome.clone())) {
                        return Err(format!("slot {slot} ends as {outcome:?} after {end:?}"));
                    }
                }
            }
            Record::Withdrawn { after, until } => {
                let covers = |slot: &Slot| *after < slot.instant() && slot.instant() <= *until;
                self.ends.retain(|slot, end| !covers(slot) || *end == End::Fired);
            }
        }
        Ok(())
    }

    fn new_run(&mut self) -> RunId {
        let run = RunId::from(format!("{}/{}", self.plan.plan, self.next_run));
        self.next_run += 1;
        run
    }

    /// What the store does with runs whose programs are gone: each is lost after a while, and another one takes its place,
    /// unless that has happened too often.
    pub fn lose_runs(&mut self, real: Duration) {
        let is_lost = |run: &Run| run.died.is_some_and(|died| died + LEASE <= real);
        let (lost, left) = std::mem::take(&mut self.runs).into_iter().partition(is_lost);
        self.runs = left;
        for Run { open, attempt, .. } in lost {
            if attempt < ATTEMPTS_MAX {
                let open = OpenRun { run: self.new_run(), ..open };
                self.runs.push(Run { open, attempt: attempt + 1, died: None });
            }
        }
    }

    /// One look of the server. `commits` is whether it survives until all is written.
    pub fn look(&mut self, world: &World, host_is_online: bool, commits: bool) -> Result<(), String> {
        let now = world.wall();
        self.lose_runs(world.real);
        let open: Vec<OpenRun> = self.runs.iter().map(|run| run.open.clone()).collect();
        let facts = Facts {
            open_runs: &open,
            last_good_start: self.last_good,
            host_is_online,
            machine: Machine::default(),
            awake_since: Some(world.watch.awake_since()),
        };
        let decision = decide(&self.plan, &self.state, &facts, now);
        if decision.look_again <= now || decision.look_again > now + Duration::from_secs(30) {
            return Err(format!("at {now} it looks again at {}", decision.look_again));
        }
        if !commits {
            return Ok(());
        }
        self.records_max = self.records_max.max(decision.records.len());
        let before = std::mem::replace(&mut self.state, decision.state);
        for record in &decision.records {
            self.read(record, &before).map_err(|error| format!("{error}, at {now} in {record:?}"))?;
            if let Record::Fire(fire) = record {
                let open = OpenRun { run: self.new_run(), of: Some(fire.slot) };
                self.runs.push(Run { open, attempt: 1, died: None });
            }
        }
        Ok(())
    }

    /// Checks that each slot up to the newest look has exactly one end, or is the one that waits.
    pub fn check_account(&self, from: Timestamp) -> Result<(), String> {
        let waits = self.state.pending.as_ref().map(|pending| pending.slot);
        let Schedule::Calendar { .. } = self.state.schedule else { return Ok(()) };
        let slots = self.state.schedule.slots(from, from).map(|planned| planned.slot);
        for slot in slots.take_while(|slot| slot.instant() <= self.state.accounted) {
            match (self.ends.contains_key(&slot), waits == Some(slot)) {
                (true, false) | (false, true) => {}
                (false, false) => return Err(format!("slot {slot} is silently missed")),
                (true, true) => return Err(format!("slot {slot} has ended and waits")),
            }
        }
        let expected = |slot: &Slot| {
            slot.instant() <= from
                || self.state.schedule.next(slot.instant() - Duration::from_secs(1), from) == Some(*slot)
        };
        match self.ends.keys().find(|slot| !expected(slot)) {
            Some(slot) => Err(format!("{slot} is no slot of the schedule")),
            None => Ok(()),
        }
    }
}

/// Time as it really passes, and as the clock shows it.
pub struct World {
    /// Real time since the beginning.
    pub real: Duration,
    start: Timestamp,
    wrong_by: SignedDuration,
    /// What the server knows of its clocks.
    pub watch: ClockWatch,
    boot: u64,
}

impl World {
    /// Begins.
    pub fn new(start: Timestamp) -> Self {
        let reading = ClockReading { wall: start, since_boot: Duration::ZERO, boot: "0".to_owned() };
        Self {
            real: Duration::ZERO,
            start,
            wrong_by: SignedDuration::ZERO,
            watch: ClockWatch::start(reading),
            boot: 0,
        }
    }

    /// What the clock on the wall shows.
    pub fn wall(&self) -> Timestamp {
        self.start + self.real + self.wrong_by
    }

    fn reading(&self) -> ClockReading {
        ClockReading { wall: self.wall(), since_boot: self.real, boot: self.boot.to_string() }
    }

    /// Time passes, and the server looks at its clocks.
    pub fn pass(&mut self, time: Duration) {
        self.real += time;
        let (watch, _) = self.watch.clone().look(self.reading());
        self.watch = watch;
    }

    /// Someone sets the clock: this far from the truth.
    pub fn set_clock(&mut self, wrong_by: SignedDuration) {
        self.wrong_by = wrong_by;
        self.pass(Duration::ZERO);
    }

    /// The server is started again.
    pub fn restart(&mut self) {
        self.boot += 1;
        self.pass(Duration::ZERO);
    }
}
