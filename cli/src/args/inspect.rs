//! The flags of commands that look into snapshots.

use std::path::PathBuf;

use clap::Args;

use super::HostFilter;

/// Options of `ls`.
#[derive(Debug, Args)]
pub struct Ls {
    /// A snapshot: `latest`, `latest~N`, or the start of its id
    pub snapshot: String,
    /// A directory or file in the snapshot
    #[arg(default_value = "/")]
    pub path: PathBuf,
    /// Also show modes, owners, sizes and times
    #[arg(short, long)]
    pub long: bool,
    /// Also list the directories below
    #[arg(short = 'R', long)]
    pub recursive: bool,
    /// Which snapshots `latest` is among.
    #[command(flatten)]
    pub filter: HostFilter,
}

/// Options of `dump`.
#[derive(Debug, Args)]
pub struct Dump {
    /// A snapshot: `latest`, `latest~N`, or the start of its id
    pub snapshot: String,
    /// The file in the snapshot: a path, or a stream's name
    pub path: PathBuf,
    /// Which snapshots `latest` is among.
    #[command(flatten)]
    pub filter: HostFilter,
}

/// Options of `diff`.
#[derive(Debug, Args)]
pub struct Diff {
    /// The first snapshot: `latest`, `latest~N`, or the start of its id
    #[arg(value_name = "SNAPSHOT")]
    pub before: String,
    /// The second one: what is only in it is added
    #[arg(value_name = "SNAPSHOT")]
    pub after: String,
    /// Only what is at or below this path
    #[arg(default_value = "/")]
    pub path: PathBuf,
    /// Which snapshots `latest` is among.
    #[command(flatten)]
    pub filter: HostFilter,
}
