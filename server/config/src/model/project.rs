//! Projects: what belongs together, who may see it, and who hears of it.

use std::collections::BTreeMap;

use crate::model::reference::Definable;
use crate::model::route::Route;
use crate::values::amount::{Share, Size};
use crate::values::name::Label;

table! {
    /// Plans and repositories that belong together.
    pub struct Project {
        /// What it is, for people.
        description: Option<String>,
        /// A label for its metrics.
        label: Option<Label>,
        /// Who may do what: users or groups, with a role each.
        members: BTreeMap<String, Role>,
        /// What its plans may store in all.
        quota: Option<Quota>,
        /// Who hears of its plans, in addition to the other routes.
        route: Vec<Route>,
    }
}

choice! {
    /// What a user may do.
    pub enum Role {
        /// See plans, runs and snapshots.
        Viewer = "viewer",
        /// And run, cancel and restore to another place.
        Operator = "operator",
        /// And restore to the original place.
        Restorer = "restorer",
        /// And change managed plans.
        Editor = "editor",
        /// See the audit and evidence, and no file names.
        Auditor = "auditor",
        /// Everything.
        Admin = "admin",
    }
}

table! {
    /// How much may be stored.
    pub struct Quota {
        /// In all.
        size: Size,
        /// From which share on it is told.
        warn: Share = "'80%'",
    }
}

impl Definable for Project {
    const KEY: &'static str = "project";
}
