//! The units of systemd: whether they are as they would be written now, and whether they are at work.

use std::path::Path;

use keepfast_config::config::Config;

use super::checks::Checks;
use crate::args::UNITS_DIRECTORY;
use crate::units::systemctl::word;
use crate::units::{Installed, installed, remarks, wanted};

/// Looks at each unit that this program has installed.
pub fn check(config: &Config, checks: &mut Checks) {
    check_in(Path::new(UNITS_DIRECTORY), config, checks);
}

fn check_in(directory: &Path, config: &Config, checks: &mut Checks) {
    let found = match installed(directory) {
        Ok(found) => found,
        Err(error) => return checks.warning("units", format!("{error:#}"), "run it as root"),
    };
    if found.is_empty() {
        return checks.ok("units", "none installed: `keepfast service install` writes them");
    }
    for unit in &found {
        let subject = format!("unit {}", unit.name);
        if let Some(why) = difference(config, unit) {
            checks.warning(&subject, why, "`keepfast service install` with the same options writes it again");
            continue;
        }
        // A plan's service is at rest but when its timer has started it.
        let is_started_by_timer = unit.name.ends_with(".service")
            && unit.choices.as_ref().is_some_and(|choices| choices.plan.is_some());
        if is_started_by_timer {
            match word("is-failed", &unit.name).as_deref() {
                Some("failed") => checks.failed(
                    &subject,
                    "its last run failed",
                    format!("`journalctl -u {}` says why", unit.name),
                ),
                _ => checks.ok(&subject, "as it should be"),
            }
            continue;
        }
        let (is_active, is_enabled) = (word("is-active", &unit.name), word("is-enabled", &unit.name));
        match (is_active.as_deref(), is_enabled.as_deref()) {
            (Some("active"), Some("enabled")) => checks.ok(&subject, "active, and starts with the machine"),
            (Some("active"), _) => checks.warning(
                &subject,
                "active, and doesn't start with the machine",
                format!("`systemctl enable {}`", unit.name),
            ),
            (Some("failed"), _) => {
                checks.failed(&subject, "failed", format!("`journalctl -u {}` says why", unit.name));
            }
            (None, None) => {
                checks.warning(&subject, "systemd doesn't answer", "is this machine run by systemd?")
            }
            _ => checks.warning(&subject, "not active", format!("`systemctl enable --now {}`", unit.name)),
        }
    }
    for choices in found.iter().filter_map(|unit| unit.choices.as_ref()) {
        for remark in remarks(config, choices) {
            checks.warning("units", remark, "");
        }
    }
}

/// How a unit differs from what would be written now.
fn difference(config: &Config, unit: &Installed) -> Option<String> {
    let Some(choices) = &unit.choices else {
        return Some("another version of the program has written it".to_owned());
    };
    if !choices.program.exists() {
        return Some(format!("its program {} isn't there", choices.program.display()));
    }
    match wanted(config, choices) {
        Err(error) => Some(format!("the configuration has no such unit any more: {error:#}")),
        Ok(now) if now.iter().any(|now| now.name == unit.name && now.text == unit.text) => None,
        Ok(_) => Some("the configuration has changed since it was written".to_owned()),
    }
}
