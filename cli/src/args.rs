//! The command line: names and flags that scripts may rely on.

mod access;
mod common;
mod databases;
mod drill;
mod examples;
mod inspect;
mod keep;
mod notify;
mod plans;
mod restore;
mod service;
mod wal;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand};
use keepfast_engine::prune::UnusedLimit;
use keepfast_operations::chunking::Chunking;
use keepfast_operations::streams::StreamSource;
use keepfast_operations::units;

pub use access::{AccessCommand, AuditAction, Rights, RoleName, TokenAction, UserAction};
pub use common::Common;
pub use databases::{ContentFlag, DatabaseFlags, Sources, SourcesAction, TestSource};
pub use drill::{Drill, DrillAction};
pub use inspect::{Diff, Dump, Ls};
pub use keep::Keep;
pub use notify::{Notify, NotifyAction};
pub use plans::{
    AcceptAnomaly, Cleanup, Config, ConfigAction, Estimate, PausePlan, ResumePlan, RunPlan, Runs, RunsAction,
    Schedule, ScheduleAction, Serve,
};
pub use restore::{OverwriteWhen, Restore};
pub use service::{InstallUnits, RemoveUnits, Service, ServiceAction, UNITS_DIRECTORY, Uninstall};
pub use wal::{ExpireWal, GetWal, PushWal, ReceiveWal, RestoreWal, ShipWal, Wal, WalAction, WalStatus};

