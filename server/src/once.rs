//! One run of a plan without a server, for people, cron and timers. It writes the same records as a server's runs.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use keepfast_config::config::Config;
use keepfast_engine::run::{Counters, Event, Listener, RunContext};
use keepfast_operations::child::Children;
use keepfast_operations::hooks::Hook;
use keepfast_operations::open::{Access, SharedRepository};
use keepfast_store::{
    BootId, Claim, ConfigHash, Ending, ErrorCategory, Executor, Fingerprint, Group, Held, HostId, Level,
    Limit, LogFolder, LogLine, LogWriter, NewRun, PlanId, ProgramVersion, Progress, RepositoryId, RunError,
    RunId, RunKind, RunSubject, ServerId, Store, Text, Trigger, UndoId, Work,
};
use serde_json::Value;
use tokio::runtime::{Handle, Runtime};

use crate::convert::{backup, hook, place, retention};
use crate::definitions;
use crate::error::{Result, ServerError};
use crate::state::{self, Lease, PlanLock, now};
use crate::work::record::{self, Record, Step, UndoTicket};
use crate::work::report::{PlanReport, Verdict};
use crate::work::{PlanWork, carry_out};

/// Lines of a log that wait to be written, at most. A run that says more in a few seconds says nothing new.
const LINES_WAITING_MAX: usize = 20_000;

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

/// A plan, ready to be carried out, and its repository.
pub fn prepare(
    config: &Config,
    plan: &str,
    around: &Surroundings<'_>,
) -> Result<(PlanWork, SharedRepository)> {
    let definition = definitions::plan(config, plan)?;
    if !definition.value.enabled {
        return Err(ServerError::Disabled { plan: plan.to_owned() });
    }
    let repository = &definition.value.repository.value.0;
    let repository = config.repositories.get(repository).ok_or_else(|| ServerError::Unsupported {
        definition: format!("plan {plan}"),
        what: format!("the repository {repository}, which is not defined,"),
    })?;
    let work = PlanWork {
        plan: plan.to_owned(),
        repository: repository.name.clone(),
        hooks: definition.value.hook.iter().map(hook::hook).collect(),
        backup: backup::request(definition)?,
        retention: retention::request(config, definition)?,
    };
    let access = Access { children: around.children.clone(), ..Access::default() };
    let shared = SharedRepository::connect(place::target(repository, around.cache)?, access)?;
    Ok((work, shared))
}

/// Runs a plan now. Its record is in the state, whatever comes of it.
pub fn run(config: &Config, plan: &str, around: &Surroundings<'_>, run: &RunContext) -> Result<PlanReport> {
    let (work, shared) = prepare(config, plan, around)?;
    let folder = state::folder(config);
    state::make_folder(&folder)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(ServerError::Runtime)?;
    let store = runtime.block_on(state::open(config, &around.children))?;
    let Some(_lock) = PlanLock::take(&folder, plan)? else {
        return Err(ServerError::Running { plan: plan.to_owned(), run: "by another process".to_owned() });
    };
    let ready = Ready { config, around, runtime: &runtime, store: &store, folder: &folder };
    ready.run(&work, &shared, run)
}

struct Ready<'r> {
    config: &'r Config,
    around: &'r Surroundings<'r>,
    runtime: &'r Runtime,
    store: &'r Store,
    folder: &'r Path,
}

