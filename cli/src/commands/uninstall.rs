//! `keepfast uninstall`: removes what this machine has of keepfast, one thing after the other, and nothing of a
//! repository.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use keepfast_config::config::Config;
use keepfast_config::values::address::Place;
use keepfast_server::{existing, state};
use serde::Serialize;

use super::{plans, service};
use crate::args::{Common, Uninstall};
use crate::console::Console;
use crate::prompt::Prompt;
use crate::units;
use crate::usage::Usage;
use crate::{Outcome, lines, render, secrets, settings};

/// Where units of systemd keep their caches.
const UNIT_CACHE: &str = "/var/cache/keepfast";

/// What came of it, for scripts.
#[derive(Default, Serialize)]
struct UninstallDocument {
    backup: Option<String>,
    removed: Vec<String>,
    remarks: Vec<String>,
    left: Vec<String>,
}

/// Removes what a person agrees to.
pub fn run(common: &Common, options: &Uninstall) -> Result<Outcome> {
    let asker = Asker { prompt: Prompt::new(), yes: options.yes };
    if !options.yes && !asker.prompt.is_terminal() {
        let text = "no one can be asked here: --yes removes units, state, logs and caches without asking";
        return Err(Usage(text.to_owned()).into());
    }
    let config = plans::read(common)?;
    let mut done = UninstallDocument::default();
    last_backup(common, options, &config, &asker, &mut done)?;
    remove_units(options, &asker, &mut done)?;
    let state = match existing::has_server(&config) {
        false => existing::state_files(&config),
        true => {
            let text = "the state stays: a server runs with it. Stop it, and run this again";
            done.remarks.push(text.to_owned());
            Vec::new()
        }
    };
    let things = [
        ("the state: runs, their outcomes, what is planned", state),
        ("the logs of runs", existing::logs(&config).into_iter().collect()),
        ("caches, which a later backup would build again", caches(common, &config)),
    ];
    for (what, paths) in things {
        remove(&config, what, paths, &asker, &mut done)?;
    }
    // What others have put there keeps the folder.
    for folder in state::folders(&config) {
        if std::fs::remove_dir(&folder).is_ok() {
            done.removed.push(folder.display().to_string());
        }
    }
    done.left = left(common, options, &config)?;
    tell(common, &done);
    Ok(if done.remarks.is_empty() { Outcome::Complete } else { Outcome::WithFindings })
}

/// Asks a person, or takes everything for agreed.
struct Asker {
    prompt: Prompt,
    yes: bool,
}

impl Asker {
    fn agrees(&self, question: &str, default: bool) -> Result<bool> {
        if self.yes { Ok(true) } else { self.prompt.yes(question, default) }
    }
}

fn last_backup(
    common: &Common,
    options: &Uninstall,
    config: &Config,
    asker: &Asker,
    done: &mut UninstallDocument,
) -> Result<()> {
    let Some(file) = state::file(config) else {
        done.remarks.push("the state is in PostgreSQL, and stays there: `pg_dump` backs it up".to_owned());
        return Ok(());
    };
    if options.no_backup || !file.exists() {
        return Ok(());
    }
    let question = format!("Back up the state {} a last time?", file.display());
    if !asker.agrees(&question, true)? {
        return Ok(());
    }
    let Some(repository) = repository(options, config, asker)? else {
        let text = "the configuration defines no repository that could take a last backup of the state: --no-backup \
                    goes on without one";
        return Err(Usage(text.to_owned()).into());
    };
    let console = Console::new(common)?;
    let cache = settings::cache_dir(common);
    let backup = console.during("state", || {
        existing::back_up(config, &repository, &cache, secrets::children(), console.run())
    });
    match backup {
        Ok(report) => {
            done.backup = report.and_then(|report| report.snapshot).map(|snapshot| snapshot.id);
            Ok(())
        }
        Err(error) => Err(anyhow::Error::from(error).context(
            "the last backup of the state failed, so nothing was removed (--no-backup goes on without one)",
        )),
    }
}

fn repository(options: &Uninstall, config: &Config, asker: &Asker) -> Result<Option<String>> {
    let names: Vec<&str> = config.repositories.keys().map(String::as_str).collect();
    match (&options.into, names.as_slice()) {
        (Some(name), _) => Ok(Some(name.clone())),
        (None, []) => Ok(None),
        (None, [only]) => Ok(Some((*only).to_owned())),
        (None, _) if asker.yes => {
            let text = format!(
                "--into says which repository takes the last backup of the state: {}",
                names.join(", ")
            );
            Err(Usage(text).into())
        }
        (None, [first, ..]) => {
            let question = format!("Into which repository ({})", names.join(", "));
            let known = |answer: &str| match names.contains(&answer) {
                true => Ok(Some(answer.to_owned())),
                false => Err(format!("there is no repository {answer}")),
            };
            asker.prompt.checked(&question, Some(first), known)
        }
    }
}

