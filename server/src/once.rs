//! One run of a plan without a server, for people, cron and timers. It writes the same records as a server's runs.

mod record;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keepfast_config::config::{Config, Definition};
use keepfast_config::model::plan::Plan;
use keepfast_engine::run::RunContext;
use keepfast_operations::child::Children;
use keepfast_operations::error::with_causes;
use keepfast_operations::hooks::Hook;
use keepfast_operations::open::{Access, SharedRepository};
use keepfast_operations::priority::be_nice;
use keepfast_store::{
    BootId, Claim, ConfigHash, Ending, ErrorCategory, Executor, Fingerprint, Group, Held, HostId, Limit,
    LogFolder, NewRun, PageSize, PlanId, ProgramVersion, Progress, RepositoryId, Retention, Run, RunError,
    RunId, RunKind, RunSubject, ServerId, Store, StoreError, Text, Trigger, Unstarted, Work,
};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use self::record::{RunLog, StateRecord, Told};
use crate::convert::{backup, hook, place, retention, secret};
use crate::definitions;
use crate::error::{Result, ServerError};
use crate::state::{self, Lease, PlanLock, now};
use crate::work::report::{PlanReport, Verdict};
use crate::work::{PlanWork, carry_out, hook_variables};

/// How often the end of a run is written again if the state fails, and the time between two tries.
const END_TRIES: u32 = 12;
const END_AGAIN: Duration = Duration::from_secs(5);
/// What the names of processes begin with that run plans without a server.
const SERVER_PREFIX: &str = "run ";

/// What a process brings to a run.
pub struct Surroundings<'a> {
    /// The machine's name.
    pub host: &'a str,
    /// Where this machine keeps what it knows of repositories.
    pub cache: &'a Path,
    /// How programs are started.
    pub children: Children,
    /// The program's version.
    pub version: &'a str,
}

impl Surroundings<'_> {
    /// How programs are started: none inherits a variable that a secret of the configuration is in.
    fn children_of(&self, config: &Config) -> Children {
        let mut children = self.children.clone();
        let known: BTreeSet<OsString> = children.withheld.iter().cloned().collect();
        let more = secret::variables(config).into_iter().map(OsString::from);
        children.withheld.extend(more.filter(|name| !known.contains(name)));
        children
    }
}

/// A plan, ready to be carried out, and its repository.
pub fn prepare(
    config: &Config,
    plan: &str,
    around: &Surroundings<'_>,
) -> Result<(PlanWork, SharedRepository)> {
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
        retention: retention::request(config, definition, around.host)?,
    };
    let access = Access { children: around.children_of(config), ..Access::default() };
    let shared = SharedRepository::connect(place::target(repository, around.cache)?, access)?;
    Ok((work, shared))
}

fn enabled<'c>(config: &'c Config, plan: &str) -> Result<&'c Definition<Plan>> {
    let definition = definitions::plan(config, plan)?;
    match definition.value.enabled {
        true => Ok(definition),
        false => Err(ServerError::Disabled { plan: plan.to_owned() }),
    }
}

/// Runs a plan now. From the moment when the state is open there is a record of it, whatever comes of it.
pub fn run(config: &Config, plan: &str, around: &Surroundings<'_>, run: &RunContext) -> Result<PlanReport> {
    let definition = enabled(config, plan)?;
    let folder = state::folder(config);
    state::make_folder(&folder)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(ServerError::Runtime)?;
    let children = around.children_of(config);
    let store = runtime.block_on(state::open(config, &children))?;
    let Some(_lock) = PlanLock::take(&folder, plan)? else {
        return Err(ServerError::Running { plan: plan.to_owned(), run: "of another process".to_owned() });
    };
    let name = ServerError::name;
    let machine = state::machine(&folder)?;
    // Only a process with the plan's lock has this name, so that the processes that had it before are over.
    let server = format!("{SERVER_PREFIX}{plan} {machine}");
    let once = Once {
        config,
        definition,
        around,
        children,
        runtime: &runtime,
        store: &store,
        folder: &folder,
        plan: PlanId::new(plan).map_err(name(plan))?,
        machine: HostId::new(&*machine).map_err(name(&machine))?,
        executor: Executor {
            server: ServerId::new(&*server).map_err(name(&server))?,
            boot: BootId::new(state::random_name()?).map_err(name("boot"))?,
        },
    };
    once.run(run)
}

