//! Forgets what of a log no base backup needs any more.

use keepfast_engine::run::RunContext;
use keepfast_sources::files::Files;
use keepfast_sources::postgres::lsn::{SegmentBytes, SegmentNumber};
use keepfast_sources::postgres::wal::{SegmentName, WalName};
use serde::Serialize;

use super::LogName;
use super::archive::{Lists, Part, snapshots_of, system_of_log};
use super::bases::bases_of;
use crate::error::{DatabaseError, Result};
use crate::open::{Looked, Mode, Opened, SharedRepository};
use crate::requests::{Forget, ForgetWhich, NamedSnapshots, forget_in};

/// Which log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expire {
    /// Its name.
    pub name: LogName,
    /// Forget nothing.
    pub dry_run: bool,
}

/// What was forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExpireReport {
    /// Nothing was.
    pub dry_run: bool,
    /// The first segment that a base backup needs; none if there is no base backup, and then everything is kept.
    pub first_needed: Option<String>,
    /// The snapshots that were forgotten, or would be.
    pub forgotten: Vec<String>,
    /// How many are kept.
    pub kept: u64,
}

/// Forgets the snapshots of a log that have only what lies before all base backups of the server that are there. Those with
/// a history are kept, for later timelines need it, and so are protected ones.
pub fn expire(request: &Expire, shared: &SharedRepository, run: &RunContext) -> Result<ExpireReport> {
    let opened = shared.open(run, Mode::Usual)?;
    let (mut going, mut kept, mut first_needed) = (Vec::new(), 0_u64, None);
    {
        let lists = Lists::default();
        let stored = snapshots_of(&request.name, &opened)?;
        let parts: Vec<Part<'_>> = stored
            .iter()
            .map(|stored| Part::new(&request.name, &opened, stored, &lists, run))
            .collect::<Result<_>>()?;
        let Some(system) = system_of_log(None, &parts)? else {
            return Err(DatabaseError::NoLog { name: request.name.to_string() }.into());
        };
        let bytes = system.segment_bytes;
        let bases = bases_of(&opened, Some(system.system), run)?;
        let oldest = bases.iter().min_by_key(|found| found.base.start);
        let oldest = oldest.map(|found| (found.base.timeline, bytes.of(found.base.start)));
        for (stored, part) in stored.iter().zip(&parts) {
            let id = stored.snapshot.head.id;
            let is_needed = oldest.is_none_or(|(_, first)| has_needed(part, first, bytes));
            if is_needed || opened.snapshots.protected.contains(&id) {
                kept += 1;
            } else {
                going.push(id.short());
            }
        }
        if let Some((timeline, first)) = oldest {
            first_needed = Some(SegmentName::new(timeline, first, bytes).to_string());
        }
    }
    if !going.is_empty() {
        let named = NamedSnapshots { ids: going.clone(), ..NamedSnapshots::default() };
        let forget = Forget { which: ForgetWhich::Named(named), dry_run: request.dry_run };
        let Opened { repository, snapshots, .. } = opened;
        forget_in(&forget, &Looked { repository, snapshots }, shared, run)?;
    }
    Ok(ExpireReport { dry_run: request.dry_run, first_needed, forgotten: going, kept })
}

/// Whether a part has anything that is needed from a segment on. What can't be told is needed.
fn has_needed(part: &Part<'_>, first: SegmentNumber, bytes: SegmentBytes) -> bool {
    let is_old = |path: &str| match WalName::of_path(path) {
        Some(WalName::Segment(segment) | WalName::Partial(segment) | WalName::Label(segment, _)) => {
            segment.number(bytes).is_some_and(|number| number < first)
        }
        Some(WalName::History(_)) | None => false,
    };
    !part.list().is_ok_and(|files| files.iter().all(|file| is_old(&file.path)))
}
