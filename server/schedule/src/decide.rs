//! One look at a plan: which records to write, what to remember, and when to look again.
//!
//! The store writes a decision's records and its state in one transaction, on the condition that the state is
//! still the one that the decision was made from. So two servers that look at once write one account, and a crash leaves
//! either all of a look or nothing of it.
//!
//! A slot fires once. Which runs are lost, and whether one is tried again, is for the store of the runs to say.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::LOOK_EVERY;
use crate::condition::{Condition, Gate, Machine, answer_ends, gate, unmet_by_calendar};
use crate::outcome::{Fire, Missed, Outcome, Record, Skipped, Trigger, Wait};
use crate::plan::{CatchUp, ON_TIME, Overlap, PlanSchedule, When};
use crate::schedule::Schedule;
use crate::slot::{Slot, SlotRange};
use crate::span::{between, earlier, later};
use crate::state::{Known, OpenRun, Pause, Pending, PlanState};

/// Slots that are judged one by one when a long time passed without a look. Older ones are counted.
pub const SLOTS_JUDGED_MAX: usize = 1000;

/// Records for slots that passed without a look. If there are more slots, neighbours with one fate share a record.
pub const SINGLE_RECORDS_MAX: usize = 64;

/// A clock that is set back by more than this was wrong, so that ends of pauses that it gave are, too.
const CLOCK_FAR_AHEAD: Duration = Duration::from_secs(86_400);

/// What the caller knows.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The plan's runs that aren't over, those that are to be tried again included.
    pub open_runs: &'a [OpenRun],
    /// When the plan's newest good run began: of the schedule, or one that was asked for.
    pub last_good_start: Option<Timestamp>,
    /// Whether the plan's host is there.
    pub host_is_online: bool,
    /// Power, and what the condition command said.
    pub machine: Machine,
    /// Since when the scheduler has looked without a break: [`ClockWatch`](crate::clock::ClockWatch) knows.
    pub awake_since: Option<Timestamp>,
}

/// What follows from one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What to write, in this order.
    pub records: Vec<Record>,
    /// What to remember.
    pub state: PlanState,
    /// When to look again: later than now, and at most [`LOOK_EVERY`] later.
    pub look_again: Timestamp,
    /// The run that is due and why it doesn't start.
    pub waiting: Option<(Slot, Wait)>,
    /// The next slot.
    pub next: Option<Slot>,
    /// Whether to ask the plan's condition command, and to look again when it has answered.
    pub asks_command: bool,
}

/// Looks at a plan.
///
/// Whatever has happened since the last look (nothing, a sleep, a crash, a reload, a clock that was set), each slot up to
/// now has its record afterwards, or is the one that is pending. The work is bounded.
pub fn decide(plan: &PlanSchedule, state: &PlanState, facts: &Facts<'_>, now: Timestamp) -> Decision {
    let mut look = Look { plan, facts, now, state: state.clone(), records: Vec::new() };
    look.follow_clock_back();
    look.account();
    look.adopt_schedule();
    let wait = look.settle_pending();
    look.finish(wait)
}

struct Look<'a> {
    plan: &'a PlanSchedule,
    facts: &'a Facts<'a>,
    now: Timestamp,
    state: PlanState,
    records: Vec<Record>,
}

