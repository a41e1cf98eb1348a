//! Carrying out a run that this process holds: its record and log, its lease, its limits, its end. It is the same for a
//! server's runs and for one that a person starts.

mod lease;
pub mod record;
mod undo;

pub use undo::UndoFailure;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use keepfast_config::config::{Config, Definition};
use keepfast_config::model::plan::Plan;
use keepfast_engine::run::RunContext;
use keepfast_operations::child::Children;
use keepfast_operations::error::with_causes;
use keepfast_operations::open::{Access, SharedRepository};
use keepfast_operations::priority::be_nice;
use keepfast_store::{
    ConfigHash, Ending, ErrorCategory, Executor, Fingerprint, Held, HostId, LogFolder, NewRun, PageSize,
    PlanId, ProgramVersion, RepositoryId, Retention, RunError, RunId, RunKind, RunSubject, Store, StoreError,
    Text, Trigger, Work,
};
use tokio::runtime::Handle;

use self::record::{RunLog, StateRecord, Told};
use crate::convert::{backup, hook, place, retention, secret};
use crate::daemon::jobs::Job;
use crate::definitions;
use crate::error::{Result, ServerError};
use crate::state::{self, now};
use crate::work::pace::Pace;
use crate::work::report::{PlanReport, Verdict};
use crate::work::{PlanWork, carry_out};

/// How often the end of a run is written again if the state fails, and the time between two tries.
const END_TRIES: u32 = 12;
const END_AGAIN: Duration = Duration::from_secs(5);

/// What a process brings to its runs.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The machine's name.
    pub host: String,
    /// Where this machine keeps what it knows of repositories.
    pub cache: PathBuf,
    /// How programs are started.
    pub children: Children,
    /// The program's version.
    pub version: String,
}

impl Surroundings {
    /// How programs are started: none inherits a variable that a secret of the configuration is in.
    #[must_use]
    pub fn children_of(&self, config: &Config) -> Children {
        let mut children = self.children.clone();
        let known: BTreeSet<OsString> = children.withheld.iter().cloned().collect();
        let more = secret::variables(config).into_iter().map(OsString::from);
        children.withheld.extend(more.filter(|name| !known.contains(name)));
        children
    }
}

/// A plan, ready to be carried out, and its repository.
pub fn prepare(config: &Config, plan: &str, around: &Surroundings) -> Result<(PlanWork, SharedRepository)> {
    let definition = enabled(config, plan)?;
    let repository = &definition.value.repository.name;
    let repository = config.repositories.get(repository).ok_or_else(|| ServerError::Unsupported {
        definition: format!("plan {plan}"),
        what: format!("the repository {repository}, which is not defined,"),
    })?;
    let work = PlanWork {
        plan: plan.to_owned(),
        repository: repository.name.clone(),
        hooks: definition.value.hook.iter().map(hook::hook).collect(),
        backup: backup::request(definition)?,
        retention: retention::request(config, definition, &around.host)?,
    };
    let access = Access { children: around.children_of(config), ..Access::default() };
    let shared = SharedRepository::connect(place::target(repository, &around.cache)?, access)?;
    Ok((work, shared))
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
        },
        trigger,
        config: ConfigHash::new(definition.hash.to_string()).map_err(named("hash"))?,
        not_before: None,
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
}

impl Workshop {
    /// Carries out a run that this process holds, and stores what came of it.
    pub fn carry_out(&self, config: &Config, job: &Job, held: &Held, run: &RunContext) -> Result<()> {
        match job {
            Job::Backup { .. } => self.carry_out_plan(config, held, run, Vec::new()).map(|_| ()),
            Job::Check { repository } | Job::Prune { repository } => {
                let error = ServerError::Unsupported {
                    definition: format!("repository {repository}"),
                    what: format!("a {} by schedule", held.run.kind.as_str()),
                };
                self.end(held, &PlanReport::failed("", &with_causes(&error)))?;
                Err(error)
            }
        }
    }

    /// Ends a run whose thread has panicked.
    pub fn broken(&self, held: &Held, text: &str) -> Result<()> {
        let plan = held.run.subject.plan.as_ref().map_or("", PlanId::as_str);
        self.end(held, &PlanReport::failed(plan, text))
    }

