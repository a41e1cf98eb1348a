//! What a plan's schedule remembers from one look to the next. A store keeps it beside the records, and
//! writes both in one transaction.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::RunId;
use crate::outcome::Wait;
use crate::schedule::Schedule;
use crate::slot::{Slot, SlotRange};
use crate::span::{between, earlier};

/// Stretches of fired slots that a plan remembers.
const SPANS_MAX: usize = 256;

/// Pauses that a plan remembers at once. There is one, unless it is paused again and again between two looks.
const PAUSES_MAX: usize = 64;

const SECOND: Duration = Duration::from_secs(1);

/// A plan that has lived for this long was born by a clock that was right; and a clock that has contradicted that for this
/// long is right itself.
const DOUBT: Duration = Duration::from_secs(86_400);

/// What a plan's schedule remembers.
///
/// It is stored as a document: [`PlanState::read`] reads one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanState {
    /// The schedule that made the slots until `accounted`. If a plan has another one now, slots until the next look
    /// are still those of this one: a reload makes no slot and loses none.
    pub schedule: Schedule,
    /// Each slot up to here has its record, or is `pending`.
    pub accounted: Timestamp,
    /// The slot whose run is due and hasn't started. Never more than one.
    pub pending: Option<Pending>,
    /// What an elapsed schedule counts from.
    pub anchor: Timestamp,
    /// Pauses that slots after `accounted` may fall into, oldest first.
    pub pauses: Vec<Pause>,
    /// Slots that have fired, for when the clock is set back.
    pub fired: FiredSlots,
    /// When it began: no slot of before fires.
    pub birth: Birth,
}

impl PlanState {
    /// A plan that begins now. Nothing that lies before counts, and nothing fires at once.
    pub fn new(schedule: Schedule, now: Timestamp) -> Self {
        Self {
            schedule,
            accounted: now,
            pending: None,
            anchor: now,
            pauses: Vec::new(),
            fired: FiredSlots::default(),
            birth: Birth::at(now),
        }
    }

    /// Pauses the plan from now on, until an instant or until it is told to go on. Disabling a plan is the
    /// same. A plan that is paused already gets the new end.
    pub fn pause(&mut self, now: Timestamp, until: Option<Timestamp>) {
        self.end_pause(now);
        if self.pauses.len() == PAUSES_MAX {
            // The two newest become one: what lies between them is less than a look.
            if let Some(last) = self.pauses.last_mut() {
                last.until = until;
            }
        } else {
            self.pauses.push(Pause { since: now, until });
        }
    }

    /// Lets the plan go on. Slots that passed meanwhile are skipped, so that nothing fires at once.
    pub fn resume(&mut self, now: Timestamp) {
        self.end_pause(now);
    }

    fn end_pause(&mut self, now: Timestamp) {
        for pause in self.pauses.iter_mut().filter(|pause| pause.covers(now)) {
            pause.until = Some(now);
        }
    }

    /// The pause in which an instant lies.
    pub fn pause_at(&self, at: Timestamp) -> Option<&Pause> {
        self.pauses.iter().find(|pause| pause.covers(at))
    }
}

/// A time in which a plan doesn't run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// From when on.
    pub since: Timestamp,
    /// Until when; `None` until it is told to go on. A slot at this very instant is skipped, too.
    pub until: Option<Timestamp>,
}

impl Pause {
    /// Whether an instant lies in it.
    pub fn covers(&self, at: Timestamp) -> bool {
        self.since <= at && self.until.is_none_or(|until| at <= until)
    }
}

/// When a plan began.
///
/// A clock that says that this still lies ahead is wrong, or was wrong then. Of a plan that has lived for a day, the clock
/// of now is doubted, but for no longer than a day: a plan must not stand still for a year because of an old mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Birth {
    /// The instant.
    pub at: Timestamp,
    /// Since when the clock says that it lies ahead.
    pub doubted: Option<Timestamp>,
}

impl Birth {
    pub(crate) fn at(at: Timestamp) -> Self {
        Self { at, doubted: None }
    }

    /// Follows a clock that says `now`; slots are accounted for until `accounted`.
    pub(crate) fn follow(&mut self, now: Timestamp, accounted: Timestamp) {
        if now >= self.at {
            self.doubted = None;
            return;
        }
        let since = match self.doubted {
            Some(since) => since.min(now),
            None if between(self.at, accounted) >= DOUBT => now,
            None => return *self = Self::at(now),
        };
        if between(since, now) >= DOUBT {
            *self = Self::at(now);
        } else {
            self.doubted = Some(since);
        }
    }
}

/// A slot whose run is due and hasn't started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// The slot.
    pub slot: Slot,
    /// When it starts if nothing holds it up.
    pub not_before: Timestamp,
    /// Whether its time passed while no one looked.
    pub is_late: bool,
    /// What it waited for when it was last looked at.
    pub waits: Option<Wait>,
}

