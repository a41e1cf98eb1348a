//! What should come of a history, worked out from what happened and not from what the server believes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::MINUTE;

/// A stretch of time on the wall; `until` is its first instant afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub from: Timestamp,
    pub until: Timestamp,
}

impl Span {
    pub fn has(&self, at: Timestamp) -> bool {
        self.from <= at && at < self.until
    }

    /// Whether it has any instant of a stretch that ends with its last instant.
    pub fn touches(&self, from: Timestamp, last: Timestamp) -> bool {
        self.from <= last && from < self.until
    }
}

/// A plan as a bystander sees it.
#[derive(Debug, Clone)]
pub struct Watched {
    pub born: Timestamp,
    pub within: Duration,
    /// When good runs began.
    pub good: Vec<Timestamp>,
    /// Until when a run of it shows that it works; without end while it says so itself.
    pub works_until: Option<Timestamp>,
    /// Pauses that a person has asked for. One that lasts until a person ends it has no end yet.
    pub asked: Vec<Span>,
    /// A pause that the file says.
    pub configured: Option<Span>,
}

impl Watched {
    pub fn pauses(&self) -> impl Iterator<Item = &Span> {
        self.asked.iter().chain(&self.configured)
    }

    /// A person pauses it, or gives its pause another end.
    pub fn pause(&mut self, now: Timestamp, until: Timestamp) {
        match self.asked.last_mut().filter(|pause| pause.has(now)) {
            Some(pause) => pause.until = until,
            None => self.asked.push(Span { from: now, until }),
        }
    }

    /// A person lets it go on.
    pub fn resume(&mut self, now: Timestamp) {
        if let Some(pause) = self.asked.last_mut().filter(|pause| pause.has(now)) {
            pause.until = now;
        }
    }

    /// Since when its age counts: its newest good run, its birth, or the end of its last pause. What comes from the future
    /// doesn't count.
    fn base(&self, now: Timestamp) -> Timestamp {
        let past = |at: &Timestamp| *at <= now;
        let good = self.good.iter().copied().filter(past).max();
        let resumed = self.pauses().map(|pause| pause.until).filter(past).max();
        good.unwrap_or(self.born.min(now)).max(resumed.unwrap_or(Timestamp::MIN))
    }

    fn works(&self, now: Timestamp) -> bool {
        self.works_until.is_some_and(|until| now < until)
    }

    /// Whether its promise is broken, it isn't paused, and no run works to change that in time.
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        let patience = if self.works(now) { self.within * 2 } else { self.within };
        let is_paused = self.pauses().any(|pause| pause.has(now));
        !is_paused && now > self.base(now) + patience
    }

    /// Instants at which that may become another.
    fn turns(&self, now: Timestamp) -> impl Iterator<Item = Timestamp> {
        let base = self.base(now);
        let pauses = self.pauses().flat_map(|pause| [pause.from, pause.until]);
        [base + self.within, base + self.within * 2].into_iter().chain(self.works_until).chain(pauses)
    }
}

/// All plans, and which of them were called overdue.
#[derive(Debug, Default)]
pub struct Bystander {
    pub plans: BTreeMap<String, Watched>,
    open: BTreeSet<String>,
    pub opened: BTreeMap<String, u64>,
    pub resolved: BTreeMap<String, u64>,
}

impl Bystander {
    pub fn plan(&mut self, name: &str) -> &mut Watched {
        self.plans.get_mut(name).expect("it is watched")
    }

    fn overdue(&self, now: Timestamp) -> BTreeSet<String> {
        let overdue = self.plans.iter().filter(|(_, plan)| plan.is_overdue(now));
        overdue.map(|(name, _)| name.clone()).collect()
    }

    /// Whether there is anything new for one that looks now.
    pub fn has_news(&self, now: Timestamp) -> bool {
        self.plans.iter().any(|(name, plan)| plan.is_overdue(now) != self.open.contains(name))
    }

    /// Looks at all plans, and says which are overdue.
    pub fn look(&mut self, now: Timestamp) -> &BTreeSet<String> {
        let overdue = self.overdue(now);
        for name in overdue.difference(&self.open) {
            *self.opened.entry(name.clone()).or_default() += 1;
        }
        for name in self.open.difference(&overdue) {
            *self.resolved.entry(name.clone()).or_default() += 1;
        }
        self.open = overdue;
        &self.open
    }

    /// The first instant after now at which a plan may become overdue, or not any more.
    pub fn next_turn(&self, now: Timestamp) -> Option<Timestamp> {
        self.plans.values().flat_map(|plan| plan.turns(now)).filter(|at| *at > now).min()
    }
}

/// How long it is told that the clock was set.
const CLOCK_IS_NEWS_FOR: Duration = Duration::from_secs(600);

/// Whether the server should say that the clock was set.
#[derive(Debug, Default)]
pub struct ClockNews {
    since: Option<Timestamp>,
    /// How far from the truth the clock was at the last look.
    known: jiff::SignedDuration,
    pub opened: u64,
    pub resolved: u64,
}

impl ClockNews {
    /// The server starts: it knows of nothing that was before.
    pub fn start(&mut self, wrong_by: jiff::SignedDuration) {
        self.resolved += u64::from(self.since.take().is_some());
        self.known = wrong_by;
    }

    /// The server looks.
    pub fn look(&mut self, wrong_by: jiff::SignedDuration, now: Timestamp) {
        let by = (wrong_by - self.known).unsigned_abs();
        self.known = wrong_by;
        if by > MINUTE {
            self.opened += u64::from(self.since.replace(now).is_none());
        } else if self
            .since
            .is_some_and(|since| now.duration_since(since).unsigned_abs() >= CLOCK_IS_NEWS_FOR)
        {
            self.since = None;
            self.resolved += 1;
        }
    }
}
