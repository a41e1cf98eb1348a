//! Places that must not be the same: sources of two plans, a repository and a source, a drill and what it restores.

use std::collections::BTreeMap;
use std::path::Path;

use crate::config::{Config, Definition};
use crate::decode::Located;
use crate::diagnostic::code::Code;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::drill::Drill;
use crate::model::plan::{Hosts, Plan};
use crate::model::source::{Database, Engine};
use crate::values::address::{AbsolutePath, Place};

pub(super) fn check(config: &Config, diagnostics: &mut Diagnostics) {
    let plans: Vec<&Definition<Plan>> = config.plans.values().collect();
    let mut taken: BTreeMap<&Path, Vec<Taken<'_>>> = BTreeMap::new();
    for plan in &plans {
        for path in paths(&plan.value) {
            let others = taken.entry(&path.value.0).or_default();
            check_taken(&Taken { plan, path }, others, diagnostics);
            others.push(Taken { plan, path });
        }
        check_repositories(config, plan, diagnostics);
    }
    for drill in config.drills.values() {
        check_drill(&plans, drill, diagnostics);
    }
    for folder in &config.server.value.restore_to {
        check_restore_to(config, folder, diagnostics);
    }
}

/// Whether one is the other, or inside of it.
fn overlap(one: &Path, other: &Path) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

fn check_restore_to(config: &Config, folder: &Located<AbsolutePath>, diagnostics: &mut Diagnostics) {
    let shown = folder.value.0.display();
    for repository in config.repositories.values() {
        let Place::Directory(place) = &repository.value.url.value else { continue };
        if overlap(place, &folder.value.0) {
            let message =
                format!("restores to {shown} could write over the repository `{}`", repository.name);
            let diagnostic = Diagnostic::new(Code::RestoreOverOwn, message).at(folder.origin);
            diagnostics.add(diagnostic.related(repository.value.url.origin, "the repository"));
        }
    }
    let server = &config.server.value;
    let state = server.state.sqlite.as_ref().and_then(|file| file.0.parent());
    let own = [state, server.folder.as_ref().map(|folder| &*folder.0)];
    if own.into_iter().flatten().any(|own| overlap(own, &folder.value.0)) {
        let message = format!("restores to {shown} could write over the state of the server");
        diagnostics.add(Diagnostic::new(Code::RestoreOverOwn, message).at(folder.origin));
    }
}

fn paths(plan: &Plan) -> impl Iterator<Item = &Located<AbsolutePath>> {
    plan.source.0.iter().flat_map(|source| source.paths())
}

/// Whether two plans run on one host for sure.
fn share_a_host(one: Option<&Hosts>, other: Option<&Hosts>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => one == other || one.names.iter().any(|name| other.names.contains(name)),
        _ => false,
    }
}

/// A path that a plan backs up.
struct Taken<'c> {
    plan: &'c Definition<Plan>,
    path: &'c Located<AbsolutePath>,
}

fn check_taken(this: &Taken<'_>, others: &[Taken<'_>], diagnostics: &mut Diagnostics) {
    let collides = |other: &&Taken<'_>| {
        let hosts = (other.plan.value.hosts.as_ref(), this.plan.value.hosts.as_ref());
        other.plan.name != this.plan.name && share_a_host(hosts.0, hosts.1)
    };
    if let Some(other) = others.iter().find(collides) {
        let path = this.path.value.0.display();
        let message = format!("plans `{}` and `{}` both back up {path}", other.plan.name, this.plan.name);
        let diagnostic = Diagnostic::new(Code::SamePath, message).at(this.path.origin);
        diagnostics.add(diagnostic.related(other.path.origin, format!("plan `{}`", other.plan.name)));
    }
}

fn check_repositories(config: &Config, plan: &Definition<Plan>, diagnostics: &mut Diagnostics) {
    let copies = plan.value.copy_to.iter().map(|copy| &copy.repository);
    for name in std::iter::once(&plan.value.repository).chain(copies) {
        let Some(repository) = config.repositories.get(&name.name) else { continue };
        let Place::Directory(place) = &repository.value.url.value else { continue };
        let is_excluded = |pattern: &str| place.starts_with(Path::new(pattern)) && pattern.starts_with('/');
        if plan.value.exclude.iter().any(|pattern| is_excluded(&pattern.0)) {
            continue;
        }
        for path in paths(&plan.value).filter(|path| place.starts_with(&path.value.0)) {
            let message = format!(
                "the repository `{}` is inside of what plan `{}` backs up",
                repository.name, plan.name
            );
            let diagnostic = Diagnostic::new(Code::RepositoryInSource, message).at(path.origin);
            diagnostics.add(diagnostic.related(repository.value.url.origin, "the repository"));
        }
    }
}

/// A host by one name.
fn host(database: &Database) -> &str {
    match database.host.0.as_str() {
        "localhost" | "127.0.0.1" | "::1" | "[::1]" => "localhost",
        other => other,
    }
}

fn is_same(engine: Engine, one: &Database, other: &Database) -> bool {
    let port = |database: &Database| database.port.map_or(engine.usual_port(), u16::from);
    let is_server = match (&one.socket, &other.socket) {
        (None, None) => host(one) == host(other) && port(one) == port(other),
        (one, other) => one == other,
    };
    // Without a name, a drill takes a fresh one.
    is_server && one.dbname.is_some() && one.dbname == other.dbname
}

fn check_drill(plans: &[&Definition<Plan>], drill: &Definition<Drill>, diagnostics: &mut Diagnostics) {
    for plan in plans {
        if let Some(into) = &drill.value.into {
            let collides = |path: &&Located<AbsolutePath>| overlap(&path.value.0, &into.value.0);
            if let Some(path) = paths(&plan.value).find(collides) {
                let message =
                    format!("drill `{}` would restore into what plan `{}` backs up", drill.name, plan.name);
                let diagnostic = Diagnostic::new(Code::DrillIntoLive, message).at(into.origin);
                diagnostics.add(diagnostic.related(path.origin, "it is backed up"));
            }
        }
        let Some(server) = &drill.value.server else { continue };
        for (engine, live) in plan.value.source.0.iter().filter_map(|source| source.database()) {
            let of_drill = server.value.database(engine);
            if of_drill.is_some_and(|of_drill| is_same(engine, of_drill, live)) {
                let message = format!(
                    "drill `{}` would restore over the database that plan `{}` backs up",
                    drill.name, plan.name
                );
                let diagnostic = Diagnostic::new(Code::DrillIntoLive, message).at(server.origin);
                diagnostics.add(diagnostic.help("leave out `dbname`: the drill then takes a fresh name"));
            }
        }
    }
}
