//! What has happened: an event, as it is committed to the server's store.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::{Subject, TargetName};
use crate::text::{clip, clip_end};

/// An event's place in the order of all events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sequence(pub u64);

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing to do.
    Info,
    /// Look at it when there is time: a run with findings, say.
    Warning,
    /// A promise is in danger or broken.
    Error,
    /// Someone has to act now.
    Critical,
}

impl Severity {
    /// The word that files and messages use.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

/// What a run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Work {
    /// A backup.
    Backup,
    /// A check of a repository.
    Check,
    /// A prune.
    Prune,
    /// Retention.
    Forget,
    /// A copy to another repository.
    Copy,
    /// A restore drill.
    Drill,
    /// A restore.
    Restore,
}

impl Work {
    /// The word that files and messages use.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Check => "check",
            Self::Prune => "prune",
            Self::Forget => "retention",
            Self::Copy => "copy",
            Self::Drill => "drill",
            Self::Restore => "restore",
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// All is well.
    Ok,
    /// It was completed, and something has to be looked at.
    Findings,
    /// It failed.
    Failed,
    /// It should have run and didn't.
    Missed,
    /// It wasn't to run, for a reason.
    Skipped,
    /// A person ended it.
    Cancelled,
    /// The program that ran it is gone.
    Lost,
}

impl Verdict {
    /// The word that files and messages use.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Findings => "findings",
            Self::Failed => "failed",
            Self::Missed => "missed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
            Self::Lost => "lost",
        }
    }
}

/// What may be the case for a while: it begins, and some time it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// The newest good snapshot is older than the plan promises.
    Overdue,
    /// A quota is nearly or fully used.
    Quota,
    /// A run differs much from those before it.
    Anomaly,
    /// The retention of a plan removes nothing, and should.
    RetentionIdle,
    /// A repository can't be reached.
    Unreachable,
    /// A host hasn't been heard of for longer than it may be away.
    Offline,
    /// The configuration on disk isn't valid; the one before it is in use.
    ConfigInvalid,
    /// A server follows other definitions than those that were applied last.
    ConfigDiffers,
    /// Messages to a target didn't arrive.
    DeliveryFailed,
    /// The service outside can't be told that this server lives.
    HeartbeatFailed,
    /// A run was lost again and again, so it isn't started any more.
    Quarantined,
    /// The clock was set, or differs from that of others.
    Clock,
    /// A disk of the server itself has little room.
    Disk,
    /// Something else is wrong; what is said about it says what.
    Other,
}

impl Condition {
    /// The word that files and messages use.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Overdue => "overdue",
            Self::Quota => "quota",
            Self::Anomaly => "anomaly",
            Self::RetentionIdle => "retention.idle",
            Self::Unreachable => "repository.unreachable",
            Self::Offline => "host.offline",
            Self::ConfigInvalid => "config.invalid",
            Self::ConfigDiffers => "config.differs",
            Self::DeliveryFailed => "delivery.failed",
            Self::HeartbeatFailed => "heartbeat.failed",
            Self::Quarantined => "quarantined",
            Self::Clock => "clock",
            Self::Disk => "disk",
            Self::Other => "problem",
        }
    }
}

/// What happens and leaves no problem behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Note {
    /// A new configuration is in use.
    ConfigApplied,
    /// An error was seen for the first time.
    NewError,
    /// What undoes a hook failed: a service may still be stopped.
    UndoFailed,
    /// A person tests a target.
    Test,
}

impl Note {
    /// The word that files and messages use.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::ConfigApplied => "config.applied",
            Self::NewError => "error.new",
            Self::UndoFailed => "undo.failed",
            Self::Test => "test",
        }
    }
}

/// What kind of thing has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A run ended.
    Ended {
        /// What it did.
        work: Work,
        /// How it ended.
        verdict: Verdict,
    },
    /// A condition holds. It may be said again and again while it does.
    Began(Condition),
    /// A condition holds no longer.
    Over(Condition),
    /// Something happened.
    Noted(Note),
}

impl Kind {
    /// How bad it is if nothing more is known.
    #[must_use]
    pub fn severity(self) -> Severity {
        match self {
            Self::Ended { verdict, .. } => match verdict {
                Verdict::Ok | Verdict::Skipped | Verdict::Cancelled => Severity::Info,
                Verdict::Findings => Severity::Warning,
                Verdict::Failed | Verdict::Missed | Verdict::Lost => Severity::Error,
            },
            Self::Began(condition) => match condition {
                Condition::Quota | Condition::RetentionIdle | Condition::Offline | Condition::Clock => {
                    Severity::Warning
                }
                _ => Severity::Error,
            },
            Self::Noted(Note::UndoFailed) => Severity::Error,
            Self::Over(_) | Self::Noted(_) => Severity::Info,
        }
    }
}

