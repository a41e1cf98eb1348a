//! What a plan owes, what its newest good snapshot shows, and since when it is overdue.
//!
//! This is computed from slots and snapshots, never from runs: a plan whose runs never happen has no failed run.

use std::time::Duration;

use jiff::Timestamp;

use crate::condition::unmet_by_calendar;
use crate::plan::PlanSchedule;
use crate::schedule::Schedule;
use crate::slot::Slot;
use crate::span::{between, later};
use crate::state::Pause;

const DAY: Duration = Duration::from_secs(86_400);

/// Time in which the longest gap is looked for: with each change of the clock, and all holidays.
const HORIZON: Duration = Duration::from_secs(400 * 86_400);

/// The same for a plan with few slots: with a leap year.
const HORIZON_OF_FEW: Duration = Duration::from_secs(1500 * 86_400);
const FEW: usize = 5000;

/// Slots that are looked at: one for each minute of the horizon.
const SLOTS_MAX: usize = 600_000;

/// What a promise adds to the longest gap of a plan without a deadline: a quarter of the gap, within these bounds.
/// In this time the run starts and ends.
const SLACK_MIN: Duration = Duration::from_secs(3600);
const SLACK_MAX: Duration = DAY;

/// The longest time between two slots that a plan promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LongestGap {
    /// How long it is.
    pub length: Duration,
    /// The slot before it.
    pub since: Slot,
}

/// The longest time between two promised slots after an instant: those that the plan's calendar conditions skip aren't
/// promised. `None` if fewer than two come.
pub fn longest_gap(plan: &PlanSchedule, from: Timestamp) -> Option<LongestGap> {
    if let Schedule::Elapsed { every } = &plan.schedule
        && plan.conditions.is_empty()
    {
        return Some(LongestGap { length: every.length(), since: Slot::at(from) });
    }
    let is_promised = |slot: &Slot| unmet_by_calendar(&plan.conditions, &plan.zone, slot.instant()).is_none();
    let slots =
        || plan.schedule.slots(from, from).map(|planned| planned.slot).take(SLOTS_MAX).filter(is_promised);
    let (near, far) = (later(from, HORIZON), later(from, HORIZON_OF_FEW));
    let within = slots()
        .enumerate()
        .take_while(|(at, slot)| slot.instant() <= near || (*at < FEW && slot.instant() <= far));
    let gaps = |slots: &[Slot]| {
        let gap = |pair: &[Slot]| LongestGap {
            length: between(pair[0].instant(), pair[1].instant()),
            since: pair[0],
        };
        // The first of the longest.
        slots.windows(2).map(gap).reduce(|best, gap| if gap.length > best.length { gap } else { best })
    };
    let within: Vec<Slot> = within.map(|(_, slot)| slot).collect();
    // Slots that are years apart.
    gaps(&within).or_else(|| gaps(&slots().take(12).collect::<Vec<_>>()))
}

/// What a plan owes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promise {
    /// No newest good snapshot is older than this: it is as old as the start of its run.
    pub within: Duration,
    /// For hosts that aren't always online: how old it is before someone is told. Less than `within` is `within`.
    pub alert_after: Option<Duration>,
}

impl Promise {
    /// The plan's own promise, or else the longest gap between its slots and its deadline. A plan without a deadline gets a
    /// quarter of the gap instead, at least an hour and at most a day. `None` if the plan says nothing and
    /// never runs twice.
    pub fn of(
        plan: &PlanSchedule,
        rpo: Option<Duration>,
        alert_after: Option<Duration>,
        from: Timestamp,
    ) -> Option<Self> {
        let by_default = || {
            let gap = longest_gap(plan, from)?.length;
            let slack = (gap / 4).clamp(SLACK_MIN, SLACK_MAX);
            Some(gap.saturating_add(plan.deadline.unwrap_or(slack)))
        };
        Some(Self { within: rpo.or_else(by_default)?, alert_after })
    }
}

/// What there is to show for a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// Since when the plan exists.
    pub born: Timestamp,
    /// When the run of the newest good snapshot began; snapshots of the future prove nothing: see [`achieved`].
    pub achieved: Option<Timestamp>,
    /// Since when a run of the plan works, if one does.
    pub running_since: Option<Timestamp>,
    /// The pause that the plan is in.
    pub pause: Option<Pause>,
    /// When its last pause ended.
    pub resumed: Option<Timestamp>,
}

