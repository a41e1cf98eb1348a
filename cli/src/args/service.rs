//! The flags of commands about what is installed on this machine: units of systemd, and removing all of it.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Where systemd looks for units that an administrator has put there.
pub const UNITS_DIRECTORY: &str = "/etc/systemd/system";

/// Options of `service`.
#[derive(Debug, Args)]
pub struct Service {
    /// What to do.
    #[command(subcommand)]
    pub action: ServiceAction,
}

/// What to do with units.
#[derive(Debug, Subcommand)]
pub enum ServiceAction {
    /// Write the unit of the server, or a service and a timer for each of some plans
    Install(InstallUnits),
    /// Stop, disable and remove what `service install` has written
    Uninstall(RemoveUnits),
}

/// Options of `service install`.
#[derive(Debug, Args)]
pub struct InstallUnits {
    /// Run as this user, who may read every file and write only where the unit says [default: root]
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Instead of the server, a service and a timer for this plan; may be repeated
    #[arg(long = "plan", value_name = "PLAN", num_args = 1..)]
    pub plans: Vec<String>,
    /// The file of a systemd credential that the configuration names; may be repeated
    /// [default: /etc/credstore/NAME]
    #[arg(long = "credential", value_name = "NAME=FILE", value_parser = named_file)]
    pub credentials: Vec<(String, PathBuf)>,
    /// Let it restore, with owners and devices, into this directory; may be repeated
    #[arg(long, value_name = "DIR")]
    pub restore_to: Vec<PathBuf>,
    /// Write the units into this directory
    #[arg(long, value_name = "DIR", default_value = UNITS_DIRECTORY)]
    pub directory: PathBuf,
    /// Print the units, and change nothing
    #[arg(long, conflicts_with = "start")]
    pub print: bool,
    /// Enable the units, and start them now
    #[arg(long)]
    pub start: bool,
}

/// Options of `service uninstall`.
#[derive(Debug, Args)]
pub struct RemoveUnits {
    /// The directory with the units
    #[arg(long, value_name = "DIR", default_value = UNITS_DIRECTORY)]
    pub directory: PathBuf,
}

/// Options of `uninstall`.
#[derive(Debug, Args)]
pub struct Uninstall {
    /// Ask nothing: back up the state, then remove units, state, logs and caches
    #[arg(short = 'y', long)]
    pub yes: bool,
    /// The repository of the configuration that takes the last backup of the state
    #[arg(long, value_name = "REPOSITORY")]
    pub into: Option<String>,
    /// Make no last backup of the state
    #[arg(long, conflicts_with = "into")]
    pub no_backup: bool,
    /// The directory with the units
    #[arg(long, value_name = "DIR", default_value = UNITS_DIRECTORY)]
    pub directory: PathBuf,
}

fn named_file(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, file)) if !name.is_empty() && !file.is_empty() => {
            Ok((name.to_owned(), PathBuf::from(file)))
        }
        _ => Err("it is a name and a file, as main-password=/etc/keepfast/password".to_owned()),
    }
}