/// What routes match: `backup.failed`, `overdue`, `undo.failed`. A condition has the same name when it begins and when
/// it is over.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended { work, verdict } => write!(f, "{}.{}", work.word(), verdict.word()),
            Self::Began(condition) | Self::Over(condition) => f.write_str(condition.word()),
            Self::Noted(note) => f.write_str(note.word()),
        }
    }
}

/// What an event belongs to; routes match it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// The project.
    pub project: Option<String>,
    /// The plan.
    pub plan: Option<String>,
    /// The repository.
    pub repository: Option<String>,
    /// The host.
    pub host: Option<String>,
    /// Labels of the host or the plan.
    pub labels: BTreeMap<String, String>,
}

/// One line of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// What it is.
    pub name: String,
    /// Its value, with its unit.
    pub value: String,
}

impl Fact {
    /// A line of a table.
    #[must_use]
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

/// What is said about an event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// What happened, as a sentence.
    pub summary: String,
    /// Figures and names.
    pub facts: Vec<Fact>,
    /// What to do next.
    pub advice: Option<String>,
    /// The page about it: a path below the server's public address.
    pub path: Option<String>,
    /// The end of its log. Only targets that ask for it get it.
    pub log_tail: Option<String>,
}

const SUMMARY_CHARS_MAX: usize = 1_000;
const FACTS_MAX: usize = 12;
const NAME_CHARS_MAX: usize = 60;
const VALUE_CHARS_MAX: usize = 300;
const PATH_CHARS_MAX: usize = 500;
const LOG_TAIL_CHARS_MAX: usize = 8_000;

impl Content {
    /// A sentence alone.
    #[must_use]
    pub fn sentence(summary: impl Into<String>) -> Self {
        Self { summary: summary.into(), ..Self::default() }
    }

    /// The same within bounds, whatever it was made of.
    pub(crate) fn bounded(&self) -> Self {
        let fact = |fact: &Fact| Fact {
            name: clip(&fact.name, NAME_CHARS_MAX),
            value: clip(&fact.value, VALUE_CHARS_MAX),
        };
        Self {
            summary: clip(&self.summary, SUMMARY_CHARS_MAX),
            facts: self.facts.iter().take(FACTS_MAX).map(fact).collect(),
            advice: self.advice.as_ref().map(|advice| clip(advice, SUMMARY_CHARS_MAX)),
            path: self.path.clone().filter(|path| path.chars().count() <= PATH_CHARS_MAX),
            log_tail: self.log_tail.as_ref().map(|tail| clip_end(tail, LOG_TAIL_CHARS_MAX)),
        }
    }
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its place in the order of all events.
    pub sequence: Sequence,
    /// When it happened.
    pub at: Timestamp,
    /// What kind of thing.
    pub kind: Kind,
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub subject: Subject,
    /// What it belongs to.
    pub scope: Scope,
    /// Whose problem made it happen: the repository that can't be reached, of a plan that failed. While that problem
    /// is open, this event isn't told by itself.
    pub cause: Option<Subject>,
    /// What is said about it.
    pub content: Content,
    /// Goes to this target alone and at once, whatever routes say: a test of a target.
    pub addressed_to: Option<TargetName>,
}

impl Event {
    /// An event of usual severity.
    #[must_use]
    pub fn new(sequence: Sequence, at: Timestamp, kind: Kind, subject: Subject) -> Self {
        Self {
            sequence,
            at,
            kind,
            severity: kind.severity(),
            subject,
            scope: Scope::default(),
            cause: None,
            content: Content::default(),
            addressed_to: None,
        }
    }

    /// The event that tests a target: it takes the way of every other one.
    #[must_use]
    pub fn test(sequence: Sequence, at: Timestamp, target: TargetName) -> Self {
        let content = Content {
            summary: format!(
                "This message was sent to test the target {target}. It arrived, so the target works."
            ),
            facts: vec![Fact::new("Target", target.as_str())],
            advice: Some("Nothing needs to be done.".to_owned()),
            ..Content::default()
        };
        let subject = Subject::Target(target.clone());
        Self {
            content,
            addressed_to: Some(target),
            ..Self::new(sequence, at, Kind::Noted(Note::Test), subject)
        }
    }
}