    /// Carries out a run of a plan that this process holds, and stores what came of it.
    ///
    /// `problems` are those of before: they are findings of this run.
    pub fn carry_out_plan(
        &self,
        config: &Config,
        held: &Held,
        run: &RunContext,
        problems: Vec<String>,
    ) -> Result<PlanReport> {
        let plan = held.run.subject.plan.as_ref().map_or("", PlanId::as_str);
        let report = self.begun(config, plan, held, run, problems);
        match &report {
            Ok(report) => self.end(held, report)?,
            // What keeps a run from beginning is recorded as well: the plan's next line in `status` says it.
            Err(error) => self.end(held, &PlanReport::failed(plan, &with_causes(error)))?,
        }
        report
    }

    fn begun(
        &self,
        config: &Config,
        plan: &str,
        held: &Held,
        run: &RunContext,
        problems: Vec<String>,
    ) -> Result<PlanReport> {
        let definition = enabled(config, plan)?;
        let (work, shared) = prepare(config, plan, &self.around)?;
        let record = StateRecord {
            handle: self.handle.clone(),
            store: self.store.clone(),
            held: held.clone(),
            machine: self.machine.clone(),
            executor: self.executor.clone(),
            log: Arc::new(RunLog::new(self.logs.writer(&held.run.id))),
            step: Mutex::default(),
        };
        self.handle.block_on(self.store.start(now(), held))?;
        be_nice(work.backup.resources.nice);
        let pace = Pace::begin(config, definition, Timestamp::now())?;
        let run =
            &pace.of(run).with_listener(Arc::new(Told { log: record.log.clone(), next: run.listener() }));
        let timeout = definition.value.timeout.map(|timeout| timeout.0);
        let beating = lease::Beating::begin(&self.handle, &record, run, timeout, Some(pace));
        let mut report = carry_out(&work, &shared, run, &record, problems);
        if let Some(timeout) = beating.end(&self.handle) {
            report.verdict = Verdict::Failed;
            report.error = Some(format!("the run took longer than {} s and was ended", timeout.as_secs()));
            report.failure = None;
        }
        Ok(report)
    }

    /// Writes the end of the run. A database that is away for a moment must not make a good run a lost one.
    fn end(&self, held: &Held, report: &PlanReport) -> Result<()> {
        let version = &*self.around.version;
        let work = Work {
            ending: match report.verdict {
                Verdict::Ok => Ending::Ok,
                Verdict::Findings => Ending::Findings,
                Verdict::Cancelled => Ending::Cancelled,
                Verdict::Failed => Ending::Failed,
            },
            report: serde_json::to_value(report).ok(),
            counters: None,
            error: report.error.as_deref().map(run_error),
            baseline: None,
            retry: None,
            version: ProgramVersion::new(version).map_err(ServerError::name(version))?,
        };
        self.handle.block_on(async {
            let mut tries = 0;
            loop {
                tries += 1;
                match self.store.end(now(), held, &work).await {
                    Ok(_) => return Ok(()),
                    Err(error @ StoreError::NotHeld { .. }) => return Err(error.into()),
                    Err(error) if tries >= END_TRIES => return Err(error.into()),
                    Err(_) => tokio::time::sleep(END_AGAIN).await,
                }
            }
        })
    }

    /// Removes history that is older than it is to be kept. What can't be removed now is removed by a later call.
    pub async fn tidy(&self, config: &Config) {
        let history = &config.server.value.history;
        let runs_before = now().minus(history.runs.0);
        let retention = Retention { runs_before, events_before: runs_before, at_most: PageSize::MAX };
        let _ = self.store.remove_history(&retention).await;
        let _ = self.logs.remove_before(now().minus(history.logs.0)).await;
    }
}

/// What made a run fail, as the state keeps it. Errors with the same words but for numbers have one fingerprint.
fn run_error(message: &str) -> RunError {
    let words: String = message.chars().map(|sign| if sign.is_ascii_digit() { '0' } else { sign }).collect();
    let hash = blake3::hash(words.as_bytes()).to_hex();
    RunError {
        category: ErrorCategory::new("failed").unwrap_or_else(|_| unreachable!("the name is valid")),
        fingerprint: Fingerprint::new(&hash[..16]).unwrap_or_else(|_| unreachable!("the name is valid")),
        message: Text::from(message),
    }
}
