//! What a message says, before it takes the form that a service wants.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::{Fact, Severity};
use crate::names::Subject;

/// The colour of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tone {
    /// For information.
    Info,
    /// A problem is over.
    Resolved,
    /// Look at it.
    Warning,
    /// It's bad.
    Error,
    /// It's very bad.
    Critical,
}

impl Tone {
    /// The word that stands for it: a colour alone isn't seen by everyone.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Info => "Info",
            Self::Resolved => "Resolved",
            Self::Warning => "Warning",
            Self::Error => "Error",
            Self::Critical => "Critical",
        }
    }
}

impl From<Severity> for Tone {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Info => Self::Info,
            Severity::Warning => Self::Warning,
            Severity::Error => Self::Error,
            Severity::Critical => Self::Critical,
        }
    }
}

/// One matter in a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its colour.
    pub tone: Tone,
    /// What it is about; a digest's overview is about the server.
    pub subject: Subject,
    /// The kind of its newest event, as routes match it.
    pub kind: String,
    /// What it is in a few words.
    pub title: String,
    /// What happened, as a sentence.
    pub summary: String,
    /// Figures and names.
    pub facts: Vec<Fact>,
    /// What to do next.
    pub advice: Option<String>,
    /// The page about it: an address.
    pub link: Option<String>,
    /// The end of its log.
    pub log_tail: Option<String>,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The same for each attempt to send it, and no other message has it.
    pub id: String,
    /// The conversation that it belongs to, if it is about one subject.
    pub thread: Option<String>,
    /// When it was made.
    pub at: Timestamp,
    /// The same as text, in the server's zone.
    pub when: String,
    /// What it is in a few words.
    pub title: String,
    /// Its colour: that of its worst item.
    pub tone: Tone,
    /// What it says, the worst first. Never empty.
    pub items: Vec<Item>,
    /// Matters that it has no room for.
    pub left_out: usize,
    /// Why it comes late or is the last for a while.
    pub remark: Option<String>,
    /// The server's name.
    pub server: String,
    /// The server's own page.
    pub link: Option<String>,
}
