//! From what a server has of restores to what goes over the wire.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use keepfast_api::path::{exact, shown};
use keepfast_api::restore::{
    ConflictKind, ConflictOutcome, Restore, RestoreConflict, RestoreFailure, RestoreOverwrite,
    RestorePreview, RestoreResult,
};
use keepfast_api::snapshot::EntryType;
use keepfast_engine::restore::{Conflict, Outcome, ThereKind};
use keepfast_server::restores::order::{Destination, Order, OverwriteFiles, SnapshotPath};
use keepfast_server::restores::preview::Previewed;
use keepfast_store::Run;
use serde::Deserialize;
use serde_json::Value;

use super::entries::{instant, kind_of, size_of};
use super::run as wire_run;

/// A path of a machine, as documents have it.
pub fn path(path: &Path) -> String {
    exact(path.as_os_str().as_bytes())
}

/// A path of a machine from its bytes.
pub fn path_buf(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes))
}

/// A path of a snapshot, as documents have it.
pub fn snapshot_path(path: &SnapshotPath) -> String {
    exact(&path.0)
}

/// The folder of the snapshot whose content lands in the target directly.
pub fn contents_of(order: &Order) -> Option<String> {
    match &order.destination {
        Destination::Folder { contents_of, .. } if !contents_of.0.is_empty() => {
            Some(snapshot_path(contents_of))
        }
        _ => None,
    }
}

/// What happens with files that are there, as it is stored.
pub fn stored_overwrite(overwrite: RestoreOverwrite) -> OverwriteFiles {
    match overwrite {
        RestoreOverwrite::Refuse => OverwriteFiles::Refuse,
        RestoreOverwrite::Always => OverwriteFiles::Always,
        RestoreOverwrite::IfChanged => OverwriteFiles::IfChanged,
        RestoreOverwrite::Never => OverwriteFiles::Never,
    }
}

fn overwrite(overwrite: OverwriteFiles) -> RestoreOverwrite {
    match overwrite {
        OverwriteFiles::Refuse => RestoreOverwrite::Refuse,
        OverwriteFiles::Always => RestoreOverwrite::Always,
        OverwriteFiles::IfChanged => RestoreOverwrite::IfChanged,
        OverwriteFiles::Never => RestoreOverwrite::Never,
    }
}

/// A restore, at an instant.
pub fn restore(run: &Run, order: &Order, now: Timestamp) -> Restore {
    let of_run = wire_run(run, now);
    Restore {
        run: of_run.run,
        repository: order.repository.clone(),
        snapshot: order.snapshot.clone(),
        time: order.time,
        host: order.host.clone(),
        plan: order.plan.clone(),
        machine: order.machine.clone(),
        original: order.destination == Destination::Original,
        target: path(&order.target()),
        paths_count: u64::try_from(order.paths.len()).unwrap_or(u64::MAX),
        overwrite: overwrite(order.overwrite),
        verify: order.verify,
        by: order.by.clone(),
        parent: of_run.parent,
        state: of_run.state,
        verdict: of_run.verdict,
        phase: of_run.phase,
        progress: of_run.progress,
        created: of_run.created,
        began: of_run.began,
        ended: of_run.ended,
        error: of_run.error,
    }
}

/// What a restore would do. Names only for those that may see them.
pub fn preview(order: &Order, previewed: Previewed, sees_names: bool) -> RestorePreview {
    let Previewed {
        report,
        is_whole,
        conflicts_count,
        conflicts,
        warnings,
        free_bytes,
        is_scattered,
        refused,
    } = previewed;
    let mut told = Vec::new();
    if is_scattered {
        told.push(
            "Files would be written to several file systems: whether each has room can't be said.".to_owned(),
        );
    }
    if report.devices_left_out > 0 || report.privileges_dropped > 0 {
        told.push(
            "Another place gets no devices, and no setuid and setgid bits, capabilities and security labels."
                .to_owned(),
        );
    }
    if sees_names {
        told.extend(warnings);
    }
    told.truncate(keepfast_api::restore::WARNINGS_MAX);
    RestorePreview {
        machine: order.machine.clone(),
        target: path(&order.target()),
        files: report.files,
        dirs: report.dirs,
        others: report.others,
        hard_links: report.hard_links,
        unchanged: report.unchanged,
        corrected: report.corrected,
        skipped: report.troubles.skipped,
        devices_left_out: report.devices_left_out,
        bytes: report.bytes,
        free_bytes,
        has_room: free_bytes.map(|free| free >= report.bytes),
        is_whole,
        conflicts_count,
        conflicts: sees_names.then(|| conflicts.iter().map(conflict).collect()),
        warnings: told,
        refused,
    }
}

fn conflict(conflict: &Conflict) -> RestoreConflict {
    let Conflict { path, node, there, outcome } = conflict;
    let is_same_kind = kind_there(there.kind) == kind_of(node);
    RestoreConflict {
        name: shown(&node.name),
        path: exact(path),
        conflict: match is_same_kind {
            false => ConflictKind::Type,
            true if there.mtime > node.mtime => ConflictKind::Newer,
            true => ConflictKind::Content,
        },
        outcome: match outcome {
            Outcome::Replaced => ConflictOutcome::Replaced,
            Outcome::Kept => ConflictOutcome::Kept,
            Outcome::Failed => ConflictOutcome::Failed,
        },
        kind: kind_of(node),
        size: size_of(node),
        mtime: instant(node.mtime),
        type_there: kind_there(there.kind),
        size_there: (there.kind == ThereKind::File).then_some(there.size),
        mtime_there: instant(there.mtime),
    }
}

fn kind_there(kind: ThereKind) -> EntryType {
    match kind {
        ThereKind::File => EntryType::File,
        ThereKind::Directory => EntryType::Dir,
        ThereKind::Symlink => EntryType::Symlink,
        ThereKind::Fifo => EntryType::Fifo,
        ThereKind::Socket => EntryType::Socket,
        ThereKind::CharDevice => EntryType::Chardev,
        ThereKind::BlockDevice => EntryType::Blockdev,
    }
}

/// The report that a run has stored.
#[derive(Deserialize)]
struct StoredOutcome {
    restore: Option<Counts>,
    #[serde(default)]
    failures: Vec<RestoreFailure>,
}

#[derive(Deserialize)]
struct Counts {
    files: u64,
    dirs: u64,
    others: u64,
    hard_links: u64,
    unchanged: u64,
    corrected: u64,
    skipped: u64,
    privileges_dropped: u64,
    devices_left_out: u64,
    verified: u64,
    bytes: u64,
    seconds: f64,
}

/// What a restore has done, from what its run has stored; nothing if it did nothing.
pub fn result(report: &Value, sees_names: bool) -> Option<RestoreResult> {
    let StoredOutcome { restore, failures } = StoredOutcome::deserialize(report).ok()?;
    let counts = restore?;
    Some(RestoreResult {
        files: counts.files,
        dirs: counts.dirs,
        others: counts.others,
        hard_links: counts.hard_links,
        unchanged: counts.unchanged,
        corrected: counts.corrected,
        bytes: counts.bytes,
        verified: counts.verified,
        skipped: counts.skipped,
        privileges_dropped: counts.privileges_dropped,
        devices_left_out: counts.devices_left_out,
        seconds: counts.seconds,
        failures: sees_names.then_some(failures),
    })
}

/// Takes the names of files from the report of a restore.
pub fn without_names(report: &mut Value) {
    if let Some(fields) = report.as_object_mut() {
        fields.remove("failures");
    }
}