/// Fast, deduplicating, encrypted backups.
#[derive(Debug, Parser)]
#[command(name = "keepfast", version, max_term_width = 100)]
pub struct Arguments {
    /// Options of all commands.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Arguments {
    /// The command line, with examples for each command.
    pub fn with_examples() -> clap::Command {
        examples::add(Self::command())
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a repository
    Init(Init),
    /// Back up files, standard input, or the output of a command
    Backup(Backup),
    /// Restore a snapshot, or parts of it
    Restore(Restore),
    /// List snapshots
    #[command(visible_alias = "snap")]
    Snapshots(ListSnapshots),
    /// Forget snapshots, by their ids or by a policy
    Forget(Forget),
    /// Try databases before they are backed up
    Sources(Sources),
    /// Keep the log of a PostgreSQL server, and restore the server to a moment
    Wal(Wal),
    /// Change the labels of snapshots
    Tag(Tag),
    /// Remove files from existing snapshots
    Rewrite(Rewrite),
    /// Bring back forgotten snapshots whose data no prune has removed yet
    Undelete(Undelete),
    /// Remove data that no snapshot needs, while backups and restores may run
    Prune(Prune),
    /// List the contents of a snapshot
    Ls(Ls),
    /// Write a file of a snapshot to standard output
    Dump(Dump),
    /// List what is different between two snapshots
    Diff(Diff),
    /// Test what backups stand on: the store; with a configuration, all that it names and this machine
    Doctor,
    /// Check that nothing in the repository is missing or damaged
    Check(Check),
    /// Show how much data is stored
    Stats(Stats),
    /// Show, remove or rebuild the local index, or accept the store's present state
    Cache(Cache),
    /// Run a plan of the configuration now
    Run(RunPlan),
    /// Show what a run of a plan would read and store, and about how long it would take
    Estimate(Estimate),
    /// Forget what the retention of plans doesn't keep, or show what it will remove
    Cleanup(Cleanup),
    /// Show how each plan stands: its promise, its newest good snapshot, its next run
    #[command(visible_alias = "st")]
    Status,
    /// Keep the promises of all plans: run them when they are due, until told to stop
    Serve(Serve),
    /// Restore on trial what plans have backed up, and show what that has proven
    Drill(Drill),
    /// List, show, end and repeat runs
    Runs(Runs),
    /// Pause a plan: its slots are skipped, and it promises nothing meanwhile
    Pause(PausePlan),
    /// Let a paused plan go on, from its next slot
    Resume(ResumePlan),
    /// Show when plans run next
    Schedule(Schedule),
    /// Accept what was unusual about a plan's runs, so that retention goes on
    AcceptAnomaly(AcceptAnomaly),
    /// Print the metrics of all plans once, as Prometheus reads them
    Metrics,
    /// Test targets of notifications, and show what was sent to them
    Notify(Notify),
    /// Who may do what
    #[command(flatten)]
    Access(access::AccessCommand),
    /// Check, show and write the configuration
    Config(Config),
    /// Install the units of systemd that run the server or plans, or remove them
    Service(Service),
    /// Remove what this machine has of keepfast, but for the program, the configuration and repositories
    Uninstall(Uninstall),
    /// Print a completion script for a shell
    Completions(Completions),
    /// Write the manual pages into a directory
    Manual(Manual),
}

impl Command {
    /// Whether the command is run only for what it prints: without the output, the run was for nothing.
    pub fn only_shows(&self) -> bool {
        match self {
            Self::Init(_)
            | Self::Tag(_)
            | Self::Undelete(_)
            | Self::Run(_)
            | Self::AcceptAnomaly(_)
            | Self::Serve(_)
            | Self::Pause(_)
            | Self::Resume(_)
            | Self::Uninstall(_)
            | Self::Manual(_) => false,
            Self::Drill(options) => options.action.only_shows(),
            Self::Runs(options) => options.action.only_shows(),
            Self::Notify(options) => options.action.only_shows(),
            Self::Wal(options) => options.action.only_shows(),
            Self::Access(command) => command.only_shows(),
            Self::Config(options) => !matches!(options.action, ConfigAction::Wizard { .. }),
            Self::Service(options) => {
                matches!(&options.action, ServiceAction::Install(options) if options.print)
            }
            Self::Backup(options) => options.dry_run,
            Self::Restore(options) => options.dry_run,
            Self::Forget(options) => options.dry_run,
            Self::Rewrite(options) => options.dry_run,
            Self::Prune(options) => options.dry_run,
            Self::Cleanup(options) => options.dry_run,
            Self::Cache(options) => matches!(options.action, CacheAction::Info),
            Self::Snapshots(_)
            | Self::Ls(_)
            | Self::Dump(_)
            | Self::Diff(_)
            | Self::Doctor
            | Self::Check(_)
            | Self::Stats(_)
            | Self::Estimate(_)
            | Self::Sources(_)
            | Self::Status
            | Self::Schedule(_)
            | Self::Metrics
            | Self::Completions(_) => true,
        }
    }
}

/// Options of `init`.
#[derive(Debug, Args)]
pub struct Init {
    /// Average size of a chunk, in KiB: a power of two
    #[arg(long, value_name = "KIB", default_value_t = 16)]
    pub chunk_size: u32,
    /// Size of a pack, in MiB, from 4 to 128
    #[arg(long, value_name = "MIB", default_value_t = 32)]
    pub pack_size: u32,
    /// Accept a store in which writers can overwrite each other's objects. Then only one run may
    /// write at any time, and every command repeats this warning
    #[arg(long)]
    pub unsafe_store: bool,
    /// Let the group of the repository's directory read the stored files. To restore, its members also
    /// need the password
    #[arg(long)]
    pub group_readable: bool,
}

/// Options of `backup`.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Backup {
    /// Files and directories to back up; with --command, the command and its arguments
    #[arg(value_name = "PATH", required_unless_present_any = ["stdin", "files_from", "streams", "source"])]
    pub paths: Vec<PathBuf>,
    /// Also back up the paths in this file, one per line, taken literally; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["stdin", "command"])]
    pub files_from: Vec<PathBuf>,
    /// Paths in the files of --files-from end with a NUL byte, as `find -print0` writes them
    #[arg(long, requires = "files_from")]
    pub null: bool,
    /// Back up standard input
    #[arg(long, requires = "stdin_name", conflicts_with_all = ["paths", "command"])]
    pub stdin: bool,
    /// The file name in the snapshot for standard input or the command's output
    #[arg(long, value_name = "NAME")]
    pub stdin_name: Option<String>,
    /// Back up the output of the command that follows `--`; if the command fails, no snapshot is made
    #[arg(long, requires = "stdin_name")]
    pub command: bool,
    /// Back up what COMMAND prints as the file NAME, next to the PATHs or alone; may be repeated. `/bin/sh -c`
    /// runs the command. If one fails, the others are ended and there is no snapshot
    #[arg(long = "stream", value_name = "NAME=COMMAND", value_parser = StreamSource::parse, conflicts_with_all = ["stdin", "command", "dry_run", "skip_if_unchanged"])]
    pub streams: Vec<StreamSource>,
    /// Databases to back up as well, or alone.
    #[command(flatten)]
    pub databases: DatabaseFlags,
    /// Accept empty standard input or empty output; without this option, it counts as a failure
    #[arg(long)]
    pub allow_empty: bool,
    /// Label the snapshot. Separate several labels by commas, or repeat the option
    #[arg(long = "tag", value_name = "TAG[,TAG]…", value_delimiter = ',', value_parser = units::tag)]
    pub tags: Vec<String>,
    /// The machine's name in the snapshot [default: this machine's]
    #[arg(long)]
    pub host: Option<String>,
    /// Leave out what matches this pattern. A pattern without a slash is compared with names, one with a
    /// slash with paths; `*`, `**`, `?`, `[…]` and `{a,b}` are special. A pattern that begins with `!` keeps
    /// what an earlier pattern matches
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<OsString>,
    /// Leave out what matches a line of this file, in addition to --exclude
    #[arg(long, value_name = "FILE")]
    pub exclude_from: Vec<PathBuf>,
    /// Leave out directories that a CACHEDIR.TAG file marks as caches
    #[arg(long)]
    pub exclude_caches: bool,
    /// Leave out the contents of directories that have an entry of this name
    #[arg(long, value_name = "NAME")]
    pub exclude_if_present: Vec<OsString>,
    /// Leave out files and directories marked by `chattr +d`, unless PATH names them
    #[arg(long)]
    pub exclude_nodump: bool,
    /// Ignore `.keepfastignore` files. Without this option, each such file holds patterns like those of
    /// --exclude-from for its own directory, and a leading `/` means that directory
    #[arg(long)]
    pub no_ignore_files: bool,
    /// Leave out files larger than this, such as 500M
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    pub exclude_larger_than: Option<u64>,
    /// Stay on the file systems of the PATHs; where another begins, store an empty directory
    #[arg(short = 'x', long)]
    pub one_file_system: bool,
    /// If a PATH is a symbolic link, back up what it points to, not the link. Writing `link/` does this
    /// for one link to a directory
    #[arg(long, conflicts_with_all = ["stdin", "command"])]
    pub follow_sources: bool,
    /// Back up what all symbolic links point to, not the links. Links that lead in a circle or nowhere stay
    /// links, and with -x also links to directories on other file systems
    #[arg(long, conflicts_with_all = ["stdin", "command"])]
    pub follow: bool,
    /// If a PATH is a block device or a named pipe, back up its content as a regular file
    #[arg(long, conflicts_with_all = ["stdin", "command"])]
    pub read_special: bool,
    /// Store the directory PATH (only one is allowed) as if it were at this path. Use it for a file system's own
    /// snapshot that is mounted elsewhere. Patterns and messages then mean the stored paths
    #[arg(long = "as", value_name = "PATH", conflicts_with_all = ["stdin", "command"])]
    pub stored_as: Option<PathBuf>,
    /// A different ctime alone doesn't mean that a file has changed
    #[arg(long)]
    pub ignore_ctime: bool,
    /// A different inode number alone doesn't mean that a file has changed
    #[arg(long)]
    pub ignore_inode: bool,
    /// Read only what has changed since this snapshot [default: the newest of the same writer, machine
    /// and paths]
    #[arg(long, value_name = "SNAPSHOT")]
    pub parent: Option<String>,
    /// Read all files, even those that look unchanged
    #[arg(long, conflicts_with = "parent")]
    pub force: bool,
    /// Make no snapshot if nothing, labels included, has changed since the parent snapshot
    #[arg(long, conflicts_with_all = ["stdin", "command", "dry_run", "force"])]
    pub skip_if_unchanged: bool,
    /// Show what would be read, and store nothing
    #[arg(short = 'n', long, conflicts_with_all = ["stdin", "command"])]
    pub dry_run: bool,
    /// The zstd compression level, from -7 (fastest) to 19 (smallest)
    #[arg(long, value_name = "LEVEL", default_value_t = 3, allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-7..=19))]
    pub compression: i32,
    /// Where files, or the stream of --stdin or --command, are cut into chunks: at places that the content decides
    /// (`content`), at pages of a size (`pages:8KiB`), or at pages what begins as a file of SQLite, PostgreSQL or
    /// InnoDB does, and everything else by content (`auto`)
    #[arg(long, value_name = "HOW", default_value = "auto", value_parser = Chunking::parse)]
    pub chunking: Chunking,
    /// Don't check sealed data by opening it before it is stored
    #[arg(long)]
    pub no_verify_writes: bool,
}