/// The newest of some instants that isn't later than now. A snapshot that was made while the clock was ahead would
/// otherwise keep a promise for as long as the clock was wrong.
pub fn achieved(snapshots: impl IntoIterator<Item = Timestamp>, now: Timestamp) -> Option<Timestamp> {
    snapshots.into_iter().filter(|at| *at <= now).max()
}

/// How a plan stands to its promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It keeps it.
    Kept {
        /// Until when the newest good snapshot is enough.
        until: Timestamp,
    },
    /// The newest good snapshot is too old, but a run works to change that. It has as long again as was promised.
    Running {
        /// Since when the snapshot is too old.
        since: Timestamp,
    },
    /// It breaks it.
    Overdue {
        /// Since when.
        since: Timestamp,
        /// Whether someone should be told.
        alerts: bool,
    },
    /// It is paused and owes nothing. After the pause, it has as long again as it promised.
    Paused {
        /// Since when.
        since: Timestamp,
    },
}

/// How a plan stands to its promise now.
pub fn standing(promise: &Promise, proof: &Proof, now: Timestamp) -> Standing {
    if let Some(pause) = proof.pause {
        return Standing::Paused { since: pause.since };
    }
    // A resumption in the future was before the clock was set back.
    let resumed = proof.resumed.map(|resumed| resumed.min(now));
    let proven = proof.achieved.unwrap_or(proof.born).min(now);
    let base = resumed.map_or(proven, |resumed| resumed.max(proven));
    let until = later(base, promise.within);
    if now <= until {
        return Standing::Kept { until };
    }
    if proof.running_since.is_some() && now <= later(until, promise.within) {
        return Standing::Running { since: until };
    }
    let patience = promise.alert_after.map_or(promise.within, |after| after.max(promise.within));
    Standing::Overdue { since: until, alerts: now > later(base, patience) }
}

#[cfg(test)]
mod tests {
    use super::{Promise, Proof, Standing, achieved, longest_gap, standing};
    use crate::condition::Condition;
    use crate::plan::PlanSchedule;
    use crate::schedule::Schedule;
    use crate::state::Pause;
    use crate::zone::Zone;
    use jiff::Timestamp;
    use jiff::tz::TimeZoneDatabase;
    use std::time::Duration;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(text: &str) -> Timestamp {
        text.parse().expect("an instant")
    }

    fn plan(cron: &str) -> PlanSchedule {
        let zone = Zone::named("Europe/Paris", &TimeZoneDatabase::bundled()).expect("it is there");
        let schedule = Schedule::calendar(cron.parse().expect("an expression"), zone.clone());
        PlanSchedule::new("a".into(), schedule, zone)
    }

    fn gap_hours(plan: &PlanSchedule) -> Option<u64> {
        longest_gap(plan, at("2026-11-01T00:00:00Z")).map(|gap| gap.length.as_secs() / 3600)
    }

    #[test]
    fn the_longest_gap_counts_changes_of_the_clock_and_conditions() {
        assert_eq!(gap_hours(&plan("30 1 * * *")), Some(25), "the day on which the clock goes back");
        assert_eq!(gap_hours(&plan("0 */2 * * *")), Some(3));
        assert_eq!(gap_hours(&plan("30 * * * *")), Some(1));
        assert_eq!(gap_hours(&plan("0 4 * * 6")), Some(7 * 24 + 1));
        assert_eq!(gap_hours(&plan("0 0 1 1 *")), Some(366 * 24));
        assert_eq!(gap_hours(&plan("0 0 29 2 *")), Some(4 * 366 * 24 - 3 * 24));
        assert_eq!(gap_hours(&plan("0 0 30 2 *")), None);
        let workdays = Condition::Workdays { except: Vec::new() };
        let on_workdays = PlanSchedule { conditions: vec![workdays], ..plan("30 1 * * *") };
        assert_eq!(gap_hours(&on_workdays), Some(73), "a weekend is no broken promise");
        let elapsed =
            PlanSchedule { schedule: Schedule::elapsed(20 * HOUR).expect("a length"), ..plan("30 1 * * *") };
        assert_eq!(gap_hours(&elapsed), Some(20));
    }

