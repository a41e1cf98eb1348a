//! The command line: names and flags that scripts may rely on.

mod common;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use keepfast_engine::prune::UnusedLimit;
use keepfast_operations::streams::StreamSource;
use keepfast_operations::units;

use crate::retention::Keep;
pub use common::Common;

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
    Snapshots(ListSnapshots),
    /// Forget snapshots, by their ids or by a policy
    Forget(Forget),
    /// Change the labels of snapshots
    Tag(Tag),
    /// Take files out of snapshots that are there
    Rewrite(Rewrite),
    /// Bring forgotten snapshots back, as long as no prune has removed what they need
    Undelete(Undelete),
    /// Remove what no snapshot needs, beside running backups and restores
    Prune(Prune),
    /// List what is in a snapshot
    Ls(Ls),
    /// Write a file of a snapshot to standard output
    Dump(Dump),
    /// Say whether the store can be trusted with a repository, and how fast it answers
    Doctor,
    /// Check that everything is there and undamaged
    Check(Check),
    /// Show how much is stored
    Stats(Stats),
    /// Show or remove the local index, or take what is in the store for what was seen before
    Cache(Cache),
    /// Print a completion script for a shell
    Completions(Completions),
}

impl Command {
    /// Whether it is there for what it prints and nothing else: without that it was for nothing.
    pub fn only_shows(&self) -> bool {
        match self {
            Self::Init(_) | Self::Tag(_) | Self::Undelete(_) => false,
            Self::Backup(options) => options.dry_run,
            Self::Restore(options) => options.dry_run,
            Self::Forget(options) => options.dry_run,
            Self::Rewrite(options) => options.dry_run,
            Self::Prune(options) => options.dry_run,
            Self::Cache(options) => matches!(options.action, CacheAction::Info),
            Self::Snapshots(_)
            | Self::Ls(_)
            | Self::Dump(_)
            | Self::Doctor
            | Self::Check(_)
            | Self::Stats(_)
            | Self::Completions(_) => true,
        }
    }
}

/// Options of `init`.
#[derive(Debug, Args)]
pub struct Init {
    /// Average size of chunks, in KiB: a power of two
    #[arg(long, value_name = "KIB", default_value_t = 16)]
    pub chunk_size: u32,
    /// Size of packs, in MiB, from 4 to 128
    #[arg(long, value_name = "MIB", default_value_t = 32)]
    pub pack_size: u32,
    /// Take a store that lets writers overwrite each other's objects: only one run may ever
    /// write at a time then, and every command says so
    #[arg(long)]
    pub unsafe_store: bool,
    /// Let the group of the repository's directory read what is stored there; to restore, its members need
    /// the password too
    #[arg(long)]
    pub group_readable: bool,
}

