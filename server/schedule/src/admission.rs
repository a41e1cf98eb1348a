//! Which of the runs that wait may start now, and why each of the others may not.
//!
//! The run whose slot is oldest comes first. A run that can't start doesn't hold up those behind it, as far as
//! they need other repositories and hosts: but the first in line for a full repository keeps its seat on its host, and the other
//! way round, or it could be overtaken for ever.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroU32;

use jiff::Timestamp;

use crate::names::{HostName, PlanName, RepositoryName, RunId};

/// How many runs may work at once. `None` is no limit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limits {
    /// In all.
    pub total: Option<NonZeroU32>,
    /// On each repository.
    pub per_repository: Option<NonZeroU32>,
    /// On each host.
    pub per_host: Option<NonZeroU32>,
    /// On certain repositories, instead of `per_repository`.
    pub repositories: BTreeMap<RepositoryName, NonZeroU32>,
    /// On certain hosts, instead of `per_host`.
    pub hosts: BTreeMap<HostName, NonZeroU32>,
}

impl Limits {
    fn of_repository(&self, name: &RepositoryName) -> Option<NonZeroU32> {
        self.repositories.get(name).copied().or(self.per_repository)
    }

    fn of_host(&self, name: &HostName) -> Option<NonZeroU32> {
        self.hosts.get(name).copied().or(self.per_host)
    }
}

/// What a run needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// Which run.
    pub run: RunId,
    /// Its plan, of which one run works at a time; `None` for work without a plan.
    pub plan: Option<PlanName>,
    /// Repositories that it works on.
    pub repositories: BTreeSet<RepositoryName>,
    /// The host on which it works.
    pub host: HostName,
}

/// A run that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingRun {
    /// What it needs.
    pub needs: Needs,
    /// The slot that it is for, or when it was asked for.
    pub slot: Timestamp,
    /// Its number in the order in which runs were recorded, which decides between runs of one slot.
    pub sequence: u64,
    /// The instant after which it may not start any more.
    pub start_by: Option<Timestamp>,
}

/// Why a run may not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Busy {
    /// As many runs work as may.
    Total {
        /// The limit.
        limit: NonZeroU32,
    },
    /// As many runs work on the repository as may.
    Repository {
        /// Which one.
        name: RepositoryName,
        /// The limit.
        limit: NonZeroU32,
    },
    /// As many runs work on the host as may.
    Host {
        /// Which one.
        name: HostName,
        /// The limit.
        limit: NonZeroU32,
    },
    /// Another run of the plan works.
    Plan {
        /// That run.
        run: RunId,
    },
    /// What is free is kept for a run that waits for longer.
    Kept {
        /// That run.
        run: RunId,
    },
}

impl Busy {
    /// A stable name for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Total { .. } => "busy.total",
            Self::Repository { .. } => "busy.repository",
            Self::Host { .. } => "busy.host",
            Self::Plan { .. } => "busy.plan",
            Self::Kept { .. } => "busy.kept",
        }
    }
}

impl fmt::Display for Busy {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = |limit: &NonZeroU32| if limit.get() == 1 { "run" } else { "runs" };
        match self {
            Self::Total { limit } => write!(to, "{limit} {} may work at once, and all do", runs(limit)),
            Self::Repository { name, limit } => {
                write!(to, "{limit} {} may work on repository {name} at once, and all do", runs(limit))
            }
            Self::Host { name, limit } => {
                write!(to, "{limit} {} may work on host {name} at once, and all do", runs(limit))
            }
            Self::Plan { run } => write!(to, "run {run} of the same plan is not over"),
            Self::Kept { run } => write!(to, "run {run} has waited for longer and comes first"),
        }
    }
}

/// Which runs may start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Admission {
    /// Runs that start now, in this order.
    pub start: Vec<RunId>,
    /// Runs that wait, in the order of the queue, and why.
    pub wait: Vec<(RunId, Busy)>,
    /// Runs that waited until they may not start any more, and why they waited.
    pub too_late: Vec<(RunId, Option<Busy>)>,
}

/// Decides which runs may start.
pub fn admit(limits: &Limits, working: &[Needs], waiting: &[WaitingRun], now: Timestamp) -> Admission {
    let mut seats = Seats::new(limits);
    working.iter().for_each(|needs| seats.take(needs));
    let mut queue: Vec<&WaitingRun> = waiting.iter().collect();
    queue.sort_by_key(|run| (run.slot, run.sequence));
    let mut admission = Admission::default();
    for WaitingRun { needs, start_by, .. } in queue {
        let busy = seats.busy(needs);
        let is_too_late = start_by.is_some_and(|start_by| start_by < now);
        match busy {
            busy if is_too_late => admission.too_late.push((needs.run.clone(), busy)),
            Some(busy) => {
                seats.keep(needs, &busy);
                admission.wait.push((needs.run.clone(), busy));
            }
            None => {
                seats.take(needs);
                admission.start.push(needs.run.clone());
            }
        }
    }
    admission
}