struct Once<'r> {
    config: &'r Config,
    definition: &'r Definition<Plan>,
    around: &'r Surroundings<'r>,
    children: Children,
    runtime: &'r Runtime,
    store: &'r Store,
    folder: &'r Path,
    plan: PlanId,
    machine: HostId,
    executor: Executor,
}

impl Once<'_> {
    fn run(&self, run: &RunContext) -> Result<PlanReport> {
        let name = ServerError::name;
        let problems = self.runtime.block_on(self.settle_earlier())?;
        let repository = &self.definition.value.repository.name;
        let new = NewRun {
            id: RunId::new(state::random_name()?).map_err(name("run"))?,
            kind: RunKind::Backup,
            subject: RunSubject {
                plan: Some(self.plan.clone()),
                repository: Some(RepositoryId::new(&**repository).map_err(name(repository))?),
                host: Some(HostId::new(self.around.host).map_err(name(self.around.host))?),
            },
            trigger: Trigger::Manual,
            config: ConfigHash::new(self.definition.hash.to_string()).map_err(name("hash"))?,
            not_before: None,
        };
        let held = self.runtime.block_on(self.claim(&new))?;
        let report = self.begun(&held, problems, run);
        match &report {
            Ok(report) => self.end(&held, report)?,
            // What keeps a run from beginning is recorded as well: the plan's next line in `status` says it.
            Err(error) => self.end(&held, &PlanReport::failed(self.plan.as_str(), &with_causes(error)))?,
        }
        report
    }

    fn begun(&self, held: &Held, problems: Vec<String>, run: &RunContext) -> Result<PlanReport> {
        let (work, shared) = prepare(self.config, self.plan.as_str(), self.around)?;
        let logs = self.folder.join("logs").join(format!("plan-{}", self.plan));
        let logs = self.runtime.block_on(LogFolder::open(self.store, &logs, &self.executor.server))?;
        let record = StateRecord {
            handle: self.runtime.handle().clone(),
            store: self.store.clone(),
            held: held.clone(),
            machine: self.machine.clone(),
            executor: self.executor.clone(),
            log: Arc::new(RunLog::new(logs.writer(&held.run.id))),
            step: Mutex::default(),
        };
        self.runtime.block_on(self.store.start(now(), held))?;
        if self.definition.value.limits.as_ref().is_some_and(|limits| limits.nice.0 > 0) {
            be_nice();
        }
        let report = self.watched(&work, &shared, run, &record, problems);
        self.runtime.block_on(self.tidy(&logs));
        Ok(report)
    }

    /// Ends the runs of this plan whose processes are gone, and carries out what undoes their hooks, the last one
    /// first. Returns what went wrong with that.
    async fn settle_earlier(&self) -> Result<Vec<String>> {
        let is_local = self.config.server.value.state.postgres.is_none();
        let is_of_plan = |run: &&Run| run.subject.plan.as_ref() == Some(&self.plan);
        for run in self.store.active_runs().await?.iter().filter(is_of_plan) {
            // With a state of this machine alone, a process that has the plan's lock knows that no such process is left.
            let is_dead = run.executor.as_ref().is_some_and(|other| {
                other.server == self.executor.server
                    || is_local && other.server.as_str().starts_with(SERVER_PREFIX)
            });
            if is_dead {
                self.store.lose_dead(now(), &run.id).await?;
            }
        }
        for run in self.store.waiting_runs(PageSize::MAX).await?.iter().filter(is_of_plan) {
            if is_local && run.trigger == Trigger::Manual {
                let reason = Text::from("the process that was to run it is gone");
                self.store.end_waiting(now(), &run.id, Unstarted::Skipped(reason)).await?;
            }
        }
        let mut problems = Vec::new();
        let mut left = self.store.left_undos(&self.machine).await?;
        left.reverse();
        for undo in left {
            let run = self.store.run(&undo.run).await?;
            if !run.as_ref().is_none_or(|run| is_of_plan(&run)) {
                continue;
            }
            let Some(undo) = self.store.take_undo(now(), &undo.id, &self.executor).await? else { continue };
            let mut children = self.children.clone();
            let repository = &self.definition.value.repository.name;
            children.variables.extend(hook_variables(self.plan.as_str(), repository, undo.run.as_str()));
            let failure = match serde_json::from_value::<Hook>(undo.command.clone()) {
                Ok(hook) => hook.run(&children, &Default::default()).err().map(|error| with_causes(&error)),
                Err(error) => Some(format!("the stored command can't be read: {error}")),
            };
            if let Some(failure) = &failure {
                problems.push(format!(
                    "what undoes a hook of the interrupted run {} failed: {failure}",
                    undo.run
                ));
            }
            self.store.undo_done(now(), &undo.id, &self.executor, failure.map(Text::from).as_ref()).await?;
        }
        Ok(problems)
    }

    async fn claim(&self, new: &NewRun) -> Result<Held> {
        self.store.bear_plan(now(), &self.plan).await?;
        self.store.queue(now(), new).await?;
        let candidates = [new.id.clone()];
        let limits = [Limit { group: Group::Plan(self.plan.clone()), at_most: 1 }];
        let lease = Lease::USUAL.length;
        let claim = Claim { candidates: &candidates, limits: &limits, executor: &self.executor, lease };
        if let Some(held) = self.store.claim(now(), claim).await?.pop() {
            return Ok(held);
        }
        // Another machine runs this plan at this moment, or died while it did.
        let active = self.store.active_runs().await?;
        let other = active.iter().find(|run| run.subject.plan.as_ref() == Some(&self.plan));
        let other = other.map_or_else(|| "that has just ended".to_owned(), |run| run.id.to_string());
        let reason = Text::from(format!("run {other} of the plan was not over"));
        self.store.end_waiting(now(), &new.id, Unstarted::Skipped(reason)).await?;
        Err(ServerError::Running { plan: self.plan.to_string(), run: other })
    }

    /// Carries the plan out, while the lease is renewed, the log is written, and a wish to cancel is heard.
    fn watched(
        &self,
        work: &PlanWork,
        shared: &SharedRepository,
        run: &RunContext,
        record: &StateRecord,
        problems: Vec<String>,
    ) -> PlanReport {
        let run =
            &run.clone().with_listener(Arc::new(Told { log: record.log.clone(), next: run.listener() }));
        let (store, held, log) = (self.store.clone(), record.held.clone(), record.log.clone());
        let (counting, cancel) = (run.clone(), run.cancel().clone());
        let timeout = self.definition.value.timeout.map(|timeout| timeout.0);
        let is_late = Arc::new(AtomicBool::new(false));
        let late = Arc::clone(&is_late);
        let (end, mut ended) = oneshot::channel::<()>();
        let begun = tokio::time::Instant::now();
        let beats = self.runtime.spawn(async move {
            loop {
                tokio::select! {
                    _ = &mut ended => return log.flush().await,
                    () = tokio::time::sleep(Lease::USUAL.beat) => {}
                }
                if timeout.is_some_and(|timeout| begun.elapsed() > timeout) {
                    late.store(true, Ordering::Relaxed);
                    cancel.cancel();
                }
                log.flush().await;
                let counters = serde_json::to_value(counting.counters().progress()).ok();
                match store.beat(now(), &held, Some(&Progress { phase: None, counters })).await {
                    Ok(beat) if beat.cancel_requested => cancel.cancel(),
                    // Someone else has declared the run lost: it must not go on as if it were held.
                    Err(StoreError::NotHeld { .. }) => cancel.cancel(),
                    Ok(_) | Err(_) => {}
                }
            }
        });
        let mut report = carry_out(work, shared, run, record, problems);
        drop(end);
        // If it has panicked, the log lacks its last lines; the report is what counts.
        let _ = self.runtime.block_on(beats);
        if let (true, Some(timeout)) = (is_late.load(Ordering::Relaxed), timeout) {
            report.verdict = Verdict::Failed;
            report.error = Some(format!("the run took longer than {} s and was ended", timeout.as_secs()));
            report.failure = None;
        }
        report
    }

    /// Writes the end of the run. A database that is away for a moment must not make a good run a lost one.
    fn end(&self, held: &Held, report: &PlanReport) -> Result<()> {
        let version = self.around.version;
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
            version: ProgramVersion::new(version).map_err(ServerError::name(version))?,
        };
        self.runtime.block_on(async {
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

    /// Removes history that is older than it is to be kept. What can't be removed now is removed by a later run.
    async fn tidy(&self, logs: &LogFolder) {
        let history = &self.config.server.value.history;
        let runs_before = now().minus(history.runs.0);
        let retention = Retention { runs_before, events_before: runs_before, at_most: PageSize::MAX };
        let _ = self.store.remove_history(&retention).await;
        let _ = logs.remove_before(now().minus(history.logs.0)).await;
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