/// Options of `backup`.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Backup {
    /// Files and directories; with --command, the command and its arguments
    #[arg(value_name = "PATH", required_unless_present_any = ["stdin", "files_from", "streams"])]
    pub paths: Vec<PathBuf>,
    /// Back up the paths in this file too, one a line, as they stand there; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["stdin", "command"])]
    pub files_from: Vec<PathBuf>,
    /// In the files of --files-from, paths end with NUL, as `find -print0` writes them
    #[arg(long, requires = "files_from")]
    pub null: bool,
    /// Back up standard input
    #[arg(long, requires = "stdin_name", conflicts_with_all = ["paths", "command"])]
    pub stdin: bool,
    /// The name in the snapshot of what comes from standard input or a command
    #[arg(long, value_name = "NAME")]
    pub stdin_name: Option<String>,
    /// Back up the output of the command that follows `--`; if it fails, there is no snapshot
    #[arg(long, requires = "stdin_name")]
    pub command: bool,
    /// Back up what COMMAND prints as the file NAME, next to the PATHs or alone; may be repeated. `/bin/sh -c`
    /// runs the command. If one fails, the others are ended and there is no snapshot
    #[arg(long = "stream", value_name = "NAME=COMMAND", value_parser = StreamSource::parse, conflicts_with_all = ["stdin", "command", "dry_run", "skip_if_unchanged"])]
    pub streams: Vec<StreamSource>,
    /// Make a snapshot of an empty standard input or output too; without this it is taken for a failure
    #[arg(long)]
    pub allow_empty: bool,
    /// Label the snapshot; commas separate labels, as several --tag do
    #[arg(long = "tag", value_name = "TAG[,TAG]…", value_delimiter = ',', value_parser = units::tag)]
    pub tags: Vec<String>,
    /// The machine's name in the snapshot [default: this machine's]
    #[arg(long)]
    pub host: Option<String>,
    /// Leave out what matches: a name, or with a slash a path; `*`, `**`, `?`, `[…]`, `{a,b}`. With a
    /// `!` before it, keep what an earlier one matches
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<OsString>,
    /// Leave out what matches a line of this file, in addition to --exclude
    #[arg(long, value_name = "FILE")]
    pub exclude_from: Vec<PathBuf>,
    /// Leave out directories that are marked as caches by a CACHEDIR.TAG
    #[arg(long)]
    pub exclude_caches: bool,
    /// Leave out what is in directories that have an entry of this name
    #[arg(long, value_name = "NAME")]
    pub exclude_if_present: Vec<OsString>,
    /// Leave out files and directories that `chattr +d` has marked, unless PATH names them
    #[arg(long)]
    pub exclude_nodump: bool,
    /// Leave nothing out for a file named `.keepfastignore`: without this, each has patterns like those
    /// of --exclude-from for the directory that it is in, which stands for `/` there
    #[arg(long)]
    pub no_ignore_files: bool,
    /// Leave out files that are larger than this, such as 500M
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    pub exclude_larger_than: Option<u64>,
    /// Stay within the file systems of the paths; where others begin, empty directories are kept
    #[arg(short = 'x', long)]
    pub one_file_system: bool,
    /// Back up what PATHs that are symbolic links point to, not the links; `link/` does so for one
    /// that points to a directory
    #[arg(long, conflicts_with_all = ["stdin", "command"])]
    pub follow_sources: bool,
    /// Back up what symbolic links point to, wherever they are, and not the links; but keep those that
    /// lead in a circle, or nowhere, or with -x to directories on other file systems
    #[arg(long, conflicts_with_all = ["stdin", "command"])]
    pub follow: bool,
    /// Back up the content of block devices and named pipes that are PATHs, as regular files
    #[arg(long, conflicts_with_all = ["stdin", "command"])]
    pub read_special: bool,
    /// Back up the one directory that is PATH as if it were at this path: such as a file system's own
    /// snapshot, mounted elsewhere. Excludes and messages mean paths as the snapshot has them
    #[arg(long = "as", value_name = "PATH", conflicts_with_all = ["stdin", "command"])]
    pub stored_as: Option<PathBuf>,
    /// Don't take a changed ctime for a changed file
    #[arg(long)]
    pub ignore_ctime: bool,
    /// Don't take a changed inode number for a changed file
    #[arg(long)]
    pub ignore_inode: bool,
    /// Compare with this snapshot [default: the newest of the same writer, machine
    /// and paths]
    #[arg(long, value_name = "SNAPSHOT")]
    pub parent: Option<String>,
    /// Read all files again, whatever the parent snapshot says
    #[arg(long, conflicts_with = "parent")]
    pub force: bool,
    /// Make no snapshot if nothing has changed since the one that it is compared with, labels included
    #[arg(long, conflicts_with_all = ["stdin", "command", "dry_run", "force"])]
    pub skip_if_unchanged: bool,
    /// Say what would be read, and store nothing
    #[arg(long, conflicts_with_all = ["stdin", "command"])]
    pub dry_run: bool,
    /// Level of zstd compression
    #[arg(long, value_name = "LEVEL", default_value_t = 3, allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-7..=19))]
    pub compression: i32,
    /// Don't open what was sealed again before it is stored
    #[arg(long)]
    pub no_verify_writes: bool,
}

