//! One run of a plan or a drill that a person, cron or a timer starts, with or without a server beside it. It writes the same
//! records as a server's runs, and where there is no server, it tells of them.

use std::time::Duration;

use keepfast_config::config::Config;
use keepfast_engine::run::RunContext;
use keepfast_store::{
    Began, DrillId, Executor, Group, Held, HostId, Limit, LogFolder, PlanId, Run, Store, Trigger, never_again,
};
use tokio::runtime::Runtime;

use crate::definitions;
use crate::error::{Result, ServerError};
use crate::notices::alone::{Alone, Told};
use crate::running::drill::{DrillOutcome, new_run as new_drill};
use crate::running::{Workshop, enabled, new_run};
use crate::state::{self, Lease, PlanLock, now};
use crate::surroundings::Surroundings;
use crate::work::report::PlanReport;

/// How long the end of the process waits for threads that wait for others.
const THREADS_END_WITHIN: Duration = Duration::from_secs(2);

/// A run that is over.
#[derive(Debug)]
pub struct Ran<R = PlanReport> {
    /// What came of it.
    pub report: Result<R>,
    /// What became of the messages about it.
    pub told: Told,
}

/// Runs a plan now. From the moment when the state is open there is a record of it, whatever comes of it.
pub fn run(config: &Config, plan: &str, around: &Surroundings, run: &RunContext) -> Ran {
    let begin = || -> Result<(Single, PlanId)> {
        enabled(config, plan)?;
        let id = PlanId::new(plan).map_err(ServerError::name(plan))?;
        Ok((Single::begin(config, plan, &format!("plan-{plan}"), around)?, id))
    };
    match begin() {
        Ok((single, plan)) => single.during(config, |single| single.carry_out(config, &plan, run)),
        Err(error) => Ran { report: Err(error), told: Told::default() },
    }
}

/// Carries a drill out now, with the same record of it.
pub fn drill(config: &Config, drill: &str, around: &Surroundings, run: &RunContext) -> Ran<DrillOutcome> {
    let begin = || -> Result<(Single, DrillId)> {
        definitions::drill(config, drill)?;
        let id = DrillId::new(drill).map_err(ServerError::name(drill))?;
        // No plan's name has a colon.
        let name = format!("drill:{drill}");
        match Single::begin(config, &name, &format!("drill-{drill}"), around) {
            Err(ServerError::Running { run, .. }) => {
                Err(ServerError::DrillRuns { drill: drill.to_owned(), run })
            }
            begun => Ok((begun?, id)),
        }
    };
    match begin() {
        Ok((single, drill)) => single.during(config, |single| single.carry_out_drill(config, &drill, run)),
        Err(error) => Ran { report: Err(error), told: Told::default() },
    }
}

/// A process that runs one plan or drill.
struct Single {
    runtime: Runtime,
    workshop: Workshop,
    alone: Alone,
    _lock: PlanLock,
}

impl Single {
    /// Begins, with the lock and in the name of a plan, and with logs in a folder of this name.
    fn begin(config: &Config, plan: &str, logs: &str, around: &Surroundings) -> Result<Self> {
        let folder = state::folder(config);
        state::make_folders(config)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(ServerError::Runtime)?;
        let children = around.children_of(config);
        let store = runtime.block_on(state::open(config, &children))?;
        let Some(lock) = PlanLock::take(&folder, plan)? else {
            return Err(ServerError::Running { plan: plan.to_owned(), run: "of another process".to_owned() });
        };
        let named = ServerError::name;
        let machine = state::machine(&folder)?;
        let executor = state::process(&state::single_name(plan, &machine))?;
        let logs = folder.join("logs").join(logs);
        let alone = Alone::begin(config, store.clone(), executor.clone(), children, around);
        let alone = runtime.block_on(alone);
        let workshop = Workshop {
            handle: runtime.handle().clone(),
            logs: runtime.block_on(LogFolder::open(&store, &logs, &executor.server))?,
            store,
            machine: HostId::new(&*machine).map_err(named(&machine))?,
            executor,
            around: around.clone(),
            retries: false,
            quotas: Default::default(),
        };
        Ok(Self { runtime, workshop, alone, _lock: lock })
    }

