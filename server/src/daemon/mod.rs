//! The server: it keeps the promises of plans. It looks at all schedules at least every half a minute, takes the runs
//! that may start, carries each out on a thread of its own, tells of what happened, and follows its definitions when
//! their files change.
//!
//! Whatever is decided is written into the state first. A server that is killed at any moment goes on from there when it
//! starts again, and another server that shares the state goes on without it.

pub mod admission;
mod catalogue;
pub mod clock;
mod company;
mod conditions;
pub mod definitions;
pub mod front;
pub mod jobs;
pub mod outside;
pub mod promises;
mod remembered;
pub mod scheduler;
pub mod troubles;
pub mod workers;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use keepfast_config::config::Config;
use keepfast_config::diagnostic::render::{Report, Style};
use keepfast_engine::run::Host;
use keepfast_operations::error::with_causes;
use keepfast_schedule::clock::ClockEvent;
use keepfast_schedule::plan::JitterSeed;
use keepfast_store::{Apply, HostId, LogFolder, RunId, Store};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::clock::{Clocks, SystemClocks};
use self::company::{Company, Health};
use self::conditions::{Answered, Questions, mains_power};
use self::definitions::{Followed, Footprint};
use self::front::{Front, Inside};
use self::outside::{Level, Manager, Reloaded, Voice, Wish};
use self::scheduler::{Look, Scheduler};
use self::troubles::Troubles;
use self::workers::{Ended, Threads, Workers};
use crate::catalogue::Troubles as CatalogueTroubles;
use crate::control::{self, ServerDocument};
use crate::error::{Result, ServerError};
use crate::lock::MachineLock;
use crate::recovery;
use crate::running::Workshop;
use crate::state::{self, PlanLock, now};
use crate::status::{Promises, View};
use crate::surroundings::Surroundings;
use crate::warm::WarmRepositories;

/// How often the server wakes up: it tells the service manager that it is alive, and sees whether files have changed.
const PULSE: Duration = Duration::from_secs(5);
/// How often promises are looked at.
const PROMISES_EVERY: Duration = Duration::from_secs(60);
/// How often old history is removed.
const TIDY_EVERY: Duration = Duration::from_secs(6 * 3600);
/// What is said when the definitions have moved the state.
const STATE_IS_MOVED: &str = "the place of the state is another one now: that counts from the next start on";
/// How long the same trouble isn't said again.
const SAID_AGAIN_AFTER: Duration = Duration::from_secs(300);

/// What a server is started with.
pub struct Serve {
    /// The first file of definitions.
    pub first_file: PathBuf,
    /// What they say.
    pub config: Config,
    /// What was found in them, and where they say what.
    pub report: Report,
    /// What their files looked like when they were read.
    pub footprint: Footprint,
    /// What the process brings to runs.
    pub around: Surroundings,
    /// The machine that the engine works on.
    pub host: Arc<dyn Host>,
    /// The name of the machine's boot.
    pub boot: String,
    /// The service manager.
    pub manager: Arc<dyn Manager>,
    /// Where the server's words go.
    pub voice: Arc<dyn Voice>,
    /// What the server is asked for.
    pub wishes: UnboundedReceiver<Wish>,
    /// Where others leave wishes.
    pub wishing: UnboundedSender<Wish>,
    /// What stands before the server.
    pub front: Option<Box<dyn Front>>,
}

/// Serves until it is asked to stop. Errors are those of the start.
pub fn serve(serve: Serve) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(ServerError::Runtime)?;
    let served = runtime.block_on(async { Server::begin(serve).await?.work().await });
    // What still waits in other threads (a hook of a run that doesn't end) must not hold up the end of the process.
    runtime.shutdown_timeout(PULSE);
    served
}