impl Ready<'_> {
    fn run(&self, work: &PlanWork, shared: &SharedRepository, run: &RunContext) -> Result<PlanReport> {
        let definition = definitions::plan(self.config, &work.plan)?;
        let name = ServerError::name;
        let plan = PlanId::new(&*work.plan).map_err(name(&work.plan))?;
        let host = HostId::new(self.around.host).map_err(name(self.around.host))?;
        // Only a process with the plan's lock has this name, so that its earlier lives are over.
        let server = format!("run {} on {}", work.plan, self.around.host);
        let executor = Executor {
            server: ServerId::new(&*server).map_err(name(&server))?,
            boot: BootId::new(state::random_name()?).map_err(name("boot"))?,
        };
        self.runtime.block_on(self.settle_earlier(&plan, &host, &executor))?;
        let new = NewRun {
            id: RunId::new(state::random_name()?).map_err(name("run"))?,
            kind: RunKind::Backup,
            subject: RunSubject {
                plan: Some(plan.clone()),
                repository: Some(RepositoryId::new(&*work.repository).map_err(name(&work.repository))?),
                host: Some(host.clone()),
            },
            trigger: Trigger::Manual,
            config: ConfigHash::new(definition.hash.to_string()).map_err(name("hash"))?,
            not_before: None,
        };
        let held = self.runtime.block_on(self.claim(&new, &plan, &executor))?;
        let logs = self.folder.join("logs").join(format!("plan-{}", work.plan));
        let logs = self.runtime.block_on(LogFolder::open(self.store, &logs, &executor.server))?;
        let record = StateRecord {
            handle: self.runtime.handle().clone(),
            store: self.store.clone(),
            held: held.clone(),
            host,
            executor,
            log: Arc::new(RunLog {
                waiting: Mutex::default(),
                writer: tokio::sync::Mutex::new(logs.writer(&held.run.id)),
            }),
            step: Mutex::default(),
        };
        self.runtime.block_on(self.store.start(now(), &held))?;
        let report = self.watched(work, shared, run, &record);
        self.end(held, &record, &report)?;
        Ok(report)
    }

    /// Ends the runs of this plan whose processes are gone, and carries out what undoes their hooks.
    async fn settle_earlier(&self, plan: &PlanId, host: &HostId, executor: &Executor) -> Result<()> {
        for run in self.store.active_runs().await? {
            let is_own = run.executor.as_ref().is_some_and(|other| other.server == executor.server);
            if is_own && run.subject.plan.as_ref() == Some(plan) {
                self.store.lose_dead(now(), &run.id).await?;
            }
        }
        for undo in self.store.left_undos(host).await? {
            let Some(undo) = self.store.take_undo(now(), &undo.id, executor).await? else { continue };
            let failure = match serde_json::from_value::<Hook>(undo.command.clone()) {
                Ok(hook) => {
                    hook.run(&self.around.children, &Default::default()).err().map(|error| error.to_string())
                }
                Err(error) => Some(format!("the stored command can't be read: {error}")),
            };
            self.store.undo_done(now(), &undo.id, executor, failure.map(Text::from).as_ref()).await?;
        }
        Ok(())
    }

    async fn claim(&self, new: &NewRun, plan: &PlanId, executor: &Executor) -> Result<Held> {
        self.store.bear_plan(now(), plan).await?;
        self.store.queue(now(), new).await?;
        let candidates = [new.id.clone()];
        let limits = [Limit { group: Group::Plan(plan.clone()), at_most: 1 }];
        let claim = Claim { candidates: &candidates, limits: &limits, executor, lease: Lease::USUAL.length };
        if let Some(held) = self.store.claim(now(), claim).await?.pop() {
            return Ok(held);
        }
        // A server runs this plan at this moment.
        let active = self.store.active_runs().await?;
        let other = active.iter().find(|run| run.subject.plan.as_ref() == Some(plan));
        let other = other.map_or_else(String::new, |run| run.id.to_string());
        let reason = Text::from(format!("run {other} of the plan was not over"));
        self.store.end_waiting(now(), &new.id, keepfast_store::Unstarted::Skipped(reason)).await?;
        Err(ServerError::Running { plan: plan.to_string(), run: other })
    }

    /// Carries the plan out, while the lease is renewed and a wish to cancel is heard.
    fn watched(
        &self,
        work: &PlanWork,
        shared: &SharedRepository,
        run: &RunContext,
        record: &StateRecord,
    ) -> PlanReport {
        let run =
            &run.clone().with_listener(Arc::new(Told { log: record.log.clone(), next: run.listener() }));
        let (store, held, cancel) = (self.store.clone(), record.held.clone(), run.cancel().clone());
        let (counters, log) = (run.clone(), record.log.clone());
        let beats = self.runtime.spawn(async move {
            loop {
                tokio::time::sleep(Lease::USUAL.beat).await;
                let progress = Progress {
                    phase: None,
                    counters: serde_json::to_value(counters.counters().progress()).ok(),
                };
                log.flush().await;
                match store.beat(now(), &held, Some(&progress)).await {
                    Ok(beat) if beat.cancel_requested => cancel.cancel(),
                    // Someone else has declared the run lost: it must not go on as if it were held.
                    Err(keepfast_store::StoreError::NotHeld { .. }) => return cancel.cancel(),
                    Ok(_) | Err(_) => {}
                }
            }
        });
        let report = carry_out(work, shared, run, record);
        beats.abort();
        report
    }

    fn end(&self, held: Held, record: &StateRecord, report: &PlanReport) -> Result<()> {
        let error = report.error.as_ref().map(|message| run_error(message));
        let work = Work {
            ending: match report.verdict {
                Verdict::Ok => Ending::Ok,
                Verdict::Findings => Ending::Findings,
                Verdict::Failed => Ending::Failed,
                Verdict::Cancelled => Ending::Cancelled,
            },
            report: serde_json::to_value(report).ok(),
            counters: None,
            error,
            baseline: None,
            version: ProgramVersion::new(self.around.version)
                .map_err(ServerError::name(self.around.version))?,
        };
        self.runtime.block_on(async {
            record.log.flush().await;
            self.store.end(now(), held, &work).await
        })?;
        Ok(())
    }
}

/// What made a run fail, as the state keeps it. Errors with the same words but for names and numbers have one
/// fingerprint.
fn run_error(message: &str) -> RunError {
    let words: String = message.chars().map(|sign| if sign.is_ascii_digit() { '0' } else { sign }).collect();
    let hash = blake3::hash(words.as_bytes()).to_hex();
    RunError {
        category: ErrorCategory::new("failed").unwrap_or_else(|_| unreachable!("the name is valid")),
        fingerprint: Fingerprint::new(&hash[..16]).unwrap_or_else(|_| unreachable!("the name is valid")),
        message: Text::from(message),
    }
}

