//! What goes on beside the schedules, each as a task of its own: messages are decided and sent, a service outside hears
//! that all is well, metrics are answered. None of them can hold up a run, and a fault of one is said and tried again.

use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use keepfast_config::config::Config;
use keepfast_config::values::address::Listen;
use keepfast_operations::child::Children;
use keepfast_operations::error::with_causes;
use keepfast_operations::secret::SecretCache;
use keepfast_store::{Executor, Store};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::catalogue::Due;
use super::clock::Clocks;
use super::outside::{Level, Voice};
use crate::catalogue::{self, Refreshed, Troubles};
use crate::error::{Result, ServerError};
use crate::listen::{Listener, Mode};
use crate::notices::{Courier, Notifier, Pulse, Sender};
use crate::observed::listener::{serve_metrics, token};
use crate::observed::{ServerFacts, observation};
use crate::surroundings::Surroundings;
use crate::warm::WarmRepositories;

/// No task waits longer: a signal of the state can get lost.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// After a fault, this long passes until the next try.
const AFTER_FAULT: Duration = Duration::from_secs(10);
/// Between two rounds of sending, at least.
const ROUND_MIN: Duration = Duration::from_secs(1);
/// Rounds of sending that may wait for targets at once.
const ROUNDS_MAX: usize = 4;
/// How often the catalogue's task looks whether something is due, at least.
const CATALOGUE_PULSE: Duration = Duration::from_secs(20);
/// Repositories that are looked at at once for the catalogue: one that hangs holds up no other.
const LOOKS_MAX: usize = 2;
/// A server whose last good look is older than this isn't well.
const WELL_FOR: Duration = Duration::from_secs(120);

/// How the server is.
#[derive(Debug)]
pub struct Health {
    looked: Mutex<Instant>,
    config_is_valid: AtomicBool,
    clock_jumps: AtomicU64,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            looked: Mutex::new(Instant::now()),
            config_is_valid: AtomicBool::new(true),
            clock_jumps: AtomicU64::new(0),
        }
    }
}

