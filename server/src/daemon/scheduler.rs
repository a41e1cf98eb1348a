//! One look at all jobs: runs that were lost, slots that have come, runs that may start.
//!
//! A look writes what it decides before anything is done about it. So a crash loses nothing: what was decided waits in
//! the state, what was not is decided by the next look, from the same facts. The order of a look is fixed: runs are
//! found lost first, so that a dead one holds up no slot; then slots are decided; then what waits is admitted.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::Timestamp;
use keepfast_config::config::Config;
use keepfast_schedule::clock::{ClockEvent, ClockWatch, LOOK_EVERY};
use keepfast_schedule::condition::{Answer, Machine};
use keepfast_schedule::decide::{Decision, Facts, decide};
use keepfast_schedule::outcome::{Outcome, Record, Trigger as SlotTrigger, Wait};
use keepfast_schedule::plan::JitterSeed;
use keepfast_schedule::schedule::Schedule;
use keepfast_schedule::slot::{Slot, SlotRange};
use keepfast_schedule::state::{OpenRun, Pause, PlanState};
use keepfast_store::{
    Agreement, Applied, Apply, ConfigHash, Decided, Decision as StoredDecision, Executor, Follower,
    Generation, Held, HostId, LeaseWatch, Leased, Loss, NextTry, PlanId, Quarantine, Run, RunId, ScheduleId,
    SlotChange, Store, Text, Trigger, Unfired,
};

use super::admission;
use super::clock::Reading;
use super::jobs::{self, Job, Scheduled};
use super::remembered::{Remembered, read};
use crate::error::{Result, ServerError};
use crate::pauses::{self, Pauses};
use crate::state::{self, instant, stored};

/// After the first loss of a run, this long passes until it is tried again; four times as long after each further one.
const RETRY_LOST_AFTER: Duration = Duration::from_secs(60);

/// A job as this process follows it.
struct Tracked {
    scheduled: Scheduled,
    remembered: Option<Remembered>,
    generation: Option<Generation>,
    /// When to look again if nothing changes before.
    look_at: Timestamp,
    /// What the last look was made from.
    seen: Seen,
    /// The answer of its condition command.
    answer: Option<Answer>,
    waiting: Option<(Slot, Wait)>,
    next: Option<Slot>,
}

impl Tracked {
    fn plan(&self) -> Option<&PlanId> {
        self.scheduled.subject.plan.as_ref()
    }

    /// Whether its slots depend on its runs, or did so until the definition changed.
    fn is_elapsed(&self) -> bool {
        let before = self.remembered.as_ref().map(|remembered| &remembered.plan.schedule);
        let mut schedules = std::iter::once(&self.scheduled.schedule.schedule).chain(before);
        schedules.any(|schedule| matches!(schedule, Schedule::Elapsed { .. }))
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    open: Vec<RunId>,
    pauses: Vec<Pause>,
    good: Option<Timestamp>,
    answer: Option<Answer>,
}

/// What a look comes to.
#[derive(Debug)]
pub struct Look {
    /// When to look again: [`LOOK_EVERY`] later at most.
    pub next: Timestamp,
    /// Runs that this process holds now, and has to carry out.
    pub start: Vec<(Job, Held)>,
    /// Runs that were found to be lost.
    pub lost: Vec<Loss>,
    /// Jobs whose condition commands have to be asked; say the answer by [`Scheduler::answered`].
    pub asks: Vec<Job>,
    /// What has happened to the clocks.
    pub clock: Vec<ClockEvent>,
    /// The definitions that were applied last, if those that are followed are others: then this look has decided nothing
    /// and started nothing.
    pub differs: Option<Applied>,
    /// Schedules that can't be used, if that was found out again.
    pub wrong: Option<Vec<ServerError>>,
}

/// When a job is done next, and what holds it up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook {
    /// The job.
    pub job: Job,
    /// Its next slot.
    pub next: Option<Slot>,
    /// The slot that is due, and what it waits for.
    pub waiting: Option<(Slot, Wait)>,
}

/// What looks at all jobs.
pub struct Scheduler {
    store: Store,
    executor: Executor,
    host: HostId,
    seed: JitterSeed,
    jobs: BTreeMap<ScheduleId, Tracked>,
    clock: ClockWatch,
    /// What has happened to the clocks and no look has followed yet.
    clock_events: Vec<ClockEvent>,
    /// When the next run may start that waits for a moment.
    next_try: Option<Timestamp>,
    leases: LeaseWatch,
    /// What is followed, as far as servers have to agree about it.
    config: ConfigHash,
    differs: Option<Applied>,
    /// What is to be followed, and could not be yet.
    adopting: Option<Apply>,
}