    #[test]
    fn a_promise_is_the_gap_and_the_deadline_unless_the_plan_says_it() {
        let from = at("2026-11-01T00:00:00Z");
        let within =
            |plan: &PlanSchedule, rpo| Promise::of(plan, rpo, None, from).map(|promise| promise.within);
        let nightly = PlanSchedule { deadline: Some(6 * HOUR), ..plan("30 1 * * *") };
        assert_eq!(within(&nightly, None), Some(31 * HOUR));
        assert_eq!(within(&nightly, Some(26 * HOUR)), Some(26 * HOUR));
        assert_eq!(within(&plan("30 1 * * *"), None), Some(25 * HOUR + 25 * HOUR / 4));
        assert_eq!(within(&plan("30 * * * *"), None), Some(2 * HOUR));
        assert_eq!(within(&plan("0 0 30 2 *"), None), None);
    }

    fn proof(achieved: Option<&str>) -> Proof {
        Proof {
            born: at("2026-11-01T00:00:00Z"),
            achieved: achieved.map(at),
            running_since: None,
            pause: None,
            resumed: None,
        }
    }

    const DAILY: Promise = Promise { within: Duration::from_secs(26 * 3600), alert_after: None };

    #[test]
    fn a_plan_that_never_ran_is_overdue_from_its_birth_on() {
        let until = at("2026-11-02T02:00:00Z");
        assert_eq!(standing(&DAILY, &proof(None), until), Standing::Kept { until });
        let overdue = Standing::Overdue { since: until, alerts: true };
        assert_eq!(standing(&DAILY, &proof(None), at("2026-11-02T02:00:01Z")), overdue);
    }

    #[test]
    fn a_host_that_is_rarely_online_is_overdue_and_quiet_at_first() {
        let promise = Promise { alert_after: Some(7 * 24 * HOUR), ..DAILY };
        let since = at("2026-11-11T02:00:00Z");
        let of = |now| standing(&promise, &proof(Some("2026-11-10T00:00:00Z")), at(now));
        assert_eq!(of("2026-11-11T01:59:59Z"), Standing::Kept { until: since });
        assert_eq!(of("2026-11-17T00:00:00Z"), Standing::Overdue { since, alerts: false });
        assert_eq!(of("2026-11-17T00:00:01Z"), Standing::Overdue { since, alerts: true });
    }

    #[test]
    fn a_run_that_works_is_given_time_but_not_for_ever() {
        let proof =
            Proof { running_since: Some(at("2026-11-11T01:30:00Z")), ..proof(Some("2026-11-10T00:00:00Z")) };
        let since = at("2026-11-11T02:00:00Z");
        assert_eq!(standing(&DAILY, &proof, at("2026-11-11T05:00:00Z")), Standing::Running { since });
        let overdue = Standing::Overdue { since, alerts: true };
        assert_eq!(standing(&DAILY, &proof, at("2026-11-12T05:00:00Z")), overdue);
    }

    #[test]
    fn a_pause_owes_nothing_and_a_resumed_plan_has_its_time_again() {
        let pause = Pause { since: at("2026-11-11T00:00:00Z"), until: None };
        let paused = Proof { pause: Some(pause), ..proof(Some("2026-11-10T00:00:00Z")) };
        let now = at("2026-11-20T00:00:00Z");
        assert_eq!(standing(&DAILY, &paused, now), Standing::Paused { since: pause.since });
        let resumed = Proof { resumed: Some(now), ..proof(Some("2026-11-10T00:00:00Z")) };
        assert_eq!(standing(&DAILY, &resumed, now), Standing::Kept { until: at("2026-11-21T02:00:00Z") });
    }

    #[test]
    fn a_snapshot_of_the_future_proves_nothing() {
        let now = at("2026-11-20T00:00:00Z");
        let found = achieved(
            [at("2027-11-20T00:00:00Z"), at("2026-11-19T00:00:00Z"), at("2026-11-18T00:00:00Z")],
            now,
        );
        assert_eq!(found, Some(at("2026-11-19T00:00:00Z")));
    }
}
