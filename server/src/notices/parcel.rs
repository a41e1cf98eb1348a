//! What the state keeps of a message on its way.

use keepfast_notify::decide::Telling;
use keepfast_notify::{Message, Progress};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The document of a delivery: what is sent, and what has come of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parcel {
    /// The message.
    pub message: Message,
    /// What it tells.
    #[serde(default)]
    pub tells: Vec<Telling>,
    /// What it has got to.
    #[serde(default)]
    pub progress: Progress,
    /// What the other end said when it took it.
    #[serde(default)]
    pub answer: Option<String>,
    /// What to change if the other end refused it.
    #[serde(default)]
    pub advice: Option<String>,
}

impl Parcel {
    /// A message that was not sent yet.
    #[must_use]
    pub fn new(message: Message, tells: Vec<Telling>) -> Self {
        Self { message, tells, progress: Progress::default(), answer: None, advice: None }
    }

    /// From a document of the state.
    ///
    /// # Errors
    ///
    /// If it is none: another version of the program may have written it.
    pub fn read(document: &Value) -> Result<Self, serde_json::Error> {
        Self::deserialize(document)
    }

    /// As a document of the state.
    #[must_use]
    pub fn document(&self) -> Value {
        // Texts, numbers and lists of them are always JSON.
        serde_json::to_value(self).unwrap_or_default()
    }
}