/// Which slots have fired: stretches of a schedule in which each slot has.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FiredSlots {
    /// Sorted, and apart.
    pub spans: Vec<FiredSpan>,
    /// Older spans are forgotten; no slot up to here fires again.
    pub floor: Option<Slot>,
    /// Counts changes of the schedule.
    pub generation: u32,
}

/// A stretch in which each slot of a schedule has fired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FiredSpan {
    /// The first slot.
    pub first: Slot,
    /// The last slot.
    pub last: Slot,
    /// Which schedule it was.
    pub generation: u32,
}

/// What is known of a slot in a time that is lived through again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// It hasn't fired.
    NotFired,
    /// It has.
    Fired,
    /// It lies among slots that fired, but of another schedule.
    Perhaps,
}

impl FiredSlots {
    pub(crate) fn of(&self, slot: Slot) -> Known {
        if self.floor.is_some_and(|floor| slot <= floor) {
            return Known::Perhaps;
        }
        let after = self.spans.partition_point(|span| span.first <= slot);
        // Spans of two schedules may overlap, so that it isn't always the nearest.
        let mut known = Known::NotFired;
        for span in self.spans[..after].iter().filter(|span| slot <= span.last) {
            if span.generation == self.generation || slot == span.first || slot == span.last {
                return Known::Fired;
            }
            known = Known::Perhaps;
        }
        known
    }

    /// The slots of a time that haven't fired, of a schedule that is the current one. Bounded by the spans that
    /// are remembered.
    pub(crate) fn others(
        &self,
        schedule: &Schedule,
        anchor: Timestamp,
        after: Timestamp,
        until: Timestamp,
    ) -> Option<SlotRange> {
        let mut from = after;
        let first = loop {
            let slot = schedule.next(from, anchor).filter(|slot| slot.instant() <= until)?;
            match self.span_of(slot) {
                Some(span) => from = span.last.instant(),
                None => break slot,
            }
        };
        let mut to = until;
        let last = loop {
            let slot = schedule.newest(to, anchor)?;
            match self.span_of(slot) {
                Some(span) => to = earlier(span.first.instant(), SECOND),
                None => break slot,
            }
        };
        let (after, until) = (earlier(first.instant(), SECOND), last.instant());
        let mut count = schedule.count(after, until, anchor);
        for span in self.spans.iter().filter(|span| after < span.last.instant() && span.first <= last) {
            let known = if span.generation == self.generation {
                let (from, to) =
                    (earlier(span.first.instant(), SECOND).max(after), span.last.instant().min(until));
                schedule.count(from, to, anchor).slots
            } else {
                // Of another schedule's stretch, only the ends are known to have fired.
                let ends: BTreeSet<Slot> = [span.first, span.last].into();
                let is_slot =
                    |end: &&Slot| schedule.next(earlier(end.instant(), SECOND), anchor) == Some(**end);
                let inside = |end: &&Slot| after < end.instant() && end.instant() <= until;
                u64::try_from(ends.iter().filter(inside).filter(is_slot).count()).unwrap_or(0)
            };
            count.slots = count.slots.saturating_sub(known);
        }
        Some(SlotRange { first, last, count: count.slots, is_exact: count.is_exact })
    }

    /// The stretch with which a slot has fired.
    fn span_of(&self, slot: Slot) -> Option<FiredSpan> {
        let has = |span: &&FiredSpan| {
            let is_inside = span.generation == self.generation && span.first <= slot && slot <= span.last;
            is_inside || slot == span.first || slot == span.last
        };
        let span = self.spans.iter().find(has)?;
        // Of another schedule's stretch, nothing between the ends is known.
        let is_current = span.generation == self.generation;
        Some(if is_current { *span } else { FiredSpan { first: slot, last: slot, ..*span } })
    }

    /// Adds a slot. `before` is the schedule's slot before it, for a schedule whose slots are always the same.
    pub(crate) fn add(&mut self, slot: Slot, before: Option<Slot>) {
        let generation = self.generation;
        let joins = |span: &&mut FiredSpan| span.generation == generation && Some(span.last) == before;
        if let Some(span) = self.spans.iter_mut().find(joins) {
            span.last = slot;
        } else {
            let at = self.spans.partition_point(|span| span.first <= slot);
            self.spans.insert(at, FiredSpan { first: slot, last: slot, generation });
        }
        if self.spans.len() > SPANS_MAX {
            let forgotten = self.spans.remove(0);
            self.floor = self.floor.max(Some(forgotten.last));
        }
    }
}

/// A run that isn't over: it waits, works, or is to be tried again. A run whose program is gone is over once it counts as
/// lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenRun {
    /// Which one.
    pub run: RunId,
    /// The slot that it is for; `None` for a run that a person or a program asked for.
    pub of: Option<Slot>,
}
