//! Definitions: the files, what they come to, and what is wrong with them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::list::Row;

/// Which values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SettingQuery {
    /// At this key or below it: `plan.www.retention`.
    pub path: Option<String>,
}

/// A file that definitions were read from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConfigFile {
    /// Its path.
    pub file: String,
    /// When the definitions were read that are followed.
    pub read: Timestamp,
}

impl Row for ConfigFile {
    const COLUMNS: &'static [&'static str] = &["file", "read"];
}

/// Something that is wrong with definitions, or most likely not as it was meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Diagnostic {
    /// Which kind of thing it is, for programs.
    pub code: String,
    /// `error`: the files aren't followed; or `warning`.
    pub severity: String,
    /// What is wrong.
    pub message: String,
    /// The file; null if it is about no place.
    pub file: Option<String>,
    /// The line, from 1.
    pub line: Option<u64>,
    /// The character in it, from 1.
    pub column: Option<u64>,
    /// What to do, a sentence each.
    #[serde(default)]
    pub help: Vec<String>,
}

impl Row for Diagnostic {
    const COLUMNS: &'static [&'static str] =
        &["code", "severity", "message", "file", "line", "column", "help"];
}
