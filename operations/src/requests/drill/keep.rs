//! Evidence in the repository: a snapshot of its own, and so signed as all of them are. It has the document and the log.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use keepfast_drills::evidence::{Evidence, FOLDER, LABEL};
use keepfast_drills::scratch::{Scratch, ScratchError};
use keepfast_engine::retention::{Count, GroupBy, Policy, Span};
use keepfast_engine::run::RunContext;

use crate::choose::Filter;
use crate::error::Result;
use crate::open::SharedRepository;
use crate::requests::backup::{Backup, backup};
use crate::requests::forget::{Forget, ForgetWhich, forget};
use crate::requests::retention::Retention;
use crate::sources::PathSources;

const HOUR_S: u64 = 3_600;

/// Stores it, and forgets what is older than it is to be kept. Returns the snapshot.
pub fn keep(
    evidence: &Evidence,
    log: &str,
    keep: Duration,
    scratch: &Scratch,
    shared: &SharedRepository,
    run: &RunContext,
) -> Result<Option<String>> {
    let folder = scratch.folder("evidence")?;
    let write = |name: String, text: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|source| ScratchError::Folder { path, source })
    };
    let document = serde_json::to_vec_pretty(evidence).map_err(|error| failed(&folder, error.into()))?;
    write(evidence.file_name(), &document)?;
    write(evidence.log_name(), log.as_bytes())?;
    let labels = vec![LABEL.to_owned(), format!("drill:{}", evidence.drill)];
    let request = Backup {
        sources: PathSources {
            paths: vec![folder],
            stored_as: Some(Path::new(FOLDER).join(&evidence.drill)),
            ..PathSources::default()
        },
        tags: labels.clone(),
        host: Some(evidence.machine.clone()),
        ignore_files: false,
        force: true,
        ..Backup::default()
    };
    let report = backup(&request, shared, run)?;
    let retention = Retention {
        filter: Filter { tags: labels, host: Some(evidence.machine.clone()), ..Filter::default() },
        keep: Policy {
            last: Some(Count::Number(1)),
            within: Some(Span {
                years: 0,
                months: 0,
                weeks: 0,
                days: 0,
                hours: u32::try_from(keep.as_secs().div_ceil(HOUR_S)).unwrap_or(u32::MAX),
            }),
            ..Policy::default()
        },
        group_by: GroupBy { writer: false, host: true, paths: false, tags: false },
        max_removed: None,
        zone: Some("UTC".to_owned()),
    };
    forget(&Forget { which: ForgetWhich::ByPolicy(Box::new(retention)), dry_run: false }, shared, run)?;
    Ok(report.snapshot.map(|snapshot| snapshot.id))
}

fn failed(path: &Path, source: io::Error) -> ScratchError {
    ScratchError::Folder { path: path.to_owned(), source }
}
