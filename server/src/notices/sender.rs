//! Sends what was decided: several targets at once, and to each target one message after the other.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use keepfast_config::config::Config;
use keepfast_notify::backoff::{self, Next};
use keepfast_notify::{Channel, Outcome};
use keepfast_operations::child::Children;
use keepfast_operations::error::with_causes;
use keepfast_operations::secret::SecretCache;
use keepfast_store::{
    Executor, HeldDelivery, ProblemKind, Store, Subject, SubjectKind, TargetId, Text, Tried, TriedOutcome,
};
use serde_json::json;
use tokio::task::JoinSet;

use super::carrier::Carrier;
use super::convert::{Recipient, recipient};
use super::parcel::Parcel;
use super::secrets::TargetSecrets;
use crate::error::Result;
use crate::state::{instant, stored};

/// Messages that one call sends to one target, at most: a call has an end, however many wait.
const MESSAGES_PER_CALL_MAX: usize = 20;
/// What an attempt may take in addition to its target's own timeout: reading secrets, and writing down what came of it.
const LEASE_MARGIN: Duration = Duration::from_secs(90);
/// A longer pause than this isn't kept, whatever a service asks for: the state takes instants that are further away for
/// those of a clock that was set back.
const PAUSE_MAX: Duration = Duration::from_secs(3_600);
/// Certificates of authorities take this many bytes, at most.
const AUTHORITIES_BYTES_MAX: u64 = 1 << 20;
/// What a problem with a target is called in the state.
pub const DELIVERY_PROBLEM: &str = "delivery";

/// Sends deliveries. Clones are one sender: a target that one of them is sending to is passed over by the others, so
/// that a call may be made while another one still waits for a target that hangs.
#[derive(Clone)]
pub struct Sender {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    executor: Executor,
    carrier: Arc<dyn Carrier>,
    children: Children,
    server: String,
    cache: Arc<SecretCache>,
    busy: Mutex<BTreeSet<TargetId>>,
}

/// The right to send to a target. It ends with its holder, also if that is dropped while it waits.
struct Busy {
    shared: Arc<Shared>,
    target: TargetId,
}

impl Busy {
    fn take(shared: &Arc<Shared>, target: &TargetId) -> Option<Self> {
        let is_free = shared.busy.lock().unwrap_or_else(PoisonError::into_inner).insert(target.clone());
        is_free.then(|| Self { shared: Arc::clone(shared), target: target.clone() })
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.shared.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.target);
    }
}

impl Sender {
    /// A sender of this server. `executor` is this process; `children` is how commands are started that print a secret;
    /// `cache` is where secrets are kept that were read a short time ago; `server` is the name by which messages call this server.
    #[must_use]
    pub fn new(
        store: Store,
        executor: Executor,
        carrier: Arc<dyn Carrier>,
        children: Children,
        cache: Arc<SecretCache>,
        server: &str,
    ) -> Self {
        let busy = Mutex::default();
        let server = server.to_owned();
        Self { shared: Arc::new(Shared { store, executor, carrier, children, server, cache, busy }) }
    }

    /// Sends what is due, and returns when more will be due; `None` if nothing waits. An attempt that fails is the
    /// target's last one of this call.
    pub async fn send_due(&self, config: &Config, now: Timestamp) -> Result<Option<Timestamp>> {
        let waiting = self.shared.store.waiting_deliveries().await?;
        let due = waiting.into_iter().filter(|(_, at)| *at <= stored(now)).map(|(target, _)| target);
        let mut sending = JoinSet::new();
        for target in due {
            self.begin(config, &target, now, &mut sending);
        }
        let mut failure = None;
        while let Some(ended) = sending.join_next().await {
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => failure = Some(error),
                Err(panicked) if panicked.is_panic() => std::panic::resume_unwind(panicked.into_panic()),
                Err(_) => {}
            }
        }
        if let Some(error) = failure {
            return Err(error);
        }
        let waiting = self.shared.store.waiting_deliveries().await?;
        let busy = self.shared.busy.lock().unwrap_or_else(PoisonError::into_inner);
        // The call that sends to a target at this moment says itself when that target is due again.
        let idle = waiting.into_iter().filter(|(target, _)| !busy.contains(target));
        Ok(idle.map(|(_, at)| instant(at)).min())
    }

    /// Sends what is due to one target.
    pub async fn send_to(&self, config: &Config, target: &TargetId, now: Timestamp) -> Result<()> {
        let mut sending = JoinSet::new();
        self.begin(config, target, now, &mut sending);
        match sending.join_next().await {
            Some(Ok(sent)) => sent,
            Some(Err(panicked)) if panicked.is_panic() => std::panic::resume_unwind(panicked.into_panic()),
            Some(Err(_)) | None => Ok(()),
        }
    }

    fn begin(&self, config: &Config, target: &TargetId, now: Timestamp, sending: &mut JoinSet<Result<()>>) {
        let Some(busy) = Busy::take(&self.shared, target) else { return };
        let to = match config.targets.get(target.as_str()) {
            None => To::Unknown,
            Some(definition) => match recipient(definition, &self.shared.server) {
                Ok(recipient) => To::Known(Box::new(recipient)),
                Err(error) => To::Unusable(with_causes(&error)),
            },
        };
        sending.spawn(Sending { busy, to, now }.run());
    }
}

