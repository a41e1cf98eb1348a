//! What a run writes about itself while it goes on.

use keepfast_operations::hooks::{Hook, HookEnded};

/// A part of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The repository is opened.
    Opening,
    /// What would keep the run from its work is looked at.
    Checks,
    /// A hook runs.
    Hook {
        /// Its program.
        program: String,
    },
    /// Files and streams are backed up.
    Backup,
    /// What undoes a hook runs.
    Undo {
        /// Its program.
        program: String,
    },
    /// The run is compared with those before it.
    Judging,
    /// Snapshots are forgotten.
    Retention,
    /// A repository is checked.
    Check,
    /// A repository is pruned.
    Prune,
    /// Files are restored.
    Restore,
    /// What was restored is read back and compared.
    Verify,
    /// Databases are started and asked.
    Databases,
    /// A byte of a copy is flipped, and has to be found.
    Corruption,
    /// The evidence of a drill is stored.
    Evidence,
}

impl Step {
    /// A stable name for machines.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Checks => "checks",
            Self::Hook { .. } => "hook",
            Self::Backup => "backup",
            Self::Undo { .. } => "undo",
            Self::Judging => "judging",
            Self::Retention => "retention",
            Self::Check => "check",
            Self::Prune => "prune",
            Self::Restore => "restore",
            Self::Verify => "verify",
            Self::Databases => "databases",
            Self::Corruption => "corruption",
            Self::Evidence => "evidence",
        }
    }
}

/// How serious a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// What happens.
    Info,
    /// Someone should look at it.
    Warning,
    /// The run doesn't do its work.
    Error,
}

/// Identifies what was recorded about an undo command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoTicket(pub String);

/// Where a run's words go.
pub trait Record: Sync {
    /// The run's id.
    fn run_id(&self) -> String;

    /// The next part begins.
    fn step(&self, step: Step);

    /// A line for the log.
    fn line(&self, level: Level, text: &str);

    /// What a hook printed.
    fn hook_said(&self, ended: &HookEnded) {
        for line in ended.output.lines().chain(ended.messages.lines()) {
            self.line(Level::Info, &format!("{}: {line}", ended.program));
        }
    }

    /// Records what will undo a hook. The hook must not run if this fails.
    fn store_undo(&self, undo: &Hook) -> Result<UndoTicket, String>;

    /// An undo command is about to run: no other process may run it too. False if another one has.
    fn undoing(&self, ticket: &UndoTicket) -> bool;

    /// An undo command has run, or has failed.
    fn undone(&self, ticket: &UndoTicket, failure: Option<&str>);
}
