//! Dumps: what is asked for, and what comes of it.

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Which parts of a server a dump has. Empty lists mean everything. `*` and `?` in names stand for any letters and for one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Selection {
    /// Databases.
    pub databases: Vec<String>,
    /// Schemas, where the engine has such.
    pub schemas: Vec<String>,
    /// Tables or collections: `name`, or `schema.name` where the engine has schemas.
    pub tables: Vec<String>,
    /// Tables or collections whose rows are left out.
    pub exclude_tables: Vec<String>,
    /// Schema, rows, or both.
    pub content: Content,
}

impl Selection {
    /// Whether nothing is left out.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }
}

/// What of a table is dumped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// Both.
    #[default]
    All,
    /// Definitions alone.
    Schema,
    /// Rows alone.
    Data,
}

/// What becomes of a dump if a part of it can't be read, such as a table that the user may not read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnMissing {
    /// Then there is none.
    #[default]
    Fail,
    /// The rest is dumped, and the manifest and the report say what is missing.
    Report,
}

/// How to dump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DumpOptions {
    /// What.
    pub selection: Selection,
    /// With PostgreSQL and MariaDB: the server's own files in place of what it answers.
    pub physical: bool,
    /// How many connections read at once, at most.
    pub parallel: NonZeroU16,
    /// What becomes of it if a part can't be read.
    pub on_missing: OnMissing,
    /// How long the server may take to answer a connection.
    pub connect_timeout: Duration,
    /// More arguments for the program that dumps, if a program does.
    pub arguments: Vec<String>,
    /// Folders in which programs are looked for before the usual ones.
    pub programs: Vec<PathBuf>,
}

/// Two connections, everything, and no dump if something can't be read.
impl Default for DumpOptions {
    fn default() -> Self {
        Self {
            selection: Selection::default(),
            physical: false,
            parallel: const { NonZeroU16::new(2).expect("two isn't zero") },
            on_missing: OnMissing::Fail,
            connect_timeout: Duration::from_secs(10),
            arguments: Vec::new(),
            programs: Vec::new(),
        }
    }
}
