//! What a process brings to its runs: who and where it is, and how it starts programs.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use keepfast_config::config::Config;
use keepfast_operations::child::Children;
use keepfast_operations::secret::SecretCache;

use crate::convert::secret;

/// What a process brings to its runs.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The machine's name.
    pub host: String,
    /// Where this machine keeps what it knows of repositories.
    pub cache: PathBuf,
    /// How programs are started.
    pub children: Children,
    /// Secrets that were read a short time ago: no one is asked for them at each run.
    pub secrets: Arc<SecretCache>,
    /// The program's version.
    pub version: String,
}

impl Surroundings {
    /// How programs are started: none inherits a variable that a secret of the configuration is in.
    #[must_use]
    pub fn children_of(&self, config: &Config) -> Children {
        let mut children = self.children.clone();
        let known: BTreeSet<OsString> = children.withheld.iter().cloned().collect();
        let more = secret::variables(config).into_iter().map(OsString::from);
        children.withheld.extend(more.filter(|name| !known.contains(name)));
        children
    }
}
