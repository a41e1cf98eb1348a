//! What in the plans' schedules will surprise their authors.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use crate::condition::unmet_by_calendar;
use crate::names::{HostName, PlanName};
use crate::plan::PlanSchedule;
use crate::promise::longest_gap;
use crate::schedule::Schedule;
use crate::slot::{Note, PlannedSlot, Slot};
use crate::span::{between, earlier, in_words, later};

/// The time that is looked at: each yearly change of the clock is in it.
const HORIZON: Duration = Duration::from_secs(400 * 86_400);

/// Slots of a plan that are looked at for collisions: two years of a nightly plan, a day of one for each minute.
const SLOTS_COMPARED_MAX: usize = 1500;

/// Slots with notes that a lint names.
const EXAMPLES_MAX: usize = 8;

/// A plan to look at.
#[derive(Debug, Clone, Copy)]
pub struct LintedPlan<'a> {
    /// Its schedule.
    pub schedule: &'a PlanSchedule,
    /// Its host; `None` if it has several, or none that is known.
    pub host: Option<&'a HostName>,
    /// Its promise, if it says one itself.
    pub rpo: Option<Duration>,
}

/// Something that will surprise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lint {
    /// The cron expression matches no day.
    NeverFires {
        /// Whose.
        plan: PlanName,
    },
    /// The expression matches, but the plan's own conditions skip each slot.
    AlwaysSkipped {
        /// Whose.
        plan: PlanName,
    },
    /// Changes of the clock move, repeat or drop slots.
    ClockChanges {
        /// Whose.
        plan: PlanName,
        /// The first of them, with notes.
        examples: Vec<PlannedSlot>,
    },
    /// Plans of one host start at the same instant.
    Collision {
        /// Where.
        host: HostName,
        /// Which ones.
        plans: BTreeSet<PlanName>,
        /// The first time.
        first: Slot,
        /// How often within the time that was looked at.
        count: usize,
        /// Whether it only happens because a change of the clock moves a slot.
        by_clock_change: bool,
    },
    /// A promise that the schedule itself breaks.
    PromiseTooShort {
        /// Whose.
        plan: PlanName,
        /// What is promised.
        promised: Duration,
        /// The longest time between two slots.
        gap: Duration,
        /// The slot before that gap.
        since: Slot,
    },
    /// A jitter of at least the time between two slots, which is cut.
    JitterTooLong {
        /// Whose.
        plan: PlanName,
        /// What it says.
        jitter: Duration,
        /// What cuts it.
        cut_to: Duration,
    },
}

impl Lint {
    /// A stable name for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NeverFires { .. } => "never-fires",
            Self::AlwaysSkipped { .. } => "always-skipped",
            Self::ClockChanges { .. } => "clock-changes",
            Self::Collision { .. } => "collision",
            Self::PromiseTooShort { .. } => "promise-too-short",
            Self::JitterTooLong { .. } => "jitter-too-long",
        }
    }
}

impl fmt::Display for Lint {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverFires { plan } => {
                write!(to, "plan {plan} never runs: its cron expression matches no day")
            }
            Self::AlwaysSkipped { plan } => {
                write!(to, "plan {plan} never runs: its conditions skip each time of its cron expression")
            }
            Self::ClockChanges { plan, examples } => {
                write!(to, "changes of the clock affect plan {plan}")?;
                for (at, planned) in examples.iter().enumerate() {
                    let notes: Vec<String> = planned.notes.iter().map(Note::to_string).collect();
                    let sign = if at == 0 { ":" } else { ";" };
                    write!(to, "{sign} {}{} {}", planned.wall, planned.offset, notes.join(", "))?;
                }
                Ok(())
            }
            Self::Collision { host, plans, first, count, by_clock_change } => {
                let plans: Vec<&str> = plans.iter().map(PlanName::as_str).collect();
                let plans = plans.join(", ");
                write!(to, "plans {plans} start at once on host {host}, first at {first}, {count} times")?;
                if *by_clock_change {
                    write!(to, " and only because the clock changes")?;
                }
                write!(to, ": give them other times or a jitter")
            }
            Self::PromiseTooShort { plan, promised, gap, since } => {
                let (promised, gap) = (in_words(*promised), in_words(*gap));
                write!(
                    to,
                    "plan {plan} promises {promised}, but {gap} pass between its run at {since} and the next"
                )
            }
            Self::JitterTooLong { plan, jitter, cut_to } => {
                let (jitter, cut_to) = (in_words(*jitter), in_words(*cut_to));
                write!(
                    to,
                    "plan {plan} has a jitter of {jitter}, which is cut to {cut_to} by its deadline or next run"
                )
            }
        }
    }
}