    /// Does the work, tells of it, and removes old history.
    fn during<R>(self, config: &Config, work: impl FnOnce(&Self) -> Result<R>) -> Ran<R> {
        let report = work(&self);
        // Before history is removed, and while the plan's lock says that this process lives.
        let told = self.runtime.block_on(self.alone.tell(config));
        self.runtime.block_on(self.workshop.tidy(config));
        // A secret of a target that can't be read in time may still be waited for by a thread.
        self.runtime.shutdown_timeout(THREADS_END_WITHIN);
        Ran { report, told }
    }

    fn carry_out_drill(&self, config: &Config, drill: &DrillId, run: &RunContext) -> Result<DrillOutcome> {
        let held = self.runtime.block_on(self.hold_drill(config, drill))?;
        self.workshop.carry_out_drill(config, drill.as_str(), &held, run)
    }

    /// Makes the run of a drill this process's own.
    async fn hold_drill(&self, config: &Config, drill: &DrillId) -> Result<Held> {
        let workshop = &self.workshop;
        let is_local = state::file(config).is_some();
        let is_of_drill = |run: &Run| run.subject.drill.as_ref() == Some(drill);
        lose_dead(&workshop.store, &workshop.executor, is_local, is_of_drill).await?;
        let new = new_drill(config, drill.as_str(), Trigger::Manual)?;
        let limits = [Limit { group: Group::Drill(drill.clone()), at_most: 1 }];
        let length = Lease::USUAL.length;
        match workshop.store.begin_run(now(), &new, &limits, &workshop.executor, length).await? {
            Began::Held(held) => Ok(*held),
            Began::Refused { others, .. } => {
                Err(ServerError::DrillRuns { drill: drill.to_string(), run: other_of(&others) })
            }
        }
    }

    fn carry_out(&self, config: &Config, plan: &PlanId, run: &RunContext) -> Result<PlanReport> {
        let (held, problems) = self.runtime.block_on(self.hold(config, plan))?;
        self.workshop.carry_out_plan(config, &held, run, problems)
    }

    /// Makes the run this process's own. Returns it with what went wrong while the hooks of an earlier one were undone.
    async fn hold(&self, config: &Config, plan: &PlanId) -> Result<(Held, Vec<String>)> {
        let workshop = &self.workshop;
        let definition = enabled(config, plan.as_str())?;
        let is_local = state::file(config).is_some();
        // A drill of the plan is a process of its own.
        let is_of_plan = |run: &Run| run.subject.plan.as_ref() == Some(plan) && run.subject.drill.is_none();
        lose_dead(&workshop.store, &workshop.executor, is_local, is_of_plan).await?;
        let problems = workshop.settle_undos(config, |run| run.subject.plan.as_ref() == Some(plan)).await?;
        let problems = problems.into_iter().map(|failure| failure.problem).collect();
        workshop.store.bear_plan(now(), plan).await?;
        let new = new_run(definition, &workshop.around.host, Trigger::Manual)?;
        let limits = [Limit { group: Group::Plan(plan.clone()), at_most: 1 }];
        let length = Lease::USUAL.length;
        let began = workshop.store.begin_run(now(), &new, &limits, &workshop.executor, length).await?;
        match began {
            Began::Held(held) => Ok((*held, problems)),
            // A server or another machine runs this plan at this moment, or died while it did.
            Began::Refused { others, .. } => {
                Err(ServerError::Running { plan: plan.to_string(), run: other_of(&others) })
            }
        }
    }
}

/// The run that is in the way.
fn other_of(others: &[Run]) -> String {
    others.first().map_or_else(|| "that has just ended".to_owned(), |run| run.id.to_string())
}

/// Ends those of these runs whose processes are gone.
async fn lose_dead(
    store: &Store,
    executor: &Executor,
    is_local: bool,
    is_meant: impl Fn(&Run) -> bool,
) -> Result<()> {
    for run in store.active_runs().await?.iter().filter(|run| is_meant(run)) {
        // With a state of this machine alone, a process that has the plan's lock knows that no such process is left.
        let is_dead = run.executor.as_ref().is_some_and(|other| {
            other.server == executor.server || is_local && state::single_plan(&other.server).is_some()
        });
        if is_dead {
            store.lose_dead(now(), &run.id, &never_again).await?;
        }
    }
    Ok(())
}
