//! What the state knows of runs, as documents; and what people ask of them.

use std::path::Path;

use jiff::Timestamp;
use keepfast_config::config::Config;
use keepfast_store::{
    ConfigHash, LogBody, LogFolder, LogLine, NewRun, PageSize, PlanId, RepositoryId, Retried, Run, RunFilter,
    RunId, RunKind, RunState, RunSubject, ServerId, Store, Text, Trigger, UserName, VerdictKind,
};
use serde::Serialize;
use serde_json::Value;

use crate::connect;
use crate::daemon::jobs::Job;
use crate::error::{Result, ServerError};
use crate::running::{self, enabled, new_run};
use crate::state::{self, instant, now, stored};

/// Parts of a log that are read at once.
const PARTS_AT_ONCE: usize = 100;

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunDocument {
    /// Its id.
    pub run: String,
    /// What it does: `backup`, `check`, `prune`, `copy`, `drill`.
    pub kind: &'static str,
    /// Its plan.
    pub plan: Option<String>,
    /// Its repository.
    pub repository: Option<String>,
    /// The host whose data it is about.
    pub host: Option<String>,
    /// Why it is there: `schedule`, `catch_up`, `manual`, `api`, `retry`.
    pub trigger: &'static str,
    /// The slot that it is for.
    pub slot: Option<Timestamp>,
    /// For how many slots it stands.
    pub slots: u32,
    /// The run that it repeats.
    pub parent: Option<String>,
    /// 1, and 1 more for each run that it repeats.
    pub attempt: u32,
    /// How far it is: `waiting`, `starting`, `running`, `ended`.
    pub state: &'static str,
    /// What came of it: `ok`, `findings`, `failed`, `missed`, `skipped`, `cancelled`, `lost`.
    pub verdict: Option<&'static str>,
    /// Why it was missed or skipped, or why it waits.
    pub reason: Option<String>,
    /// What it does now.
    pub phase: Option<String>,
    /// How far it is: files, bytes.
    pub progress: Option<Value>,
    /// The process that carries it out, or did: of several servers, which one.
    pub executor: Option<String>,
    /// When it was stored.
    pub created: Timestamp,
    /// When it began.
    pub began: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Why it failed.
    pub error: Option<ErrorDocument>,
}

/// Why a run failed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ErrorDocument {
    /// The kind of error.
    pub category: String,
    /// What errors with the same cause have in common.
    pub fingerprint: String,
    /// What it says.
    pub message: String,
}

impl From<&Run> for RunDocument {
    fn from(run: &Run) -> Self {
        let verdict_reason = run.verdict.as_ref().and_then(|verdict| verdict.reason()).map(Text::to_string);
        let waits = run.waits.as_ref().and_then(|waits| Some(waits.get("text")?.as_str()?.to_owned()));
        Self {
            run: run.id.to_string(),
            kind: run.kind.as_str(),
            plan: run.subject.plan.as_ref().map(ToString::to_string),
            repository: run.subject.repository.as_ref().map(ToString::to_string),
            host: run.subject.host.as_ref().map(ToString::to_string),
            trigger: run.trigger.as_str(),
            slot: run.slot.map(|slot| instant(slot.at)),
            slots: run.slot.map_or(1, |slot| slot.count),
            parent: run.parent.as_ref().map(ToString::to_string),
            attempt: run.attempt,
            state: run.state.as_str(),
            verdict: run.verdict.as_ref().map(|verdict| verdict.kind().as_str()),
            reason: verdict_reason.or(waits),
            phase: run.phase.as_ref().map(ToString::to_string),
            progress: run.counters.clone(),
            executor: run.executor.as_ref().map(|executor| executor.server.to_string()),
            created: instant(run.created),
            began: run.started.map(instant),
            ended: run.ended.map(instant),
            error: run.error.as_ref().map(|error| ErrorDocument {
                category: error.category.to_string(),
                fingerprint: error.fingerprint.to_string(),
                message: error.message.to_string(),
            }),
        }
    }
}

/// Which runs are listed: those that are all of this.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Of this plan.
    pub plan: Option<String>,
    /// With this repository.
    pub repository: Option<String>,
    /// That do this: `backup`, `check`, `prune`.
    pub kind: Option<String>,
    /// With this verdict.
    pub verdict: Option<String>,
    /// That haven't ended.
    pub open_only: bool,
}