/// Options of `snapshots`.
#[derive(Debug, Args)]
pub struct ListSnapshots {
    /// Which of them.
    #[command(flatten)]
    pub filter: Filter,
    /// List forgotten snapshots that can still be brought back
    #[arg(long)]
    pub forgotten: bool,
}

/// Options of `forget`.
#[derive(Debug, Args)]
pub struct Forget {
    /// Snapshots: `latest`, `latest~N`, or the start of an id
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// The snapshots that a policy decides about, or which ones `latest` is among.
    #[command(flatten)]
    pub filter: Filter,
    /// What a policy keeps.
    #[command(flatten)]
    pub keep: Keep,
    /// Show which snapshots stay and which go, and forget nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Protect the snapshots with these ids: no policy and no `forget` removes them
    #[arg(long, conflicts_with_all = ["unprotect", "prune"], requires = "ids")]
    pub protect: bool,
    /// End the protection of the snapshots with these ids
    #[arg(long, conflicts_with = "prune", requires = "ids")]
    pub unprotect: bool,
    /// Prune afterwards
    #[arg(long)]
    pub prune: bool,
    /// How to prune.
    #[command(flatten)]
    pub pruning: Pruning,
}

/// Options of `tag`.
#[derive(Debug, Args)]
pub struct Tag {
    /// Snapshots: `latest`, `latest~N`, or the start of an id; without one, all that a filter lets through
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// Which snapshots, or which ones `latest` is among.
    #[command(flatten)]
    pub filter: Filter,
    /// Add these labels
    #[arg(long, value_name = "TAG[,TAG]…", value_delimiter = ',', value_parser = units::tag, required_unless_present_any = ["remove", "set"])]
    pub add: Vec<String>,
    /// Remove these labels
    #[arg(long, value_name = "TAG[,TAG]…", value_delimiter = ',', value_parser = units::tag)]
    pub remove: Vec<String>,
    /// Replace all labels with these; `--set ''` removes all
    #[arg(long, value_name = "TAG[,TAG]…", value_parser = units::tags, conflicts_with_all = ["add", "remove"])]
    pub set: Vec<units::Tags>,
}

