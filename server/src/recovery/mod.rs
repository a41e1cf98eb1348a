//! The state and the configuration of a server as a snapshot, and a server that is rebuilt from one.
//!
//! A snapshot has, in a folder of its own: `about.json` (whose state it is), `state.jsonl` (the whole state, in the form
//! that either kind of database can read), `audit.anchor` (the newest entry of the audit in it, as `NUMBER:HASH`), and below `configuration` the files of the configuration as the server has
//! read them. Secrets are in none of them: definitions refer to them. The bodies of logs aren't there either.
//!
//! What is read back was written by a holder of the repository's key, which may be another machine than the one that is
//! rebuilt. So sizes are bounded, files go only below the folder that the caller names and over nothing that is there,
//! and nothing that the configuration names is started: the caller has to look at it first.

pub mod anchors;
pub mod copy;
mod error;
mod fetch;
pub mod files;
pub mod find;
pub mod missing;
pub mod rebuild;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use error::RecoveryError;
pub use keepfast_config::state_plan::{STATE_LABEL, STATE_PLAN};

/// The folder of a snapshot that has everything.
const STORED_AS: &str = "/keepfast-state";
/// Its files: whose state it is, the state, the newest entry of the audit, and the folder of the configuration. Copies by
/// older programs don't have the entry.
const ABOUT: &str = "about.json";
const ANCHOR: &str = "audit.anchor";
const STATE: &str = "state.jsonl";
const CONFIGURATION: &str = "configuration";

/// The version of what is in the folder.
const FORMAT: u32 = 1;

/// Whose state is in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The version of what is beside it.
    pub format: u32,
    /// The program's version.
    pub program: String,
    /// When the copy was made.
    pub made: Timestamp,
    /// The machine's name.
    pub host: String,
    /// The machine's name in the state.
    pub machine: String,
    /// The run that made the copy, which is at work in it.
    pub run: Option<String>,
    /// Where the first file of the configuration was.
    pub first_file: String,
    /// The files of the configuration below the folder of the first one, which is the first of these.
    pub files: Vec<String>,
}