/// Writes a run's words into the state.
struct StateRecord {
    handle: Handle,
    store: Store,
    held: Held,
    host: HostId,
    executor: Executor,
    log: Arc<RunLog>,
    step: Mutex<Option<&'static str>>,
}

impl Record for StateRecord {
    fn run_id(&self) -> String {
        self.held.run.id.to_string()
    }

    fn step(&self, step: Step) {
        let code = step.code();
        let is_new = self.step.lock().unwrap_or_else(PoisonError::into_inner).replace(code) != Some(code);
        if is_new && let Ok(phase) = code.to_owned().try_into() {
            let progress = Progress { phase: Some(phase), counters: None };
            // A beat that fails is made again; the run's end says whether it is still held.
            let _ = self.handle.block_on(self.store.beat(now(), &self.held, Some(&progress)));
        }
        match &step {
            Step::Hook { program } => self.line(record::Level::Info, &format!("hook {program}")),
            Step::Undo { program } => self.line(record::Level::Info, &format!("undo {program}")),
            Step::Opening | Step::Backup | Step::Retention => self.line(record::Level::Info, code),
        }
    }

    fn line(&self, level: record::Level, text: &str) {
        let level = match level {
            record::Level::Info => Level::Info,
            record::Level::Warning => Level::Warning,
            record::Level::Error => Level::Error,
        };
        self.log.line(level, text, None);
    }

    fn store_undo(&self, undo: &Hook) -> Result<UndoTicket, String> {
        let id = state::random_name().map_err(|error| error.to_string())?;
        let command: Value = serde_json::to_value(undo).map_err(|error| error.to_string())?;
        let named = UndoId::new(&*id).map_err(|error| error.to_string())?;
        let stored = self.store.store_undo(now(), &self.held, &named, &self.host, &command);
        self.handle.block_on(stored).map_err(|error| error.to_string())?;
        Ok(UndoTicket(id))
    }

    fn undoing(&self, ticket: &UndoTicket) -> bool {
        let Ok(id) = UndoId::new(&*ticket.0) else { return false };
        match self.handle.block_on(self.store.take_undo(now(), &id, &self.executor)) {
            Ok(taken) => taken.is_some(),
            Err(error) => {
                // A service that stays stopped is worse than one that is started twice.
                self.line(
                    record::Level::Warning,
                    &format!("that a hook is undone could not be recorded: {error}"),
                );
                true
            }
        }
    }

    fn undone(&self, ticket: &UndoTicket, failure: Option<&str>) {
        let Ok(id) = UndoId::new(&*ticket.0) else { return };
        let failure = failure.map(Text::from);
        let done = self.store.undo_done(now(), &id, &self.executor, failure.as_ref());
        if let Err(error) = self.handle.block_on(done) {
            self.line(
                record::Level::Warning,
                &format!("that a hook is undone could not be recorded: {error}"),
            );
        }
    }
}

/// The log of a run: lines wait here until they are written into the state, which takes longer than a run should wait.
struct RunLog {
    waiting: Mutex<Waiting>,
    writer: tokio::sync::Mutex<LogWriter>,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<LogLine>,
    /// Lines that found no room.
    left_out: u64,
}

impl RunLog {
    fn line(&self, level: Level, text: &str, event: Option<Value>) {
        let fields = event.map(|event| ("event".to_owned(), event)).into_iter().collect();
        let line = LogLine { at: now(), level, message: text.to_owned(), fields };
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.lines.len() < LINES_WAITING_MAX {
            waiting.lines.push(line);
        } else {
            waiting.left_out += 1;
        }
    }

    /// Writes what waits. What can't be written now is written with the next.
    async fn flush(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        let mut writer = self.writer.lock().await;
        let mut full = false;
        for line in waiting.lines {
            full |= writer.line(line);
            if full {
                full = writer.flush().await.is_err();
            }
        }
        if waiting.left_out > 0 {
            let message = format!("{} more lines came too fast and were left out", waiting.left_out);
            writer.line(LogLine { at: now(), level: Level::Warning, message, fields: Default::default() });
        }
        let _ = writer.flush().await;
    }
}

/// Hears of a run for its log, and passes everything on.
struct Told {
    log: Arc<RunLog>,
    next: Arc<dyn Listener>,
}

impl Listener for Told {
    fn event(&self, event: &Event) {
        let level = match event {
            Event::Phase(_) | Event::Gone { .. } | Event::WouldRemove { .. } | Event::Notice(_) => {
                Level::Info
            }
            Event::Skipped { .. } | Event::Changed { .. } => Level::Warning,
            Event::Damaged { .. } | Event::Unreachable { .. } => Level::Error,
        };
        self.log.line(level, &event.message(), serde_json::to_value(event).ok());
        self.next.event(event);
    }

    fn counted(&self, counters: &Counters) {
        self.next.counted(counters);
    }
}