/// Options of `rewrite`.
#[derive(Debug, Args)]
pub struct Rewrite {
    /// Snapshots: `latest`, `latest~N`, or the start of an id; without one, all that a filter lets through
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// Which snapshots, or which ones `latest` is among.
    #[command(flatten)]
    pub filter: Filter,
    /// Leave out what matches this pattern, as `backup --exclude` does
    #[arg(long, value_name = "GLOB", required_unless_present = "exclude_from")]
    pub exclude: Vec<OsString>,
    /// Leave out what matches a line of this file, in addition to --exclude
    #[arg(long, value_name = "FILE")]
    pub exclude_from: Vec<PathBuf>,
    /// Forget the old snapshots; without this option, the old and the new ones stay
    #[arg(long)]
    pub forget: bool,
    /// Show what would be left out, and change nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
}

/// Options of `undelete`.
#[derive(Debug, Args)]
pub struct Undelete {
    /// Forgotten snapshots, by the start of an id; `keepfast snapshots --forgotten` lists them
    #[arg(value_name = "ID", required = true)]
    pub ids: Vec<String>,
}

/// Options of `prune`.
#[derive(Debug, Args)]
pub struct Prune {
    /// Show what would be removed and rewritten, and change nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// How to prune.
    #[command(flatten)]
    pub pruning: Pruning,
}

