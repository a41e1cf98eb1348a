//! `keepfast service`: installs the units of systemd, and removes them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use keepfast_observe::service::UnitFile;
use serde::Serialize;

use super::plans;
use crate::args::{Common, InstallUnits, RemoveUnits, ServiceAction};
use crate::units::systemctl::{Answer, systemctl, word};
use crate::units::{self, Choices, Installed};
use crate::usage::Usage;
use crate::{Outcome, lines, render};

/// What to type where no systemd could be asked.
const RELOAD: &str = "systemctl daemon-reload";

/// Installs or removes units.
pub fn run(common: &Common, action: &ServiceAction) -> Result<Outcome> {
    match action {
        ServiceAction::Install(options) => install(common, options),
        ServiceAction::Uninstall(options) => uninstall(common, options),
    }
}

/// What came of an installation, for scripts.
#[derive(Serialize)]
struct InstallDocument {
    files: Vec<FileDocument>,
    started: bool,
    remarks: Vec<String>,
    next: Option<String>,
}

/// A file of a unit.
#[derive(Serialize)]
struct FileDocument {
    path: String,
    changed: bool,
}

fn install(common: &Common, options: &InstallUnits) -> Result<Outcome> {
    let config = plans::read(common)?;
    let absolute = |path: &Path| {
        std::path::absolute(path).with_context(|| format!("{} has no absolute path", path.display()))
    };
    let choices = |plan: Option<&String>| -> Result<Choices> {
        Ok(Choices {
            program: std::env::current_exe().context("the program's own path can't be found out")?,
            config: absolute(&plans::first(common))?,
            plan: plan.cloned(),
            user: options.user.clone(),
            credentials: options.credentials.iter().cloned().collect::<BTreeMap<String, PathBuf>>(),
            restore_to: options.restore_to.iter().map(|path| absolute(path)).collect::<Result<_>>()?,
        })
    };
    let all = match options.plans.is_empty() {
        true => vec![choices(None)?],
        false => options.plans.iter().map(|plan| choices(Some(plan))).collect::<Result<_>>()?,
    };
    let (mut wanted, mut remarks): (Vec<UnitFile>, Vec<String>) = (Vec::new(), Vec::new());
    for choices in &all {
        wanted.extend(units::wanted(&config, choices)?);
        remarks.extend(units::remarks(&config, choices));
    }
    remarks.sort_unstable();
    remarks.dedup();
    if options.print {
        for unit in &wanted {
            lines::raw(
                format!("# {}\n{}\n", options.directory.join(&unit.name).display(), unit.text).as_bytes(),
            );
        }
        remarks.iter().for_each(|remark| render::note("warning", remark, common.json));
        return Ok(outcome(&remarks));
    }
    let written = write_all(&options.directory, &wanted)?;
    if !common.json {
        for file in &written {
            let did = if file.changed { "wrote" } else { "unchanged" };
            render::line(&format!("{did:<9} {}", file.path));
        }
    }
    remarks.extend(tell_systemd(&[&["daemon-reload"]]));
    // Of a plan, the timer is what is started.
    let starts = |unit: &&UnitFile| options.plans.is_empty() || unit.name.ends_with(".timer");
    let started: Vec<&str> = wanted.iter().filter(starts).map(|unit| unit.name.as_str()).collect();
    let enable = [&["enable", "--now"], started.as_slice()].concat();
    let mut next = None;
    if options.start {
        remarks.extend(tell_systemd(&[&enable]));
    } else {
        next = Some(format!("systemctl {}", enable.join(" ")));
    }
    if common.json {
        let started = options.start && remarks.is_empty();
        render::document(&InstallDocument { files: written, started, remarks: remarks.clone(), next });
        return Ok(outcome(&remarks));
    }
    remarks.iter().for_each(|remark| render::note("warning", remark, false));
    render::line(&match next {
        Some(command) if remarks.is_empty() => format!("next      {command}"),
        Some(command) => format!("next      see to the warnings, then {command}"),
        None => format!("next      systemctl status {}", started.join(" ")),
    });
    Ok(outcome(&remarks))
}

fn outcome(remarks: &[String]) -> Outcome {
    if remarks.is_empty() { Outcome::Complete } else { Outcome::WithFindings }
}

