//! Carrying out a run that this process holds: its record and log, its lease, its limits, its end. It is the same for a
//! server's runs and for one that a person starts.

pub mod drill;
mod end;
mod lease;
mod plan;
mod quotas;
pub mod record;
mod restore;
mod undo;
mod upkeep;

pub use undo::UndoFailure;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use keepfast_config::config::{Config, Definition};
use keepfast_config::model::plan::Plan;
use keepfast_engine::run::RunContext;
use keepfast_observe::anomaly::Rules;
use keepfast_operations::open::SharedRepository;
use keepfast_operations::requests::Backup;
use keepfast_store::{
    ConfigHash, Executor, Held, HostId, LogFolder, NewRun, PageSize, PlanId, RepositoryId, Retention, RunId,
    RunKind, RunSubject, Store, Trigger,
};
use tokio::runtime::Handle;
use tokio::time::Instant;

use self::record::{RunLog, StateRecord};
use crate::connect;
use crate::convert::{anomaly, backup, hook, retention};
use crate::daemon::jobs::Job;
use crate::definitions;
use crate::error::{Result, ServerError};
use crate::recovery::{STATE_PLAN, copy};
use crate::state::{self, now};
use crate::surroundings::Surroundings;
use crate::work::PlanWork;

/// A plan, ready to be carried out, and its repository.
pub fn prepare(config: &Config, plan: &str, around: &Surroundings) -> Result<(PlanWork, SharedRepository)> {
    let definition = enabled(config, plan)?;
    let repository = connect::definition(config, &definition.value.repository.name)?;
    let mut work = PlanWork {
        plan: plan.to_owned(),
        repository: repository.name.clone(),
        hooks: definition.value.hook.iter().map(hook::hook).collect(),
        // Under the name by which retention looks for its snapshots.
        backup: Backup {
            host: Some(around.host.clone()),
            // What drills restore is no part of what they restore it from.
            never_enter: vec![state::drills(config)],
            ..backup::request(definition)?
        },
        retention: retention::request(config, definition, &around.host)?,
        rules: anomaly::rules(definition)?,
    };
    if plan == STATE_PLAN {
        // A run takes a copy of what is there.
        work.backup.sources = copy::sources(&state::folder(config));
        work.backup.ignore_files = false;
        work.rules = Rules::none();
    }
    Ok((work, connect::repository(config, around, repository)?))
}

/// A plan by its name, if it runs.
pub fn enabled<'c>(config: &'c Config, plan: &str) -> Result<&'c Definition<Plan>> {
    let definition = definitions::plan(config, plan)?;
    match definition.value.enabled {
        true => Ok(definition),
        false => Err(ServerError::Disabled { plan: plan.to_owned() }),
    }
}

/// A run of a plan that is to be stored.
pub fn new_run(definition: &Definition<Plan>, host: &str, trigger: Trigger) -> Result<NewRun> {
    let (plan, repository) = (&definition.name, &definition.value.repository.name);
    let named = ServerError::name;
    Ok(NewRun {
        id: RunId::new(state::random_name()?).map_err(named("run"))?,
        kind: RunKind::Backup,
        subject: RunSubject {
            plan: Some(PlanId::new(&**plan).map_err(named(plan))?),
            repository: Some(RepositoryId::new(&**repository).map_err(named(repository))?),
            host: Some(HostId::new(host).map_err(named(host))?),
            drill: None,
        },
        trigger,
        config: ConfigHash::new(definition.hash.to_string()).map_err(named("hash"))?,
        not_before: None,
        errand: None,
    })
}

/// What carries out the runs of this process.
pub struct Workshop {
    /// Where the state is waited for.
    pub handle: Handle,
    /// The state.
    pub store: Store,
    /// Where logs are written.
    pub logs: LogFolder,
    /// This machine, whose hooks no other can undo.
    pub machine: HostId,
    /// This process.
    pub executor: Executor,
    /// What it brings to its runs.
    pub around: Surroundings,
    /// Whether a run that failed is tried again: there has to be someone that does it.
    pub retries: bool,
    /// When quotas of repositories were looked at.
    pub quotas: Mutex<BTreeMap<String, Instant>>,
}

impl Workshop {
    /// Carries out a run that this process holds, and stores what came of it.
    pub fn carry_out(&self, config: &Config, job: &Job, held: &Held, run: &RunContext) -> Result<()> {
        match job {
            Job::Backup { .. } => self.carry_out_plan(config, held, run, Vec::new()).map(|_| ()),
            Job::Check { repository } | Job::Prune { repository } => {
                self.carry_out_upkeep(config, repository, job, held, run)
            }
            Job::Restore { .. } => self.carry_out_restore(config, held, run),
            Job::Drill { drill } => self.carry_out_drill(config, drill, held, run).map(drop),
        }
    }

    fn record(&self, held: &Held) -> StateRecord {
        StateRecord {
            handle: self.handle.clone(),
            store: self.store.clone(),
            held: held.clone(),
            machine: self.machine.clone(),
            executor: self.executor.clone(),
            log: Arc::new(RunLog::new(self.logs.writer(&held.run.id))),
            step: Mutex::default(),
        }
    }

    /// Removes history that is older than it is to be kept. What can't be removed now is removed by a later call.
    pub async fn tidy(&self, config: &Config) {
        let history = &config.server.value.history;
        let runs_before = now().minus(history.runs.0);
        let retention = Retention { runs_before, events_before: runs_before, at_most: PageSize::MAX };
        let _ = self.store.remove_history(&retention).await;
        let _ = self.store.remove_expired(now(), runs_before, PageSize::MAX).await;
        let _ = self.store.remove_old_audit(now().minus(history.audit.0), PageSize::MAX).await;
        let _ = self.logs.remove_before(now().minus(history.logs.0)).await;
    }
}
