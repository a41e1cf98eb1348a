//! Plans whose parts don't fit each other.

use std::time::Duration;

use crate::config::{Config, Definition};
use crate::diagnostic::code::Code;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::hook::Moment;
use crate::model::plan::Plan;

pub(super) fn check(config: &Config, diagnostics: &mut Diagnostics) {
    for plan in config.plans.values() {
        check_retention(plan, diagnostics);
        check_promise(plan, diagnostics);
        check_copies(plan, diagnostics);
        check_hooks(plan, diagnostics);
    }
}

/// What the plan owes, as far as that is known without a calendar.
fn promise(plan: &Plan) -> Option<Duration> {
    let elapsed = || plan.schedule.as_ref().and_then(|schedule| schedule.every).map(|every| every.0);
    plan.rpo.as_ref().map(|rpo| rpo.value.0).or_else(elapsed)
}

fn check_retention(plan: &Definition<Plan>, diagnostics: &mut Diagnostics) {
    let Some(retention) = &plan.value.retention else { return };
    let has_floor = retention.value.at_least.is_some_and(|number| number > 0);
    if has_floor || !retention.value.removes() {
        return;
    }
    let message = format!("the retention of plan `{}` has no floor", plan.name);
    let diagnostic = Diagnostic::new(Code::NoFloor, message).at(retention.origin);
    diagnostics.add(diagnostic.help("add `at_least = 3`"));
    let (Some(reach), Some(promise)) = (retention.value.reach_by_age(), promise(&plan.value)) else { return };
    if reach < promise {
        let message = format!("plan `{}` keeps snapshots for a shorter time than it promises one", plan.name);
        diagnostics.add(Diagnostic::new(Code::RetentionShort, message).at(retention.origin));
    }
}

fn check_promise(plan: &Definition<Plan>, diagnostics: &mut Diagnostics) {
    let every = plan.value.schedule.as_ref().and_then(|schedule| schedule.every);
    if let (Some(every), Some(rpo)) = (every, &plan.value.rpo)
        && rpo.value < every
    {
        let message = format!("plan `{}` promises a snapshot more often than it runs", plan.name);
        diagnostics.add(Diagnostic::new(Code::PromiseShort, message).at(rpo.origin));
    }
}

fn check_copies(plan: &Definition<Plan>, diagnostics: &mut Diagnostics) {
    let own = &plan.value.repository.name;
    for copy in plan.value.copy_to.iter().filter(|copy| copy.repository.name == *own) {
        let message = format!("plan `{}` copies to its own repository", plan.name);
        diagnostics.add(Diagnostic::new(Code::CopyToItself, message).at(copy.repository.origin));
    }
}

fn check_hooks(plan: &Definition<Plan>, diagnostics: &mut Diagnostics) {
    for hook in plan.value.hook.iter().filter(|hook| hook.on != Moment::Before) {
        let Some(undo) = &hook.undo else { continue };
        let message =
            format!("a hook of plan `{}` runs on `{}` and has an `undo`", plan.name, hook.on.word());
        diagnostics.add(Diagnostic::new(Code::UndoWithoutBefore, message).at(undo.origin));
    }
}
