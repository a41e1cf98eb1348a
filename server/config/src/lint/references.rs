//! Names that are used, and definitions that aren't.

use std::collections::BTreeSet;

use crate::config::{Config, Kind};
use crate::decode::Located;
use crate::diagnostic::code::Code;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::inherit::names as names_in;
use crate::lint::Names;
use crate::model::route::{DigestPlan, Route};
use crate::values::name::Name;

/// All routes, those of projects too.
pub(super) fn routes(config: &Config) -> impl Iterator<Item = &Route> {
    let of_projects = config.projects.values().flat_map(|project| &project.value.route);
    config.routes.iter().map(|route| &route.value).chain(of_projects)
}

fn digests(config: &Config) -> impl Iterator<Item = &DigestPlan> {
    let digest = config.digest.iter().map(|digest| &digest.value);
    digest.flat_map(|digest| [&digest.daily, &digest.weekly, &digest.monthly]).flatten()
}

/// Every name of another definition, with its kind.
fn used(config: &Config) -> Vec<(Kind, &Located<Name>)> {
    let mut used = Vec::new();
    for plan in config.plans.values().map(|plan| &plan.value) {
        used.push((Kind::Repository, &plan.repository));
        used.extend(plan.project.iter().map(|name| (Kind::Project, name)));
        used.extend(plan.copy_to.iter().map(|copy| (Kind::Repository, &copy.repository)));
    }
    for repository in config.repositories.values() {
        used.extend(repository.value.project.iter().map(|name| (Kind::Project, name)));
    }
    used.extend(config.drills.values().map(|drill| (Kind::Plan, &drill.value.plan)));
    used.extend(routes(config).flat_map(|route| &route.to.0).map(|name| (Kind::Target, name)));
    used.extend(digests(config).flat_map(|digest| &digest.to.0).map(|name| (Kind::Target, name)));
    used
}

pub(super) fn check(config: &Config, names: &Names<'_>, diagnostics: &mut Diagnostics) {
    for (kind, name) in used(config) {
        names.check(kind, &name.value.0, name.origin, diagnostics);
    }
}

pub(super) fn check_use(config: &Config, names: &Names<'_>, diagnostics: &mut Diagnostics) {
    // What can't be decoded may use anything.
    if diagnostics.has_errors() {
        return;
    }
    let used: BTreeSet<(Kind, &str)> =
        used(config).into_iter().map(|(kind, name)| (kind, name.value.0.as_str())).collect();
    for (kind, code) in [(Kind::Target, Code::UnusedTarget), (Kind::Project, Code::UnusedProject)] {
        for (name, entry) in names.entries(kind).filter(|(name, _)| !used.contains(&(kind, *name))) {
            let what = if kind == Kind::Target { "is never used" } else { "has no plan and no repository" };
            diagnostics.add(Diagnostic::new(code, format!("the {kind} `{name}` {what}")).at(entry.key));
        }
    }
    let heirs = names.entries(Kind::Plan).chain(names.entries(Kind::Template));
    let inherits = heirs.filter_map(|(_, entry)| entry.node.table()?.get("inherits"));
    let inherited: BTreeSet<String> = inherits.flat_map(names_in).map(|name| name.value).collect();
    for (name, entry) in names.entries(Kind::Template).filter(|(name, _)| !inherited.contains(*name)) {
        let message = format!("the template `{name}` is never used");
        diagnostics.add(Diagnostic::new(Code::UnusedTemplate, message).at(entry.key));
    }
}
