//! How each plan stands to its promise.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use keepfast_config::config::{Config, Definition};
use keepfast_config::effective::DefinitionHash;
use keepfast_config::model::plan::Plan;
use keepfast_schedule::plan::{JitterSeed, PlanSchedule};
use keepfast_schedule::promise::{Promise, Proof, Standing, standing};
use keepfast_schedule::slot::{PlannedSlot, Slot};
use keepfast_schedule::state::Pause;
use keepfast_store::{PlanId, Run, RunKind, Store, UtcTime};
use serde::Serialize;

use crate::convert::schedule;
use crate::drills;
use crate::error::{Result, ServerError};
use crate::pauses::{self, Pauses};
use crate::state::{instant, stored};

/// How long a plan's promise is taken for what it was. Gaps are looked for more than a year ahead, so that one that comes
/// into sight this much later is found long before it counts.
const PROMISES_LAST: Duration = Duration::from_secs(30 * 86_400);

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
    /// When a drill last showed that it can be restored; null if none did, or if it wasn't asked for.
    pub proven: Option<Timestamp>,
    /// Since when it breaks its promise.
    pub overdue_since: Option<Timestamp>,
    /// Whether someone should be told of that.
    pub alerts: bool,
    /// Its next slot; null if it runs only when it is told to, or if it wasn't asked for.
    pub next: Option<Timestamp>,
    /// What a schedule of elapsed time counts from: when its newest good snapshot was made, or it was born.
    #[serde(skip)]
    pub anchor: Timestamp,
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

/// What is asked how plans stand.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The definitions.
    pub config: &'a Config,
    /// The state.
    pub store: &'a Store,
    /// The name of this machine: pauses may be meant for some machines alone.
    pub host: &'a str,
    /// Now.
    pub now: Timestamp,
}

/// How much is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Detail {
    /// How plans stand to their promises.
    Standing,
    /// Their newest runs and next slots, too.
    Full,
}

/// What is known of plans, each read at once for all of them.
struct Known {
    good: BTreeMap<PlanId, Timestamp>,
    last: BTreeMap<PlanId, Run>,
    /// Runs at work whose processes say so.
    working: BTreeMap<PlanId, Timestamp>,
    /// Pauses that a person has asked for.
    paused: BTreeMap<PlanId, Pause>,
    resumed: BTreeMap<PlanId, Timestamp>,
    /// Pauses that the configuration says.
    configured: Pauses,
    /// When drills last showed that plans can be restored.
    proven: BTreeMap<PlanId, Timestamp>,
}

impl Known {
    async fn read(view: &View<'_>, detail: Detail) -> Result<Self> {
        let View { config, store, host, now } = *view;
        let at = stored(now);
        let times = |times: Vec<(PlanId, UtcTime)>| -> BTreeMap<PlanId, Timestamp> {
            times.into_iter().map(|(plan, at)| (plan, instant(at))).collect()
        };
        let last = match detail {
            Detail::Standing => Vec::new(),
            Detail::Full => store.last_runs(Some(RunKind::Backup)).await?,
        };
        // Not the newest run: that may be a slot that was skipped because of this one.
        let active = store.active_runs().await?;
        let is_alive =
            |run: &&Run| run.kind == RunKind::Backup && run.lease_until.is_some_and(|until| until > at);
        let working = active.iter().filter(is_alive);
        let working = working.filter_map(|run| Some((run.subject.plan.clone()?, instant(run.started?))));
        let is_open = |pause: &keepfast_store::Pause| pause.until.is_none_or(|until| until > at);
        let paused = store.paused_plans().await?.into_iter().filter(is_open);
        let mut configured = Pauses::new();
        pauses::add_configured(&mut configured, config, host);
        let mut proven = BTreeMap::new();
        let drilled: BTreeSet<&str> =
            config.drills.values().map(|drill| drill.value.plan.name.as_str()).collect();
        for plan in drilled.into_iter().filter(|_| detail == Detail::Full) {
            let plan = PlanId::new(plan).map_err(ServerError::name(plan))?;
            if let Some(at) = drills::proven(store, &plan).await? {
                proven.insert(plan, at);
            }
        }
        Ok(Self {
            proven,
            good: times(store.good_starts(at).await?),
            last: last.into_iter().filter_map(|run| Some((run.subject.plan.clone()?, run))).collect(),
            working: working.collect(),
            paused: paused.map(|pause| (pause.plan.clone(), pauses::of_state(&pause))).collect(),
            resumed: times(store.pause_ends(at).await?),
            configured,
        })
    }

    /// The pause that a plan is in, and when its last one ended.
    fn pauses(&self, plan: &PlanId, now: Timestamp) -> (Option<Pause>, Option<Timestamp>) {
        let configured = self.configured.get(plan.as_str()).map_or(&[][..], Vec::as_slice);
        let is_now = |pause: &&Pause| pause.since <= now && pause.until.is_none_or(|until| until > now);
        let pause = self.paused.get(plan).or_else(|| configured.iter().find(is_now));
        let ends = configured.iter().filter_map(|pause| pause.until).filter(|until| *until <= now);
        (pause.copied(), self.resumed.get(plan).copied().into_iter().chain(ends).max())
    }
}

/// What is the same at each look: when plans were born, when they run, and what they promise. To look for the longest gap
/// between a plan's slots takes a while, and it changes with the definition alone, but for gaps that are years away.
#[derive(Debug, Default)]
pub struct Promises {
    born: BTreeMap<PlanId, Timestamp>,
    known: BTreeMap<String, Promised>,
}

