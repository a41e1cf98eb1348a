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
    /// Afterwards, write the metrics of all plans into this file, for node_exporter's textfile collector. Its name ends
    /// in .prom
    #[arg(long, value_name = "FILE")]
    pub metrics_file: Option<PathBuf>,
    /// Afterwards, push the plan's metrics to the Pushgateway at this address, such as http://push.example.org:9091
    #[arg(long, value_name = "URL")]
    pub metrics_push: Option<String>,
}

/// Options of `serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Instead of serving, rebuild a lost server from the newest backup of its state in the given repository, or in
    /// that of the configuration that is there already. Nothing is started afterwards
    #[arg(long)]
    pub recover: bool,
    /// From the snapshot whose id begins like this
    #[arg(long, value_name = "ID", requires = "recover")]
    pub snapshot: Option<String>,
    /// From the backups of the machine with this name
    #[arg(long, value_name = "NAME", requires = "recover")]
    pub host: Option<String>,
}

/// Options of `accept-anomaly`.
#[derive(Debug, Args)]
pub struct AcceptAnomaly {
    /// The plan's name
    #[arg(value_name = "PLAN")]
    pub plan: String,
}

/// Options of `cleanup`.
#[derive(Debug, Args)]
pub struct Cleanup {
    /// Only of these plans
    #[arg(value_name = "PLAN")]
    pub plans: Vec<String>,
    /// Forget nothing: show which snapshots stay and why, which go at the next run and in the next 90 days, and what
    /// that frees
    #[arg(short = 'n', long)]
    pub dry_run: bool,
}

/// Options of `estimate`.
#[derive(Debug, Args)]
pub struct Estimate {
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
    /// Let the server of this machine read its definitions again, and say what came of it
    Reload,
    /// Print the JSON Schema of the configuration, for editors
    Schema,
    /// Ask what to back up, where, when and how long, try it, and write a first configuration
    Wizard {
        /// The file, which must not be there yet [default: the usual place]
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

/// Options of `runs`.
#[derive(Debug, Args)]
pub struct Runs {
    /// What to do.
    #[command(subcommand)]
    pub action: RunsAction,
}

/// What to do with runs. A run is named by its id or by the beginning of it.
#[derive(Debug, Subcommand)]
pub enum RunsAction {
    /// List runs, the newest first
    List {
        /// Only of this plan
        #[arg(long, value_name = "PLAN")]
        plan: Option<String>,
        /// Only with this repository, by its name in the configuration
        #[arg(long, value_name = "NAME")]
        repository: Option<String>,
        /// Only that do this: backup, check, prune, drill, restore
        #[arg(long, value_name = "KIND")]
        kind: Option<String>,
        /// Only with this verdict: ok, findings, failed, missed, skipped, cancelled, lost
        #[arg(long, value_name = "VERDICT")]
        verdict: Option<String>,
        /// Only those that are not over
        #[arg(long)]
        open: bool,
        /// This many
        #[arg(short = 'n', long, value_name = "N", default_value = "20")]
        count: NonZeroU16,
    },
    /// Show all that is known of a run
    Show {
        /// The run
        #[arg(value_name = "RUN")]
        run: String,
    },
    /// Show the log of a run
    Logs {
        /// The run
        #[arg(value_name = "RUN")]
        run: String,
        /// Only warnings and errors
        #[arg(long)]
        warnings: bool,
        /// Show what comes until the run is over
        #[arg(short, long)]
        follow: bool,
    },
    /// End a run; what it has stored is of use to the next one
    Cancel {
        /// The run
        #[arg(value_name = "RUN")]
        run: String,
    },
    /// Do again what a run was to do; a server does it
    Retry {
        /// The run
        #[arg(value_name = "RUN")]
        run: String,
    },
    /// Queue a run of a plan; a server carries it out
    Start {
        /// The plan's name
        #[arg(value_name = "PLAN")]
        plan: String,
    },
}

impl RunsAction {
    /// Whether it is done only for what it prints.
    pub fn only_shows(&self) -> bool {
        matches!(self, Self::List { .. } | Self::Show { .. } | Self::Logs { .. })
    }
}

/// Options of `pause`.
#[derive(Debug, Args)]
pub struct PausePlan {
    /// The plan's name
    #[arg(value_name = "PLAN")]
    pub plan: String,
    /// Until when: a date, a date and a time (2027-01-02 08:00), or a length of time from now (3d, 12h)
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Why; others read it
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// Options of `resume`.
#[derive(Debug, Args)]
pub struct ResumePlan {
    /// The plan's name
    #[arg(value_name = "PLAN")]
    pub plan: String,
}
