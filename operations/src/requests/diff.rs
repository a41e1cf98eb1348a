//! Comparing two snapshots.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use keepfast_engine::diff::{Part, diff as comparing};
use keepfast_engine::run::RunContext;
use serde::{Deserialize, Serialize};

use super::limited;
use crate::choose::{Filter, choose};
use crate::error::Result;
use crate::open::{Mode, SharedRepository};
use crate::reports::{ChangeDocument, DiffReport};
use crate::resources::Resources;

/// Which snapshots to compare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Diff {
    /// The first snapshot: `latest`, `latest~N`, or the start of an id.
    pub before: String,
    /// The second one.
    pub after: String,
    /// Which snapshots `latest` is among.
    #[serde(default)]
    pub filter: Filter,
    /// Only what is at or below this path.
    #[serde(default = "root")]
    pub path: PathBuf,
    /// What it may use.
    #[serde(default)]
    pub resources: Resources,
}

fn root() -> PathBuf {
    PathBuf::from("/")
}

/// Compares two snapshots.
pub fn diff(request: &Diff, shared: &SharedRepository, run: &RunContext) -> Result<DiffReport> {
    let mut changes = Vec::new();
    let report = diff_with(request, &mut |change| changes.push(change), shared, run)?;
    Ok(DiffReport { changes, ..report })
}

/// As [`diff`], with the changes given to `found` one by one and not kept.
pub fn diff_with(
    request: &Diff,
    found: &mut dyn FnMut(ChangeDocument),
    shared: &SharedRepository,
    run: &RunContext,
) -> Result<DiffReport> {
    let run = &limited(run, &request.resources);
    let opened = shared.open(run, Mode::Usual)?;
    let filter = request.filter.resolve(&opened.snapshots)?;
    let [before, after] = [&request.before, &request.after];
    let before = &choose(&opened.snapshots, before, &filter, shared, run)?.snapshot;
    let after = &choose(&opened.snapshots, after, &filter, shared, run)?.snapshot;
    let mut report = DiffReport {
        before: before.head.id.short(),
        after: after.head.id.short(),
        added: 0,
        removed: 0,
        changed: 0,
        metadata: 0,
        changes: Vec::new(),
        troubles: run.troubles(),
    };
    let part = Part { path: request.path.as_os_str().as_bytes(), after: None };
    comparing(&opened.repository, &opened.index, before, after, part, run, &mut |change| {
        let document = ChangeDocument::from(&change);
        report.count(document.change);
        found(document);
        Ok(())
    })?;
    report.troubles = run.troubles();
    Ok(report)
}
