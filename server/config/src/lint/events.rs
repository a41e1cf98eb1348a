//! Whether someone hears of a plan, and whether anything proves it.

use std::collections::BTreeSet;

use crate::config::{Config, Definition, Kind};
use crate::decode::Located;
use crate::diagnostic::code::Code;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::files::Facts;
use crate::lint::Names;
use crate::lint::references::routes;
use crate::model::plan::Plan;
use crate::model::repository::Repository;
use crate::model::route::{EventKind, Match, Route, Urgency};
use crate::values::name::NamePattern;

pub(super) fn check(config: &Config, names: &Names<'_>, facts: &dyn Facts, diagnostics: &mut Diagnostics) {
    check_plans(config, facts, diagnostics);
    check_patterns(config, names, diagnostics);
}

/// What a server would do for plans and their repositories, and isn't asked to. A plan with a schedule is meant for a
/// server; of one that something else starts, that something tells whether it worked.
fn check_plans(config: &Config, facts: &dyn Facts, diagnostics: &mut Diagnostics) {
    let mut used = BTreeSet::new();
    for plan in config.plans.values().filter(|plan| plan.value.enabled && plan.value.schedule.is_some()) {
        used.insert(plan.value.repository.name.as_str());
        if !config.routes.iter().any(|route| tells_failures(&route.value, plan))
            && !project_tells(config, plan)
        {
            let message = format!("no one hears of it when plan `{}` fails", plan.name);
            let diagnostic = Diagnostic::new(Code::NoRoute, message).at(plan.origin);
            diagnostics.add(diagnostic.help("add a `[[route]]` with `to = […]`"));
        }
        if facts.has_drills() && !config.drills.values().any(|drill| drill.value.plan.name == plan.name) {
            let message = format!("no drill restores what plan `{}` backs up", plan.name);
            let diagnostic = Diagnostic::new(Code::NoDrill, message).at(plan.origin);
            diagnostics.add(diagnostic.help(format!("add a `[drill.{}]`", plan.name)));
        }
    }
    let is_checked = |repository: &Definition<Repository>| repository.value.check.is_some();
    for repository in config.repositories.values() {
        if is_checked(repository) || !used.contains(repository.name.as_str()) {
            continue;
        }
        let message = format!("the repository `{}` is never checked", repository.name);
        let diagnostic = Diagnostic::new(Code::NoCheck, message).at(repository.origin);
        diagnostics.add(diagnostic.help("add `check = { cron = \"0 4 * * 6\", read_data = \"5%\" }`"));
    }
}

/// Whether a route sends failures of a plan. What it says of hosts and labels is only known when they are.
fn tells_failures(route: &Route, plan: &Definition<Plan>) -> bool {
    let Match { severity, event, plan: plans, project, repository, .. } = &route.matching;
    let matches = |patterns: &[Located<NamePattern>], name: Option<&str>| {
        patterns.is_empty()
            || name.is_some_and(|name| patterns.iter().any(|pattern| pattern.value.matches(name)))
    };
    let is_bad = |urgency: &Urgency| *urgency >= Urgency::Error;
    let is_failure = |kind: &EventKind| {
        matches!(kind, EventKind::Failed | EventKind::Missed | EventKind::Overdue | EventKind::Lost)
    };
    (severity.is_empty() || severity.iter().any(is_bad))
        && (event.is_empty() || event.iter().any(is_failure))
        && matches(plans, Some(&plan.name))
        && matches(project, plan.value.project.as_ref().map(|name| name.name.as_str()))
        && matches(repository, Some(&plan.value.repository.name))
}

fn project_tells(config: &Config, plan: &Definition<Plan>) -> bool {
    let project = plan.value.project.as_ref().and_then(|name| config.projects.get(&name.name));
    project.is_some_and(|project| project.value.route.iter().any(|route| tells_failures(route, plan)))
}

fn check_patterns(config: &Config, names: &Names<'_>, diagnostics: &mut Diagnostics) {
    let mut check = |kind: Kind, patterns: &[Located<NamePattern>]| {
        for pattern in patterns {
            if !names.of(kind).any(|name| pattern.value.matches(name)) {
                let message = format!("`{}` matches no {kind}", pattern.value.as_str());
                let known = crate::diagnostic::nearest(pattern.value.as_str(), names.of(kind));
                diagnostics
                    .add(Diagnostic::new(Code::RouteNeverMatches, message).at(pattern.origin).suggest(known));
            }
        }
    };
    for route in routes(config) {
        check(Kind::Plan, &route.matching.plan);
        check(Kind::Project, &route.matching.project);
        check(Kind::Repository, &route.matching.repository);
    }
    for pause in &config.pauses {
        check(Kind::Plan, &pause.value.plan);
    }
}
