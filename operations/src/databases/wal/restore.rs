//! A server in a folder, as it was at a point in time.

use std::num::NonZeroU16;
use std::path::PathBuf;

use keepfast_engine::run::{Phase, RunContext};
use keepfast_process::tool::Account;
use keepfast_sources::SourceError;
use keepfast_sources::postgres::base::Base;
use keepfast_sources::postgres::lsn::Timeline;
use keepfast_sources::postgres::physical::{
    FolderRestore, RestoreCommand, Target, Then, choose as choose_base, restore_to_folder,
};
use keepfast_sources::postgres::wal::Spool;
use serde::Serialize;

use super::super::{FromFolder, Surroundings, path_of};
use super::LogName;
use super::archive::{Lists, joined, parts_of, refuse_other, system_of_log};
use super::bases::{FoundBase, bases_in, bases_of};
use crate::choose::{Filter, choose, split};
use crate::error::{DatabaseError, Result};
use crate::folder::SnapshotFolder;
use crate::host::{SystemHost, monotonic};
use crate::open::{Mode, Opened, SharedRepository};

/// Whom the files belong to, if this process is root: PostgreSQL refuses to run as root.
const ACCOUNTS: [&str; 1] = ["postgres"];

/// What to restore into which folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterRestore {
    /// The log of the server.
    pub name: LogName,
    /// The base backup, as `ID` or `ID:/folder`; none means the newest that was complete by the target.
    pub snapshot: Option<String>,
    /// Which snapshots `latest` is among.
    pub filter: Filter,
    /// A folder that is empty or not there. The server's folder becomes `data` in it.
    pub into: PathBuf,
    /// Up to where.
    pub target: Target,
    /// Along which timeline; none means that of the base backup.
    pub timeline: Option<Timeline>,
    /// How the server gets the log.
    pub command: RestoreCommand,
    /// The folder in which the log waits, if it is on this machine.
    pub spool: Option<PathBuf>,
    /// How many files are written at once.
    pub parallel: NonZeroU16,
}

/// What lies in the folder.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClusterReport {
    /// The snapshot of the base backup.
    pub snapshot: String,
    /// Its folder in it.
    pub folder: String,
    /// The server's folder.
    pub data: PathBuf,
    /// The version of the server: it takes the same major version.
    pub server: String,
    /// Up to where it will go when it is started.
    pub target: String,
    /// Along which timeline.
    pub timeline: u32,
    /// Where the log ends that is there without a gap.
    pub log_end: String,
    /// How many files were written.
    pub files: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// How long it took.
    pub seconds: f64,
}

/// Lays out a base backup so that a server that is started there recovers up to the target.
pub fn restore_cluster(
    request: &ClusterRestore,
    shared: &SharedRepository,
    run: &RunContext,
) -> Result<ClusterReport> {
    let begun = monotonic();
    let name = &request.name;
    let spool = request.spool.as_ref().map(Spool::find).transpose()?.flatten();
    let opened = shared.open(run, Mode::Usual)?;
    let parts = parts_of(name, &opened, &Lists::default(), run)?;
    let Some(system) = system_of_log(spool.as_ref(), &parts)? else {
        return Err(DatabaseError::NoLog { name: name.to_string() }.into());
    };
    let found = match &request.snapshot {
        Some(text) => named(request, text, system.system, &opened, shared, run)?,
        None => best(bases_of(&opened, Some(system.system), run)?, &request.target)?,
    };
    run.enter(Phase::Restoring);
    let files = SnapshotFolder::new(&opened, found.snapshot, &path_of(&found.folder), run);
    let account = SystemHost.account(&ACCOUNTS).map(|(user, group)| Account { user, group });
    let options = FolderRestore {
        folder: request.into.clone(),
        target: request.target.clone(),
        timeline: request.timeline,
        command: request.command.clone(),
        then: Then::Promote,
        account,
        keeps_settings: true,
        is_durable: true,
        parallel: request.parallel,
    };
    let surroundings = Surroundings::new(shared.children(), run.cancel(), &[])?;
    let log = joined(name, spool.as_ref(), &parts)?;
    let laid_out = restore_to_folder(&FromFolder(&files), &log, &options, &surroundings.context(&|_| {}))?;
    Ok(ClusterReport {
        snapshot: found.snapshot.head.id.short(),
        folder: found.folder.clone(),
        data: laid_out.data,
        server: laid_out.base.server,
        target: laid_out.target.to_string(),
        timeline: laid_out.timeline.number(),
        log_end: laid_out.chain.end.to_string(),
        files: laid_out.files,
        bytes: laid_out.bytes,
        warnings: laid_out.warnings,
        seconds: begun.elapsed().as_secs_f64(),
    })
}

/// The base backup that a text names, or an error if it can't be restored to the target, with one that can.
fn named<'a>(
    request: &ClusterRestore,
    text: &str,
    system: u64,
    opened: &'a Opened,
    shared: &SharedRepository,
    run: &RunContext,
) -> Result<FoundBase<'a>> {
    let (wanted, folder) = split(text);
    let filter = request.filter.resolve(&opened.snapshots)?;
    let stored = choose(&opened.snapshots, wanted, &filter, shared, run)?;
    let mut bases = bases_in(opened, stored, run)?;
    let folder = folder.trim_matches('/');
    if !folder.is_empty() {
        bases.retain(|found| found.folder == folder);
    }
    let folders: Vec<String> = bases.iter().map(|found| found.folder.clone()).collect();
    let snapshot = stored.snapshot.head.id.short();
    let [found] = <[FoundBase<'a>; 1]>::try_from(bases).map_err(|_| match folders.as_slice() {
        [] => DatabaseError::NoBase { place: format!("{snapshot}:/{folder}") },
        _ => DatabaseError::WhichDump { snapshot, folders: folders.join(", ") },
    })?;
    refuse_other(&request.name, system, found.base.system, found.place())?;
    if let Err(why) = choose_base(std::slice::from_ref(&found.base), &request.target) {
        return Err(match best(bases_of(opened, Some(system), run)?, &request.target) {
            Ok(other) => DatabaseError::OtherBase { why, other: other.place() }.into(),
            Err(error) => error,
        });
    }
    Ok(found)
}

/// The base backup from which the target is reached with the least of the log.
fn best<'a>(found: Vec<FoundBase<'a>>, target: &Target) -> Result<FoundBase<'a>> {
    let bases: Vec<Base> = found.iter().map(|found| found.base.clone()).collect();
    let chosen = choose_base(&bases, target)?;
    let lost =
        || SourceError::Missing { object: target.to_string(), why: "there is no base backup".to_owned() };
    Ok(found.into_iter().find(|found| found.base == *chosen).ok_or_else(lost)?)
}
