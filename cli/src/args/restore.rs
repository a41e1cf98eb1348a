//! The flags of `restore`.

use std::num::NonZeroU16;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use keepfast_sources::restore::Until;

use super::HostFilter;
use super::databases::until;

/// Options of `restore`.
#[derive(Debug, Args)]
#[command(
    override_usage = "keepfast restore [OPTIONS] --target <DIR>\n       keepfast restore [OPTIONS] --database <ADDRESS>"
)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Restore {
    /// The snapshot: `latest`, `latest~N`, or the start of its id. `latest:/folder` restores only the
    /// contents of that folder
    #[arg(long, value_name = "ID", required_unless_present = "at")]
    pub snapshot: Option<String>,
    /// The newest snapshot made up to this time, such as "2026-01-15 14:30". The whole of that day, minute or
    /// second counts
    #[arg(long, value_name = "TIME", conflicts_with = "snapshot")]
    pub at: Option<String>,
    /// The directory to restore into
    #[arg(long, value_name = "DIR", required_unless_present = "database")]
    pub target: Option<PathBuf>,
    /// The database to restore a dump into, which is made if it isn't there: postgres://USER@HOST/NAME, and in the same
    /// way mysql, mariadb, mongodb and redis; sqlite:///PATH. With `--snapshot latest:/FOLDER`, the dump in that folder
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["target", "paths", "include", "exclude", "overwrite", "resume", "delete", "verify", "numeric_owners", "no_privileges"])]
    pub database: Option<String>,
    /// How to restore a database.
    #[command(flatten)]
    pub into: IntoDatabase,
    /// Which snapshots `latest` is among.
    #[command(flatten)]
    pub filter: HostFilter,
    /// Restore only this path of the snapshot, and what is below it
    #[arg(long = "path", value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Restore only what matches this pattern, and what is below it
    #[arg(long, value_name = "GLOB")]
    pub include: Vec<String>,
    /// Leave out what matches this pattern
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
    /// When to replace files that already exist
    #[arg(long, value_enum, value_name = "WHEN")]
    pub overwrite: Option<OverwriteWhen>,
    /// Continue an interrupted restore into the same target: keep complete files, remove incomplete ones,
    /// and write the rest
    #[arg(long)]
    pub resume: bool,
    /// Remove what restored directories contain and the snapshot doesn't. Directories that only lead to what
    /// was backed up, and other file systems below, are left alone
    #[arg(long, requires = "overwrite")]
    pub delete: bool,
    /// Show what would be restored and removed, and write nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Afterwards read everything back, and compare content and metadata with the snapshot
    #[arg(long)]
    pub verify: bool,
    /// Restore owners by number, even if their names are known here
    #[arg(long)]
    pub numeric_owners: bool,
    /// Leave out devices, and drop setuid, setgid, capabilities and all other attributes that the
    /// kernel trusts. Use it for snapshots of machines that you don't trust
    #[arg(long)]
    pub no_privileges: bool,
}

/// When to replace a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OverwriteWhen {
    /// Always
    Always,
    /// If its size or modification time differs; otherwise only correct its mode, owner and attributes
    IfChanged,
    /// Never
    Never,
}

/// How to restore a database.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options for --database")]
pub struct IntoDatabase {
    /// The file whose first line is the password of the database's user
    #[arg(long, value_name = "FILE", requires = "database")]
    pub database_password_file: Option<PathBuf>,
    /// The command that prints the password of the database's user
    #[arg(long, value_name = "COMMAND", requires = "database", conflicts_with = "database_password_file")]
    pub database_password_command: Option<String>,
    /// The database of the dump, if it has several. Without this, the one with the name that is restored into, or the
    /// only one; if the address names no database, all of them
    #[arg(long, value_name = "NAME", requires = "database")]
    pub from_database: Option<String>,
    /// Only this schema; may be repeated
    #[arg(long = "schema", value_name = "NAME", requires = "database")]
    pub schemas: Vec<String>,
    /// Only this table or collection, as `name` or `schema.name`; may be repeated
    #[arg(long = "table", value_name = "NAME", requires = "database")]
    pub tables: Vec<String>,
    /// Users, roles and what else belongs to the whole server, too
    #[arg(long, requires = "database")]
    pub globals: bool,
    /// Take the place of what is there. Without this, nothing is restored into a database that isn't empty
    #[arg(long, requires = "database")]
    pub replace: bool,
    /// Up to this moment, for databases that were backed up with their log: a time such as 2026-01-15T14:30:00Z,
    /// `position:`, `name:` or `transaction:` and what the engine calls it
    #[arg(long, value_name = "MOMENT", requires = "database", value_parser = until)]
    pub until: Option<Until>,
    /// Connections that write at once
    #[arg(long, value_name = "N", requires = "database", default_value = "2")]
    pub parallel: NonZeroU16,
}