fn remove_units(options: &Uninstall, asker: &Asker, done: &mut UninstallDocument) -> Result<()> {
    let found = units::installed(&options.directory)?;
    if found.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = found.iter().map(|unit| unit.name.as_str()).collect();
    if asker.agrees(&format!("Stop and remove the units {}?", names.join(", ")), true)? {
        let service::Removed { files, remarks } = service::remove(&options.directory)?;
        done.removed.extend(files);
        done.remarks.extend(remarks);
    }
    Ok(())
}

/// The caches of this user and of units, and those that the configuration names.
fn caches(common: &Common, config: &Config) -> Vec<PathBuf> {
    let named = config
        .repositories
        .values()
        .filter_map(|repository| Some(repository.value.cache.as_ref()?.0.clone()));
    let all = named.chain([settings::cache_dir(common), PathBuf::from(UNIT_CACHE)]);
    let mut parts: Vec<PathBuf> = all.flat_map(|cache| parts_of_cache(&cache)).collect();
    parts.sort_unstable();
    parts.dedup();
    parts
}

/// What the program makes in a cache: someone may have chosen a folder that has other things too. The folder itself is
/// removed with its last entry.
fn parts_of_cache(cache: &Path) -> Vec<PathBuf> {
    let is_part = |name: &str| {
        let is_repository = name.len() >= 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_repository || name == "seen"
    };
    let entries = std::fs::read_dir(cache).into_iter().flatten().flatten();
    let parts = entries.filter(|entry| entry.file_name().to_str().is_some_and(is_part));
    parts.map(|entry| entry.path()).collect()
}

fn remove(
    config: &Config,
    what: &str,
    paths: Vec<PathBuf>,
    asker: &Asker,
    done: &mut UninstallDocument,
) -> Result<()> {
    let holds_repository = |path: &PathBuf| {
        config.repositories.values().any(|repository| match &repository.value.url.value {
            Place::Directory(place) => path.starts_with(place) || place.starts_with(path),
            Place::S3 { .. } => false,
        })
    };
    let (kept, paths): (Vec<PathBuf>, Vec<PathBuf>) = paths.into_iter().partition(holds_repository);
    done.remarks.extend(
        kept.iter().map(|path| format!("{} stays: it has a repository in it, or is in one", path.display())),
    );
    if paths.is_empty() {
        return Ok(());
    }
    if !asker.yes {
        paths.iter().for_each(|path| lines::message(&format!("  {}", path.display())));
    }
    if asker.agrees(&format!("Remove {what}?"), false)? {
        existing::remove(&paths)?;
        let folders = state::folders(config);
        for folder in paths.iter().filter_map(|path| path.parent()) {
            // Only an empty one goes.
            if !folders.contains(folder) && std::fs::remove_dir(folder).is_ok() {
                done.removed.push(folder.display().to_string());
            }
        }
        done.removed.extend(paths.iter().map(|path| path.display().to_string()));
    }
    Ok(())
}

/// What is still there.
fn left(common: &Common, options: &Uninstall, config: &Config) -> Result<Vec<String>> {
    let mut left = Vec::new();
    let program = std::env::current_exe().context("the program's own path can't be found out")?;
    left.push(format!("the program {}", program.display()));
    left.push(format!("the configuration {}, and the secrets that it names", plans::first(common).display()));
    for repository in config.repositories.values() {
        left.push(format!("the repository {} in {}", repository.name, repository.value.url.value));
    }
    let paths =
        existing::state_files(config).into_iter().chain(existing::logs(config)).chain(caches(common, config));
    left.extend(paths.map(|path| path.display().to_string()));
    left.extend(
        units::installed(&options.directory)?.into_iter().map(|unit| unit.path.display().to_string()),
    );
    Ok(left)
}

fn tell(common: &Common, done: &UninstallDocument) {
    if common.json {
        return render::document(done);
    }
    if let Some(snapshot) = &done.backup {
        render::line(&format!("backup    of the state: snapshot {}", render::short(snapshot)));
    }
    done.removed.iter().for_each(|path| render::line(&format!("removed   {path}")));
    done.left.iter().for_each(|what| render::line(&format!("stays     {what}")));
    done.remarks.iter().for_each(|remark| render::note("warning", remark, false));
}