impl Scheduler {
    /// Begins with the jobs of a configuration, and with what the state remembers of them. Runs of this server's earlier
    /// lives are lost: only one process has its name, so that those that had it before are over.
    pub async fn begin(
        store: Store,
        executor: Executor,
        host: HostId,
        seed: JitterSeed,
        config: &Config,
        reading: &Reading,
    ) -> Result<(Self, Vec<ServerError>)> {
        for run in store.active_runs().await? {
            let is_earlier =
                |other: &Executor| other.server == executor.server && other.boot != executor.boot;
            if run.executor.as_ref().is_some_and(is_earlier) {
                Self::lose_dead(&store, &run.id, reading.wall()).await?;
            }
        }
        let clock = ClockWatch::start(reading.clocks.clone());
        let hash = shared_hash(config)?;
        let mut scheduler = Self {
            store,
            executor,
            host,
            seed,
            jobs: BTreeMap::new(),
            clock,
            clock_events: Vec::new(),
            next_try: None,
            leases: LeaseWatch::new(),
            config: hash,
            differs: None,
            adopting: None,
        };
        let wrong = scheduler.adopt(config, Apply::IfNew, reading.wall()).await?;
        Ok((scheduler, wrong))
    }

    /// Follows another configuration from now on. What a job remembers stays with its name; a job that is new begins now,
    /// so that no slot of before is owed. Returns schedules that can't be used.
    ///
    /// Servers that share a state have to follow the same definitions: those that were applied last, by whichever server.
    /// While these are others, what the state knows of jobs is left alone.
    pub async fn adopt(&mut self, config: &Config, apply: Apply, now: Timestamp) -> Result<Vec<ServerError>> {
        // If the state can't be reached now, the next look goes on with this.
        self.adopting = Some(apply);
        self.config = shared_hash(config)?;
        let follower = Follower {
            server: self.executor.server.clone(),
            host: self.host.clone(),
            config: self.config.clone(),
        };
        let is_alone = config.server.value.state.postgres.is_none();
        let apply = if is_alone { Apply::Anyway } else { apply };
        self.differs = match self.store.follow(stored(now), &follower, apply).await? {
            Agreement::Same => None,
            Agreement::Differs(applied) => Some(applied),
        };
        let wanted = jobs::all(config, self.seed, &self.host);
        let mut known: BTreeMap<ScheduleId, _> = BTreeMap::new();
        for found in self.store.schedule_states().await? {
            known.insert(found.schedule, (found.generation, found.document));
        }
        let mut before = std::mem::take(&mut self.jobs);
        let mut wrong = wanted.wrong;
        for scheduled in wanted.scheduled {
            if let Some(plan) = scheduled.subject.plan.as_ref().filter(|_| self.differs.is_none()) {
                self.store.bear_plan(stored(now), plan).await?;
            }
            let state = known.remove(&scheduled.id);
            let (generation, remembered) = match state {
                Some((generation, document)) => match read(&scheduled.id, document) {
                    Ok(remembered) => (Some(generation), Some(remembered)),
                    // The others go on.
                    Err(error) => {
                        wrong.push(error);
                        continue;
                    }
                },
                None => (None, None),
            };
            let answer = before.remove(&scheduled.id).and_then(|tracked| tracked.answer);
            let tracked = Tracked {
                remembered,
                generation,
                look_at: Timestamp::MIN,
                seen: Seen::default(),
                answer,
                waiting: None,
                next: None,
                scheduled,
            };
            self.jobs.insert(tracked.scheduled.id.clone(), tracked);
        }
        let is_wrong = |id: &ScheduleId| {
            let mut definitions = config.plans.keys().map(|plan| format!("plan:{plan}"));
            definitions.any(|name| name == id.as_str())
        };
        // Of a definition that is there and can't be used, what it remembers stays.
        for (id, _) in known.into_iter().filter(|(id, _)| self.differs.is_none() && !is_wrong(id)) {
            self.store.forget_schedule(&id).await?;
        }
        self.adopting = None;
        Ok(wrong)
    }

    /// A condition command has answered.
    pub fn answered(&mut self, job: &Job, answer: Answer) {
        let tracked = self.jobs.values_mut().find(|tracked| tracked.scheduled.job == *job);
        if let Some(tracked) = tracked {
            tracked.answer = Some(answer);
        }
    }

    /// When each job is done next, and what holds it up, according to the last look.
    #[must_use]
    pub fn outlook(&self) -> Vec<Outlook> {
        let outlook = |tracked: &Tracked| Outlook {
            job: tracked.scheduled.job.clone(),
            next: tracked.next,
            waiting: tracked.waiting.clone(),
        };
        self.jobs.values().map(outlook).collect()
    }

