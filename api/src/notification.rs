//! Notifications: in the dashboard, and those that are sent.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::list::Row;
use crate::plan::Setting;

/// Something that a user should hear of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Notification {
    /// Its number: the sequence of its event.
    pub notification: u64,
    /// When it happened.
    pub at: Timestamp,
    /// What happened: `problem.opened`, `problem.resolved`, `run.ended`, `run.quarantined`, `delivery.undeliverable`,
    /// `approval.asked`, `approval.decided`.
    pub kind: String,
    /// How bad it is.
    pub tone: Tone,
    /// What it is about: `plan:www`.
    pub subject: String,
    /// What it says; null where kind and subject say it.
    pub summary: Option<String>,
    /// What to do.
    pub advice: Option<String>,
    /// The run, if it is about one.
    pub run: Option<String>,
    /// The problem, if it is about one.
    pub problem: Option<u64>,
    /// The request for a second person, if it is about one.
    pub approval: Option<String>,
    /// Whether the user has read it.
    pub is_read: bool,
}

impl Row for Notification {
    const COLUMNS: &'static [&'static str] = &[
        "notification",
        "at",
        "kind",
        "tone",
        "subject",
        "summary",
        "advice",
        "run",
        "problem",
        "approval",
        "is_read",
    ];
}

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// Something is well again.
    Resolved,
    /// Good to know.
    Info,
    /// Someone should look at it.
    Warning,
    /// Something wasn't done.
    Error,
}

/// Up to which one a user has read all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadUpTo {
    /// The number of the newest that was read.
    pub up_to: u64,
}

/// A place that notifications are sent to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Target {
    /// Its name.
    pub target: String,
    /// What it is, for people.
    pub description: Option<String>,
    /// How it is reached: `smtp`, `slack`, `discord`, `teams`, `ntfy`, `gotify`, `telegram`, `generic`.
    pub kind: String,
    /// Where it is defined.
    pub origin: String,
    /// Messages that are still to arrive.
    pub waiting: u64,
    /// Messages that were given up since one last arrived.
    pub undeliverable: u64,
}

impl Row for Target {
    const COLUMNS: &'static [&'static str] =
        &["target", "description", "kind", "origin", "waiting", "undeliverable"];
}

/// Who hears of what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Route {
    /// Its number, in the order of the files.
    pub route: u32,
    /// Where it sends.
    pub targets: Vec<String>,
    /// Where it is defined.
    pub origin: String,
    /// What it matches and how it sends, with the origin of each value.
    pub settings: Vec<Setting>,
}

impl Row for Route {
    const COLUMNS: &'static [&'static str] = &["route", "targets", "origin", "settings"];
}

/// A message on its way to a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Delivery {
    /// Its number.
    pub delivery: i64,
    /// Where it goes.
    pub target: String,
    /// How far it is.
    pub state: DeliveryState,
    /// What it says in a few words; null if that can't be read.
    pub title: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next; null if it isn't.
    pub next_attempt: Option<Timestamp>,
    /// When it arrived or was given up.
    pub ended: Option<Timestamp>,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// What to change, if it was refused.
    pub advice: Option<String>,
    /// What the service said when it took it.
    pub answer: Option<String>,
}

impl Row for Delivery {
    const COLUMNS: &'static [&'static str] = &[
        "delivery",
        "target",
        "state",
        "title",
        "created",
        "attempts",
        "next_attempt",
        "ended",
        "error",
        "advice",
        "answer",
    ];
}

/// How far a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// It waits for its next attempt.
    Waiting,
    /// A server is at it.
    Sending,
    /// It has arrived.
    Delivered,
    /// It was given up.
    Undeliverable,
}

/// Which messages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DeliveryQuery {
    /// To this target.
    pub target: Option<String>,
    /// That are this far.
    #[param(inline)]
    pub state: Option<DeliveryState>,
}