/// Writes all units, or none if a file is there that the program has not written.
fn write_all(directory: &Path, wanted: &[UnitFile]) -> Result<Vec<FileDocument>> {
    for unit in wanted {
        let path = directory.join(&unit.name);
        if !units::is_replaceable(&path)? {
            let text = format!(
                "{} was not written by `keepfast service install`, so nothing was changed: move it away, or write \
                 the units elsewhere with --directory",
                path.display()
            );
            return Err(Usage(text).into());
        }
    }
    let write = |unit: &UnitFile| {
        let changed = units::write(directory, unit)?;
        Ok(FileDocument { path: directory.join(&unit.name).display().to_string(), changed })
    };
    wanted.iter().map(write).collect()
}

/// Has systemd do something; what it doesn't do is to be done by hand.
fn tell_systemd(commands: &[&[&str]]) -> Vec<String> {
    let told = commands.iter().filter_map(|words| {
        let command = words.join(" ");
        match systemctl(words) {
            Answer::Done(_) => None,
            Answer::Missing => {
                Some(format!("there is no `systemctl` here: run `systemctl {command}` where there is"))
            }
            Answer::Refused { why, .. } => Some(format!("`systemctl {command}` failed: {why}")),
        }
    });
    told.collect()
}

/// What came of removing units, for scripts.
#[derive(Serialize)]
struct RemoveDocument {
    removed: Vec<String>,
    remarks: Vec<String>,
}

fn uninstall(common: &Common, options: &RemoveUnits) -> Result<Outcome> {
    let Removed { files, remarks } = remove(&options.directory)?;
    if common.json {
        render::document(&RemoveDocument { removed: files, remarks: remarks.clone() });
        return Ok(outcome(&remarks));
    }
    if files.is_empty() {
        render::line(&format!(
            "nothing to remove: {} has no unit that `keepfast service install` has written",
            options.directory.display()
        ));
    }
    files.iter().for_each(|file| render::line(&format!("removed   {file}")));
    remarks.iter().for_each(|remark| render::note("warning", remark, false));
    Ok(outcome(&remarks))
}

fn is_at_work(unit: &str) -> bool {
    let word = word("is-active", unit);
    matches!(word.as_deref(), Some("active" | "activating" | "deactivating" | "reloading"))
}

/// What was removed.
pub struct Removed {
    /// The files.
    pub files: Vec<String>,
    /// What is left to do by hand.
    pub remarks: Vec<String>,
}

/// Stops, disables and removes the units that the program has written into a directory.
pub fn remove(directory: &Path) -> Result<Removed> {
    let found = units::installed(directory)?;
    if found.is_empty() {
        return Ok(Removed { files: Vec::new(), remarks: Vec::new() });
    }
    let mut remarks = Vec::new();
    for unit in &found {
        match systemctl(&["disable", "--now", &unit.name]) {
            Answer::Done(_) => {}
            Answer::Missing => {
                remarks.push(format!("there is no `systemctl` here, so {} was not stopped", unit.name));
            }
            // systemd doesn't know it, or it is at rest.
            Answer::Refused { why, .. } if !is_at_work(&unit.name) => {
                remarks.push(format!("`systemctl disable --now {}` failed: {why}", unit.name));
            }
            // A unit that goes on without its file can't be stopped by its name any more.
            Answer::Refused { why, .. } => {
                return Err(anyhow!("{why}").context(format!(
                    "the unit {} can't be stopped, so no unit was removed: try `systemctl disable --now {0}`",
                    unit.name
                )));
            }
        }
    }
    let mut files = Vec::new();
    for Installed { path, name, .. } in &found {
        std::fs::remove_file(path).with_context(|| format!("{} can't be removed", path.display()))?;
        files.push(path.display().to_string());
        let own = directory.join(format!("{name}.d"));
        if own.exists() {
            remarks.push(format!("{} has changes of your own, and stays", own.display()));
        }
    }
    if let Answer::Refused { why, .. } = systemctl(&["daemon-reload"]) {
        remarks.push(format!("`{RELOAD}` failed: {why}"));
    }
    Ok(Removed { files, remarks })
}
