//! Names that are used, and definitions that aren't.

use std::collections::BTreeSet;

use crate::config::{Config, Kind};
use crate::diagnostic::code::Code;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::inherit::names as names_in;
use crate::lint::Names;
use crate::model::route::Route;

/// All routes, those of projects too.
pub(super) fn routes(config: &Config) -> impl Iterator<Item = &Route> {
    let of_projects = config.projects.values().flat_map(|project| &project.value.route);
    config.routes.iter().map(|route| &route.value).chain(of_projects)
}

pub(super) fn check(names: &Names<'_>, diagnostics: &mut Diagnostics) {
    for named in names.named {
        if let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.key() == named.kind) {
            names.check(kind, &named.name, named.origin, diagnostics);
        }
    }
}

pub(super) fn check_use(names: &Names<'_>, diagnostics: &mut Diagnostics) {
    // What can't be decoded may use anything.
    if diagnostics.has_errors() {
        return;
    }
    let used: BTreeSet<(&str, &str)> =
        names.named.iter().map(|named| (named.kind, named.name.as_str())).collect();
    for (kind, code) in [(Kind::Target, Code::UnusedTarget), (Kind::Project, Code::UnusedProject)] {
        for (name, entry) in names.entries(kind).filter(|(name, _)| !used.contains(&(kind.key(), *name))) {
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
