//! The flags of commands about notifications.

use std::num::NonZeroU16;

use clap::{Args, Subcommand};

/// Options of `notify`.
#[derive(Debug, Args)]
pub struct Notify {
    /// What to do.
    #[command(subcommand)]
    pub action: NotifyAction,
}

/// What to do with notifications.
#[derive(Debug, Subcommand)]
pub enum NotifyAction {
    /// Send a message to a target and say what came of it, to test the target
    Test {
        /// The target's name
        #[arg(value_name = "TARGET")]
        target: String,
    },
    /// List messages with what came of them, the newest first
    Log {
        /// Only to this target
        #[arg(long, value_name = "TARGET")]
        target: Option<String>,
        /// Only those that failed: the undeliverable ones, and those whose last attempt failed
        #[arg(long)]
        failed: bool,
        /// This many
        #[arg(short = 'n', long, value_name = "N", default_value = "20")]
        count: NonZeroU16,
    },
    /// Send an undeliverable message again and say what came of it
    Retry {
        /// The message's number, as the log shows it
        #[arg(value_name = "ID")]
        id: i64,
    },
}

impl NotifyAction {
    /// Whether it is done only for what it prints.
    pub fn only_shows(&self) -> bool {
        matches!(self, Self::Log { .. })
    }
}