struct Seats<'a> {
    limits: &'a Limits,
    total: u32,
    repositories: BTreeMap<RepositoryName, Seat>,
    hosts: BTreeMap<HostName, Seat>,
    plans: BTreeMap<PlanName, RunId>,
}

#[derive(Default)]
struct Seat {
    taken: u32,
    /// Runs for which a seat is kept.
    kept_for: Vec<RunId>,
    /// Whether a run waits for this to become free, and is the first.
    has_first_in_line: bool,
}

impl Seat {
    fn is_full(&self, limit: Option<NonZeroU32>) -> bool {
        limit.is_some_and(|limit| self.taken >= limit.get())
    }

    /// For whom the last free seat is kept.
    fn keeper(&self, limit: Option<NonZeroU32>) -> Option<&RunId> {
        let kept = u32::try_from(self.kept_for.len()).unwrap_or(u32::MAX);
        self.kept_for
            .last()
            .filter(|_| limit.is_some_and(|limit| self.taken.saturating_add(kept) >= limit.get()))
    }
}

impl<'a> Seats<'a> {
    fn new(limits: &'a Limits) -> Self {
        Self {
            limits,
            total: 0,
            repositories: BTreeMap::new(),
            hosts: BTreeMap::new(),
            plans: BTreeMap::new(),
        }
    }

    fn take(&mut self, needs: &Needs) {
        self.total = self.total.saturating_add(1);
        for name in &needs.repositories {
            self.repositories.entry(name.clone()).or_default().taken += 1;
        }
        self.hosts.entry(needs.host.clone()).or_default().taken += 1;
        if let Some(plan) = &needs.plan {
            self.plans.insert(plan.clone(), needs.run.clone());
        }
    }

    fn busy(&mut self, needs: &Needs) -> Option<Busy> {
        if let Some(run) = needs.plan.as_ref().and_then(|plan| self.plans.get(plan)) {
            return Some(Busy::Plan { run: run.clone() });
        }
        let host_limit = self.limits.of_host(&needs.host);
        let host = self.hosts.entry(needs.host.clone()).or_default();
        if let Some(limit) = host_limit.filter(|_| host.is_full(host_limit)) {
            return Some(Busy::Host { name: needs.host.clone(), limit });
        }
        let mut keeper = host.keeper(host_limit).cloned();
        for name in &needs.repositories {
            let limit = self.limits.of_repository(name);
            let seat = self.repositories.entry(name.clone()).or_default();
            if let Some(limit) = limit.filter(|_| seat.is_full(limit)) {
                return Some(Busy::Repository { name: name.clone(), limit });
            }
            keeper = keeper.or_else(|| seat.keeper(limit).cloned());
        }
        if let Some(run) = keeper {
            return Some(Busy::Kept { run });
        }
        let limit = self.limits.total?;
        (self.total >= limit.get()).then_some(Busy::Total { limit })
    }

