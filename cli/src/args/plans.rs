//! The flags of commands about plans.

use std::num::NonZeroU16;
use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Options of `run`.
#[derive(Debug, Args)]
pub struct RunPlan {
    /// The plan's name
    #[arg(value_name = "PLAN")]
    pub plan: String,
}

/// Options of `schedule`.
#[derive(Debug, Args)]
pub struct Schedule {
    /// What to show.
    #[command(subcommand)]
    pub action: ScheduleAction,
}

/// What to show of schedules.
#[derive(Debug, Subcommand)]
pub enum ScheduleAction {
    /// List the next runs, with what changes of the clock do to them
    List {
        /// Only of these plans
        #[arg(value_name = "PLAN")]
        plans: Vec<String>,
        /// This many of each plan
        #[arg(short = 'n', long, value_name = "N", default_value = "3")]
        count: NonZeroU16,
    },
}

/// Options of `config`.
#[derive(Debug, Args)]
pub struct Config {
    /// What to do.
    #[command(subcommand)]
    pub action: ConfigAction,
}

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigAction {
    /// Say all that is wrong with the configuration
    Check {
        /// Also read every secret and open every repository
        #[arg(long)]
        resolve: bool,
    },
    /// Show what the files come to: with templates, variables and defaults
    Show {
        /// Only this definition or part, such as plan.www or plan.www.retention
        #[arg(value_name = "PATH", default_value = "")]
        path: String,
        /// Say of each value which line of which file it comes from
        #[arg(long)]
        origin: bool,
    },
    /// Print the JSON Schema of the configuration, for editors
    Schema,
    /// Ask what to back up, where, when and how long, try it, and write a first configuration
    Wizard {
        /// The file, which must not be there yet [default: the usual place]
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
}
