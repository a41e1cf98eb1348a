//! Messages of a process that runs one plan, where no server of this machine would send them: what the run has committed
//! is decided about and sent before the process ends. It is the server's own way, through the outbox of the state, so
//! that of several such processes, and a server that starts meanwhile, one decides and one sends.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use keepfast_config::config::Config;
use keepfast_notify::heartbeat::{Beat, Heartbeat};
use keepfast_notify::{Message, Outcome, Progress, Secrets, Target};
use keepfast_operations::child::Children;
use keepfast_operations::error::with_causes;
use keepfast_store::{DeliveryState, Elapsed, Executor, PageSize, Store, UtcTime};
use tokio::time::{Instant, timeout_at};

use super::carrier::{Carrier, OutcomeFuture};
use super::log::DeliveryDocument;
use super::{Courier, Notifier, Sender};
use crate::error::Result;
use crate::lock::MachineLock;
use crate::state::{self, PlanLock, instant, now};
use crate::surroundings::Surroundings;

/// How long messages may take, with all targets at once.
const PATIENCE: Duration = Duration::from_secs(30);
/// What the state may take in addition, to store what came of them.
const PATIENCE_WITH_STATE: Duration = Duration::from_secs(15);
/// Messages that are looked at to say what didn't arrive.
const LOOK_AMONG: usize = 100;

/// What came of telling.
#[derive(Debug, Default)]
pub struct Told {
    /// Messages that didn't arrive: they wait for another attempt, or were given up since this process began.
    pub undelivered: Vec<DeliveryDocument>,
    /// News of plans and repositories that are told later: after quiet hours, with a summary, or because a target has
    /// got many messages.
    pub held: usize,
    /// When the first of them is due.
    pub due: Option<Timestamp>,
    /// Why it isn't known what was told.
    pub trouble: Option<String>,
}

/// What decides and sends in a process that runs one plan.
pub struct Alone {
    notifier: Notifier,
    sender: Sender,
    store: Store,
    executor: Executor,
    carrier: Arc<Within>,
    begun: Instant,
    begun_at: UtcTime,
    trouble: Option<String>,
}

impl Alone {
    /// Call this before the run begins: where nothing has ever read the events of this state, its own are the first that
    /// are told. `executor` is this process, which has the plan's lock.
    pub async fn begin(
        config: &Config,
        store: Store,
        executor: Executor,
        children: Children,
        around: &Surroundings,
    ) -> Self {
        let (secrets, server) = (Arc::clone(&around.secrets), &*around.host);
        let carrier = Arc::new(Within::new());
        let sender = Sender::new(store.clone(), executor.clone(), carrier.clone(), children, secrets, server);
        let notifier = Notifier::new(store.clone(), server).ends_soon();
        let (begun, begun_at) = (Instant::now(), now());
        let mut alone = Self { notifier, sender, store, executor, carrier, begun, begun_at, trouble: None };
        alone.trouble = alone.read_before(config).await.err().map(|error| with_causes(&error));
        alone
    }

    /// Sends what is due, unless a server does. A message that doesn't arrive stays in the outbox.
    pub async fn tell(mut self, config: &Config) -> Told {
        if let Some(trouble) = self.trouble.take() {
            return Told { trouble: Some(trouble), ..Told::default() };
        }
        let until = Instant::now() + PATIENCE;
        self.carrier.until(until);
        let told = timeout_at(until + PATIENCE_WITH_STATE, self.tell_until(config, until)).await;
        let trouble = match told {
            Ok(Ok(told)) => return told,
            Ok(Err(error)) => with_causes(&error),
            Err(_) => {
                format!("the state did not answer within {} s", (PATIENCE + PATIENCE_WITH_STATE).as_secs())
            }
        };
        Told { trouble: Some(trouble), ..Told::default() }
    }

    /// Whether this process has to tell anything: there is someone to tell, and no server that does it.
    async fn is_needed(&self, config: &Config) -> Result<bool> {
        let has_routes = super::convert::has_routes(config);
        Ok((has_routes || self.notifier.is_begun().await?) && !MachineLock::is_held(config)?)
    }