/// Looks at plans, and at the time after an instant.
pub fn lint(plans: &[LintedPlan<'_>], from: Timestamp) -> Vec<Lint> {
    let mut found: Vec<Lint> = plans.iter().flat_map(|plan| lint_one(plan, from)).collect();
    found.extend(collisions(plans, from));
    found
}

fn lint_one(linted: &LintedPlan<'_>, from: Timestamp) -> Vec<Lint> {
    let plan = linted.schedule;
    let name = || plan.plan.clone();
    let Some(first) = plan.schedule.next(from, from) else { return vec![Lint::NeverFires { plan: name() }] };
    let mut found = Vec::new();
    let gap = longest_gap(plan, from);
    let runs_once = || promised(plan, from).next().is_some();
    if gap.is_none() && !runs_once() {
        return vec![Lint::AlwaysSkipped { plan: name() }];
    }
    let examples = clock_changes(&plan.schedule, from);
    if !examples.is_empty() {
        found.push(Lint::ClockChanges { plan: name(), examples });
    }
    // A promise by default is longer than the gap.
    if let (Some(gap), Some(promised)) = (gap, linted.rpo)
        && promised < gap.length
    {
        let (gap, since) = (gap.length, gap.since);
        found.push(Lint::PromiseTooShort { plan: name(), promised, gap, since });
    }
    let next = plan.schedule.next(first.instant(), from);
    let gap = next.map_or(Duration::MAX, |next| between(first.instant(), next.instant()));
    let cut_to = gap.min(plan.deadline.unwrap_or(Duration::MAX));
    if plan.jitter > cut_to {
        found.push(Lint::JitterTooLong { plan: name(), jitter: plan.jitter, cut_to });
    }
    found
}

/// Slots that the plan's calendar conditions let pass.
fn promised(plan: &PlanSchedule, from: Timestamp) -> impl Iterator<Item = PlannedSlot> {
    let until = later(from, HORIZON);
    let slots = plan.schedule.slots(from, from).take_while(move |planned| planned.slot.instant() <= until);
    slots.filter(|planned| unmet_by_calendar(&plan.conditions, &plan.zone, planned.slot.instant()).is_none())
}

/// Slots with notes: they stand around changes of the clock alone.
fn clock_changes(schedule: &Schedule, from: Timestamp) -> Vec<PlannedSlot> {
    let Schedule::Calendar { zone, .. } = schedule else { return Vec::new() };
    let until = later(from, HORIZON);
    let mut found: Vec<PlannedSlot> = Vec::new();
    let mut at = from;
    while let Some(change) = zone.stretch(at).end.filter(|change| *change <= until) {
        let around = Duration::from_secs(86_400);
        let slots =
            schedule.slots_between(earlier(change, around), later(change, around), from, SLOTS_COMPARED_MAX);
        let is_new = |planned: &PlannedSlot| found.last().is_none_or(|last| last.slot < planned.slot);
        let noted: Vec<_> =
            slots.into_iter().filter(|planned| !planned.notes.is_empty() && is_new(planned)).collect();
        found.extend(noted);
        at = change;
    }
    found.retain(|planned| planned.slot.instant() > from);
    found.truncate(EXAMPLES_MAX);
    found
}

/// Instants at which several plans of one host start. A jitter spreads them, so that such plans are left out.
fn collisions(plans: &[LintedPlan<'_>], from: Timestamp) -> Vec<Lint> {
    let mut by_host: BTreeMap<(&HostName, Slot), (BTreeSet<PlanName>, bool)> = BTreeMap::new();
    for linted in plans.iter().filter(|linted| linted.schedule.jitter.is_zero()) {
        let (Some(host), Schedule::Calendar { .. }) = (linted.host, &linted.schedule.schedule) else {
            continue;
        };
        for planned in promised(linted.schedule, from).take(SLOTS_COMPARED_MAX) {
            let (plans, moved) = by_host.entry((host, planned.slot)).or_default();
            plans.insert(linted.schedule.plan.clone());
            *moved |= planned.notes.iter().any(|note| matches!(note, Note::Moved { .. }));
        }
    }
    let mut found: BTreeMap<(&HostName, BTreeSet<PlanName>), (Slot, usize, bool)> = BTreeMap::new();
    for ((host, slot), (plans, moved)) in by_host {
        if plans.len() > 1 {
            let (_, count, only_moved) = found.entry((host, plans)).or_insert((slot, 0, true));
            *count += 1;
            *only_moved &= moved;
        }
    }
    let lint = |((host, plans), (first, count, by_clock_change)): ((&HostName, _), _)| Lint::Collision {
        host: host.clone(),
        plans,
        first,
        count,
        by_clock_change,
    };
    found.into_iter().map(lint).collect()
}

#[cfg(test)]
mod tests {
    use super::{Lint, LintedPlan, lint};
    use crate::condition::Condition;
    use crate::names::HostName;
    use crate::plan::PlanSchedule;
    use crate::schedule::Schedule;
    use crate::zone::Zone;
    use jiff::Timestamp;
    use jiff::tz::TimeZoneDatabase;
    use std::time::Duration;

    const HOUR: Duration = Duration::from_secs(3600);

    fn plan(name: &str, cron: &str) -> PlanSchedule {
        let zone = Zone::named("Europe/Paris", &TimeZoneDatabase::bundled()).expect("it is there");
        let schedule = Schedule::calendar(cron.parse().expect("an expression"), zone.clone());
        PlanSchedule::new(name.into(), schedule, zone)
    }

    fn lints(plans: &[&PlanSchedule], rpo: Option<Duration>) -> Vec<Lint> {
        let host = HostName::from("h");
        let linted: Vec<_> =
            plans.iter().map(|schedule| LintedPlan { schedule, host: Some(&host), rpo }).collect();
        lint(&linted, "2026-01-01T00:00:00Z".parse::<Timestamp>().expect("an instant"))
    }

    fn texts(plans: &[&PlanSchedule], rpo: Option<Duration>) -> Vec<String> {
        lints(plans, rpo).iter().map(|lint| format!("{}: {lint}", lint.code())).collect()
    }

    #[test]
    fn a_plan_without_surprises_has_no_lint() {
        assert_eq!(lints(&[&plan("a", "30 4 * * *"), &plan("b", "0 5 * * *")], None), []);
    }

    #[test]
    fn plans_that_never_run_are_named() {
        let never = plan("a", "0 0 30 2 *");
        assert_eq!(
            texts(&[&never], None),
            ["never-fires: plan a never runs: its cron expression matches no day"]
        );
        let window = Condition::Within(vec!["22:00-06:00".parse().expect("a window")]);
        let skipped = PlanSchedule { conditions: vec![window], ..plan("a", "0 21 * * *") };
        let text = "always-skipped: plan a never runs: its conditions skip each time of its cron expression";
        assert_eq!(texts(&[&skipped], None), [text]);
    }

    #[test]
    fn changes_of_the_clock_are_named_with_what_they_do() {
        let text = "clock-changes: changes of the clock affect plan a: 2026-03-29T03:00:00+02 the clock skips 02:30: this \
                    runs right after the gap instead; 2026-10-25T02:30:00+02 the clock shows this time twice: this runs \
                    the first time, and not again at 2026-10-25T01:30:00Z";
        assert_eq!(texts(&[&plan("a", "30 2 * * *")], None), [text]);
    }

    #[test]
    fn plans_of_one_host_that_start_at_once_are_named() {
        let text = "collision: plans a, b start at once on host h, first at 2026-01-01T03:00:00Z, 400 times: give them other \
                    times or a jitter";
        assert_eq!(texts(&[&plan("a", "0 4 * * *"), &plan("b", "0 4 * * *")], None), [text]);
        let jitter = PlanSchedule { jitter: HOUR, ..plan("b", "0 4 * * *") };
        assert_eq!(lints(&[&plan("a", "0 4 * * *"), &jitter], None), []);
    }

    #[test]
    fn plans_that_a_change_of_the_clock_brings_together_are_named() {
        let found = lints(&[&plan("a", "0 2 * * *"), &plan("b", "30 2 * * *")], None);
        let collisions: Vec<_> = found.iter().filter(|lint| lint.code() == "collision").collect();
        assert!(
            matches!(collisions.as_slice(), [Lint::Collision { count: 1, by_clock_change: true, .. }]),
            "{collisions:?}"
        );
    }

    #[test]
    fn a_promise_that_the_schedule_breaks_is_named() {
        let text = "promise-too-short: plan a promises 1 d, but 1 d 1 h pass between its run at 2026-10-24T02:30:00Z and \
                    the next";
        assert_eq!(texts(&[&plan("a", "30 4 * * *")], Some(24 * HOUR)), [text]);
        assert_eq!(lints(&[&plan("a", "30 4 * * *")], Some(25 * HOUR)), []);
    }

    #[test]
    fn a_jitter_that_is_cut_is_named() {
        let long = PlanSchedule { jitter: 2 * HOUR, ..plan("a", "30 * * * *") };
        assert!(lints(&[&long], None).iter().any(|lint| lint.code() == "jitter-too-long"));
    }
}