/// Where messages go.
enum To {
    Known(Box<Recipient>),
    /// The configuration defines no such target. Another server may have a newer one.
    Unknown,
    Unusable(String),
}

/// The messages to one target.
struct Sending {
    busy: Busy,
    to: To,
    now: Timestamp,
}

impl Sending {
    async fn run(mut self) -> Result<()> {
        self.read_authorities().await;
        let Shared { store, executor, .. } = &*self.busy.shared;
        let timeout = match &self.to {
            To::Known(recipient) => match &recipient.target.channel {
                Channel::Smtp(smtp) => smtp.timeout,
                Channel::Webhook(webhook) => webhook.timeout,
            },
            To::Unknown | To::Unusable(_) => Duration::ZERO,
        };
        // Twice: a secret that was refused is read again, and the message sent once more.
        let lease = timeout.saturating_mul(2).saturating_add(LEASE_MARGIN);
        for _ in 0..MESSAGES_PER_CALL_MAX {
            let held = store.claim_delivery(stored(self.now), executor, lease, &self.busy.target).await?;
            let Some(held) = held else { break };
            if !self.send(&held).await? {
                break;
            }
        }
        Ok(())
    }

    /// Reads the certificates that the target names.
    async fn read_authorities(&mut self) {
        let To::Known(recipient) = &mut self.to else { return };
        let Some(file) = recipient.ca_file.clone() else { return };
        let reading = tokio::task::spawn_blocking(move || {
            let mut text = String::new();
            let read =
                File::open(&file).and_then(|file| file.take(AUTHORITIES_BYTES_MAX).read_to_string(&mut text));
            read.map(|_| text)
                .map_err(|error| format!("the certificates in {} can't be read: {error}", file.display()))
        });
        let read = reading.await.unwrap_or_else(|error| Err(error.to_string()));
        match read {
            Ok(text) => match &mut recipient.target.channel {
                Channel::Smtp(smtp) => smtp.authorities = Some(text),
                Channel::Webhook(webhook) => webhook.authorities = Some(text),
            },
            Err(why) => self.to = To::Unusable(why),
        }
    }

