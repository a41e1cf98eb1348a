//! The state, back from a snapshot: made in a folder of its own, taken over there, and put into its place as a whole.
//!
//! What is taken over and what isn't: a server that goes on with it does what one does that was down since the copy was
//! made. Runs that were at work are lost, slots since then are made up for or missed as each plan says. Two things differ,
//! because the lost server went on after the copy: messages that waited to be sent aren't sent, and hooks aren't undone.

use std::fs;
use std::path::{Path, PathBuf};

use keepfast_config::config::Config;
use keepfast_engine::run::RunContext;
use keepfast_operations::hooks::Hook;
use keepfast_operations::open::SharedRepository;
use keepfast_store::{Ending, Figures, ProgramVersion, RunId, ServerLock, Store, Text, Work};
use serde::Serialize;
use serde_json::json;

use super::copy::{SCRATCH, new_file, remove_folder};
use super::fetch::write_part;
use super::find::Found;
use super::{RecoveryError, STATE};
use crate::daemon::scheduler::Scheduler;
use crate::error::{Result, ServerError};
use crate::lock::MachineLock;
use crate::state::{self, now};
use crate::surroundings::Surroundings;

/// Bytes of an exported state, at most. One of a hundred thousand runs has a few hundred MiB.
const STATE_BYTES_MAX: u64 = 64 << 30;

/// What became of the state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StateReport {
    /// Where it is: a file, or `PostgreSQL`.
    pub place: String,
    /// Rows that it has.
    pub rows: u64,
    /// Runs that were at work when the copy was made, and are lost.
    pub lost_runs: Vec<String>,
    /// Messages that waited to be sent, and are given up.
    pub unsent_messages: u64,
    /// Hooks that were not undone.
    pub undone_hooks: Vec<LeftHook>,
}

/// A hook that was not undone when the copy was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftHook {
    /// The run that has run it.
    pub run: String,
    /// The program that would have undone it.
    pub program: String,
}

/// Makes the state of a snapshot that of a configuration. There must be none yet, and no server at work.
pub fn rebuild(
    config: &Config,
    found: &Found,
    around: &Surroundings,
    shared: &SharedRepository,
    run: &RunContext,
) -> Result<StateReport> {
    let folder = state::folder(config);
    state::make_folders(config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(ServerError::Runtime)?;
    let _lock = runtime.block_on(MachineLock::take(config, &folder))?;
    let file = state::file(config);
    if let Some(file) = file.as_ref().filter(|file| file.exists()) {
        return Err(RecoveryError::StateThere { place: file.clone() }.into());
    }
    let scratch = Scratch::make(&folder)?;
    let exported = scratch.0.join(STATE);
    let failed = |source| ServerError::StateFile { file: exported.clone(), source };
    let mut out = new_file(&exported).map_err(failed)?;
    write_part(&found.id, STATE, STATE_BYTES_MAX, &mut out, shared, run)?;
    drop(out);
    runtime.block_on(async {
        let lock = ServerLock::take(&scratch.0.join("state.db"))?;
        let input = tokio::fs::File::open(&exported).await.map_err(failed)?;
        let mut input = tokio::io::BufReader::new(input);
        let (store, rows) = Store::rebuild_sqlite(&lock, &mut input).await?;
        let mut report = take_over(&store, found, &around.version).await?;
        report.rows = rows;
        adopt_machine(&folder, &found.about.machine)?;
        match &file {
            // A copy appears as a whole or not at all.
            Some(file) => {
                store.copy_sqlite(file).await?;
                report.place = file.display().to_string();
            }
            None => {
                let target = state::open(config, &around.children_of(config)).await?;
                let file = tokio::fs::File::create(&exported).await.map_err(failed)?;
                let mut out = tokio::io::BufWriter::new(file);
                store.export(&mut out).await?;
                let input = tokio::fs::File::open(&exported).await.map_err(failed)?;
                let imported = target.import(&mut tokio::io::BufReader::new(input)).await;
                target.close().await;
                imported?;
                report.place = "PostgreSQL".to_owned();
            }
        }
        store.close().await;
        Ok(report)
    })
}

/// Makes a copied state that of a server that begins with it.
async fn take_over(store: &Store, found: &Found, version: &str) -> Result<StateReport> {
    if let Some(run) = &found.about.run {
        let id = RunId::new(&**run).map_err(ServerError::name(run))?;
        if let Some(held) = store.adopt(&id).await? {
            // Its snapshot is there, or this would not be.
            let work = Work {
                ending: Ending::Ok,
                report: Some(json!({ "verdict": "ok", "backup": { "snapshot": { "id": found.id } } })),
                counters: None,
                figures: Figures::default(),
                error: None,
                baseline: None,
                retry: None,
                version: ProgramVersion::new(version).map_err(ServerError::name(version))?,
            };
            store.end(state::stored(found.about.made), &held, &work).await?;
        }
    }
    let mut lost_runs = Vec::new();
    for run in store.active_runs().await? {
        Scheduler::lose_dead(store, &run.id, state::instant(now())).await?;
        let subject = run.subject.plan.as_ref().map(ToString::to_string);
        let subject = subject.or_else(|| run.subject.repository.as_ref().map(ToString::to_string));
        lost_runs.push(format!("{} of {}", run.id, subject.unwrap_or_default()));
    }
    let why = format!(
        "not sent: the server was rebuilt from a backup of {}, and the message may have been sent before",
        found.about.made.strftime("%Y-%m-%d %H:%M UTC")
    );
    let unsent_messages = store.give_up_deliveries(now(), &Text::from(why)).await?;
    let why = Text::from("not carried out: the server was rebuilt");
    let undone_hooks = store.give_up_undos(now(), &why).await?.into_iter().map(|undo| {
        let hook = serde_json::from_value::<Hook>(undo.command);
        LeftHook {
            run: undo.run.to_string(),
            program: hook.map_or_else(|_| "an unknown program".to_owned(), |hook| hook.run.program()),
        }
    });
    let undone_hooks = undone_hooks.collect();
    store.forget_logs().await?;
    Ok(StateReport { place: String::new(), rows: 0, lost_runs, unsent_messages, undone_hooks })
}

/// Gives this machine the name in the state that the lost one had, unless it has one.
fn adopt_machine(folder: &Path, name: &str) -> Result<()> {
    let is_name = name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_name { state::machine_named(folder, name).map(drop) } else { state::machine(folder).map(drop) }
}

/// A folder that is there while a state is made.
struct Scratch(PathBuf);

impl Scratch {
    /// What an earlier process has left there is removed: the caller has the lock of the state.
    fn make(folder: &Path) -> Result<Self> {
        let scratch = Self(folder.join(SCRATCH));
        remove_folder(&scratch.0)?;
        state::make_folder(&scratch.0)?;
        Ok(scratch)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
