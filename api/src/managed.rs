//! Definitions that are written through the API: files in `managed.d`, what they would change, and what they have changed.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::config::Diagnostic;
use crate::list::Row;
use crate::plan::UpcomingSlot;

/// A file of definitions that is written through the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ManagedFile {
    /// Its name: small letters, digits and `-`. The file is `managed.d/NAME.toml`.
    pub name: String,
    /// What it says, as TOML.
    pub text: String,
    /// What it defines: `plan.www`. Empty if it can't be read.
    pub defines: Vec<String>,
}

/// A file of definitions that is written through the API, in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ManagedRow {
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// What it defines.
    pub defines: Vec<String>,
}

impl Row for ManagedRow {
    const COLUMNS: &'static [&'static str] = &["name", "bytes", "defines"];
}

/// What a managed file is to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetManaged {
    /// All of it, as TOML.
    #[schema(max_length = 65536)]
    pub text: String,
}

/// Managed files that are to be looked at as if they were written; nothing is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckConfig {
    /// The files. Those that aren't named stay as they are.
    #[schema(min_items = 1, max_items = 16)]
    pub files: Vec<CheckFile>,
}

/// A file that is to be looked at as if it were written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckFile {
    /// Its name.
    pub name: String,
    /// What it says; null as if it were removed.
    #[schema(max_length = 65536)]
    pub text: Option<String>,
}

/// What files would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckedConfig {
    /// Whether the definitions would be followed: nothing in `diagnostics` is an error.
    pub is_valid: bool,
    /// Whether the caller may write this.
    pub is_allowed: bool,
    /// Why not.
    pub refusal: Option<String>,
    /// What is wrong with it, or most likely not as it was meant.
    pub diagnostics: Vec<Diagnostic>,
    /// What would be different: definitions that the caller may see. Empty if it isn't valid.
    pub changes: Vec<DefinitionChange>,
}

/// A definition that is another one than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DefinitionChange {
    /// Which: `plan.www`, `project.shop`, `route.2`.
    pub path: String,
    /// Whether it was there before, and is.
    pub change: DefinitionChangeKind,
    /// Its values that are different, with all that they inherit.
    pub values: Vec<ValueChange>,
    /// The next slots of a plan; empty for one that vanishes, or runs only when it is told to.
    pub upcoming: Vec<UpcomingSlot>,
}

/// What becomes of a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DefinitionChangeKind {
    /// It appears.
    Added,
    /// It says something else.
    Changed,
    /// It vanishes.
    Removed,
}

/// A value that is another one than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ValueChange {
    /// Its key: `plan.www.retention.daily`.
    pub path: String,
    /// How it was, as TOML; null if it wasn't there.
    pub before: Option<String>,
    /// How it is, as TOML; null if it isn't there any more.
    pub after: Option<String>,
}

/// A managed file that was written or removed, and what that has changed. The `ETag` is that of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConfigWritten {
    /// The file; null if it was removed.
    pub file: Option<ManagedFile>,
    /// Warnings.
    pub diagnostics: Vec<Diagnostic>,
    /// What is different now.
    pub changes: Vec<DefinitionChange>,
    /// What doesn't count at once; in sentences.
    pub remarks: Vec<String>,
}