    /// Keeps seats for a run that waits for one that isn't free, if it is the first in that line.
    fn keep(&mut self, needs: &Needs, busy: &Busy) {
        let full = match busy {
            Busy::Host { name, .. } => self.hosts.entry(name.clone()).or_default(),
            Busy::Repository { name, .. } => self.repositories.entry(name.clone()).or_default(),
            // The next free seat in all goes to the first in the queue anyway.
            Busy::Total { .. } | Busy::Plan { .. } | Busy::Kept { .. } => return,
        };
        if std::mem::replace(&mut full.has_first_in_line, true) {
            return;
        }
        let run = &needs.run;
        self.hosts.entry(needs.host.clone()).or_default().kept_for.push(run.clone());
        for name in &needs.repositories {
            self.repositories.entry(name.clone()).or_default().kept_for.push(run.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Admission, Busy, Limits, Needs, WaitingRun, admit};
    use jiff::Timestamp;
    use std::num::NonZeroU32;

    fn needs(run: &str, plan: &str, repository: &str, host: &str) -> Needs {
        Needs {
            run: run.into(),
            plan: Some(plan.into()),
            repositories: [repository.into()].into(),
            host: host.into(),
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("an instant")
    }

    fn waiting(run: &str, slot: i64, repository: &str, host: &str) -> WaitingRun {
        let sequence = run.bytes().map(u64::from).sum();
        WaitingRun { needs: needs(run, run, repository, host), slot: at(slot), sequence, start_by: None }
    }

    fn limits(total: u32, per_repository: u32, per_host: u32) -> Limits {
        Limits {
            total: NonZeroU32::new(total),
            per_repository: NonZeroU32::new(per_repository),
            per_host: NonZeroU32::new(per_host),
            ..Limits::default()
        }
    }

    fn started(admission: &Admission) -> Vec<&str> {
        admission.start.iter().map(super::RunId::as_str).collect()
    }

    fn why(admission: &Admission, run: &str) -> String {
        let found = admission.wait.iter().find(|(waits, _)| waits.as_str() == run);
        found.map_or_else(|| panic!("{run} doesn't wait"), |(_, busy)| format!("{}: {busy}", busy.code()))
    }

    #[test]
    fn the_oldest_slot_comes_first_and_the_others_say_why_they_wait() {
        let queue = [waiting("c", 30, "r", "h"), waiting("a", 10, "r", "h"), waiting("b", 20, "s", "i")];
        let admission = admit(&limits(2, 0, 0), &[], &queue, at(100));
        assert_eq!(started(&admission), ["a", "b"]);
        assert_eq!(why(&admission, "c"), "busy.total: 2 runs may work at once, and all do");
    }

    #[test]
    fn a_full_repository_holds_up_no_one_who_needs_another() {
        let queue = [waiting("a", 10, "r", "h"), waiting("b", 20, "r", "i"), waiting("c", 30, "s", "j")];
        let admission = admit(&limits(0, 1, 0), &[needs("w", "w", "r", "k")], &queue, at(100));
        assert_eq!(started(&admission), ["c"]);
        assert_eq!(
            why(&admission, "a"),
            "busy.repository: 1 run may work on repository r at once, and all do"
        );
    }

    #[test]
    fn limits_of_one_repository_and_one_host_go_before_the_general_ones() {
        let mut limits = limits(0, 1, 1);
        limits.repositories.insert("r".into(), NonZeroU32::new(2).expect("not 0"));
        limits.hosts.insert("h".into(), NonZeroU32::new(2).expect("not 0"));
        let queue = [waiting("a", 10, "r", "h"), waiting("b", 20, "r", "h"), waiting("c", 30, "r", "i")];
        let admission = admit(&limits, &[], &queue, at(100));
        assert_eq!(started(&admission), ["a", "b"]);
    }

    #[test]
    fn of_a_plan_one_run_works_at_a_time() {
        let mut again = waiting("b", 10, "r", "h");
        again.needs.plan = Some("p".into());
        let admission = admit(&limits(0, 0, 0), &[needs("w", "p", "r", "h")], &[again], at(100));
        assert_eq!(why(&admission, "b"), "busy.plan: run w of the same plan is not over");
    }

    /// "a" waits for host h and needs repository r. Younger runs on r must not overtake it each time that h
    /// becomes free.
    #[test]
    fn the_first_in_line_is_not_overtaken_for_ever() {
        let working = [needs("w", "w", "s", "h")];
        let queue = [waiting("a", 10, "r", "h"), waiting("b", 20, "r", "i")];
        let admission = admit(&limits(0, 1, 1), &working, &queue, at(100));
        assert_eq!(started(&admission), Vec::<&str>::new());
        assert_eq!(why(&admission, "b"), "busy.kept: run a has waited for longer and comes first");
        // With two seats, one is kept and one is free.
        let admission = admit(&limits(0, 2, 1), &working, &queue, at(100));
        assert_eq!(started(&admission), ["b"]);
        // Of two that wait for the host, the second keeps nothing.
        let queue = [waiting("a", 10, "r", "h"), waiting("b", 20, "t", "h"), waiting("c", 30, "t", "i")];
        assert_eq!(started(&admit(&limits(0, 1, 1), &working, &queue, at(100))), ["c"]);
    }

    #[test]
    fn a_run_past_its_time_does_not_start() {
        let late = WaitingRun { start_by: Some(at(99)), ..waiting("a", 10, "r", "h") };
        let in_time = WaitingRun { start_by: Some(at(100)), ..waiting("b", 20, "r", "h") };
        let admission = admit(&limits(1, 0, 0), &[], &[late, in_time], at(100));
        assert_eq!(admission.too_late, [("a".into(), None)]);
        assert_eq!(started(&admission), ["b"]);
    }

    #[test]
    fn the_same_queue_gives_the_same_answer() {
        let mut queue: Vec<_> = (0..50).map(|run| waiting(&format!("{run}"), 10, "r", "h")).collect();
        let first = admit(&limits(7, 5, 3), &[], &queue, at(100));
        queue.reverse();
        // Runs of one slot are ordered by their sequence.
        queue.sort_by_key(|run| run.sequence);
        assert_eq!(admit(&limits(7, 5, 3), &[], &queue, at(100)).start.len(), first.start.len());
        assert!(matches!(first.wait[0].1, Busy::Host { .. }));
    }
}
