//! Names that are used, and definitions that aren't.

use std::collections::BTreeSet;

use crate::config::{Config, Kind};
use crate::diagnostic::code::Code;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::inherit::names as names_in;
use crate::lint::Names;
use crate::model::route::{DigestName, Route};

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

/// Routes that wait for a summary that is never made: what they send would wait for ever.
pub(super) fn check_digests(config: &Config, diagnostics: &mut Diagnostics) {
    let defined = config.digest.as_ref().map(|digest| &digest.value);
    for awaited in routes(config).filter_map(|route| route.policy.digest.as_ref()) {
        let plan = defined.and_then(|digest| match awaited.value {
            DigestName::Daily => digest.daily.as_ref(),
            DigestName::Weekly => digest.weekly.as_ref(),
            DigestName::Monthly => digest.monthly.as_ref(),
        });
        if plan.is_none() {
            let name = awaited.value.word();
            let diagnostic = Diagnostic::new(Code::UnknownReference, format!("there is no {name} digest"))
                .at(awaited.origin);
            let help = format!("define it: `[digest]` with `{name} = {{ cron = \"0 8 * * *\", to = […] }}`");
            diagnostics.add(diagnostic.help(help));
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