/// When a plan runs, and what it promises, as it was last found.
#[derive(Debug)]
struct Promised {
    hash: DefinitionHash,
    /// It may be that of the server, which the plan's hash doesn't know.
    zone: String,
    found: Timestamp,
    schedule: Option<PlanSchedule>,
    promise: Option<Promise>,
}

impl Promises {
    /// Makes sure that plans are known. Those that are new are born now.
    async fn bear(&mut self, store: &Store, plans: &[PlanId], now: Timestamp) -> Result<()> {
        let is_new = |born: &BTreeMap<_, _>| plans.iter().any(|plan| !born.contains_key(plan));
        let born = async || -> Result<BTreeMap<PlanId, Timestamp>> {
            let states = store.plan_states().await?;
            Ok(states.into_iter().map(|state| (state.plan, instant(state.born))).collect())
        };
        if is_new(&self.born) {
            self.born = born().await?;
        }
        // Only a plan that is new costs a write.
        if is_new(&self.born) {
            let new: Vec<_> = plans.iter().filter(|plan| !self.born.contains_key(plan)).cloned().collect();
            store.bear_plans(stored(now), &new).await?;
            self.born = born().await?;
        }
        Ok(())
    }

    fn of(&mut self, config: &Config, definition: &Definition<Plan>, now: Timestamp) -> Result<&Promised> {
        let zone = &config.zone(&definition.value).0;
        let is_known = self.known.get(&definition.name).is_some_and(|known| {
            let is_fresh = now.duration_since(known.found).unsigned_abs() < PROMISES_LAST;
            known.hash == definition.hash && known.zone == *zone && is_fresh
        });
        if !is_known {
            let schedule = schedule::plan(config, definition, JitterSeed(0))?;
            let promise = schedule::promise(&definition.value, schedule.as_ref(), now);
            let (hash, zone) = (definition.hash, zone.clone());
            let promised = Promised { hash, zone, found: now, schedule, promise };
            self.known.insert(definition.name.clone(), promised);
        }
        Ok(&self.known[&definition.name])
    }
}

/// How all plans stand, in the order of their names. A plan that is new is born now: from then on it owes snapshots.
pub async fn all(view: &View<'_>) -> Result<Vec<PlanStatus>> {
    look(view, &mut Promises::default(), Detail::Full).await
}

/// The same for one that asks again and again: what plans promise is worked out once.
pub async fn all_with(view: &View<'_>, promises: &mut Promises) -> Result<Vec<PlanStatus>> {
    look(view, promises, Detail::Full).await
}

/// The same for one that asks again and again, and that only wants to know how plans stand to their promises: newest runs
/// and next slots are left out.
pub async fn standings(view: &View<'_>, promises: &mut Promises) -> Result<Vec<PlanStatus>> {
    look(view, promises, Detail::Standing).await
}

async fn look(view: &View<'_>, promises: &mut Promises, detail: Detail) -> Result<Vec<PlanStatus>> {
    let plans = &view.config.plans;
    let name = |name: &String| PlanId::new(&**name).map_err(ServerError::name(name));
    let names: Vec<PlanId> = plans.keys().map(name).collect::<Result<_>>()?;
    promises.bear(view.store, &names, view.now).await?;
    let known = Known::read(view, detail).await?;
    let both = plans.values().zip(&names);
    both.map(|(definition, plan)| one(view, definition, plan, &known, promises, detail)).collect()
}

fn one(
    view: &View<'_>,
    definition: &Definition<Plan>,
    plan: &PlanId,
    known: &Known,
    promises: &mut Promises,
    detail: Detail,
) -> Result<PlanStatus> {
    let now = view.now;
    let last = known.last.get(plan);
    let achieved = known.good.get(plan).copied();
    // Each plan was stored before it was read.
    let born = promises.born.get(plan).copied().unwrap_or(now);
    let Promised { schedule, promise, .. } = promises.of(view.config, definition, now)?;
    let (pause, resumed) = known.pauses(plan, now);
    let running_since = known.working.get(plan).copied();
    let proof = Proof { born, achieved, running_since, pause, resumed };
    let stands = promise.as_ref().map(|promise| standing(promise, &proof, now));
    let anchor = achieved.unwrap_or(born);
    let next = match (detail, schedule) {
        (Detail::Full, Some(schedule)) => schedule.schedule.next(now, anchor).map(Slot::instant),
        _ => None,
    };
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
        proven: known.proven.get(plan).copied(),
        overdue_since: match stands {
            Some(Standing::Overdue { since, .. }) if definition.value.enabled => Some(since),
            _ => None,
        },
        alerts: definition.value.enabled && matches!(stands, Some(Standing::Overdue { alerts: true, .. })),
        next,
        anchor,
        last: last.map(Into::into),
    })
}

/// The next slots of a plan, counted from its anchor ([`PlanStatus::anchor`]); none if it runs only when it is told to.
pub fn next_slots(
    config: &Config,
    definition: &Definition<Plan>,
    anchor: Timestamp,
    now: Timestamp,
    count: usize,
) -> Result<Vec<PlannedSlot>> {
    let schedule = schedule::plan(config, definition, JitterSeed(0))?;
    Ok(schedule.map(|schedule| schedule.schedule.next_slots(now, anchor, count)).unwrap_or_default())
}
