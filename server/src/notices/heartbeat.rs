//! The heartbeat: while this server is well, a service outside hears from it, so that its silence is noticed.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use keepfast_config::config::Config;
use keepfast_config::model::server::Heartbeat as Defined;
use keepfast_notify::Outcome;
use keepfast_notify::heartbeat::{Beat, Heartbeat, Method, due};
use keepfast_operations::child::Children;
use keepfast_operations::secret::SecretCache;
use keepfast_store::{ProblemKind, Store, Subject, SubjectKind};
use serde_json::json;

use super::carrier::Carrier;
use super::convert::Keyring;
use super::secrets::TargetSecrets;
use crate::error::Result;
use crate::state::stored;

/// What a problem with the heartbeat is called in the state.
pub const HEARTBEAT_PROBLEM: &str = "heartbeat";
/// A beat may take this long.
const TIMEOUT: Duration = Duration::from_secs(15);
/// This many beats in a row that don't arrive are a problem: one alone may be a network that was busy.
const FAILURES_TOLD: u32 = 3;

/// Tells a service outside that this server lives.
pub struct Pulse {
    store: Store,
    carrier: Arc<dyn Carrier>,
    children: Children,
    server: String,
    cache: Arc<SecretCache>,
    last: Option<Timestamp>,
    failures: u32,
}

impl Pulse {
    /// One that has told nothing yet. `children` is how commands are started that print a secret; `cache` is
    /// where secrets are kept that were read a short time ago; `server` is the name by which messages call this server.
    #[must_use]
    pub fn new(
        store: Store,
        carrier: Arc<dyn Carrier>,
        children: Children,
        cache: Arc<SecretCache>,
        server: &str,
    ) -> Self {
        Self { store, carrier, children, server: server.to_owned(), cache, last: None, failures: 0 }
    }

    /// Sends a beat if one is due and this server is well, and says when the next one is due; `None` if the
    /// configuration wants none. A server that isn't well is silent, which is what the service outside notices.
    pub async fn step(
        &mut self,
        config: &Config,
        now: Timestamp,
        is_well: bool,
    ) -> Result<Option<Timestamp>> {
        let Some(defined) = &config.server.value.heartbeat else {
            self.last = None;
            return Ok(None);
        };
        let every = defined.every.0;
        let at = due(self.last, every, now);
        if at > now {
            return Ok(Some(at));
        }
        self.last = Some(now);
        if is_well {
            let reason = self.beat(defined, now).await;
            self.note(reason, now).await?;
        }
        Ok(Some(due(self.last, every, now)))
    }

    /// Why the beat didn't arrive; nothing if it did.
    async fn beat(&self, defined: &Defined, now: Timestamp) -> Option<String> {
        let mut secrets = Keyring { of: "heartbeat", held: Default::default() };
        let url = match secrets.address(&defined.url) {
            Ok(url) => url,
            Err(error) => return Some(error.to_string()),
        };
        let heartbeat = Heartbeat {
            url,
            every: defined.every.0,
            method: Method::Get,
            authorities: None,
            timeout: TIMEOUT,
        };
        let (cache, children) = (Arc::clone(&self.cache), self.children.clone());
        let secrets = TargetSecrets::new(secrets.held, cache, children);
        match self.carrier.beat(&heartbeat, Beat::Success, &secrets, now).await {
            Outcome::Delivered { .. } => None,
            Outcome::Later { reason, .. } => Some(reason),
            Outcome::Refused(refusal) => {
                secrets.read_again();
                Some(format!("{}. {}", refusal.reason, refusal.advice))
            }
        }
    }

    /// Stores that beats don't arrive, or that they do again.
    async fn note(&mut self, reason: Option<String>, now: Timestamp) -> Result<()> {
        let about = Subject::of(SubjectKind::Host, &self.server);
        let kind = ProblemKind::new(HEARTBEAT_PROBLEM).unwrap_or_else(|_| unreachable!("the name is valid"));
        let Some(reason) = reason else {
            self.failures = 0;
            self.store.resolve_problem(stored(now), &about, &kind).await?;
            return Ok(());
        };
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES_TOLD {
            let summary = format!("The heartbeat of server {} doesn't arrive: {reason}", self.server);
            let advice = "See whether the service at `server.heartbeat.url` works, and whether this machine reaches it.";
            let document = json!({ "summary": summary, "advice": advice });
            self.store.see_problem(stored(now), &about, &kind, &document, None).await?;
        }
        Ok(())
    }
}
