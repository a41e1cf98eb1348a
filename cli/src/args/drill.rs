//! The flags of `drill`.

use clap::{Args, Subcommand};

/// Options of `drill`.
#[derive(Debug, Args)]
pub struct Drill {
    /// What to do.
    #[command(subcommand)]
    pub action: DrillAction,
}

/// What to do with drills.
#[derive(Debug, Subcommand)]
pub enum DrillAction {
    /// Carry a drill out now: restore a snapshot on trial, compare it, and keep evidence
    Run {
        /// The drill's name
        #[arg(value_name = "DRILL")]
        drill: String,
    },
    /// List the drills, with what came of each last
    List,
    /// Show the evidence of a drill. With --json, print it as a document
    Show {
        /// The drill's name, for its newest run; or the run, by its id or the beginning of it
        #[arg(value_name = "DRILL|RUN")]
        which: String,
    },
}

impl DrillAction {
    /// Whether it is done only for what it prints.
    pub fn only_shows(&self) -> bool {
        !matches!(self, Self::Run { .. })
    }
}
