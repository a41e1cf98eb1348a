//! Searching the logs of all runs.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use crate::list::Row;
use crate::run::{LogLevel, RunKind};

/// Which lines of the logs of all runs: those that are all of this.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LogSearchQuery {
    /// With all of these words in their message, in any case.
    #[param(max_length = 1000)]
    pub search: Option<String>,
    /// This serious or more.
    #[param(inline)]
    pub level: Option<LogLevel>,
    /// Of runs of this plan.
    pub plan: Option<String>,
    /// Of runs with this repository.
    pub repository: Option<String>,
    /// Of runs of this host.
    pub host: Option<String>,
    /// Of this run.
    pub run: Option<String>,
    /// Of runs that do this.
    #[param(inline)]
    pub kind: Option<RunKind>,
    /// Written at this instant or later.
    pub from: Option<Timestamp>,
    /// Written before this instant.
    pub until: Option<Timestamp>,
}

/// A line of the log of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FoundLine {
    /// When it was written.
    pub at: Timestamp,
    /// How serious it is.
    pub level: LogLevel,
    /// What it says.
    pub message: String,
    /// What belongs to it.
    pub fields: Map<String, Value>,
    /// The run.
    pub run: String,
    /// What the run does.
    pub kind: RunKind,
    /// The run's plan.
    pub plan: Option<String>,
    /// The run's repository.
    pub repository: Option<String>,
    /// The host whose data the run is about.
    pub host: Option<String>,
}

impl Row for FoundLine {
    const COLUMNS: &'static [&'static str] =
        &["at", "level", "message", "fields", "run", "kind", "plan", "repository", "host"];
}

/// A page of lines, and how much was looked through for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FoundLines {
    /// The lines, the newest first. Lines that were written together stay together: those of runs at the same time are mixed
    /// in parts of up to 64 KiB.
    pub items: Vec<FoundLine>,
    /// What `after` takes for the next page; null on the last one. A page may have no lines although there are more.
    pub next: Option<String>,
    /// What was looked through for this page.
    pub searched: Searched,
}

/// What was looked through for a page of lines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Searched {
    /// Parts of logs that were read.
    pub parts: u64,
    /// Lines in them.
    pub lines: u64,
    /// Bytes of these, as they are written.
    pub bytes: u64,
    /// Back to when: with the pages before, all lines after this instant were looked through. Null if all lines were.
    pub back_to: Option<Timestamp>,
    /// Parts that weren't read because they are on other servers.
    pub elsewhere: u64,
    /// The names of these servers.
    pub servers: Vec<String>,
    /// Parts whose files are gone or damaged.
    pub unreadable: u64,
}