impl Health {
    /// A look at all schedules has ended well.
    pub fn looked(&self) {
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Whether the definitions in the files are those that are followed.
    pub fn config(&self, is_valid: bool) {
        self.config_is_valid.store(is_valid, Ordering::Relaxed);
    }

    /// The clock was set.
    pub fn clock_jumped(&self) {
        self.clock_jumps.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the definitions in the files are those that are followed.
    #[must_use]
    pub fn config_is_valid(&self) -> bool {
        self.config_is_valid.load(Ordering::Relaxed)
    }

    /// Whether the schedules are looked at.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.looked.lock().unwrap_or_else(PoisonError::into_inner).elapsed() < WELL_FOR
    }
}

/// What all tasks share.
#[derive(Clone)]
pub struct Company {
    /// The state.
    pub store: Store,
    /// This process.
    pub executor: Executor,
    /// What it brings to its work.
    pub around: Surroundings,
    /// The clocks.
    pub clocks: Arc<dyn Clocks>,
    /// The server's words.
    pub voice: Arc<dyn Voice>,
    /// How it is.
    pub health: Arc<Health>,
    /// The definitions that are followed.
    pub config: watch::Receiver<Arc<Config>>,
    /// When it started.
    pub started: Timestamp,
    /// Repositories that people look into.
    pub warm: Arc<WarmRepositories>,
    /// What went wrong with the catalogue.
    pub troubles: Arc<Troubles>,
}

impl Company {
    /// Begins with all tasks. They end when the set is dropped.
    pub async fn begin(self) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        tasks.spawn(self.clone().decide());
        tasks.spawn(self.clone().send());
        tasks.spawn(self.clone().pulse());
        tasks.spawn(self.clone().catalogue());
        if let Some(answering) = self.metrics().await {
            tasks.spawn(answering);
        }
        tasks
    }

    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.borrow())
    }

    fn children(&self) -> Children {
        self.around.children_of(&self.config())
    }

    fn secrets(&self) -> Arc<SecretCache> {
        Arc::clone(&self.around.secrets)
    }

    fn fault(&self, what: &str, error: &ServerError) {
        self.voice.say(Level::Error, &format!("{what}: {}", with_causes(error)));
    }

    /// How long to wait for an instant; at most [`WAIT_MAX`].
    fn wait(&self, until: Option<Timestamp>) -> Duration {
        let Some(until) = until else { return WAIT_MAX };
        let left = until.duration_since(self.clocks.read().wall());
        Duration::try_from(left).unwrap_or(Duration::ZERO).min(WAIT_MAX)
    }

    async fn decide(mut self) {
        let mut notifier = Notifier::new(self.store.clone(), &self.around.host);
        let mut committed = self.store.watch();
        loop {
            let (config, reading) = (self.config(), self.clocks.read());
            let wait = match notifier.step(&config, reading.wall(), reading.steady).await {
                Ok(next) => self.wait(next),
                Err(error) => {
                    self.fault("notifications can't be decided", &error);
                    sleep(AFTER_FAULT).await;
                    continue;
                }
            };
            tokio::select! {
                () = sleep(wait) => {}
                () = committed.changed() => {}
                changed = self.config.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn send(self) {
        let courier = Arc::new(Courier::new());
        let children = self.children();
        let sender = Sender::new(
            self.store.clone(),
            self.executor.clone(),
            courier,
            children,
            self.secrets(),
            &self.around.host,
        );
        let mut committed = self.store.watch();
        let rounds = Arc::new(Semaphore::new(ROUNDS_MAX));
        // A round that waits for a target that hangs holds up no other target: the next round passes it over.
        let (again, mut next) = watch::channel(None::<Timestamp>);
        loop {
            if let Ok(seat) = Arc::clone(&rounds).try_acquire_owned() {
                let (sender, config, of) = (sender.clone(), self.config(), self.clone());
                let again = again.clone();
                tokio::spawn(async move {
                    match sender.send_due(&config, of.clocks.read().wall()).await {
                        Ok(at) => again.send_modify(|next| *next = at),
                        Err(error) => of.fault("messages can't be sent", &error),
                    }
                    drop(seat);
                });
            }
            sleep(ROUND_MIN).await;
            let at = *next.borrow_and_update();
            tokio::select! {
                () = sleep(self.wait(at)) => {}
                () = committed.changed() => {}
            }
        }
    }

    async fn pulse(self) {
        let courier = Arc::new(Courier::new());
        let mut pulse =
            Pulse::new(self.store.clone(), courier, self.children(), self.secrets(), &self.around.host);
        loop {
            let (config, now) = (self.config(), self.clocks.read().wall());
            let wait = match pulse.step(&config, now, self.health.is_well()).await {
                Ok(next) => self.wait(next),
                Err(error) => {
                    self.fault("the heartbeat can't be stored", &error);
                    AFTER_FAULT
                }
            };
            sleep(wait.max(ROUND_MIN)).await;
        }
    }

    /// Keeps the catalogue of snapshots like the repositories: after runs that change them, and every quarter of an hour.
    async fn catalogue(self) {
        let mut committed = self.store.watch();
        let mut due = Due::default();
        let mut working: JoinSet<(String, Result<Refreshed>)> = JoinSet::new();
        loop {
            if let Err(error) = due.hear(&self.store).await {
                self.fault("what changes repositories can't be read", &error);
            }
            let config = self.config();
            for name in due.take(config.repositories.keys(), Instant::now(), LOOKS_MAX - working.len()) {
                let (of, config, name) = (self.clone(), Arc::clone(&config), name.clone());
                working.spawn(async move {
                    let Self { store, warm, troubles, .. } = &of;
                    let done = catalogue::refresh(store, warm, troubles, &config, &name).await;
                    (name, done)
                });
            }
            self.warm.close_idle();
            tokio::select! {
                () = sleep(CATALOGUE_PULSE) => {}
                () = committed.changed() => sleep(ROUND_MIN).await,
                Some(ended) = working.join_next() => {
                    // A fault that was said once is said again only if it is another one.
                    if let Ok((name, done)) = ended
                        && let Some(error) = due.ended(&name, done, Instant::now())
                    {
                        let text = format!("the snapshots of repository {name} can't be listed: {error}");
                        self.voice.say(Level::Warning, &text);
                    }
                }
            }
        }
    }

    /// What answers readers of metrics; nothing if there is no listener.
    async fn metrics(&self) -> Option<impl Future<Output = ()> + Send + use<>> {
        let config = self.config();
        let defined = config.server.value.metrics.as_ref()?;
        let (listener, place) = match &defined.listen.value {
            Listen::Socket(address) => (Listener::tcp(*address).await, address.to_string()),
            Listen::Unix(path) => (Listener::unix(path, Mode::Group), path.display().to_string()),
        };
        let listener = match listener {
            Ok(listener) => listener,
            Err(error) => {
                self.voice.say(Level::Error, &format!("metrics: {place} can't be listened at: {error}"));
                return None;
            }
        };
        let children = self.children();
        let of = defined.clone();
        // Reading a secret may start a program.
        let token = tokio::task::spawn_blocking(move || token(&of, &children)).await;
        let token = match token {
            Ok(Ok(token)) => token,
            Ok(Err(error)) => {
                self.fault("metrics: the token can't be read, and no one is answered", &error);
                return None;
            }
            Err(_) => return None,
        };
        let of = self.clone();
        let source = move || {
            let of = of.clone();
            async move { of.observe().await }
        };
        let voice = Arc::clone(&self.voice);
        Some(async move {
            if let Err(error) = serve_metrics(listener, source, token, pending()).await {
                voice.say(Level::Error, &format!("metrics are answered no more: {error}"));
            }
        })
    }

    async fn observe(&self) -> Result<keepfast_observe::metrics::Observation> {
        let facts = ServerFacts {
            version: self.around.version.clone(),
            started: self.started,
            config_valid: self.health.config_is_valid.load(Ordering::Relaxed),
            clock_jumps: self.health.clock_jumps.load(Ordering::Relaxed),
        };
        let now = self.clocks.read().wall();
        observation(&self.config(), &self.store, now, &self.around.host, Some(&facts)).await
    }
}