/// The newest runs, newest first; at most `count`.
pub async fn list(store: &Store, wanted: &Wanted, count: usize) -> Result<Vec<RunDocument>> {
    let word = |what: &'static str, word: &String| ServerError::NoWord { what, word: word.clone() };
    let filter = RunFilter {
        plan: wanted
            .plan
            .as_ref()
            .map(|plan| PlanId::new(&**plan).map_err(ServerError::name(plan)))
            .transpose()?,
        repository: wanted
            .repository
            .as_ref()
            .map(|name| RepositoryId::new(&**name).map_err(ServerError::name(name)))
            .transpose()?,
        kind: wanted
            .kind
            .as_ref()
            .map(|kind| RunKind::parse(kind).ok_or_else(|| word("kind of run", kind)))
            .transpose()?,
        verdict: wanted
            .verdict
            .as_ref()
            .map(|verdict| VerdictKind::parse(verdict).ok_or_else(|| word("verdict", verdict)))
            .transpose()?,
        open_only: wanted.open_only,
        ..RunFilter::default()
    };
    let mut listed = Vec::new();
    let mut before = None;
    while listed.len() < count {
        let page = store.runs(&filter, before, PageSize::at_most(count - listed.len())).await?;
        listed.extend(page.rows.iter().map(RunDocument::from));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    Ok(listed)
}

/// A run by its id, or by the beginning of one that no other has.
pub async fn find(store: &Store, id: &str) -> Result<Run> {
    let mut found = store.find_runs(id, PageSize::at_most(2)).await?;
    match (found.pop(), found.pop()) {
        (Some(run), None) => Ok(run),
        (Some(_), Some(_)) => Err(ServerError::SeveralRuns { id: id.to_owned() }),
        (None, _) => Err(ServerError::NoRun { id: id.to_owned() }),
    }
}

/// The report of a run; nothing if it has none.
pub async fn report(store: &Store, run: &RunId) -> Result<Option<Value>> {
    Ok(store.run_report(run).await?)
}

/// What came of asking for the end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cancelled {
    /// It waited, and has ended.
    Ended,
    /// It works, and ends within seconds.
    Asked,
    /// It was over.
    Over,
}

/// Ends a run, or asks for that.
pub async fn cancel(store: &Store, run: &RunId) -> Result<Cancelled> {
    Ok(match store.cancel(now(), run).await? {
        RunState::Waiting => Cancelled::Ended,
        RunState::Starting | RunState::Running => Cancelled::Asked,
        RunState::Ended => Cancelled::Over,
    })
}

/// Queues a run that does again what another one was to do. Returns its id.
pub async fn retry(store: &Store, run: &Run) -> Result<String> {
    let id = RunId::new(state::random_name()?).map_err(ServerError::name("run"))?;
    Ok(retry_as(store, run, id).await?.id.to_string())
}

/// The same, with an id. If there is a run with it that does this again, that is what is returned.
pub async fn retry_as(store: &Store, run: &Run, id: RunId) -> Result<Run> {
    let refused = |why| Err(ServerError::NoRetry { run: run.id.to_string(), why });
    match store.retry(now(), &run.id, id.clone(), None).await? {
        Retried::Queued(queued) => Ok(*queued),
        Retried::Already => match store.run(&id).await? {
            Some(queued) if queued.parent.as_ref() == Some(&run.id) => Ok(queued),
            _ => refused("it was tried again before"),
        },
        Retried::Open => refused("it is not over"),
        Retried::Quarantined => refused("it was lost too often: something about it ends the program"),
    }
}

/// Queues a run of a plan, which a server carries out. Returns its id.
pub async fn queue(config: &Config, store: &Store, plan: &str, host: &str) -> Result<String> {
    let job = Job::Backup { plan: plan.to_owned() };
    let id = RunId::new(state::random_name()?).map_err(ServerError::name("run"))?;
    Ok(start(config, store, &job, host, Trigger::Manual, id).await?.id.to_string())
}

/// Queues a run of a job, which a server carries out. If there is a run with this id, that is what is returned: so what is
/// asked twice happens once.
pub async fn start(
    config: &Config,
    store: &Store,
    job: &Job,
    host: &str,
    trigger: Trigger,
    id: RunId,
) -> Result<Run> {
    let new = match job {
        Job::Backup { plan } => NewRun { id, ..new_run(enabled(config, plan)?, host, trigger)? },
        Job::Drill { drill } => NewRun { id, ..running::drill::new_run(config, drill, trigger)? },
        // What it is asked for comes with it: `restores::start`.
        Job::Restore { run } => return Err(ServerError::NoRun { id: run.clone() }),
        Job::Check { repository } | Job::Prune { repository } => {
            let definition = connect::definition(config, repository)?;
            let name = RepositoryId::new(&**repository).map_err(ServerError::name(repository))?;
            NewRun {
                id,
                kind: job.kind(),
                // Not of a host, as with those that a schedule makes.
                subject: RunSubject { plan: None, repository: Some(name), host: None, drill: None },
                trigger,
                config: ConfigHash::new(definition.hash.to_string()).map_err(ServerError::name("hash"))?,
                not_before: None,
                errand: None,
            }
        }
    };
    match store.queue(now(), &new).await? {
        Some(run) => Ok(run),
        None => store.run(&new.id).await?.ok_or_else(|| ServerError::NoRun { id: new.id.to_string() }),
    }
}

