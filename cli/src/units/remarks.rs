//! What to know about a unit before it is started: what it needs and this machine or the unit doesn't have.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use keepfast_config::config::Config;
use keepfast_config::files::{Facts, Limits};
use keepfast_config::load::load;
use keepfast_config::model::secret::SecretReference;
use keepfast_engine::run::Host;
use keepfast_operations::host::SystemHost;
use keepfast_server::definitions::ThisMachine;

use super::{Choices, places};

/// The unit has temporary directories of its own.
const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];
/// Variables that every unit has, or that need not be the same.
const ANYWHERE: [&str; 5] = ["PATH", "HOME", "USER", "LOGNAME", "SHELL"];

/// What to know about the units of these choices, a sentence each.
pub fn remarks(config: &Config, choices: &Choices) -> Vec<String> {
    let mut found = BTreeSet::new();
    let owner = choices.user.as_deref().unwrap_or("root");
    if let Some(user) = &choices.user
        && SystemHost.user_id(user.as_bytes()).is_none()
    {
        found.insert(format!(
            "there is no user {user}: make it with `useradd --system --home-dir /var/lib/keepfast --shell \
             /usr/sbin/nologin {user}`"
        ));
    }
    for place in places::writable(config, choices) {
        found.extend(place_remark(&place, owner));
    }
    for (what, path) in [("the program", &choices.program), ("the configuration", &choices.config)] {
        if is_temporary(path) {
            found.insert(format!(
                "{what} {} is below a temporary directory, which the unit doesn't see: put it elsewhere and \
                 install the unit again",
                path.display()
            ));
        }
    }
    for (name, file) in places::credentials(config, choices) {
        if !file.exists() {
            found.insert(format!(
                "the credential {name} has no file yet: put the secret into {} (mode 600), or name its file with \
                 --credential {name}=FILE",
                file.display()
            ));
        }
    }
    for reference in places::secrets(config, choices) {
        if let SecretReference::Descriptor(number) = reference {
            found.insert(format!(
                "a secret comes from the open descriptor {number}, which no unit has: use `credential` or `file` \
                 instead"
            ));
        }
    }
    let variables = variables(config, choices);
    if !variables.is_empty() {
        let names: Vec<&str> = variables.iter().map(String::as_str).collect();
        found.insert(format!(
            "the configuration uses variables of the environment that the unit doesn't have: {}. For a secret, use \
             `credential` or `file`; for the others `systemctl edit` takes `Environment=NAME=value`",
            names.join(", ")
        ));
    }
    let plan = choices.plan.as_ref().and_then(|name| config.plans.get(name));
    let schedule = plan.and_then(|plan| plan.value.schedule.as_ref());
    if let (Some(plan), Some(schedule)) = (plan, schedule) {
        if schedule.only.is_some() {
            found.insert(format!(
                "the schedule of plan {} has conditions (`only`), which a timer can't keep: it starts the plan \
                 whether they hold or not",
                plan.name
            ));
        }
        if !plan.value.enabled {
            found.insert(format!("plan {} is not enabled: each run of its timer will fail", plan.name));
        }
    }
    found.into_iter().collect()
}

fn place_remark(place: &Path, owner: &str) -> Option<String> {
    let shown = place.display();
    if is_temporary(place) {
        return Some(format!(
            "{shown} is below a temporary directory, and the unit has one of its own: choose another place"
        ));
    }
    let Ok(found) = fs::metadata(place) else {
        return Some(format!(
            "{shown} isn't there, and the unit can't make it: `install --directory --mode=700 --owner={owner} \
             {shown}` does"
        ));
    };
    let is_owner = SystemHost.user_id(owner.as_bytes()).is_none_or(|id| id == found.uid());
    let is_group_or_other_writable = found.mode() & 0o022 != 0;
    (!is_owner && !is_group_or_other_writable && !places::is_made_by_systemd(place)).then(|| {
        format!(
            "{shown} doesn't belong to {owner}, and the unit has no right to write to what others own: `chown -R \
             {owner} {shown}` gives it to {owner}"
        )
    })
}

fn is_temporary(path: &Path) -> bool {
    TEMPORARY.iter().any(|temporary| path.starts_with(temporary))
}

/// The variables that the configuration takes something from.
fn variables(config: &Config, choices: &Choices) -> BTreeSet<String> {
    let facts = Remembering::default();
    // What is wrong with it was told before.
    let _ = load(&choices.config, &ThisMachine, &facts, &Limits::default());
    let mut names = facts.asked.into_inner();
    names.extend(places::secrets(config, choices).into_iter().filter_map(|reference| match reference {
        SecretReference::Environment(name) => Some(name.clone()),
        _ => None,
    }));
    names.retain(|name| !ANYWHERE.contains(&name.as_str()));
    names
}

/// This machine's facts; it remembers which variables were asked for and are set here.
#[derive(Default)]
struct Remembering {
    asked: RefCell<BTreeSet<String>>,
}

impl Facts for Remembering {
    fn variable(&self, name: &str) -> Option<OsString> {
        let value = ThisMachine.variable(name)?;
        self.asked.borrow_mut().insert(name.to_owned());
        Some(value)
    }

    fn is_readable_by_others(&self, path: &Path) -> Option<bool> {
        ThisMachine.is_readable_by_others(path)
    }

    fn check_pattern(&self, pattern: &str) -> Result<(), String> {
        ThisMachine.check_pattern(pattern)
    }
}