/// A server at work.
struct Server {
    first_file: PathBuf,
    config: Arc<Config>,
    follow: watch::Sender<Arc<Config>>,
    /// The same, and where it says what, for what stands before the server.
    tell: watch::Sender<Followed>,
    health: Arc<Health>,
    company: Option<Company>,
    front: Option<(Box<dyn Front>, Inside)>,
    footprint: Footprint,
    store: Store,
    workshop: Arc<Workshop>,
    scheduler: Scheduler,
    workers: Box<dyn Workers>,
    clocks: Arc<dyn Clocks>,
    troubles: Troubles,
    manager: Arc<dyn Manager>,
    voice: Arc<dyn Voice>,
    wishes: UnboundedReceiver<Wish>,
    questions: Questions,
    answers: UnboundedReceiver<Answered>,
    ended: UnboundedReceiver<Ended>,
    ending: UnboundedSender<Ended>,
    is_stopping: bool,
    /// Whether other definitions were applied last than those that are followed.
    differs: bool,
    said: Option<(String, Instant)>,
    _lock: MachineLock,
}

impl Server {
    async fn begin(serve: Serve) -> Result<Self> {
        let Serve {
            first_file,
            config,
            report,
            footprint,
            around,
            host,
            boot,
            manager,
            voice,
            wishes,
            wishing,
            front,
        } = serve;
        let folder = state::folder(&config);
        state::make_folders(&config)?;
        // Whatever database the state is in: of one machine, one process is the server.
        let lock = MachineLock::take(&config, &folder).await?;
        recovery::copy::remove_left(&folder)?;
        let store = lock.open(&config, &around.children_of(&config)).await?;
        let machine = state::machine(&folder)?;
        let server = state::server_name(&machine);
        let named = ServerError::name;
        let executor = state::process(&server)?;
        let workshop = Arc::new(Workshop {
            handle: tokio::runtime::Handle::current(),
            logs: LogFolder::open(&store, &folder.join("logs/server"), &executor.server).await?,
            store: store.clone(),
            machine: HostId::new(&*machine).map_err(named(&machine))?,
            executor: executor.clone(),
            around: around.clone(),
            retries: true,
            quotas: Default::default(),
        });
        lose_single(&store, &folder, &config).await?;
        let clocks = Arc::new(SystemClocks::new(boot));
        let reading = clocks.read();
        let host_name = HostId::new(&*around.host).map_err(named(&around.host))?;
        let seed = seed(&config, &machine);
        let (scheduler, wrong) =
            Scheduler::begin(store.clone(), executor, host_name.clone(), seed, &config, &reading).await?;
        let mut troubles = Troubles::new(store.clone(), host_name);
        troubles.begin(reading.wall()).await?;
        troubles.wrong(&wrong, reading.wall()).await?;
        let (ending, ended) = unbounded_channel();
        let (questions, answers) = Questions::new();
        let about = ServerDocument {
            version: around.version.clone(),
            host: around.host.clone(),
            process: std::process::id(),
            started: reading.wall(),
        };
        match control::listen(&folder, about, wishing.clone()) {
            Ok(listening) => drop(tokio::spawn(listening)),
            // Commands still work: what they write is found within half a minute.
            Err(error) => voice.say(
                Level::Warning,
                &format!("{} can't be listened at: {error}", control::socket(&folder).display()),
            ),
        }
        let warm = Arc::new(WarmRepositories::new(around.clone(), Arc::clone(&host)));
        let troubled = Arc::new(CatalogueTroubles::default());
        let workers = Box::new(Threads::new(Arc::clone(&workshop), host));
        let config = Arc::new(config);
        let health = Arc::new(Health::default());
        let (follow, followed) = watch::channel(Arc::clone(&config));
        let (tell, told) = watch::channel(Followed::new(Arc::clone(&config), report, reading.wall()));
        let front = front.map(|front| {
            let inside = Inside {
                first_file: first_file.clone(),
                definitions: told,
                store: store.clone(),
                folder: folder.clone(),
                logs: workshop.logs.clone(),
                executor: workshop.executor.clone(),
                around: around.clone(),
                clocks: clocks.clone(),
                voice: Arc::clone(&voice),
                health: Arc::clone(&health),
                started: reading.wall(),
                wishing,
                warm: Arc::clone(&warm),
                troubles: Arc::clone(&troubled),
                workshop: Arc::clone(&workshop),
            };
            (front, inside)
        });
        let company = Company {
            store: store.clone(),
            executor: workshop.executor.clone(),
            around,
            clocks: clocks.clone(),
            voice: Arc::clone(&voice),
            health: Arc::clone(&health),
            config: followed,
            started: reading.wall(),
            warm,
            troubles: troubled,
        };
        Ok(Self {
            first_file,
            config,
            follow,
            tell,
            health,
            company: Some(company),
            front,
            footprint,
            store,
            workshop,
            scheduler,
            workers,
            clocks,
            troubles,
            manager,
            voice,
            wishes,
            questions,
            answers,
            ended,
            ending,
            is_stopping: false,
            differs: false,
            said: None,
            _lock: lock,
        })
    }

