//! The way back: from a dump into a server. A plan says what would happen; then it happens.

use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};

use crate::check::Check;

/// What to restore, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreOptions {
    /// The database of the dump; none means all of them, or the only one.
    pub database: Option<String>,
    /// Only these schemas, where the engine has such.
    pub schemas: Vec<String>,
    /// Only these tables or collections: `name` or `schema.name`.
    pub tables: Vec<String>,
    /// Users, roles and what else belongs to the whole server, too.
    pub globals: bool,
    /// What becomes of what is there.
    pub existing: Existing,
    /// Up to which moment of the log of changes, for what was backed up with its log.
    pub until: Option<Until>,
    /// How many connections write at once, at most.
    pub parallel: NonZeroU16,
}

/// One database into an empty place, with two connections.
impl Default for RestoreOptions {
    fn default() -> Self {
        Self {
            database: None,
            schemas: Vec::new(),
            tables: Vec::new(),
            globals: false,
            existing: Existing::Refuse,
            until: None,
            parallel: const { NonZeroU16::new(2).expect("two isn't zero") },
        }
    }
}

/// What becomes of a database that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Existing {
    /// Nothing is restored if it isn't empty.
    Refuse,
    /// What is restored takes its place.
    Replace,
}

/// A point in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Until {
    /// This instant (RFC 3339, UTC), and nothing after it.
    Time(String),
    /// A position in the log, as the engine writes it.
    Position(String),
    /// A restore point that has a name.
    Name(String),
    /// A transaction.
    Transaction(String),
}

/// What a restore would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestorePlan {
    /// What happens, in order: a sentence each.
    pub steps: Vec<String>,
    /// What a person should know before: other versions, things that are missing.
    pub warnings: Vec<String>,
    /// What would be lost; it takes [`Existing::Replace`].
    pub replaces: Vec<String>,
    /// Bytes that are read from the dump.
    pub bytes: u64,
}

/// What a restore did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RestoreReport {
    /// Databases that were restored.
    pub databases: u64,
    /// Tables, collections or keyspaces.
    pub tables: u64,
    /// Rows, documents or keys.
    pub rows: u64,
    /// Bytes that were read from the dump.
    pub bytes: u64,
    /// What was compared afterwards: for each table its rows in the dump and in the database.
    pub checks: Vec<Check>,
    /// What a person should know.
    pub warnings: Vec<String>,
}