/// Options of `snapshots`.
#[derive(Debug, Args)]
pub struct ListSnapshots {
    /// Which of them.
    #[command(flatten)]
    pub filter: Filter,
    /// Those that are forgotten and may still be brought back
    #[arg(long)]
    pub forgotten: bool,
}

/// Options of `forget`.
#[derive(Debug, Args)]
pub struct Forget {
    /// Snapshots: `latest`, `latest~N`, or the start of an id
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// Among which snapshots a policy decides.
    #[command(flatten)]
    pub filter: Filter,
    /// What a policy keeps.
    #[command(flatten)]
    pub keep: Keep,
    /// Say what stays and what goes, and forget nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Protect the snapshots with these ids: no policy and no `forget` takes them
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
    /// Make these the only labels; `--set ''` removes all
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
    /// Leave out what matches, as `backup --exclude` would have
    #[arg(long, value_name = "GLOB", required_unless_present = "exclude_from")]
    pub exclude: Vec<OsString>,
    /// Leave out what matches a line of this file, in addition to --exclude
    #[arg(long, value_name = "FILE")]
    pub exclude_from: Vec<PathBuf>,
    /// Forget the old snapshots; without this, both stay
    #[arg(long)]
    pub forget: bool,
    /// Say what would be left out, and change nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
}

/// Options of `undelete`.
#[derive(Debug, Args)]
pub struct Undelete {
    /// Forgotten snapshots: the start of an id; `keepfast snapshots --forgotten` lists them
    #[arg(value_name = "ID", required = true)]
    pub ids: Vec<String>,
}

/// Options of `prune`.
#[derive(Debug, Args)]
pub struct Prune {
    /// Say what would be removed and rewritten, and change nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// How to prune.
    #[command(flatten)]
    pub pruning: Pruning,
}

/// How to prune.
#[derive(Debug, Args)]
#[command(next_help_heading = "Pruning")]
pub struct Pruning {
    /// How much may stay unused instead of being rewritten: a percentage, a size, or `unlimited`
    #[arg(long, value_name = "SHARE", default_value = "5%", value_parser = units::share)]
    pub max_unused: UnusedLimit,
    /// Rewrite packs of this size at most
    #[arg(long, value_name = "SIZE", default_value = "unlimited", value_parser = units::size)]
    pub max_repack: u64,
    /// Take a backup for dead that has been silent for this long: it begins again if it wasn't
    #[arg(long, value_name = "TIME", default_value = "2h", value_parser = units::duration)]
    pub session_timeout: Duration,
    /// Go on though this snapshot is missing, which another one names: it is given up for good. By
    /// the start of its id; may be repeated
    #[arg(long, value_name = "ID")]
    pub accept_missing: Vec<String>,
    /// Don't step back while backups run
    #[arg(long)]
    pub full_speed: bool,
}

/// Options of `stats`.
#[derive(Debug, Args)]
pub struct Stats {
    /// How much forgetting these snapshots would free
    #[arg(long, value_name = "ID", num_args = 1..)]
    pub delete: Vec<String>,
}

/// Which snapshots.
#[derive(Debug, Args, Default)]
pub struct Filter {
    /// Only of this writer, by the start of its id, and of those that it continues
    #[arg(long, value_name = "ID")]
    pub writer: Option<String>,
    /// Only of this machine
    #[arg(long)]
    pub host: Option<String>,
    /// Only with this label; several, by commas or several --tag, must all be there
    #[arg(long = "tag", value_name = "TAG[,TAG]…", value_delimiter = ',', value_parser = units::tag)]
    pub tags: Vec<String>,
    /// Only with this path
    #[arg(long = "path", value_name = "PATH")]
    pub paths: Vec<PathBuf>,
}