    async fn read_before(&mut self, config: &Config) -> Result<()> {
        if !self.notifier.is_begun().await? && self.is_needed(config).await? {
            self.notifier.step(config, instant(now()), self.elapsed()).await?;
        }
        Ok(())
    }

    async fn tell_until(&mut self, config: &Config, until: Instant) -> Result<Told> {
        if !self.is_needed(config).await? {
            return Ok(Told::default());
        }
        self.release_dead(config).await?;
        let mut due;
        loop {
            let at = instant(now());
            due = self.notifier.step(config, at, self.elapsed()).await?;
            let decided = self.store.last_event().await?;
            let next = self.sender.send_due(config, at).await?;
            // That a target doesn't work is an event itself, which others are told.
            let is_all = self.store.last_event().await? == decided && next.is_none_or(|next| next > at);
            if is_all || Instant::now() >= until {
                break;
            }
        }
        let held = self.notifier.held().await?;
        Ok(Told {
            undelivered: self.undelivered().await?,
            held,
            due: due.filter(|_| held > 0),
            trouble: None,
        })
    }

    /// Takes back what processes have left that died while they sent it. No one else does, as long as there is no
    /// server: leases end before the eyes of a process that stays.
    async fn release_dead(&self, config: &Config) -> Result<()> {
        let senders = self.store.senders().await?;
        // After the list: a server of this machine that is in it and has no lock now has ended.
        let has_server = MachineLock::is_held(config)?;
        let is_local = state::file(config).is_some();
        for sender in senders.iter().filter(|sender| **sender != self.executor) {
            let is_dead = if sender.server == self.executor.server {
                true
            } else if !is_local {
                false
            } else if let Some(plan) = state::single_plan(&sender.server) {
                PlanLock::take(&state::folder(config), plan)?.is_some()
            } else {
                state::is_server(&sender.server) && !has_server
            };
            if is_dead {
                self.store.release_deliveries_of(now(), sender).await?;
            }
        }
        Ok(())
    }

    async fn undelivered(&self) -> Result<Vec<DeliveryDocument>> {
        let size = PageSize::at_most(LOOK_AMONG);
        let waiting = self.store.deliveries(None, Some(DeliveryState::Waiting), None, size).await?.rows;
        let given_up =
            self.store.deliveries(None, Some(DeliveryState::Undeliverable), None, size).await?.rows;
        let is_of_now = |ended: Option<_>| ended.is_some_and(|ended| ended >= self.begun_at);
        let given_up = given_up.into_iter().filter(|delivery| is_of_now(delivery.ended));
        Ok(waiting.into_iter().chain(given_up).map(|delivery| (&delivery).into()).collect())
    }

    fn elapsed(&self) -> Elapsed {
        Elapsed(self.begun.elapsed())
    }
}

/// A courier that has until an instant. What it gives up is tried again later, as after any failure.
struct Within {
    courier: Courier,
    until: Mutex<Instant>,
}

impl Within {
    fn new() -> Self {
        Self { courier: Courier::new(), until: Mutex::new(Instant::now()) }
    }

    fn until(&self, until: Instant) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }
}

impl Carrier for Within {
    fn deliver<'a>(
        &'a self,
        target: &'a Target,
        message: &'a Message,
        progress: &'a Progress,
        secrets: &'a dyn Secrets,
        now: Timestamp,
    ) -> OutcomeFuture<'a> {
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
        Box::pin(async move {
            let delivering = self.courier.deliver(target, message, progress, secrets, now);
            timeout_at(until, delivering).await.unwrap_or_else(|_| Outcome::Later {
                reason: format!(
                    "no answer came in the {} s that a run without a server waits",
                    PATIENCE.as_secs()
                ),
                wait: None,
                progress: progress.clone(),
            })
        })
    }

    fn beat<'a>(
        &'a self,
        heartbeat: &'a Heartbeat,
        beat: Beat,
        secrets: &'a dyn Secrets,
        now: Timestamp,
    ) -> OutcomeFuture<'a> {
        Box::pin(self.courier.beat(heartbeat, beat, "", secrets, now))
    }
}
