//! What a plan says about when it runs.

use std::time::Duration;

use jiff::Timestamp;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::condition::Condition;
use crate::names::PlanName;
use crate::schedule::Schedule;
use crate::slot::Slot;
use crate::span::{between, earlier, later};
use crate::zone::Zone;

/// How late a run may be and still count as on time: two looks of the scheduler.
pub const ON_TIME: Duration = Duration::from_secs(60);

/// What becomes of a slot whose time passed without a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CatchUp {
    /// The newest one starts later, if its deadline allows; older ones are missed.
    Once,
    /// It is skipped.
    Never,
}

/// What becomes of a slot while the plan's last run isn't over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// It is skipped.
    Skip,
    /// It waits. Of several, the newest waits, and older ones are skipped.
    QueueOne,
}

/// Whether the plan's host is expected to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Always: a slot that passes because the host is away is missed.
    Always,
    /// When it is online: a slot that passes because the host is away is skipped.
    Online,
}

/// A number that spreads the starts of plans. A server draws it once and keeps it, so that a plan's jitter is the
/// same after each start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JitterSeed(pub u64);

/// What a plan says about when it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanSchedule {
    /// The plan.
    pub plan: PlanName,
    /// When it promises to run.
    pub schedule: Schedule,
    /// Whose clock its conditions mean.
    pub zone: Zone,
    /// Within how long after the slot the run starts, at a moment that depends on plan and slot. Capped by the next
    /// slot and by the deadline, so that no slot overtakes another.
    pub jitter: Duration,
    /// What the jitter is drawn from.
    pub seed: JitterSeed,
    /// How long after the slot the run may start; `None` until the next slot.
    pub deadline: Option<Duration>,
    /// What becomes of a slot whose time passed.
    pub catch_up: CatchUp,
    /// What becomes of a slot while the last run isn't over.
    pub overlap: Overlap,
    /// Whether the host is expected to be there.
    pub when: When,
    /// What has to hold.
    pub conditions: Vec<Condition>,
}

impl PlanSchedule {
    /// A plan that runs by the calendar: no jitter, no deadline, catching up once, skipping on overlap, always
    /// online, without conditions.
    pub fn new(plan: PlanName, schedule: Schedule, zone: Zone) -> Self {
        Self {
            plan,
            schedule,
            zone,
            jitter: Duration::ZERO,
            seed: JitterSeed(0),
            deadline: None,
            catch_up: CatchUp::Once,
            overlap: Overlap::Skip,
            when: When::Always,
            conditions: Vec::new(),
        }
    }

    /// The instant after which a slot may not start any more.
    pub fn start_by(&self, slot: Slot) -> Option<Timestamp> {
        self.deadline.map(|deadline| later(slot.instant(), deadline))
    }

    /// When the run of a slot starts if nothing holds it up. `next` is the slot after it.
    pub fn due(&self, slot: Slot, next: Option<Slot>) -> Timestamp {
        let gap = next.map_or(Duration::MAX, |next| between(slot.instant(), next.instant()));
        let most = self.jitter.min(gap).min(self.deadline.unwrap_or(Duration::MAX));
        later(slot.instant(), self.spread(slot, most))
    }

    /// When a slot that passed while no one looked starts: spread after waking up, because all plans of a host wake up at
    /// the same moment.
    pub(crate) fn due_after_waking(&self, slot: Slot, awake_since: Timestamp) -> Timestamp {
        let left = self.start_by(slot).map_or(Duration::MAX, |start_by| between(awake_since, start_by));
        later(awake_since, self.spread(slot, self.jitter.min(left)))
    }

    /// A length of time below `most`, in whole seconds, that depends on the plan, the slot and the seed.
    fn spread(&self, slot: Slot, most: Duration) -> Duration {
        let mut text = self.plan.as_str().as_bytes().to_vec();
        text.extend_from_slice(&slot.instant().as_second().to_le_bytes());
        let drawn = xxh3_64_with_seed(&text, self.seed.0);
        Duration::from_secs(drawn.checked_rem(most.as_secs()).unwrap_or(0))
    }

    /// Whether a slot's time has passed at an instant, so that its run would be late.
    pub(crate) fn is_late(&self, due: Timestamp, now: Timestamp) -> bool {
        earlier(now, ON_TIME) > due
    }
}

#[cfg(test)]
mod tests {
    use super::{JitterSeed, PlanSchedule};
    use crate::schedule::Schedule;
    use crate::slot::Slot;
    use crate::span::between;
    use crate::zone::Zone;
    use jiff::Timestamp;
    use std::collections::BTreeSet;
    use std::time::Duration;

    fn plan(name: &str, seed: u64) -> PlanSchedule {
        let schedule = Schedule::calendar("0 * * * *".parse().expect("an expression"), Zone::utc());
        let plan = PlanSchedule::new(name.into(), schedule, Zone::utc());
        PlanSchedule { jitter: Duration::from_secs(900), seed: JitterSeed(seed), ..plan }
    }

    fn delay(plan: &PlanSchedule, at: i64) -> u64 {
        let slot = Slot::at(Timestamp::from_second(at).expect("an instant"));
        between(slot.instant(), plan.due(slot, None)).as_secs()
    }

    #[test]
    fn jitter_is_the_same_for_a_plan_and_a_slot_and_differs_between_them() {
        assert_eq!(delay(&plan("a", 1), 3600), delay(&plan("a", 1), 3600));
        let delays: BTreeSet<u64> = (0..100).map(|hour| delay(&plan("a", 1), hour * 3600)).collect();
        assert!(delays.len() > 80 && delays.iter().all(|delay| *delay < 900), "{delays:?}");
        let of_plans: BTreeSet<u64> = (0..100).map(|name| delay(&plan(&name.to_string(), 1), 0)).collect();
        assert!(of_plans.len() > 80, "{of_plans:?}");
        assert_ne!(delay(&plan("a", 1), 0), delay(&plan("a", 2), 0));
    }

    #[test]
    fn jitter_ends_before_the_next_slot_and_the_deadline() {
        let long = PlanSchedule { jitter: Duration::from_secs(86_400), ..plan("a", 1) };
        let slot = |at| Slot::at(Timestamp::from_second(at).expect("an instant"));
        for at in (0..100).map(|hour| hour * 3600) {
            assert!(long.due(slot(at), Some(slot(at + 3600))) < slot(at + 3600).instant());
            let hurried = PlanSchedule { deadline: Some(Duration::from_secs(60)), ..long.clone() };
            assert!(hurried.due(slot(at), None) < slot(at + 60).instant());
        }
    }
}
