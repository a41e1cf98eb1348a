//! Commands around a backup.

use crate::decode::{Located, OneOrMore};
use crate::values::time::Length;

choice! {
    /// When a hook runs.
    pub enum Moment {
        /// Before the backup.
        Before = "before",
        /// After the backup, however it went.
        After = "after",
        /// After a backup that went well.
        Success = "success",
        /// After one that didn't.
        Failure = "failure",
        /// At the very end, in any case.
        Always = "always",
    }
}

choice! {
    /// What a failed hook means.
    pub enum OnError {
        /// The run fails, and nothing is backed up if it hasn't been.
        Abort = "abort",
        /// The run goes on, with a finding.
        Warn = "warn",
    }
}

table! {
    /// A command around a backup. There is no shell. It is for the host's own files: no server can send one to a host.
    /// It finds facts of the run in its environment, and no secrets.
    pub struct Hook {
        /// When it runs.
        on: Moment,
        /// A program and its arguments.
        run: OneOrMore<String>,
        /// With `on = "before"`: what undoes it. It is stored before the hook runs, and runs in any case, also after a
        /// crash.
        undo: Option<Located<OneOrMore<String>>>,
        /// What it means if it fails: `abort` for `before`, else `warn`.
        on_error: Option<OnError>,
        /// The hook and all that it has started are ended after this.
        timeout: Length = "'5m'",
    }
}

impl Hook {
    /// What it means if it fails.
    #[must_use]
    pub fn on_error(&self) -> OnError {
        let usual = if self.on == Moment::Before { OnError::Abort } else { OnError::Warn };
        self.on_error.unwrap_or(usual)
    }
}