    /// The first instant after now at which something is due by itself: slots, spread starts, ends of deadlines, tries
    /// after a failure. Until then, looks decide nothing unless something changes.
    #[must_use]
    pub fn due(&self, now: Timestamp) -> Option<Timestamp> {
        let of_job = |tracked: &Tracked| {
            let pending = tracked.remembered.as_ref().and_then(|remembered| remembered.plan.pending.as_ref());
            let not_before = pending.map(|pending| pending.not_before);
            let start_by = pending.and_then(|pending| tracked.scheduled.schedule.start_by(pending.slot));
            [tracked.next.map(Slot::instant), not_before, start_by]
        };
        let all = self.jobs.values().flat_map(of_job).chain([self.next_try]).flatten();
        all.filter(|at| *at > now).min()
    }

    /// Looks at the clocks alone, which costs next to nothing. Says whether something has happened to them: then a look at
    /// everything is due, because slots lie elsewhere now.
    pub fn glance(&mut self, reading: &Reading) -> bool {
        let (clock, events) = self.clock.clone().look(reading.clocks.clone());
        self.clock = clock;
        self.clock_events.extend(events);
        !self.clock_events.is_empty()
    }

    /// Looks at everything. Without `starts` no run is taken: the process is about to end.
    pub async fn look(
        &mut self,
        config: &Config,
        reading: &Reading,
        mains_power: Option<bool>,
        starts: bool,
    ) -> Result<Look> {
        let now = reading.wall();
        // They stay until a look has come to its end: one that fails in the middle leaves jobs that follow the old clock.
        let clock_changed = self.glance(reading);
        let awake_since = self.clock.awake_since();
        let next_try = |loss: &Loss| next_try(now, loss);
        let leased = self.store.lose_runs(stored(now), &mut self.leases, reading.steady, &next_try).await?;
        let Leased { lost, active, mut waiting } = leased;
        let wrong = self.compare(config, now).await?;
        if let Some(applied) = &self.differs {
            // Nor does it end what waits because of a plan that it doesn't know. Its jobs are made again before they are
            // looked at, so they don't miss what happened to the clocks.
            let next = now.checked_add(LOOK_EVERY).unwrap_or(Timestamp::MAX);
            let (start, asks, differs) = (Vec::new(), Vec::new(), Some(applied.clone()));
            let clock = std::mem::take(&mut self.clock_events);
            return Ok(Look { next, start, lost, asks, clock, differs, wrong });
        }
        // Only schedules that count from the last good run want to know it.
        let counting: Vec<PlanId> =
            self.jobs.values().filter(|job| job.is_elapsed()).filter_map(Tracked::plan).cloned().collect();
        let good = self.store.good_starts_of(&counting, stored(now)).await?;
        let good: HashMap<PlanId, Timestamp> =
            good.into_iter().map(|(plan, at)| (plan, instant(at))).collect();
        let pauses = self.pauses(config, now).await?;
        let mut asks = Vec::new();
        let mut next = now.checked_add(LOOK_EVERY).unwrap_or(Timestamp::MAX);
        for tracked in self.jobs.values_mut() {
            let subject = &tracked.scheduled.subject;
            let kind = tracked.scheduled.job.kind();
            let is_of_job = |run: &&Run| {
                let same_repository = subject.plan.is_some() || run.subject.repository == subject.repository;
                run.kind == kind
                    && run.subject.plan == subject.plan
                    && run.subject.drill == subject.drill
                    && same_repository
            };
            let open: Vec<RunId> =
                active.iter().chain(&waiting).filter(is_of_job).map(|run| run.id.clone()).collect();
            let plan = subject.plan.as_ref();
            let seen = Seen {
                open,
                pauses: plan.and_then(|plan| pauses.get(plan.as_str())).cloned().unwrap_or_default(),
                good: plan.and_then(|plan| good.get(plan)).copied(),
                answer: tracked.answer,
            };
            if now >= tracked.look_at || seen != tracked.seen || clock_changed {
                let machine = Machine { mains_power, answer: tracked.answer };
                let queued = decide_one(&self.store, tracked, seen, machine, awake_since, now).await?;
                waiting.extend(queued);
            }
            if matches!(tracked.waiting, Some((_, Wait::Command))) {
                asks.push(tracked.scheduled.job.clone());
            }
            next = next.min(tracked.look_at.max(now));
        }
        let start = match starts {
            true => self.admit(config, &active, &waiting, now, &mut next).await?,
            false => Vec::new(),
        };
        let clock = std::mem::take(&mut self.clock_events);
        Ok(Look { next, start, lost, asks, clock, differs: None, wrong })
    }