    /// Makes one attempt, and stores what came of it. Whether it arrived.
    async fn send(&self, held: &HeldDelivery) -> Result<bool> {
        let store = &self.busy.shared.store;
        let mut parcel = match Parcel::read(&held.delivery.document) {
            Ok(parcel) => parcel,
            Err(error) => {
                let error = Text::from(format!("the stored message can't be read: {error}"));
                let document = held.delivery.document.clone();
                let tried = Tried { outcome: TriedOutcome::GivenUp, error: Some(error), document };
                store.delivery_tried(stored(self.now), held, &tried).await?;
                return Ok(false);
            }
        };
        let (outcome, error) = match self.attempt(&mut parcel).await {
            Outcome::Delivered { answer, refused } => {
                parcel.answer = Some(answer);
                parcel.progress.refused = refused;
                let refused = &parcel.progress.refused;
                let refused = refused.iter().map(|(address, why)| format!("{address}: {why}"));
                let refused = refused.collect::<Vec<_>>().join("; ");
                if refused.is_empty() {
                    self.works().await?;
                    (TriedOutcome::Arrived, None)
                } else {
                    let reason = format!("some recipients are refused: {refused}");
                    self.fails(&reason, "Check the addresses in the target's `to`.").await?;
                    (TriedOutcome::Arrived, Some(reason))
                }
            }
            Outcome::Later { reason, wait, progress } => {
                parcel.progress = progress;
                let next = self.next(held, wait);
                if next == TriedOutcome::GivenUp {
                    let advice = "Look whether the service works, and whether this machine reaches it.";
                    self.fails(&reason, advice).await?;
                }
                (next, Some(reason))
            }
            Outcome::Refused(refusal) => {
                self.fails(&refusal.reason, &refusal.advice).await?;
                parcel.advice = Some(refusal.advice);
                (TriedOutcome::GivenUp, Some(refusal.reason))
            }
        };
        let arrived = outcome == TriedOutcome::Arrived;
        let tried = Tried { outcome, error: error.map(Text::from), document: parcel.document() };
        // If it isn't held any more, another server has taken it back and sends it again.
        store.delivery_tried(stored(self.now), held, &tried).await?;
        Ok(arrived)
    }

    async fn attempt(&self, parcel: &mut Parcel) -> Outcome {
        let Shared { carrier, children, cache, .. } = &*self.busy.shared;
        let later = |reason: String, parcel: &Parcel| Outcome::Later {
            reason,
            wait: None,
            progress: parcel.progress.clone(),
        };
        let recipient = match &self.to {
            To::Known(recipient) => recipient,
            To::Unknown => {
                let reason = format!("the configuration defines no target {}", self.busy.target);
                return later(reason, parcel);
            }
            To::Unusable(why) => return later(why.clone(), parcel),
        };
        let Recipient { target, secrets, ca_file: _ } = &**recipient;
        let secrets = TargetSecrets::new(secrets.clone(), Arc::clone(cache), children.clone());
        let outcome = carrier.deliver(target, &parcel.message, &parcel.progress, &secrets, self.now).await;
        match &outcome {
            Outcome::Refused(refusal) if refusal.secret_may_be_old && secrets.read_again() => {
                carrier.deliver(target, &parcel.message, &parcel.progress, &secrets, self.now).await
            }
            _ => outcome,
        }
    }

    /// What comes after an attempt that may succeed later.
    fn next(&self, held: &HeldDelivery, asked: Option<Duration>) -> TriedOutcome {
        let delivery = &held.delivery;
        let asked = asked.map(|asked| asked.min(PAUSE_MAX));
        let seed = delivery.key.number().unsigned_abs();
        match backoff::next(delivery.attempts, instant(delivery.created), self.now, asked, seed) {
            Next::At(at) => TriedOutcome::Again(stored(at)),
            Next::GiveUp => TriedOutcome::GivenUp,
        }
    }

    /// Messages to the target don't arrive. It is stored before the message is given up: if this process ends in between,
    /// the message is tried again, and that it doesn't arrive is known.
    async fn fails(&self, reason: &str, advice: &str) -> Result<()> {
        // A target that was removed is no problem that anyone could solve.
        if matches!(self.to, To::Unknown) {
            return Ok(());
        }
        let target = &self.busy.target;
        let summary = format!("Messages to the target {target} don't arrive: {reason}");
        let document = json!({ "summary": summary, "advice": advice, "facts": { "Target": target } });
        let (subject, kind) = problem_of(target);
        let store = &self.busy.shared.store;
        store.see_problem(stored(self.now), &subject, &kind, &document, None).await?;
        Ok(())
    }

    /// A message to the target has arrived.
    async fn works(&self) -> Result<()> {
        let (subject, kind) = problem_of(&self.busy.target);
        self.busy.shared.store.resolve_problem(stored(self.now), &subject, &kind).await?;
        Ok(())
    }
}

fn problem_of(target: &TargetId) -> (Subject, ProblemKind) {
    let kind = ProblemKind::new(DELIVERY_PROBLEM).unwrap_or_else(|_| unreachable!("the name is valid"));
    (Subject::of(SubjectKind::Target, target.as_str()), kind)
}
