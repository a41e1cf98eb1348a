//! The state where there is one already: nothing is made or brought to another version here. For programs that only
//! look, and for those that remove it.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use keepfast_config::config::Config;
use keepfast_engine::run::RunContext;
use keepfast_operations::error::with_causes;
use keepfast_operations::reports::BackupReport;
use keepfast_operations::requests::{Backup, backup};
use keepfast_store::{PageSize, Run, RunFilter, Store};

use crate::connect;
use crate::control;
use crate::convert::backup::label;
use crate::error::{Result, ServerError};
use crate::lock::MachineLock;
use crate::recovery::copy::{COPY, Copy, ESTIMATED, LAST_COPY, Maker, SCRATCH};
use crate::recovery::{STATE_LABEL, STATE_PLAN};
use crate::state::{self, file};
use crate::surroundings::Surroundings;

/// What SQLite, locks and copies before changes of the tables add to the name of the state's file.
const BESIDE: [&str; 4] = ["-wal", "-shm", "-journal", ".lock"];
const BEFORE: &str = ".before-";
/// What this program makes in the state's folder, apart from logs.
const FILES: [&str; 8] =
    ["machine", "locks", LAST_COPY, COPY, ESTIMATED, SCRATCH, state::SERVER_LOCK, control::SOCKET];
/// As SQLite's errors say that the file is damaged (`SQLITE_CORRUPT`), or that it is no database (`SQLITE_NOTADB`).
const DAMAGED: [&str; 2] = ["(code: 11)", "(code: 26)"];

/// Opens the state if it is a file that is there.
pub async fn join(config: &Config) -> Result<Option<Store>> {
    match file(config).filter(|file| file.exists()) {
        Some(file) => Ok(Some(Store::join_sqlite(&file).await?)),
        None => Ok(None),
    }
}

/// Whether a server runs with the state at this moment.
#[must_use]
pub fn has_server(config: &Config) -> bool {
    MachineLock::is_held(config).unwrap_or(false)
}

/// What is damaged in the state; nothing where there is no state in a file.
pub async fn damage(config: &Config) -> Result<Option<Vec<String>>> {
    let looked = async {
        let Some(store) = join(config).await? else { return Ok(None) };
        let damage = store.damage().await;
        store.close().await;
        Ok(Some(damage?))
    };
    match looked.await {
        // So damaged that it can't even be looked at.
        Err(error) if is_damage(&error) => Ok(Some(vec![with_causes(&error)])),
        looked => looked,
    }
}

fn is_damage(error: &ServerError) -> bool {
    let text = with_causes(error);
    DAMAGED.iter().any(|code| text.contains(code))
}

/// A name, and a line about what has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The name.
    pub name: String,
    /// What it was, when, and what came of it.
    pub about: String,
}

/// The newest runs, the newest first; none where there is no state in a file.
pub async fn recent_runs(config: &Config, at_most: u16) -> Result<Vec<Named>> {
    let Some(store) = join(config).await? else { return Ok(Vec::new()) };
    let runs = newest(&store, at_most).await?;
    store.close().await;
    Ok(runs.iter().map(|run| Named { name: run.id.to_string(), about: about(run) }).collect())
}

/// The snapshots that the newest runs have made, the newest first; none where there is no state in a file.
pub async fn recent_snapshots(config: &Config, at_most: u16) -> Result<Vec<Named>> {
    let Some(store) = join(config).await? else { return Ok(Vec::new()) };
    let mut snapshots = Vec::new();
    for run in newest(&store, at_most).await? {
        let report = store.run_report(&run.id).await?;
        let id = report.as_ref().and_then(|report| report.pointer("/backup/snapshot/id")?.as_str());
        snapshots.extend(id.map(|id| Named { name: id.to_owned(), about: about(&run) }));
    }
    store.close().await;
    Ok(snapshots)
}

async fn newest(store: &Store, at_most: u16) -> Result<Vec<Run>> {
    let size = PageSize::at_most(usize::from(at_most));
    Ok(store.runs(&RunFilter::default(), None, size).await?.rows)
}

fn about(run: &Run) -> String {
    let subject = run.subject.plan.as_ref().map_or("", |plan| plan.as_str());
    let came = run.verdict.as_ref().map_or(run.state.as_str(), |verdict| verdict.kind().as_str());
    let at = state::instant(run.started.unwrap_or(run.created));
    format!("{subject}, {}, {came}", at.strftime("%Y-%m-%d %H:%MZ"))
}

/// Backs the state and the configuration up into a repository of the configuration, by a consistent copy: the state may
/// be in use. Nothing where there is no state in a file.
pub fn back_up(
    config: &Config,
    repository: &str,
    around: &Surroundings,
    run: &RunContext,
) -> Result<Option<BackupReport>> {
    let definition = connect::definition(config, repository)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(ServerError::Runtime)?;
    let copied = runtime.block_on(async {
        let Some(store) = join(config).await? else { return Ok::<_, ServerError>(None) };
        let maker = Maker { host: &around.host, version: &around.version, run: None };
        let copied = Copy::make(&store, config, LAST_COPY, maker).await;
        store.close().await;
        copied.map(Some)
    })?;
    let Some(copy) = copied else { return Ok(None) };
    let shared = connect::repository(config, around, definition)?;
    let request = Backup {
        sources: copy.sources(),
        tags: vec![label(STATE_PLAN), STATE_LABEL.to_owned()],
        ignore_files: false,
        ..Backup::default()
    };
    Ok(Some(backup(&request, &shared, run)?))
}

/// The files and folders of the state, without logs, as far as they are there: exactly those that this program makes.
#[must_use]
pub fn state_files(config: &Config) -> Vec<PathBuf> {
    let folder = state::folder(config);
    let mut found: Vec<PathBuf> = FILES.map(|name| folder.join(name)).to_vec();
    if let Some(file) = file(config) {
        let with = |ending: &str| {
            let mut name = file.as_os_str().to_owned();
            name.push(ending);
            PathBuf::from(name)
        };
        found.push(file.clone());
        found.extend(BESIDE.map(with));
        let before = with(BEFORE);
        let before = before.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let beside = file.parent().unwrap_or(&folder);
        let entries = fs::read_dir(beside).into_iter().flatten().flatten();
        let copies = entries.filter(|entry| {
            !before.is_empty() && entry.file_name().to_str().is_some_and(|name| name.starts_with(before))
        });
        found.extend(copies.map(|entry| entry.path()));
    }
    found.retain(|path| path.symlink_metadata().is_ok());
    found
}

/// The folder of the logs of runs, if it is there.
#[must_use]
pub fn logs(config: &Config) -> Option<PathBuf> {
    Some(state::folder(config).join("logs")).filter(|logs| logs.is_dir())
}

/// Removes files and folders; what is gone already counts as removed.
pub fn remove(paths: &[PathBuf]) -> Result<()> {
    for path in paths {
        let is_folder = path.symlink_metadata().is_ok_and(|found| found.is_dir());
        let removed = if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        match removed {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(ServerError::StateFile { file: path.clone(), source: error });
            }
            _ => {}
        }
    }
    Ok(())
}
