//! Sending: one message to one target, and what came of it.
//!
//! Everything here can be dropped while it waits: a connection ends with it, and the message is sent again later. A
//! receiver may get it twice then; both have the same id.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::heartbeat::{Beat, Heartbeat};
use crate::message::Message;
use crate::render::View;
use crate::target::{Channel, SecretRef, Target};
use crate::text::{clip, line};

mod address;
mod answer;
mod http;
mod smtp;
mod webhook;

/// What a message has got to: of a mail's recipients, some may have it while others have to wait.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Recipients that have it.
    pub reached: BTreeSet<String>,
    /// Recipients that won't get it, and why.
    pub refused: BTreeMap<String, String>,
}

/// What came of sending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It arrived. Of a mail's recipients some may have been refused, and then someone has to be told.
    Delivered {
        /// What the other end said to it.
        answer: String,
        /// Recipients that won't get it, and why.
        refused: BTreeMap<String, String>,
    },
    /// It has to be sent again.
    Later {
        /// What went wrong.
        reason: String,
        /// The pause that the other end asked for.
        wait: Option<Duration>,
        /// What it has got to: hand it in next time.
        progress: Progress,
    },
    /// It won't ever arrive as it is.
    Refused(Refusal),
}

/// Why a message won't arrive, and what to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What the other end said.
    pub reason: String,
    /// What to change.
    pub advice: String,
    /// A secret may have changed since it was read: read it again, and try once more.
    pub secret_may_be_old: bool,
}

/// A secret that isn't there now.
#[derive(Debug, Clone, Error)]
#[error("{0}")]
pub struct SecretError(pub String);

/// A secret that is on its way.
pub type SecretFuture<'a> = Pin<Box<dyn Future<Output = Result<Zeroizing<String>, SecretError>> + Send + 'a>>;

/// Where secrets come from.
pub trait Secrets: Send + Sync {
    /// The secret of this name.
    fn secret<'a>(&'a self, reference: &'a SecretRef) -> SecretFuture<'a>;
}

/// Sends messages. It may be shared, and holds nothing but what every request needs.
#[derive(Debug, Default)]
pub struct Courier {
    clients: http::Clients,
}

impl Courier {
    /// One without any connection.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends a message to a target. `progress` is what an attempt before has got to. A message that tests a target goes
    /// the same way.
    pub async fn deliver(
        &self,
        target: &Target,
        message: &Message,
        progress: &Progress,
        secrets: &dyn Secrets,
        now: Timestamp,
    ) -> Outcome {
        let view = View::new(message, target.log_tail);
        let ended = match &target.channel {
            Channel::Smtp(smtp) => smtp::send(smtp, message, &view, progress, secrets).await,
            Channel::Webhook(webhook) => {
                webhook::send(&self.clients, webhook, message, &view, secrets, now).await
            }
        };
        ended.unwrap_or_else(|failure| failure.outcome(progress))
    }

    /// Tells a service outside how things are. `note` says more where the method can.
    pub async fn beat(
        &self,
        heartbeat: &Heartbeat,
        beat: Beat,
        note: &str,
        secrets: &dyn Secrets,
        now: Timestamp,
    ) -> Outcome {
        let ended = webhook::beat(&self.clients, heartbeat, beat, note, secrets, now).await;
        ended.unwrap_or_else(|failure| failure.outcome(&Progress::default()))
    }
}

/// What ends an attempt early.
enum Failure {
    Later { reason: String, wait: Option<Duration> },
    Refused(Refusal),
}

impl Failure {
    fn later(reason: impl Into<String>) -> Self {
        Self::Later { reason: reason.into(), wait: None }
    }

    fn refused(reason: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::Refused(Refusal { reason: reason.into(), advice: advice.into(), secret_may_be_old: false })
    }

    fn outcome(self, progress: &Progress) -> Outcome {
        match self {
            Self::Later { reason, wait } => Outcome::Later { reason, wait, progress: progress.clone() },
            Self::Refused(refusal) => Outcome::Refused(refusal),
        }
    }
}

impl From<SecretError> for Failure {
    fn from(error: SecretError) -> Self {
        Self::later(format!("a secret of the target can't be read: {error}"))
    }
}

const SAID_CHARS_MAX: usize = 300;

/// What another program says, on one line and within bounds, without any of these secrets.
fn said(text: &str, secrets: &[&str]) -> String {
    let mut text = line(text);
    for secret in secrets.iter().filter(|secret| secret.len() >= 4) {
        text = text.replace(*secret, "[secret]");
    }
    clip(&text, SAID_CHARS_MAX)
}

/// An error with its causes.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}
