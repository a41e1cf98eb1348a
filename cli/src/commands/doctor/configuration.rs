//! The configuration, and the time zones that it names.

use keepfast_config::config::{Config, Kind};
use keepfast_config::load::Loaded;
use keepfast_schedule::zone::Zone;
use keepfast_server::definitions;

use super::checks::Checks;
use crate::args::Common;
use crate::commands::plans;
use crate::render;

/// Reads it. Nothing comes of one that can't be used.
pub fn check(common: &Common, checks: &mut Checks) -> Option<Config> {
    let first = plans::first(common);
    let Loaded { config, report } = definitions::read(&first);
    for found in report.diagnostics().all() {
        let place = found.at.as_ref().map(|label| report.sources().short(label.origin));
        let subject = format!("configuration {}", place.unwrap_or_else(|| first.display().to_string()));
        let next = if found.help.is_empty() {
            "`keepfast config check` shows the line".to_owned()
        } else {
            found.help.join("; ")
        };
        if found.is_error() {
            checks.failed(&subject, found.message.clone(), next);
        } else {
            checks.warning(&subject, found.message.clone(), next);
        }
    }
    let config = config?;
    if report.diagnostics().all().is_empty() {
        let count = |number: usize, noun| render::counted(u64::try_from(number).unwrap_or(u64::MAX), noun);
        let text = format!("nothing to remark, {}", count(config.names(Kind::Plan).len(), "plan"));
        checks.ok(&format!("configuration {}", first.display()), text);
    }
    zones(&config, checks);
    Some(config)
}

fn zones(config: &Config, checks: &mut Checks) {
    let of_plans = config.plans.values().map(|plan| &config.zone(&plan.value).0);
    let mut names: Vec<&String> = of_plans.chain([&config.server.value.timezone.0]).collect();
    names.sort_unstable();
    names.dedup();
    let database = jiff::tz::db();
    let missing: Vec<&str> =
        names.iter().filter(|name| Zone::named(name, database).is_err()).map(|name| name.as_str()).collect();
    if missing.is_empty() {
        let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
        checks.ok("time zones", format!("known: {}", names.join(", ")));
    } else {
        checks.failed(
            "time zones",
            format!("this machine doesn't know {}", missing.join(", ")),
            "install the package `tzdata`",
        );
    }
}