    async fn work(mut self) -> Result<()> {
        // Services that hooks of an earlier life have stopped come back before anything stops them again.
        let failures = self.workshop.settle_undos(&self.config, |_| true).await?;
        self.tell_undos(failures);
        // They end with this value.
        let mut company = match self.company.take() {
            Some(company) => company.begin().await,
            None => JoinSet::new(),
        };
        if let Some((front, inside)) = self.front.take() {
            company.spawn(front.begin(inside));
        }
        self.manager.ready();
        self.voice.say(Level::Info, &format!("serving {}", counted(self.config.plans.len(), "plan")));
        let mut known_promises = Promises::default();
        let mut next_look = Instant::now();
        let mut next_promises = Instant::now();
        let mut next_tidy = Instant::now() + PROMISES_EVERY;
        while !(self.is_stopping && self.workers.count() == 0) {
            let now = Instant::now();
            if now >= next_look {
                next_look = self.look().await;
            }
            if now >= next_promises && self.is_in_charge() {
                next_promises = now + PROMISES_EVERY;
                let watched = self.watch(&mut known_promises).await;
                self.say_if_failed("promises can't be looked at", watched);
            }
            if now >= next_tidy && self.is_in_charge() {
                next_tidy = now + TIDY_EVERY;
                self.workshop.tidy(&self.config).await;
                let given = self.store.give_space_back().await.map_err(ServerError::from);
                self.say_if_failed("space can't be given back", given);
            }
            self.manager.alive();
            tokio::select! {
                () = tokio::time::sleep_until(next_look.min(Instant::now() + PULSE)) => {
                    if !self.is_stopping && self.footprint.has_changed() {
                        let _ = self.reload(Apply::IfNew).await;
                        next_look = Instant::now();
                    }
                    if self.scheduler.glance(&self.clocks.read()) {
                        next_look = Instant::now();
                    }
                }
                Some(ended) = self.ended.recv() => {
                    self.ended(ended).await;
                    next_look = Instant::now();
                }
                Some(answered) = self.answers.recv() => {
                    self.questions.answered(&answered.job);
                    self.scheduler.answered(&answered.job, answered.answer);
                    next_look = Instant::now();
                }
                wish = self.wishes.recv() => {
                    match wish {
                        Some(Wish::Reload(answer)) => {
                            let reloaded = self.reload(Apply::Anyway).await;
                            // The one that asked may have no patience left.
                            if let Some(answer) = answer {
                                drop(answer.send(reloaded));
                            }
                        }
                        Some(Wish::Look) => {}
                        Some(Wish::Stop) | None => self.stop(),
                    }
                    next_look = Instant::now();
                }
            }
        }
        self.store.close().await;
        Ok(())
    }

    /// Looks at the promises of all plans.
    async fn watch(&self, known: &mut Promises) -> Result<()> {
        let now = self.clocks.read().wall();
        let host = &self.workshop.around.host;
        promises::watch(&View { config: &self.config, store: &self.store, host, now }, known).await
    }

    /// Whether this server decides what the state says of plans.
    fn is_in_charge(&self) -> bool {
        !self.is_stopping && !self.differs
    }

