//! One run of a plan that a person, cron or a timer starts, with or without a server beside it. It writes the same
//! records as a server's runs.

use keepfast_config::config::Config;
use keepfast_engine::run::RunContext;
use keepfast_store::{
    Began, Executor, Group, HostId, Limit, LogFolder, PlanId, Run, ServerId, Store, Trigger,
};

use crate::error::{Result, ServerError};
use crate::running::{Workshop, enabled, new_run};
use crate::state::{self, Lease, PlanLock, now};
use crate::surroundings::Surroundings;
use crate::work::report::PlanReport;

/// What the names of processes begin with that run plans without a server.
const SERVER_PREFIX: &str = "run ";

/// Whether a process has this name that runs one plan.
#[must_use]
pub fn is_single(server: &ServerId) -> bool {
    server.as_str().starts_with(SERVER_PREFIX)
}

/// Runs a plan now. From the moment when the state is open there is a record of it, whatever comes of it.
pub fn run(config: &Config, plan: &str, around: &Surroundings, run: &RunContext) -> Result<PlanReport> {
    let definition = enabled(config, plan)?;
    let folder = state::folder(config);
    state::make_folders(config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(ServerError::Runtime)?;
    let store = runtime.block_on(state::open(config, &around.children_of(config)))?;
    let Some(_lock) = PlanLock::take(&folder, plan)? else {
        return Err(ServerError::Running { plan: plan.to_owned(), run: "of another process".to_owned() });
    };
    let named = ServerError::name;
    let machine = state::machine(&folder)?;
    // Only a process with the plan's lock has this name, so that the processes that had it before are over.
    let server = format!("{SERVER_PREFIX}{plan} {machine}");
    let executor = state::process(&server)?;
    let plan = PlanId::new(plan).map_err(named(plan))?;
    let logs = folder.join("logs").join(format!("plan-{plan}"));
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
    let held = runtime.block_on(async {
        let is_local = config.server.value.state.postgres.is_none();
        lose_dead(&workshop.store, &workshop.executor, is_local, &plan).await?;
        let problems = workshop.settle_undos(config, |run| run.subject.plan.as_ref() == Some(&plan)).await?;
        workshop.store.bear_plan(now(), &plan).await?;
        let new = new_run(definition, &around.host, Trigger::Manual)?;
        let limits = [Limit { group: Group::Plan(plan.clone()), at_most: 1 }];
        let began =
            workshop.store.begin_run(now(), &new, &limits, &workshop.executor, Lease::USUAL.length).await?;
        match began {
            Began::Held(held) => Ok((held, problems)),
            // A server or another machine runs this plan at this moment, or died while it did.
            Began::Refused { others, .. } => {
                let other =
                    others.first().map_or_else(|| "that has just ended".to_owned(), |run| run.id.to_string());
                Err(ServerError::Running { plan: plan.to_string(), run: other })
            }
        }
    });
    let (held, problems) = held?;
    let problems = problems.into_iter().map(|failure| failure.problem).collect();
    let report = workshop.carry_out_plan(config, &held, run, problems);
    runtime.block_on(workshop.tidy(config));
    report
}

/// Ends the runs of this plan whose processes are gone.
async fn lose_dead(store: &Store, executor: &Executor, is_local: bool, plan: &PlanId) -> Result<()> {
    let is_of_plan = |run: &&Run| run.subject.plan.as_ref() == Some(plan);
    for run in store.active_runs().await?.iter().filter(is_of_plan) {
        // With a state of this machine alone, a process that has the plan's lock knows that no such process is left.
        let is_dead = run
            .executor
            .as_ref()
            .is_some_and(|other| other.server == executor.server || is_local && is_single(&other.server));
        if is_dead {
            store.lose_dead(now(), &run.id).await?;
        }
    }
    Ok(())
}