    /// Compares what is followed with what was applied last: another server may have applied other definitions, or these
    /// again. Returns schedules that can't be used, if they were looked at.
    async fn compare(&mut self, config: &Config, now: Timestamp) -> Result<Option<Vec<ServerError>>> {
        if let Some(apply) = self.adopting {
            return self.adopt(config, apply, now).await.map(Some);
        }
        // A state in a file has one server: no other applies anything.
        if config.server.value.state.postgres.is_none() && self.differs.is_none() {
            return Ok(None);
        }
        let applied = self.store.applied().await?.filter(|applied| applied.config != self.config);
        match (&self.differs, applied) {
            // What jobs remember is another by now, and some may have been forgotten.
            (Some(_), None) => self.adopt(config, Apply::IfNew, now).await.map(Some),
            (_, applied) => {
                self.differs = applied;
                Ok(None)
            }
        }
    }

    async fn pauses(&self, config: &Config, now: Timestamp) -> Result<Pauses> {
        // A pause that has ended still counts for slots that no look has accounted for.
        let plans = self.jobs.values().filter(|tracked| tracked.scheduled.subject.plan.is_some());
        let accounted = plans.filter_map(|tracked| Some(tracked.remembered.as_ref()?.plan.accounted));
        let since = accounted.min().unwrap_or(now).min(now);
        let stored_pauses = self.store.all_pauses_since(stored(since)).await?;
        for (plan, until) in pauses::over(&stored_pauses, stored(now)) {
            self.store.unpause(stored(now), &plan, until).await?;
        }
        let mut all = Pauses::new();
        for pause in &stored_pauses {
            all.entry(pause.plan.to_string()).or_default().push(pauses::of_state(pause));
        }
        pauses::add_configured(&mut all, config, self.host.as_str());
        Ok(all)
    }

    /// Ends a run whose process is known to be gone.
    pub(crate) async fn lose_dead(store: &Store, run: &RunId, now: Timestamp) -> Result<()> {
        store.lose_dead(stored(now), run, &|loss| next_try(now, loss)).await.map(drop)
    }

    /// Takes the runs that may start, and says of the others why they wait.
    async fn admit(
        &mut self,
        config: &Config,
        active: &[Run],
        waiting: &[Run],
        now: Timestamp,
        next: &mut Timestamp,
    ) -> Result<Vec<(Job, Held)>> {
        let schedules: Vec<&Scheduled> = self.jobs.values().map(|tracked| &tracked.scheduled).collect();
        let queue = admission::queue(config, &schedules, active, waiting, &self.executor.server, now);
        for (run, ending) in queue.ended {
            self.store.end_waiting(stored(now), &run, ending).await?;
        }
        self.next_try = queue.next;
        if let Some(at) = queue.next {
            *next = (*next).min(at);
        }
        if !queue.explained.is_empty() {
            self.store.explain_waiting(&queue.explained).await?;
        }
        if queue.start.is_empty() {
            return Ok(Vec::new());
        }
        let lease = state::Lease::USUAL.length;
        let claim = keepfast_store::Claim {
            candidates: &queue.start,
            limits: &queue.limits,
            executor: &self.executor,
            lease,
        };
        let held = self.store.claim(stored(now), claim).await?;
        Ok(held.into_iter().filter_map(|held| Some((Job::of(&held.run)?, held))).collect())
    }
}

/// A run of a schedule that was lost is tried again, unless it was lost too often.
fn next_try(now: Timestamp, loss: &Loss) -> Result<Option<NextTry>> {
    // A run that a person has started isn't started again without them.
    if loss.run.slot.is_none() || loss.quarantine == Quarantine::Yes {
        return Ok(None);
    }
    let factor = 4_u32.saturating_pow(loss.losses.saturating_sub(1));
    let after = RETRY_LOST_AFTER.saturating_mul(factor);
    let id = RunId::new(state::random_name()?).map_err(ServerError::name("run"))?;
    Ok(Some(NextTry { id, not_before: stored(now).plus(after) }))
}

fn shared_hash(config: &Config) -> Result<ConfigHash> {
    ConfigHash::new(config.shared_hash().to_string()).map_err(ServerError::name("hash"))
}

