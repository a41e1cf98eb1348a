//! Listing snapshots.

use keepfast_engine::run::RunContext;
use serde::{Deserialize, Serialize};

use crate::choose::Filter;
use crate::error::Result;
use crate::open::{Looked, Mode, SharedRepository, tell_damaged};
use crate::reports::{ListedSnapshot, SnapshotDocument, SnapshotsReport};
use crate::times;

/// Which snapshots to list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListSnapshots {
    /// What they have in common.
    pub filter: Filter,
    /// List those that were forgotten and can still be brought back.
    pub forgotten: bool,
}

/// Lists snapshots.
pub fn list_snapshots(
    request: &ListSnapshots,
    shared: &SharedRepository,
    run: &RunContext,
) -> Result<SnapshotsReport> {
    let Looked { snapshots, .. } = shared.look(run, Mode::Usual)?;
    tell_damaged(&snapshots, run);
    let filter = request.filter.resolve(&snapshots)?;
    let listed = if request.forgotten { &snapshots.forgotten } else { &snapshots.all };
    let now = run.now();
    let listed = listed.iter().filter(|stored| filter.matches(stored)).map(|stored| {
        let snapshot = &stored.snapshot;
        ListedSnapshot {
            snapshot: SnapshotDocument { writer: stored.writer.to_string(), ..snapshot.into() },
            protected: snapshots.protected.contains(&snapshot.head.id),
            is_ahead: times::is_ahead(snapshot.body.start, now),
        }
    });
    Ok(SnapshotsReport { snapshots: listed.collect(), troubles: run.troubles() })
}