impl Look<'_> {
    fn close(&mut self, slots: SlotRange, outcome: Outcome) {
        self.records.push(Record::Closed { slots, outcome });
    }

    /// If the clock was set back, slots that haven't fired lie ahead again. Otherwise a clock that was a
    /// year ahead for a minute would stop a plan for a year.
    fn follow_clock_back(&mut self) {
        let (now, state) = (self.now, &mut self.state);
        state.birth.follow(now, state.accounted);
        // What lies before its birth was never promised.
        if now >= state.accounted || state.birth.doubted.is_some() {
            return;
        }
        let floor = state.fired.floor.map_or(now, |floor| floor.instant().max(now));
        let (after, until) = (floor.min(state.accounted), state.accounted);
        state.accounted = after;
        state.anchor = state.anchor.min(now);
        for pause in &mut state.pauses {
            let ahead = between(now, pause.since);
            // A pause that was asked for while the clock was far ahead keeps its length, not its end.
            if ahead > CLOCK_FAR_AHEAD {
                pause.until = pause.until.map(|until| earlier(until, ahead));
            }
            pause.since = pause.since.min(now);
        }
        if let Some(pending) = state.pending.take()
            && pending.slot.instant() <= after
        {
            // What it waits for may lie in the old future.
            let longest = later(now, self.plan.jitter);
            let not_before = pending.not_before.min(longest);
            state.pending = Some(Pending { not_before, ..pending });
        }
        // An older schedule, or an elapsed one that has counted from another run, may have had slots where the
        // present one has none: any whole second may be one.
        if Slot::at(until).instant() > after {
            self.records.push(Record::Withdrawn { after, until });
        }
    }

    /// Accounts for all slots up to now.
    fn account(&mut self) {
        let good = self.facts.last_good_start.filter(|good| *good <= self.now && *good > self.state.anchor);
        if let (Some(good), Schedule::Elapsed { .. }) = (good, &self.state.schedule) {
            // Slots before that run are counted as they were promised; from then on they count from it.
            self.account_until(good, Some(good));
            self.satisfy_pending(good);
            self.state.anchor = good;
        }
        self.account_until(self.now, None);
    }

    /// A good run began at this instant, so that an older slot of an elapsed schedule needs none.
    fn satisfy_pending(&mut self, good: Timestamp) {
        if let Some(pending) = self.state.pending.take_if(|pending| pending.slot.instant() <= good) {
            self.end_pending(&pending, Outcome::Skipped(Skipped::Satisfied));
        }
    }

    /// Accounts for slots up to an instant. `satisfied` says that a good run began then.
    fn account_until(&mut self, until: Timestamp, satisfied: Option<Timestamp>) {
        let (after, anchor) = (self.state.accounted, self.state.anchor);
        if until <= after {
            return;
        }
        self.state.accounted = until;
        let newest = self.newest_slots(after, until);
        let Some(oldest_judged) = newest.first().copied() else { return };
        self.count_older(after, earlier(oldest_judged.instant(), Duration::from_secs(1)));

        let mut candidate = None;
        // From the newest to the oldest: the first that may still run is the one that does.
        let mut fates: Vec<(Slot, Option<Outcome>)> = Vec::new();
        for (at, slot) in newest.iter().enumerate().rev() {
            let next = match newest.get(at + 1) {
                Some(next) => Some(*next),
                None => self.state.schedule.next(slot.instant(), anchor),
            };
            match self.fate(*slot, next, satisfied.is_some(), candidate.is_some()) {
                Some(Fate::Closed(outcome)) => fates.push((*slot, Some(outcome))),
                Some(Fate::Due(pending)) => {
                    fates.push((*slot, None));
                    candidate = Some(pending);
                }
                None => {}
            }
        }
        fates.reverse();
        self.close_all(fates);
        if let Some(candidate) = candidate {
            if let Some(older) = self.state.pending.take() {
                self.end_pending(&older, Outcome::Missed(Missed::Superseded { by: candidate.slot }));
            }
            self.state.pending = Some(candidate);
        }
    }

    /// The newest slots of a time, in order, at most [`SLOTS_JUDGED_MAX`] of them.
    fn newest_slots(&self, after: Timestamp, until: Timestamp) -> Vec<Slot> {
        let (schedule, anchor) = (&self.state.schedule, self.state.anchor);
        let most = u64::try_from(SLOTS_JUDGED_MAX).unwrap_or(u64::MAX);
        let mut window = Duration::from_secs(3600);
        let mut from = earlier(until, window).max(after);
        // The window grows until it holds enough, so that a long time is never walked through.
        while from > after && schedule.count(from, until, anchor).slots < most {
            window = window.saturating_mul(2);
            from = earlier(until, window).max(after);
        }
        let mut newest = VecDeque::new();
        let slots = schedule.slots(from, anchor).map(|planned| planned.slot);
        for slot in slots.take_while(|slot| slot.instant() <= until) {
            if newest.len() == SLOTS_JUDGED_MAX {
                newest.pop_front();
            }
            newest.push_back(slot);
        }
        newest.into()
    }

    /// Closes slots that are too many to judge one by one: only pauses tell them apart.
    fn count_older(&mut self, after: Timestamp, until: Timestamp) {
        let away = match self.plan.catch_up {
            CatchUp::Once => Outcome::Missed(Missed::Away),
            CatchUp::Never => Outcome::Skipped(Skipped::CatchUpNever),
        };
        let mut edges: Vec<Timestamp> = vec![until];
        for pause in &self.state.pauses {
            // An edge ends a piece: a pause begins after the last instant before it, and ends with its end.
            edges.extend(
                [Some(earlier(pause.since, Duration::from_nanos(1))), pause.until].into_iter().flatten(),
            );
        }
        edges.retain(|edge| after < *edge && *edge <= until);
        edges.sort_unstable();
        edges.dedup();
        let mut from = after;
        for edge in edges {
            let (schedule, anchor) = (&self.state.schedule, self.state.anchor);
            if let Some(slots) = self.state.fired.others(schedule, anchor, from, edge) {
                let paused = self.state.pause_at(slots.last.instant()).is_some();
                let outcome = if paused { Outcome::Skipped(Skipped::Paused) } else { away.clone() };
                self.close(slots, outcome);
            }
            from = edge;
        }
    }

    /// What becomes of a slot that has just passed; `None` if it has its record already.
    fn fate(&self, slot: Slot, next: Option<Slot>, is_satisfied: bool, has_newer: bool) -> Option<Fate> {
        let closed = |outcome| Some(Fate::Closed(outcome));
        match self.state.fired.of(slot) {
            Known::Fired => return None,
            Known::Perhaps => return closed(Outcome::Skipped(Skipped::ClockSetBack)),
            Known::NotFired => {}
        }
        let (plan, now) = (self.plan, self.now);
        if self.state.pause_at(slot.instant()).is_some() {
            return closed(Outcome::Skipped(Skipped::Paused));
        }
        if let Some(unmet) = unmet_by_calendar(&plan.conditions, &plan.zone, slot.instant()) {
            return closed(Outcome::Skipped(Skipped::Condition(unmet)));
        }
        if is_satisfied {
            return closed(Outcome::Skipped(Skipped::Satisfied));
        }
        let due = plan.due(slot, next);
        let is_late = plan.is_late(due, now);
        if is_late && plan.catch_up == CatchUp::Never {
            return closed(Outcome::Skipped(Skipped::CatchUpNever));
        }
        if has_newer || plan.start_by(slot).is_some_and(|start_by| start_by < now) {
            return closed(Outcome::Missed(Missed::Away));
        }
        let woke = self.facts.awake_since.filter(|since| is_late && due < *since && *since <= now);
        let not_before = woke.map_or(due, |since| plan.due_after_waking(slot, since));
        Some(Fate::Due(Pending { slot, not_before, is_late, waits: None }))
    }

    /// Closes slots, each by itself if they are few, or else neighbours with one fate together. The slot without an
    /// outcome stays open, and stands between its neighbours.
    fn close_all(&mut self, fates: Vec<(Slot, Option<Outcome>)>) {
        let many = fates.len() > SINGLE_RECORDS_MAX;
        let mut joins = many;
        for (slot, outcome) in fates {
            let Some(outcome) = outcome else {
                joins = false;
                continue;
            };
            match self.records.last_mut() {
                Some(Record::Closed { slots, outcome: same }) if joins && *same == outcome => {
                    slots.last = slot;
                    slots.count = slots.count.saturating_add(1);
                }
                _ => self.close(SlotRange::one(slot), outcome),
            }
            joins = many;
        }
    }

    /// From now on, the plan's own schedule makes the slots.
    fn adopt_schedule(&mut self) {
        if self.state.schedule != self.plan.schedule {
            self.state.schedule = self.plan.schedule.clone();
            self.state.fired.generation = self.state.fired.generation.wrapping_add(1);
        }
        let accounted = self.state.accounted;
        self.state.pauses.retain(|pause: &Pause| pause.until.is_none_or(|until| until > accounted));
    }

    /// Closes the slot of a pending run without starting it.
    fn end_pending(&mut self, pending: &Pending, otherwise: Outcome) {
        // What it waited for says more than that it is too late.
        let is_loss = matches!(otherwise, Outcome::Missed(_) | Outcome::Skipped(Skipped::CatchUpNever));
        let outcome = match &pending.waits {
            Some(Wait::Condition(unmet)) if is_loss => Outcome::Skipped(Skipped::Condition(*unmet)),
            Some(Wait::Overlap { run }) if is_loss => Outcome::Skipped(Skipped::Overlap { run: run.clone() }),
            Some(Wait::HostOffline) if is_loss => match self.plan.when {
                When::Always => Outcome::Missed(Missed::HostOffline),
                When::Online => Outcome::Skipped(Skipped::HostOffline),
            },
            _ => otherwise,
        };
        self.close(SlotRange::one(pending.slot), outcome);
    }

    /// Starts or ends the pending run, or says why it waits.
    fn settle_pending(&mut self) -> Option<Wait> {
        let mut pending = self.state.pending.take()?;
        let (plan, now) = (self.plan, self.now);
        if self.state.pause_at(now).is_some() {
            self.end_pending(&pending, Outcome::Skipped(Skipped::Paused));
            return None;
        }
        if self.last_start(&pending).is_some_and(|last| last < now) {
            let late = match plan.catch_up {
                CatchUp::Never => Outcome::Skipped(Skipped::CatchUpNever),
                CatchUp::Once if pending.waits.is_none() => Outcome::Missed(Missed::Away),
                CatchUp::Once => Outcome::Missed(Missed::Deadline),
            };
            self.end_pending(&pending, late);
            return None;
        }
        let wait = match self.holds_up(&pending) {
            Some(Wait::Overlap { run }) if plan.overlap == Overlap::Skip => {
                self.end_pending(&pending, Outcome::Skipped(Skipped::Overlap { run }));
                return None;
            }
            Some(wait) => wait,
            None => {
                self.fire(&pending);
                return None;
            }
        };
        pending.waits = Some(wait.clone());
        self.state.pending = Some(pending);
        Some(wait)
    }

    /// The last instant at which a pending run may start.
    fn last_start(&self, pending: &Pending) -> Option<Timestamp> {
        // A run that is queued behind another was there in time.
        let is_queued = matches!(pending.waits, Some(Wait::Overlap { .. }));
        let on_time = match self.plan.catch_up {
            CatchUp::Never if !is_queued => Some(later(pending.not_before, ON_TIME)),
            CatchUp::Never | CatchUp::Once => None,
        };
        self.plan.start_by(pending.slot).into_iter().chain(on_time).min()
    }

    fn holds_up(&self, pending: &Pending) -> Option<Wait> {
        let (facts, now) = (self.facts, self.now);
        if now < pending.not_before {
            return Some(Wait::Jitter { until: pending.not_before });
        }
        if let Some(open) = facts.open_runs.first() {
            return Some(Wait::Overlap { run: open.run.clone() });
        }
        if !facts.host_is_online {
            return Some(Wait::HostOffline);
        }
        match gate(&self.plan.conditions, &self.plan.zone, &facts.machine, now) {
            Gate::Open => None,
            Gate::Closed(unmet) => Some(Wait::Condition(unmet)),
            Gate::Ask => Some(Wait::Command),
        }
    }

    fn fire(&mut self, pending: &Pending) {
        let Pending { slot, is_late, .. } = *pending;
        let trigger = if is_late { Trigger::CatchUp } else { Trigger::Schedule };
        self.records.push(Record::Fire(Fire { slot, trigger, start_by: self.plan.start_by(slot) }));
        // An elapsed schedule's slots depend on its runs, so that no stretch of them is known.
        let before = match &self.state.schedule {
            Schedule::Calendar { .. } => {
                let before = earlier(slot.instant(), Duration::from_secs(1));
                self.state.schedule.newest(before, self.state.anchor)
            }
            Schedule::Elapsed { .. } => None,
        };
        self.state.fired.add(slot, before);
        self.state.anchor = self.state.anchor.max(self.now);
    }

    fn finish(self, wait: Option<Wait>) -> Decision {
        let Self { plan, facts, now, state, records } = self;
        let next = state.schedule.next(now.max(state.accounted), state.anchor);
        let pending = state.pending.as_ref();
        let asks_command = wait == Some(Wait::Command);
        let mut moments = vec![later(now, LOOK_EVERY)];
        moments.extend(next.map(Slot::instant));
        moments.extend(pending.map(|pending| pending.not_before));
        moments.extend(pending.and_then(|pending| plan.start_by(pending.slot)));
        if pending.is_some() && plan.conditions.contains(&Condition::CommandSaysYes) {
            moments.extend(facts.machine.answer.map(answer_ends));
        }
        moments.retain(|moment| *moment > now);
        let look_again = moments.into_iter().min().unwrap_or(Timestamp::MAX);
        let waiting = pending.map(|pending| pending.slot).zip(wait);
        Decision { records, look_again, waiting, next, asks_command, state }
    }
}

enum Fate {
    Closed(Outcome),
    Due(Pending),
}