/// Pauses a plan, until an instant or until it is resumed.
pub async fn pause(
    config: &Config,
    store: &Store,
    plan: &str,
    until: Option<Timestamp>,
    by: &str,
    reason: Option<&str>,
) -> Result<()> {
    let plan = named_plan(config, plan)?;
    let by = UserName::new(by).map_err(ServerError::name(by))?;
    let reason = reason.map(Text::from);
    store.pause(now(), &plan, until.map(stored), &by, reason.as_ref()).await?;
    Ok(())
}

/// Lets a plan go on; false if it isn't paused.
pub async fn resume(config: &Config, store: &Store, plan: &str) -> Result<bool> {
    let at = now();
    Ok(store.unpause(at, &named_plan(config, plan)?, at).await?)
}

fn named_plan(config: &Config, plan: &str) -> Result<PlanId> {
    let definition = crate::definitions::plan(config, plan)?;
    PlanId::new(&*definition.name).map_err(ServerError::name(plan))
}

/// A line of a run's log.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LineDocument {
    /// When it was written.
    pub at: Timestamp,
    /// How serious it is: `debug`, `info`, `warning`, `error`.
    pub level: keepfast_store::Level,
    /// What it says.
    pub message: String,
    /// What belongs to it.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    pub fields: serde_json::Map<String, Value>,
}

impl From<LogLine> for LineDocument {
    fn from(line: LogLine) -> Self {
        Self { at: instant(line.at), level: line.level, message: line.message, fields: line.fields }
    }
}

/// How serious lines have to be to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seriousness {
    /// All lines.
    Any,
    /// Warnings and errors.
    Warnings,
}

impl Seriousness {
    fn level(self) -> keepfast_store::Level {
        match self {
            Self::Any => keepfast_store::Level::Debug,
            Self::Warnings => keepfast_store::Level::Warning,
        }
    }
}

/// The lines of a run's log. What is elsewhere or can't be read is a line that says so.
///
/// `folder` is where logs of this machine are.
pub async fn log(store: &Store, folder: &Path, run: &Run, least: Seriousness) -> Result<Vec<LineDocument>> {
    let Some(logs) = logs(store, folder, run).await? else { return Ok(Vec::new()) };
    let mut lines = Vec::new();
    let mut after = None;
    loop {
        let parts = logs.read(&run.id, after, least.level(), PageSize::at_most(PARTS_AT_ONCE)).await?;
        let Some(last) = parts.last() else { return Ok(lines) };
        after = Some(last.part);
        for part in parts {
            let note = |message: String| LineDocument {
                at: instant(part.first),
                level: keepfast_store::Level::Warning,
                message,
                fields: serde_json::Map::new(),
            };
            match part.body {
                LogBody::Lines(read) => lines.extend(read.into_iter().map(LineDocument::from)),
                LogBody::Elsewhere(server) => {
                    lines.push(note(format!("this part of the log is at {server}")));
                }
                LogBody::Unreadable(why) => {
                    lines.push(note(format!("a part of the log can't be read: {why}")))
                }
            }
        }
    }
}

/// The logs among which that of a run is; nothing if it never began. `folder` is where the state is.
pub async fn logs(store: &Store, folder: &Path, run: &Run) -> Result<Option<LogFolder>> {
    let Some(executor) = &run.executor else { return Ok(None) };
    // The files of another machine have the same names as those of this one, and are not here.
    let here = state::machine(folder)?;
    let is_elsewhere = state::machine_of(&executor.server).is_some_and(|machine| machine != here);
    let reader = match is_elsewhere {
        true => ServerId::new(state::server_name(&here)).map_err(ServerError::name(&here))?,
        false => executor.server.clone(),
    };
    let folder = log_folder(folder, run, &reader);
    Ok(Some(LogFolder::open(store, &folder, &reader).await?))
}

/// Where the process that ran it has written its log.
fn log_folder(folder: &Path, run: &Run, server: &ServerId) -> std::path::PathBuf {
    let logs = folder.join("logs");
    let is_single = state::single_plan(server).is_some();
    match (&run.subject.drill, &run.subject.plan) {
        (Some(drill), _) if is_single => logs.join(format!("drill-{drill}")),
        (None, Some(plan)) if is_single => logs.join(format!("plan-{plan}")),
        _ => logs.join("server"),
    }
}
