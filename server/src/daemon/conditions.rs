//! Conditions that the machine decides: mains power, and what a plan's command says.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use keepfast_config::config::Config;
use keepfast_operations::child::CommandLine;
use keepfast_operations::hooks::Hook;
use keepfast_schedule::condition::Answer;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::clock::Clocks;
use super::jobs::Job;
use crate::surroundings::Surroundings;
use crate::work::hook_variables;

/// How long a condition command may take. One that takes longer says no.
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);
/// Where Linux says what feeds the machine.
const POWER_SUPPLIES: &str = "/sys/class/power_supply";

/// What a command has said.
pub struct Answered {
    /// The job whose command it is.
    pub job: Job,
    /// What it said.
    pub answer: Answer,
}

/// Commands that are asked.
pub struct Questions {
    asked: BTreeSet<Job>,
    to: UnboundedSender<Answered>,
}

impl Questions {
    /// None is asked yet. Answers come from the receiver.
    pub fn new() -> (Self, UnboundedReceiver<Answered>) {
        let (to, answers) = unbounded_channel();
        (Self { asked: BTreeSet::new(), to }, answers)
    }

    /// Asks a job's command, unless it is being asked. Its exit code says it: 0 is yes.
    pub fn ask(&mut self, config: &Config, around: &Surroundings, job: Job, clocks: &dyn Clocks) {
        let Job::Backup { plan } = &job else { return };
        let Some(definition) = config.plans.get(plan) else { return };
        let conditions = definition.value.schedule.as_ref().and_then(|schedule| schedule.only.as_ref());
        let Some(command) = conditions.and_then(|conditions| conditions.command.as_ref()) else { return };
        if !self.asked.insert(job.clone()) {
            return;
        }
        let hook = Hook {
            run: CommandLine::Arguments(command.0.iter().map(OsString::from).collect()),
            timeout: ANSWERS_WITHIN,
        };
        let mut children = around.children_of(config);
        children.variables.extend(hook_variables(plan, &definition.value.repository.name, ""));
        let at = clocks.read().wall();
        let to = self.to.clone();
        tokio::task::spawn_blocking(move || {
            let is_yes = hook.run(&children, &Default::default()).is_ok();
            // The server is gone if no one hears of it.
            let _ = to.send(Answered { job, answer: Answer { is_yes, at } });
        });
    }

    /// An answer has come.
    pub fn answered(&mut self, job: &Job) {
        self.asked.remove(job);
    }
}

/// Whether the machine is on mains power; nothing if it doesn't tell.
pub fn mains_power() -> Option<bool> {
    mains_power_of(Path::new(POWER_SUPPLIES))
}

/// A machine runs on its battery if it has one and no supply is online; supplies of ports at which nothing is plugged in
/// say nothing on a machine without a battery, and the battery of a mouse is none of the machine's.
fn mains_power_of(folder: &Path) -> Option<bool> {
    let word = |folder: &Path, name: &str| {
        fs::read_to_string(folder.join(name)).map(|text| text.trim().to_owned()).ok()
    };
    let supplies: Vec<PathBuf> =
        fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    let is_battery = |supply: &PathBuf| {
        word(supply, "type").is_some_and(|kind| kind == "Battery")
            && word(supply, "scope").is_none_or(|scope| scope != "Device")
    };
    let is_mains = |supply: &PathBuf| {
        word(supply, "type").is_some_and(|kind| kind == "Mains" || kind.starts_with("USB"))
    };
    let is_online = |supply: &PathBuf| word(supply, "online").is_some_and(|online| online != "0");
    if supplies.iter().any(|supply| is_mains(supply) && is_online(supply)) {
        return Some(true);
    }
    let has_battery = supplies.iter().any(is_battery);
    (has_battery && supplies.iter().any(is_mains)).then_some(false)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::mains_power_of;
    use std::fs;

    #[test]
    fn mains_power_is_read_from_all_supplies() {
        let folder = tempfile::tempdir().unwrap();
        let supply = |name: &str, files: &[(&str, &str)]| {
            let supply = folder.path().join(name);
            fs::create_dir_all(&supply).unwrap();
            for (file, text) in files {
                fs::write(supply.join(file), format!("{text}\n")).unwrap();
            }
        };
        assert_eq!(mains_power_of(&folder.path().join("none")), None);
        assert_eq!(mains_power_of(folder.path()), None);
        supply("mouse", &[("type", "Battery"), ("scope", "Device")]);
        supply("ucsi", &[("type", "USB"), ("online", "0")]);
        assert_eq!(mains_power_of(folder.path()), None, "no battery feeds the machine");
        supply("BAT0", &[("type", "Battery")]);
        assert_eq!(mains_power_of(folder.path()), Some(false));
        supply("AC", &[("type", "Mains"), ("online", "1")]);
        assert_eq!(mains_power_of(folder.path()), Some(true));
    }
}
