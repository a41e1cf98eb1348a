//! A whole file: what may stand at its top.

use std::collections::BTreeMap;

use crate::model::drill::Drill;
use crate::model::plan::Plan;
use crate::model::project::Project;
use crate::model::repository::Repository;
use crate::model::route::{Digest, Pause, Route};
use crate::model::server::Server;
use crate::model::target::Target;

table! {
    /// A file of configuration.
    pub struct Root {
        /// The version of this form; the first file must say it.
        version: Option<u32>,
        /// Further files, by name or pattern, from this file's folder on: `["conf.d/*.toml"]`. They are read in the order
        /// of their names. Variables are substituted.
        include: Vec<String>,
        /// The server itself.
        server: Option<Server>,
        /// Projects.
        project: BTreeMap<String, Project>,
        /// Repositories.
        repository: BTreeMap<String, Repository>,
        /// Templates: keys of plans, to be inherited.
        template: BTreeMap<String, Plan>,
        /// Plans.
        plan: BTreeMap<String, Plan>,
        /// Drills.
        drill: BTreeMap<String, Drill>,
        /// Targets of notifications.
        target: BTreeMap<String, Target>,
        /// Who hears of what. All that match apply.
        route: Vec<Route>,
        /// Summaries.
        digest: Option<Digest>,
        /// Times in which plans don't run.
        pause: Vec<Pause>,
    }
}
