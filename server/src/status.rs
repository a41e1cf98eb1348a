//! How each plan stands to its promise.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use keepfast_config::config::{Config, Definition};
use keepfast_config::effective::DefinitionHash;
use keepfast_config::model::plan::Plan;
use keepfast_schedule::plan::{JitterSeed, PlanSchedule};
use keepfast_schedule::promise::{Promise, Proof, Standing, standing};
use keepfast_schedule::slot::{PlannedSlot, Slot};
use keepfast_store::{PlanId, Run, RunKind, Store, UtcTime};
use serde::Serialize;

use crate::convert::schedule;
use crate::error::{Result, ServerError};
use crate::pauses::{self, Pauses};
use crate::state::{instant, stored};

/// How long a plan's promise is taken for what it was.
const PROMISES_LAST: Duration = Duration::from_secs(86_400);

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

/// What the state knows of plans, each read at once for all of them.
struct Known {
    born: BTreeMap<PlanId, Timestamp>,
    good: BTreeMap<PlanId, Timestamp>,
    last: BTreeMap<PlanId, Run>,
    /// Runs at work whose processes say so.
    working: BTreeMap<PlanId, Timestamp>,
    paused: Pauses,
    resumed: BTreeMap<PlanId, Timestamp>,
}

impl Known {
    async fn read(
        config: &Config,
        store: &Store,
        plans: &[PlanId],
        now: Timestamp,
        host: &str,
    ) -> Result<Self> {
        let at = stored(now);
        let born = async || -> Result<BTreeMap<PlanId, Timestamp>> {
            let states = store.plan_states().await?;
            Ok(states.into_iter().map(|state| (state.plan, instant(state.born))).collect())
        };
        let mut known = born().await?;
        // Only a plan that is new costs a write.
        let new: Vec<_> = plans.iter().filter(|plan| !known.contains_key(plan)).cloned().collect();
        if !new.is_empty() {
            store.bear_plans(at, &new).await?;
            known = born().await?;
        }
        let times = |times: Vec<(PlanId, UtcTime)>| -> BTreeMap<PlanId, Timestamp> {
            times.into_iter().map(|(plan, at)| (plan, instant(at))).collect()
        };
        let last = store.last_runs(Some(RunKind::Backup)).await?;
        // Not the newest run: that may be a slot that was skipped because of this one.
        let active = store.active_runs().await?;
        let is_alive =
            |run: &&Run| run.kind == RunKind::Backup && run.lease_until.is_some_and(|until| until > at);
        let working = active.iter().filter(is_alive);
        let working = working.filter_map(|run| Some((run.subject.plan.clone()?, instant(run.started?))));
        let mut paused = Pauses::new();
        for pause in store.paused_plans().await? {
            let known = pauses::of_state(&pause);
            // A clock that was set back makes no pause begin later.
            let known = keepfast_schedule::state::Pause { since: known.since.min(now), ..known };
            paused.entry(pause.plan.to_string()).or_default().push(known);
        }
        pauses::add_configured(&mut paused, config, host);
        Ok(Self {
            born: known,
            good: times(store.good_starts(at).await?),
            last: last.into_iter().filter_map(|run| Some((run.subject.plan.clone()?, run))).collect(),
            working: working.collect(),
            paused,
            resumed: times(store.pause_ends(at).await?),
        })
    }
}

/// What plans promise, as it was last found: to look for the longest gap between a plan's slots takes a while, and it
/// changes with the definition alone, but for gaps that are years away.
#[derive(Debug, Default)]
pub struct Promises {
    known: BTreeMap<String, (DefinitionHash, Timestamp, Option<Promise>)>,
}

impl Promises {
    fn of(
        &mut self,
        definition: &Definition<Plan>,
        schedule: Option<&PlanSchedule>,
        now: Timestamp,
    ) -> Option<Promise> {
        let is_fresh = |at: Timestamp| now.duration_since(at).unsigned_abs() < PROMISES_LAST;
        match self.known.get(&definition.name) {
            Some((hash, at, promise)) if *hash == definition.hash && is_fresh(*at) => *promise,
            _ => {
                let promise = schedule::promise(&definition.value, schedule, now);
                self.known.insert(definition.name.clone(), (definition.hash, now, promise));
                promise
            }
        }
    }
}

/// How all plans stand, in the order of their names. A plan that is new is born now: from then on it owes snapshots.
/// `host` is this machine's name, for which pauses of the configuration may be.
pub async fn all(config: &Config, store: &Store, now: Timestamp, host: &str) -> Result<Vec<PlanStatus>> {
    all_with(config, store, now, host, &mut Promises::default()).await
}

/// The same for one that asks again and again.
pub async fn all_with(
    config: &Config,
    store: &Store,
    now: Timestamp,
    host: &str,
    promises: &mut Promises,
) -> Result<Vec<PlanStatus>> {
    let name = |name: &String| PlanId::new(&**name).map_err(ServerError::name(name));
    let plans: Vec<PlanId> = config.plans.keys().map(name).collect::<Result<_>>()?;
    let known = Known::read(config, store, &plans, now, host).await?;
    let both = config.plans.values().zip(&plans);
    both.map(|(definition, plan)| one(config, definition, plan, &known, promises, now)).collect()
}

fn one(
    config: &Config,
    definition: &Definition<Plan>,
    plan: &PlanId,
    known: &Known,
    promises: &mut Promises,
    now: Timestamp,
) -> Result<PlanStatus> {
    let last = known.last.get(plan);
    let achieved = known.good.get(plan).copied();
    // Each plan was stored before it was read.
    let born = known.born.get(plan).copied().unwrap_or(now);
    let schedule = schedule::plan(config, definition, JitterSeed(0))?;
    let promise = promises.of(definition, schedule.as_ref(), now);
    let pauses = known.paused.get(&definition.name).map_or(&[][..], Vec::as_slice);
    let proof = Proof {
        born,
        achieved,
        running_since: known.working.get(plan).copied(),
        pause: pauses::open(pauses, now),
        resumed: known.resumed.get(plan).copied().max(pauses::last_end(pauses, now)),
    };
    let stands = promise.as_ref().map(|promise| standing(promise, &proof, now));
    let anchor = achieved.unwrap_or(born);
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
        last: last.map(Into::into),
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
