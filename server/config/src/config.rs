//! A configuration: all definitions, decoded.

use std::collections::BTreeMap;
use std::fmt;

use crate::effective::{DefinitionHash, Effective};
use crate::model::drill::Drill;
use crate::model::plan::Plan;
use crate::model::project::Project;
use crate::model::repository::Repository;
use crate::model::route::{Digest, Pause, Route};
use crate::model::server::Server;
use crate::model::target::Target;
use crate::source::Origin;
use crate::values::time::ZoneName;

/// The kinds of definitions that have names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A project.
    Project,
    /// A repository.
    Repository,
    /// A template.
    Template,
    /// A plan.
    Plan,
    /// A drill.
    Drill,
    /// A target.
    Target,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Project, Self::Repository, Self::Template, Self::Plan, Self::Drill, Self::Target];

    /// The key under which they stand.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::Repository => "repository",
            Self::Template => "template",
            Self::Plan => "plan",
            Self::Drill => "drill",
            Self::Target => "target",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

/// A definition.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition<T> {
    /// Its name; for routes and pauses a number from 1.
    pub name: String,
    /// Where its name stands.
    pub origin: Origin,
    /// What it says, as a hash.
    pub hash: DefinitionHash,
    /// What it says.
    pub value: T,
}

/// Definitions of one kind, by name.
pub type Named<T> = BTreeMap<String, Definition<T>>;

/// All definitions.
#[derive(Debug, Clone)]
pub struct Config {
    /// The server.
    pub server: Definition<Server>,
    /// Projects.
    pub projects: Named<Project>,
    /// Repositories.
    pub repositories: Named<Repository>,
    /// Plans, with all that they inherit.
    pub plans: Named<Plan>,
    /// Drills.
    pub drills: Named<Drill>,
    /// Targets.
    pub targets: Named<Target>,
    /// Routes, in the order of the files.
    pub routes: Vec<Definition<Route>>,
    /// Summaries.
    pub digest: Option<Definition<Digest>>,
    /// Pauses, in the order of the files.
    pub pauses: Vec<Definition<Pause>>,
    /// All values with their origins.
    pub effective: Effective,
}

impl Config {
    /// The time zone of a plan: of its schedule and its retention alike.
    #[must_use]
    pub fn zone<'c>(&'c self, plan: &'c Plan) -> &'c ZoneName {
        plan.timezone.as_ref().unwrap_or(&self.server.value.timezone)
    }

    /// The hash of everything.
    #[must_use]
    pub fn hash(&self) -> DefinitionHash {
        self.effective.hash()
    }

    /// The hash of what servers that share a state have to agree about: all definitions, and of `[server]` what plans
    /// depend on. What is each machine's own doesn't count: its addresses, folders and caches, and where it has its
    /// secrets.
    #[must_use]
    pub fn shared_hash(&self) -> DefinitionHash {
        self.effective.shared_hash()
    }

    /// The names of a kind, for completion.
    #[must_use]
    pub fn names(&self, kind: Kind) -> Vec<&str> {
        self.effective.names(kind.key())
    }
}
