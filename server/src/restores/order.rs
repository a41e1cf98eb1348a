//! What a person has asked to be restored, as the state keeps it with the run.

use std::path::PathBuf;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use keepfast_engine::restore::Overwrite;
use serde::{Deserialize, Serialize};

/// What is to be restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The repository.
    pub repository: String,
    /// The whole id of the snapshot.
    pub snapshot: String,
    /// Of which moment it is.
    pub time: Timestamp,
    /// Whose data it has.
    pub host: String,
    /// The plan that made it.
    pub plan: Option<String>,
    /// The machine that the files are written on, for people.
    pub machine: String,
    /// Only these paths and what is below them; everything if there are none.
    pub paths: Vec<SnapshotPath>,
    /// Where to.
    pub destination: Destination,
    /// What happens with files that are there.
    pub overwrite: OverwriteFiles,
    /// Whether everything is read back and compared.
    pub verify: bool,
    /// The user who wants it.
    pub by: String,
}

/// Where files go to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "to", rename_all = "snake_case")]
pub enum Destination {
    /// Below a folder for restores.
    Folder {
        /// The folder of the configuration.
        place: PathBuf,
        /// The folder below it; the folder itself if it is empty.
        folder: SnapshotPath,
        /// The folder of the snapshot whose content lands there; the whole snapshot if it is empty.
        contents_of: SnapshotPath,
    },
    /// Where they were.
    Original,
}

/// The bytes of a path. In documents they stand as hexadecimal digits, as a path need not be text.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SnapshotPath(pub Vec<u8>);

impl From<SnapshotPath> for String {
    fn from(path: SnapshotPath) -> Self {
        HEXLOWER.encode(&path.0)
    }
}

impl TryFrom<String> for SnapshotPath {
    type Error = data_encoding::DecodeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        HEXLOWER.decode(text.as_bytes()).map(Self)
    }
}

/// What happens with files that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverwriteFiles {
    /// Nothing is restored if anything is there.
    Refuse,
    /// They are replaced.
    Always,
    /// Those with another size or time are replaced.
    IfChanged,
    /// They stay.
    Never,
}

impl From<OverwriteFiles> for Overwrite {
    fn from(overwrite: OverwriteFiles) -> Self {
        match overwrite {
            OverwriteFiles::Refuse => Self::Refuse,
            OverwriteFiles::Always => Self::Always,
            OverwriteFiles::IfChanged => Self::IfChanged,
            OverwriteFiles::Never => Self::Never,
        }
    }
}
