//! What a server needs of the program that it is part of: the service manager, a place for its words, and wishes.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::oneshot;

/// What the service manager of the system is told.
pub trait Manager: Send + Sync {
    /// The server works.
    fn ready(&self);

    /// The server reads its definitions again; it is ready afterwards.
    fn reloading(&self);

    /// The server ends.
    fn stopping(&self);

    /// The server is alive.
    fn alive(&self);

    /// What the server does, in a sentence.
    fn status(&self, text: &str);
}

/// How serious a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What happens.
    Info,
    /// Someone should look at it.
    Warning,
    /// Something can't be done.
    Error,
}

/// Where the server's own words go.
pub trait Voice: Send + Sync {
    /// A line.
    fn say(&self, level: Level, text: &str);
}

/// What came of reading the definitions again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// Whether they are followed now. If not, those of before still are.
    pub is_followed: bool,
    /// All that is wrong with them or to be remarked about them, for a terminal without colours.
    pub report: String,
    /// The same as data.
    pub diagnostics: Value,
    /// What of them counts from the server's next start on only, or could not be followed; in sentences.
    pub remarks: Vec<String>,
}

/// What a server is asked for while it works.
#[derive(Debug)]
pub enum Wish {
    /// To end: runs are ended in order, and go on after the next start.
    Stop,
    /// To read its definitions again, and to say what came of it to the one that asked, if that waits for it.
    Reload(Option<oneshot::Sender<Reloaded>>),
    /// To look at once: something was written into the state.
    Look,
}
