//! `sources test`: whether a server can be backed up, before a night shows that it can't.

use serde::{Deserialize, Serialize};

/// What was found of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survey {
    /// The address, without the password.
    pub address: String,
    /// The version that the server says.
    pub server: String,
    /// Programs that a dump would use, and their versions.
    pub tools: Vec<ToolFound>,
    /// The databases that a dump would have.
    pub databases: Vec<DatabaseFound>,
    /// What keeps a dump from being whole or possible, and what would make it better: one sentence each, that says what to
    /// do, such as `GRANT SELECT ON shop.orders TO backup`.
    pub findings: Vec<Finding>,
}

/// A program that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolFound {
    /// Its path.
    pub program: String,
    /// The version that it says.
    pub version: String,
}

/// A database that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseFound {
    /// Its name.
    pub name: String,
    /// How many tables, collections or keys it has.
    pub tables: u64,
    /// Its size, as the server says it.
    pub bytes: Option<u64>,
}

/// Something that a person should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How bad it is.
    pub weight: Weight,
    /// What, and what to do.
    pub text: String,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// Something could be better.
    Advice,
    /// A dump would lack something.
    Incomplete,
    /// No dump is possible.
    Impossible,
}

impl Survey {
    /// Whether a dump with these options would be whole.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.findings.iter().all(|finding| finding.weight == Weight::Advice)
    }
}