/// Options of `restore`.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Restore {
    /// A snapshot: `latest`, `latest~N`, or the start of its id; with `:/folder`, only that
    /// folder's contents
    #[arg(long, value_name = "ID", required_unless_present = "at")]
    pub snapshot: Option<String>,
    /// The newest snapshot at this time, such as "2026-01-15 14:30": up to the end of that minute, day
    /// or second
    #[arg(long, value_name = "TIME", conflicts_with = "snapshot")]
    pub at: Option<String>,
    /// The directory to restore into
    #[arg(long, value_name = "DIR")]
    pub target: PathBuf,
    /// Only snapshots of this writer, by the start of its id, and of those that it continues
    #[arg(long, value_name = "ID")]
    pub writer: Option<String>,
    /// Only snapshots of this machine
    #[arg(long)]
    pub host: Option<String>,
    /// Only snapshots with this label; several, by commas or several --tag, must all be there
    #[arg(long = "tag", value_name = "TAG[,TAG]…", value_delimiter = ',', value_parser = units::tag)]
    pub tags: Vec<String>,
    /// Only this path of the snapshot, and what is below it
    #[arg(long = "path", value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Only what matches, and what is below it
    #[arg(long, value_name = "GLOB")]
    pub include: Vec<String>,
    /// Not what matches
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
    /// What to do with files that are there already
    #[arg(long, value_enum, value_name = "WHEN")]
    pub overwrite: Option<OverwriteWhen>,
    /// Go on with a restore into the same target that was cut short: keep files that are complete,
    /// remove what was begun of others, and write the rest
    #[arg(long)]
    pub resume: bool,
    /// Remove what is in restored directories and not in the snapshot; not in directories that only
    /// lead to what was backed up, and not on other file systems below
    #[arg(long, requires = "overwrite")]
    pub delete: bool,
    /// Say what would be restored, name what would be removed, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Read everything back afterwards and compare content and metadata with the snapshot
    #[arg(long)]
    pub verify: bool,
    /// Give owners by number, even where their names are known here
    #[arg(long)]
    pub numeric_owners: bool,
    /// Leave out devices, and drop setuid, setgid, capabilities and all other attributes that the
    /// kernel trusts: for snapshots of machines that you don't trust
    #[arg(long)]
    pub no_privileges: bool,
}

/// When to replace a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OverwriteWhen {
    /// Always
    Always,
    /// If its size or modification time differs; if not, its mode, owner and attributes are put right
    IfChanged,
    /// Never
    Never,
}

/// Options of `ls`.
#[derive(Debug, Args)]
pub struct Ls {
    /// A snapshot: `latest`, `latest~N`, or the start of its id
    pub snapshot: String,
    /// A directory or file in it
    #[arg(default_value = "/")]
    pub path: PathBuf,
    /// With modes, owners, sizes and times
    #[arg(short, long)]
    pub long: bool,
    /// Also what is in the directories below
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
    /// A file in it: a path, or a stream's name
    pub path: PathBuf,
    /// Which snapshots `latest` is among.
    #[command(flatten)]
    pub filter: HostFilter,
}

/// Which snapshots, where paths mean something else.
#[derive(Debug, Args)]
pub struct HostFilter {
    /// Only snapshots of this writer, by the start of its id, and of those that it continues
    #[arg(long, value_name = "ID")]
    pub writer: Option<String>,
    /// Only snapshots of this machine
    #[arg(long)]
    pub host: Option<String>,
    /// Only snapshots with this label; several, by commas or several --tag, must all be there
    #[arg(long = "tag", value_name = "TAG[,TAG]…", value_delimiter = ',', value_parser = units::tag)]
    pub tags: Vec<String>,
}

/// Options of `check`.
#[derive(Debug, Args)]
pub struct Check {
    /// Read every pack in full
    #[arg(long, conflicts_with = "read_data_subset")]
    pub read_data: bool,
    /// Read the n-th of m parts, or a random part of about this percentage
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
    /// Show where it is and how large, and what is there of other repositories
    Info,
    /// Remove it
    Clear,
    /// Remove it and build it from the repository
    Rebuild,
    /// Take what the store shows now for right: another repository in the old one's place, or an
    /// older state of it
    Accept,
}

/// Options of `completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    pub shell: clap_complete::Shell,
}