/// Decides about one job, and stores that. Returns the runs that wait because of it.
async fn decide_one(
    store: &Store,
    tracked: &mut Tracked,
    seen: Seen,
    machine: Machine,
    awake_since: Timestamp,
    now: Timestamp,
) -> Result<Vec<Run>> {
    let scheduled = &tracked.scheduled;
    let mut remembered = tracked
        .remembered
        .clone()
        .unwrap_or_else(|| Remembered::new(scheduled.schedule.schedule.clone(), now));
    remembered.follow(scheduled.enabled, &seen.pauses, now);
    let open_runs: Vec<OpenRun> =
        seen.open.iter().map(|run| OpenRun { run: run.as_str().into(), of: None }).collect();
    let facts = Facts {
        open_runs: &open_runs,
        last_good_start: seen.good,
        host_is_online: true,
        machine,
        awake_since: Some(awake_since),
    };
    let Decision { records, state, look_again, waiting, next, .. } =
        decide(&scheduled.schedule, &remembered.plan, &facts, now);
    remembered.plan = state;
    let changes = changes(scheduled, records)?;
    let is_quiet = tracked.remembered.as_ref().is_some_and(|before| {
        // What lies between the two has no slot, or there would be a record.
        let moved = PlanState { accounted: remembered.plan.accounted, ..before.plan.clone() };
        changes.is_empty()
            && before.disabled == remembered.disabled
            && (moved.schedule == remembered.plan.schedule)
            && moved.pending == remembered.plan.pending
            && moved.anchor == remembered.plan.anchor
            && moved.birth == remembered.plan.birth
    });
    let mut queued = Vec::new();
    if !is_quiet {
        let decision = StoredDecision {
            schedule: scheduled.id.clone(),
            seen: tracked.generation,
            document: serde_json::to_value(&remembered).map_err(|source| ServerError::Document {
                what: format!("the state of {}", scheduled.id),
                source,
            })?,
            changes,
        };
        match store.decide(stored(now), &decision).await? {
            Decided::Stored { generation, queued: runs } => {
                tracked.generation = Some(generation);
                queued = runs;
            }
            Decided::Overtaken => {
                // Another server was faster: its word counts, and the next look goes on from there.
                let found = store.schedule_states().await?;
                let found = found.into_iter().find(|found| found.schedule == scheduled.id);
                tracked.generation = found.as_ref().map(|found| found.generation);
                tracked.remembered = match found {
                    Some(found) => Some(read(&scheduled.id, found.document)?),
                    None => None,
                };
                tracked.look_at = now;
                return Ok(Vec::new());
            }
        }
    }
    tracked.remembered = Some(remembered);
    // Between slots only what is seen can change anything, or the clock, and both are looked at each time.
    // A clock that is doubted is believed some time.
    let is_waiting = tracked.remembered.as_ref().is_some_and(|remembered| {
        remembered.plan.pending.is_some() || remembered.plan.birth.doubted.is_some()
    });
    tracked.look_at = if is_waiting { look_again } else { next.map_or(Timestamp::MAX, Slot::instant) };
    tracked.waiting = waiting;
    tracked.next = next;
    // A run that was just queued is open at the next look.
    let mut open = seen.open;
    open.extend(queued.iter().map(|run| run.id.clone()));
    tracked.seen = Seen { open, ..seen };
    Ok(queued)
}

fn changes(scheduled: &Scheduled, records: Vec<Record>) -> Result<Vec<SlotChange>> {
    let mut changes = Vec::with_capacity(records.len());
    for record in records {
        match record {
            Record::Fire(fire) => {
                let trigger = match fire.trigger {
                    SlotTrigger::Schedule => Trigger::Schedule,
                    SlotTrigger::CatchUp => Trigger::CatchUp,
                };
                let at = stored(fire.slot.instant());
                changes.push(SlotChange::Fire { at, run: scheduled.new_run(trigger)? });
            }
            Record::Closed { slots, outcome } => {
                let unfired = unfired(scheduled, slots, &outcome)?;
                changes.push(match outcome {
                    Outcome::Missed(_) => SlotChange::Missed(unfired),
                    Outcome::Skipped(_) => SlotChange::Skipped(unfired),
                });
            }
            Record::Withdrawn { after, until } => {
                changes.push(SlotChange::Withdrawn { after: stored(after), until: stored(until) });
            }
        }
    }
    Ok(changes)
}

fn unfired(scheduled: &Scheduled, slots: SlotRange, outcome: &Outcome) -> Result<Unfired> {
    let text = outcome.to_string();
    let reason = text.split_once(": ").map_or(&*text, |(_, why)| why);
    Ok(Unfired {
        first: stored(slots.first.instant()),
        last: stored(slots.last.instant()),
        count: u32::try_from(slots.count).unwrap_or(u32::MAX),
        reason: Text::from(reason),
        record: scheduled.new_run(Trigger::Schedule)?,
    })
}