/// How to prune.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options for pruning")]
pub struct Pruning {
    /// How much unused data may stay in packs that are still needed: a percentage, a size, or `unlimited`
    #[arg(long, value_name = "SHARE", default_value = "5%", value_parser = units::share)]
    pub max_unused: UnusedLimit,
    /// Rewrite at most this much
    #[arg(long, value_name = "SIZE", default_value = "unlimited", value_parser = units::size)]
    pub max_repack: u64,
    /// Treat a backup that has been silent for this long as dead; if it is still alive, it restarts
    #[arg(long, value_name = "TIME", default_value = "2h", value_parser = units::duration)]
    pub session_timeout: Duration,
    /// Continue although this snapshot, which another one names, is missing: it is given up for good. Give
    /// the start of its id; may be repeated
    #[arg(long, value_name = "ID")]
    pub accept_missing: Vec<String>,
    /// Don't slow down while backups run
    #[arg(long)]
    pub full_speed: bool,
}

/// Options of `stats`.
#[derive(Debug, Args)]
pub struct Stats {
    /// Show how much space would be freed if these snapshots were forgotten
    #[arg(long, value_name = "ID", num_args = 1..)]
    pub delete: Vec<String>,
}

/// Which snapshots.
#[derive(Debug, Args, Default)]
pub struct Filter {
    /// Only snapshots of this writer, by the start of its id, and of the writers that it continues
    #[arg(long, value_name = "ID")]
    pub writer: Option<String>,
    /// Only snapshots of this machine
    #[arg(long)]
    pub host: Option<String>,
    /// Only snapshots with this label. Of several, by commas or several --tag, each must be there
    #[arg(long = "tag", value_name = "TAG[,TAG]…", value_delimiter = ',', value_parser = units::tag)]
    pub tags: Vec<String>,
    /// Only snapshots with this path
    #[arg(long = "path", value_name = "PATH")]
    pub paths: Vec<PathBuf>,
}

/// Which snapshots, where paths mean something else.
#[derive(Debug, Args)]
pub struct HostFilter {
    /// Only snapshots of this writer, by the start of its id, and of the writers that it continues
    #[arg(long, value_name = "ID")]
    pub writer: Option<String>,
    /// Only snapshots of this machine
    #[arg(long)]
    pub host: Option<String>,
    /// Only snapshots with this label. Of several, by commas or several --tag, each must be there
    #[arg(long = "tag", value_name = "TAG[,TAG]…", value_delimiter = ',', value_parser = units::tag)]
    pub tags: Vec<String>,
}

/// Options of `check`.
#[derive(Debug, Args)]
pub struct Check {
    /// Read all stored data
    #[arg(long, conflicts_with = "read_data_subset")]
    pub read_data: bool,
    /// Read the n-th of m parts of the stored data, or a random part of about this percentage
    #[arg(long, value_name = "n/m|P%")]
    pub read_data_subset: Option<String>,
}

/// Options of `cache`.
#[derive(Debug, Args)]
pub struct Cache {
    /// What to do with the index.
    #[command(subcommand)]
    pub action: CacheAction,
}

/// What to do with the index.
#[derive(Debug, Subcommand)]
pub enum CacheAction {
    /// Show where the local index is and how large, and what the cache has of other repositories
    Info,
    /// Remove the local index
    Clear,
    /// Remove the local index and build it again from the repository
    Rebuild,
    /// Accept what the store shows now: another repository in the old one's place, or an older state
    /// of it
    Accept,
}

/// Options of `completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// Options of `manual`.
#[derive(Debug, Args)]
pub struct Manual {
    /// The directory, which is made if it doesn't exist; `man` finds pages in a directory named `man1`
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}
