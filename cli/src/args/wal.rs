//! The flags of the log of PostgreSQL.

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use keepfast_operations::databases::wal::LogName;
use keepfast_operations::units;
use keepfast_sources::postgres::lsn::Timeline;
use keepfast_sources::postgres::replication::SlotName;
use keepfast_sources::postgres::wal::WalName;
use keepfast_sources::restore::Until;

use super::HostFilter;
use super::databases::until;

/// Options of `wal`.
#[derive(Debug, Args)]
pub struct Wal {
    /// What to do.
    #[command(subcommand)]
    pub action: WalAction,
}

/// What to do with the log.
#[derive(Debug, Subcommand)]
pub enum WalAction {
    /// Take a file of the log into a spool: this is for archive_command. It needs no repository
    Push(PushWal),
    /// Receive the log while it is written, into a spool, until told to stop
    Receive(ReceiveWal),
    /// Store what waits in a spool as a snapshot
    Ship(ShipWal),
    /// Write a file of the log: this is for restore_command. Exit code 1 says that it isn't there, 200 anything else
    Get(GetWal),
    /// Show how far a log goes, what waits, which base backups there are, and what is missing
    Status(WalStatus),
    /// Forget snapshots of a log that no base backup needs any more
    Expire(ExpireWal),
    /// Lay out a base backup in a folder, for a server that recovers there up to a moment
    Restore(RestoreWal),
}

impl WalAction {
    /// Whether it is run only for what it prints.
    pub fn only_shows(&self) -> bool {
        match self {
            Self::Status(_) => true,
            Self::Expire(options) => options.dry_run,
            Self::Push(_) | Self::Receive(_) | Self::Ship(_) | Self::Get(_) | Self::Restore(_) => false,
        }
    }
}

/// Options of `wal push`.
#[derive(Debug, Args)]
pub struct PushWal {
    /// The folder in which the log waits for the repository
    #[arg(long, value_name = "DIR")]
    pub spool: PathBuf,
    /// Take nothing more while this much waits: PostgreSQL then keeps its files, and tries again
    #[arg(long, value_name = "SIZE", default_value = "16GiB", value_parser = units::size)]
    pub spool_limit: u64,
    /// The file: `%p` in archive_command
    #[arg(value_name = "PATH")]
    pub file: PathBuf,
}

/// Options of `wal receive`.
#[derive(Debug, Args)]
pub struct ReceiveWal {
    /// The folder in which the log waits for the repository
    #[arg(long, value_name = "DIR")]
    pub spool: PathBuf,
    /// Receive nothing more while this much waits; PostgreSQL keeps it meanwhile
    #[arg(long, value_name = "SIZE", default_value = "16GiB", value_parser = units::size)]
    pub spool_limit: u64,
    /// The server: postgres://USER@HOST:PORT. The user needs the right REPLICATION
    #[arg(long, value_name = "ADDRESS")]
    pub source: String,
    /// The file whose first line is the password of the user
    #[arg(long, value_name = "FILE")]
    pub source_password_file: Option<PathBuf>,
    /// The command that prints the password of the user
    #[arg(long, value_name = "COMMAND", conflicts_with = "source_password_file")]
    pub source_password_command: Option<String>,
    /// The replication slot by which the server keeps what wasn't received; it is made if it isn't there
    #[arg(long, value_name = "NAME", default_value = "keepfast", value_parser = SlotName::new)]
    pub slot: SlotName,
    /// Begin where the server is now, after the slot has lost what it kept. What lies between is a gap: make a new base
    /// backup afterwards
    #[arg(long)]
    pub from_now: bool,
}

/// Options of `wal ship`.
#[derive(Debug, Args)]
pub struct ShipWal {
    /// The folder in which the log waits
    #[arg(long, value_name = "DIR")]
    pub spool: PathBuf,
    /// Go on until told to stop, and look this often, such as 1m. While the repository is away, the log waits
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    pub every: Option<Duration>,
    /// Also store what was received of the segment that isn't full
    #[arg(long)]
    pub with_begun: bool,
    /// The machine's name in the snapshot [default: this machine's]
    #[arg(long)]
    pub host: Option<String>,
    /// The log's name in the repository: one for each server
    #[arg(value_name = "NAME", value_parser = LogName::parse)]
    pub name: LogName,
}

/// Options of `wal get`.
#[derive(Debug, Args)]
pub struct GetWal {
    /// Look first into this folder, in which the log waits
    #[arg(long, value_name = "DIR")]
    pub spool: Option<PathBuf>,
    /// The log's name in the repository
    #[arg(value_name = "NAME", value_parser = LogName::parse)]
    pub name: LogName,
    /// The file of the log: `%f` in restore_command
    #[arg(value_name = "FILE", value_parser = str::parse::<WalName>)]
    pub file: WalName,
    /// Where to write it: `%p` in restore_command
    #[arg(value_name = "PATH")]
    pub into: PathBuf,
}

/// Options of `wal status`.
#[derive(Debug, Args)]
pub struct WalStatus {
    /// The folder in which the log waits, if it is on this machine
    #[arg(long, value_name = "DIR")]
    pub spool: Option<PathBuf>,
    /// The log's name in the repository
    #[arg(value_name = "NAME", value_parser = LogName::parse)]
    pub name: LogName,
}

/// Options of `wal expire`.
#[derive(Debug, Args)]
pub struct ExpireWal {
    /// Show what would be forgotten, and forget nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// The log's name in the repository
    #[arg(value_name = "NAME", value_parser = LogName::parse)]
    pub name: LogName,
}

/// Options of `wal restore`.
#[derive(Debug, Args)]
pub struct RestoreWal {
    /// The base backup, as ID:/FOLDER [default: the newest that was complete by then]
    #[arg(long, value_name = "ID")]
    pub snapshot: Option<String>,
    /// Which snapshots `latest` is among.
    #[command(flatten)]
    pub filter: HostFilter,
    /// The directory to restore into, which is made if it isn't there; the server's directory becomes `data` in it
    #[arg(long, value_name = "DIR")]
    pub into: PathBuf,
    /// Up to this moment: a time such as 2026-01-15T14:30:00Z, `position:LSN`, `name:` and a restore point, or
    /// `transaction:NUMBER` [default: the end of the log]
    #[arg(long, value_name = "MOMENT", value_parser = until)]
    pub until: Option<Until>,
    /// Along this timeline [default: that of the base backup]
    #[arg(long, value_name = "NUMBER", value_parser = str::parse::<Timeline>)]
    pub timeline: Option<Timeline>,
    /// Look also into this folder, in which the log waits
    #[arg(long, value_name = "DIR")]
    pub spool: Option<PathBuf>,
    /// The command by which the server gets the log, with `%f` and `%p` [default: this program with `wal get`]
    #[arg(long, value_name = "COMMAND", conflicts_with = "copy_log")]
    pub restore_command: Option<String>,
    /// Copy what is needed of the log into the directory, so that the server needs neither the repository nor the password
    #[arg(long)]
    pub copy_log: bool,
    /// Files that are written at once
    #[arg(long, value_name = "N", default_value = "4")]
    pub parallel: NonZeroU16,
    /// The log's name in the repository
    #[arg(value_name = "NAME", value_parser = LogName::parse)]
    pub name: LogName,
}