    /// Looks at all jobs, and begins with the runs that start. Returns when to look again.
    async fn look(&mut self) -> Instant {
        let reading = self.clocks.read();
        let begun = Instant::now();
        let starts = !self.is_stopping;
        let looked = self.scheduler.look(&self.config, &reading, mains_power(), starts).await;
        let look = match looked {
            Ok(look) => look,
            Err(error) => {
                self.say("the schedules can't be looked at", &error);
                return begun + PULSE;
            }
        };
        let Look { next, start, lost, asks, clock, differs, wrong } = look;
        self.health.looked();
        for (job, held) in start {
            self.voice.say(Level::Info, &format!("run {} of {} begins", held.run.id, job.text()));
            self.workers.start(&self.config, job, held, self.ending.clone());
        }
        if !lost.is_empty() {
            for loss in &lost {
                self.voice.say(Level::Warning, &format!("run {} was lost", loss.run.id));
            }
            let lost: Vec<RunId> = lost.into_iter().map(|loss| loss.run.id).collect();
            match self.workshop.settle_undos(&self.config, |run| lost.contains(&run.id)).await {
                Ok(failures) => self.tell_undos(failures),
                Err(error) => self.say("hooks of a lost run can't be undone", &error),
            }
        }
        for job in asks {
            self.questions.ask(&self.config, &self.workshop.around, job, &*self.clocks);
        }
        if clock.iter().any(|event| matches!(event, ClockEvent::Set { .. })) {
            self.health.clock_jumped();
        }
        if let Some(wrong) = wrong {
            let told = self.troubles.wrong(&wrong, reading.wall()).await;
            self.say_if_failed("what is wrong with schedules can't be stored", told);
        }
        if differs.is_some() != self.differs {
            self.differs = differs.is_some();
            let (level, text) = match &differs {
                Some(applied) => (
                    Level::Warning,
                    format!(
                        "the server on {} has applied other definitions: this one makes no slots until both have the same",
                        applied.host
                    ),
                ),
                None => (Level::Info, "the definitions are those that were applied last".to_owned()),
            };
            self.voice.say(level, &text);
        }
        let told = self.troubles.differs(differs.as_ref(), reading.wall()).await;
        self.say_if_failed("whether the definitions differ from others can't be stored", told);
        let told = self.troubles.clock(&clock, reading.wall()).await;
        self.say_if_failed("what happened to the clock can't be stored", told);
        let wait = next.duration_since(reading.wall());
        begun + Duration::try_from(wait).unwrap_or(Duration::ZERO)
    }

    async fn ended(&mut self, ended: Ended) {
        self.workers.over(&ended.run);
        match &ended.problem {
            None => {
                self.voice.say(Level::Info, &format!("run {} of {} is over", ended.run, ended.job.text()))
            }
            Some(problem) => {
                let text = format!("run {} of {}: {problem}", ended.run, ended.job.text());
                self.voice.say(Level::Warning, &text);
            }
        }
        if self.is_stopping {
            let resumed = self.resume_later(&ended.run).await;
            self.say_if_failed("a run that was interrupted can't be queued again", resumed);
        }
    }

    /// A run that was ended because the server stops goes on when it starts again.
    async fn resume_later(&self, run: &RunId) -> Result<()> {
        let Some(run) = self.store.run(run).await? else { return Ok(()) };
        let is_interrupted = matches!(run.verdict, Some(keepfast_store::Verdict::Cancelled));
        if is_interrupted && run.cancel_requested.is_none() {
            let id = RunId::new(state::random_name()?).map_err(ServerError::name("run"))?;
            self.store.retry(now(), &run.id, id, None).await?;
        }
        Ok(())
    }

    fn stop(&mut self) {
        if !self.is_stopping {
            self.is_stopping = true;
            self.manager.stopping();
            let count = self.workers.count();
            self.voice.say(Level::Info, &format!("stopping; {} to end first", counted(count, "run")));
        }
        self.workers.stop();
    }

