//! How each plan stands to its promise.

use jiff::Timestamp;
use keepfast_config::config::{Config, Definition};
use keepfast_config::model::plan::Plan;
use keepfast_schedule::plan::JitterSeed;
use keepfast_schedule::promise::{Proof, Standing, achieved, standing};
use keepfast_schedule::slot::{PlannedSlot, Slot};
use keepfast_store::{PageSize, PlanId, Run, RunFilter, RunKind, Store, VerdictKind};
use serde::Serialize;

use crate::convert::schedule;
use crate::error::{Result, ServerError};
use crate::state::{instant, stored};

/// How a plan stands.
#[derive(Debug, Clone, Serialize)]
pub struct PlanStatus {
    /// The plan.
    pub plan: String,
    /// Its repository.
    pub repository: String,
    /// How it stands to its promise, in a word.
    pub standing: StandingWord,
    /// Its promise, in seconds: no good snapshot is older than this. Null if it promises nothing.
    pub promise_s: Option<u64>,
    /// When the run of its newest good snapshot began; null if there is none.
    pub achieved: Option<Timestamp>,
    /// Since when it breaks its promise.
    pub overdue_since: Option<Timestamp>,
    /// Whether someone should be told of that.
    pub alerts: bool,
    /// Its next slot; null if it runs only when it is told to.
    pub next: Option<Timestamp>,
    /// Its newest run.
    pub last: Option<LastRun>,
}

/// How a plan stands to its promise, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StandingWord {
    /// It keeps it.
    Ok,
    /// It promises nothing.
    Manual,
    /// It is late, and a run works to change that.
    Running,
    /// It breaks it.
    Overdue,
    /// It is paused.
    Paused,
    /// It doesn't run.
    Disabled,
}

impl StandingWord {
    /// As a document has it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Manual => "manual",
            Self::Running => "running",
            Self::Overdue => "overdue",
            Self::Paused => "paused",
            Self::Disabled => "disabled",
        }
    }
}

/// A plan's newest run.
#[derive(Debug, Clone, Serialize)]
pub struct LastRun {
    /// Its id.
    pub run: String,
    /// How far it is: `waiting`, `starting`, `running`, `ended`.
    pub state: &'static str,
    /// What came of it; null while it isn't over.
    pub verdict: Option<&'static str>,
    /// When it was taken up, or stored.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Why it failed.
    pub error: Option<String>,
}

impl From<&Run> for LastRun {
    fn from(run: &Run) -> Self {
        Self {
            run: run.id.to_string(),
            state: run.state.as_str(),
            verdict: run.verdict.as_ref().map(|verdict| verdict.kind().as_str()),
            began: instant(run.started.unwrap_or(run.created)),
            ended: run.ended.map(instant),
            error: run.error.as_ref().map(|error| error.message.to_string()),
        }
    }
}

/// How all plans stand, in the order of their names. A plan that is new is born now: from then on it owes snapshots.
pub async fn all(config: &Config, store: &Store, now: Timestamp) -> Result<Vec<PlanStatus>> {
    let mut plans = Vec::with_capacity(config.plans.len());
    for definition in config.plans.values() {
        plans.push(one(config, definition, store, now).await?);
    }
    Ok(plans)
}

async fn one(
    config: &Config,
    definition: &Definition<Plan>,
    store: &Store,
    now: Timestamp,
) -> Result<PlanStatus> {
    let plan = PlanId::new(&*definition.name).map_err(ServerError::name(&definition.name))?;
    let known = store.bear_plan(stored(now), &plan).await?;
    let of_plan = RunFilter { plan: Some(plan.clone()), kind: Some(RunKind::Backup), ..RunFilter::default() };
    let newest = async |filter: RunFilter| -> Result<Option<Run>> {
        Ok(store.runs(&filter, None, PageSize::at_most(1)).await?.rows.pop())
    };
    let last = newest(of_plan.clone()).await?;
    let mut good = Vec::new();
    for verdict in [VerdictKind::Ok, VerdictKind::Findings] {
        let run = newest(RunFilter { verdict: Some(verdict), ..of_plan.clone() }).await?;
        good.extend(run.map(|run| instant(run.started.unwrap_or(run.created))));
    }
    let achieved = achieved(good, now);
    let schedule = schedule::plan(config, definition, JitterSeed(0))?;
    let promise = schedule::promise(&definition.value, schedule.as_ref(), now);
    let pauses = store.pauses_since(&plan, keepfast_store::UtcTime::MIN).await?;
    let is_open = |pause: &&keepfast_store::Pause| {
        pause.ended.is_none() && pause.until.is_none_or(|until| until > stored(now))
    };
    let pause = pauses.iter().find(is_open).map(|pause| keepfast_schedule::state::Pause {
        since: instant(pause.since),
        until: pause.until.map(instant),
    });
    let proof = Proof {
        born: instant(known.born),
        achieved,
        running_since: last
            .as_ref()
            .filter(|run| run.verdict.is_none())
            // A process that is gone renews no lease.
            .filter(|run| run.lease_until.is_some_and(|until| until > stored(now)))
            .and_then(|run| run.started)
            .map(instant),
        pause,
        resumed: pauses
            .iter()
            .filter_map(|pause| pause.ended.or(pause.until))
            .filter(|end| *end <= stored(now))
            .max()
            .map(instant),
    };
    let stands = promise.as_ref().map(|promise| standing(promise, &proof, now));
    let anchor = achieved.unwrap_or(instant(known.born));
    Ok(PlanStatus {
        plan: definition.name.clone(),
        repository: definition.value.repository.name.clone(),
        standing: match stands {
            _ if !definition.value.enabled => StandingWord::Disabled,
            None => StandingWord::Manual,
            Some(Standing::Kept { .. }) => StandingWord::Ok,
            Some(Standing::Running { .. }) => StandingWord::Running,
            Some(Standing::Overdue { .. }) => StandingWord::Overdue,
            Some(Standing::Paused { .. }) => StandingWord::Paused,
        },
        promise_s: promise.map(|promise| promise.within.as_secs()),
        achieved,
        overdue_since: match stands {
            Some(Standing::Overdue { since, .. }) if definition.value.enabled => Some(since),
            _ => None,
        },
        alerts: definition.value.enabled && matches!(stands, Some(Standing::Overdue { alerts: true, .. })),
        next: schedule.and_then(|schedule| schedule.schedule.next(now, anchor)).map(Slot::instant),
        last: last.as_ref().map(Into::into),
    })
}

/// The next slots of a plan; none if it runs only when it is told to.
pub fn next_slots(
    config: &Config,
    definition: &Definition<Plan>,
    now: Timestamp,
    count: usize,
) -> Result<Vec<PlannedSlot>> {
    let schedule = schedule::plan(config, definition, JitterSeed(0))?;
    Ok(schedule.map(|schedule| schedule.schedule.next_slots(now, now, count)).unwrap_or_default())
}