    /// Reads the definitions again: all of them are followed, or, if something is wrong, none.
    async fn reload(&mut self, apply: Apply) -> Reloaded {
        self.manager.reloading();
        let (loaded, footprint) = definitions::read(&self.first_file);
        self.footprint = footprint;
        let now = self.clocks.read().wall();
        let mut reloaded = Reloaded {
            is_followed: loaded.config.is_some(),
            report: loaded.report.render(Style::Plain),
            diagnostics: loaded.report.to_json(),
            remarks: Vec::new(),
        };
        match loaded.config {
            Some(config) => {
                let is_moved = config.server.value.state != self.config.server.value.state
                    || state::folder(&config) != state::folder(&self.config);
                if is_moved {
                    self.voice.say(Level::Warning, STATE_IS_MOVED);
                    reloaded.remarks.push(STATE_IS_MOVED.to_owned());
                }
                self.config = Arc::new(config);
                self.follow.send_replace(Arc::clone(&self.config));
                self.tell.send_replace(Followed::new(Arc::clone(&self.config), loaded.report, now));
                self.health.config(true);
                match self.scheduler.adopt(&self.config, apply, now).await {
                    Ok(wrong) => {
                        reloaded.remarks.extend(wrong.iter().map(|error| with_causes(error)));
                        let told = self.troubles.wrong(&wrong, now).await;
                        self.say_if_failed("what is wrong with schedules can't be stored", told);
                    }
                    Err(error) => {
                        reloaded
                            .remarks
                            .push(format!("the new schedules can't be followed: {}", with_causes(&error)));
                        self.say("the new schedules can't be followed", &error);
                    }
                }
                let told = self.troubles.config_is_valid(now).await;
                self.say_if_failed("that the definitions are valid can't be stored", told);
                self.voice.say(Level::Info, "the definitions were read again");
            }
            None => {
                self.health.config(false);
                let told = self.troubles.config_is_invalid(&loaded.report, now).await;
                self.say_if_failed("what is wrong with the definitions can't be stored", told);
                self.tell.send_modify(|followed| followed.found_wrong(loaded.report, now));
                let text = "the definitions are invalid; those of before are followed";
                self.voice.say(Level::Error, text);
            }
        }
        self.manager.ready();
        reloaded
    }

    fn tell_undos(&self, failures: Vec<crate::running::UndoFailure>) {
        for failure in failures {
            self.voice.say(Level::Warning, &failure.problem);
        }
    }

    /// Says an error, unless it was the last thing that was said.
    fn say(&mut self, what: &str, error: &ServerError) {
        let text = format!("{what}: {}", with_causes(error));
        let is_said =
            self.said.as_ref().is_some_and(|(said, at)| *said == text && at.elapsed() < SAID_AGAIN_AFTER);
        if !is_said {
            self.voice.say(Level::Error, &text);
            self.said = Some((text, Instant::now()));
        }
    }

    fn say_if_failed(&mut self, what: &str, done: Result<()>) {
        if let Err(error) = done {
            self.say(what, &error);
        }
    }
}

/// Ends what processes have left that ran one plan and whose locks are free, where the state is this machine's alone. For
/// all others their leases decide.
async fn lose_single(store: &Store, folder: &Path, config: &Config) -> Result<()> {
    if config.server.value.state.postgres.is_some() {
        return Ok(());
    }
    for run in store.active_runs().await? {
        let single = run.executor.as_ref().and_then(|other| state::single_plan(&other.server));
        let Some(single) = single else { continue };
        // The lock is let go at once: the process that had it is over.
        if PlanLock::take(folder, single)?.is_some() {
            Scheduler::lose_dead(store, &run.id, state::instant(now())).await?;
        }
    }
    Ok(())
}

/// A number with its noun.
fn counted(number: usize, noun: &str) -> String {
    keepfast_engine::nouns::counted(u64::try_from(number).unwrap_or(u64::MAX), noun)
}

/// What spreads the starts of plans: of one machine always the same. Servers that share a state have to agree.
fn seed(config: &Config, machine: &str) -> JitterSeed {
    let shared = config.server.value.state.postgres.is_some();
    let hash = blake3::hash(if shared { b"" } else { machine.as_bytes() });
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hash.as_bytes()[..8]);
    JitterSeed(u64::from_le_bytes(bytes))
}
