//! What `check` says of a repository and what `restore` makes of it have to be the same: a file that
//! a check doesn't name comes back whole, and one that it names doesn't.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use keepfast_backend::Backend;
use keepfast_engine::EngineError;
use keepfast_engine::check::{CheckOptions, ReadData, check};
use keepfast_engine::repo::{OpenOptions, Repository, SlotLimits, Snapshots, open_index};
use keepfast_engine::run::Event;
use tempfile::TempDir;

use crate::ear::{Ear, quiet};
use crate::lab::{Lab, Opened};

/// What a check found and what restores came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdicts {
    /// What the check found, as `object: what`.
    pub findings: Vec<String>,
    /// Files and directories that restores leave out, as `<snapshot>: <path>`.
    pub lost: BTreeSet<String>,
    /// Files that restores brought back.
    pub restored: u64,
}

/// Checks everything, restores each snapshot, and compares what they say of each path. Both must run,
/// whatever is in the store.
#[track_caller]
pub fn assert_agreement(lab: &Lab) -> Verdicts {
    agreement(&lab.open())
}

/// As [`assert_agreement`], of a repository in this store, for a machine that has never seen it.
#[track_caller]
pub fn assert_agreement_in(backend: &Arc<dyn Backend>, password: &[u8]) -> Verdicts {
    let scratch = TempDir::new().expect("a temporary folder can be made");
    // However many key slots are in the way.
    let options = OpenOptions { slots: SlotLimits::of_memory(1 << 30), ..OpenOptions::default() };
    let repository = Repository::find(Arc::clone(backend))
        .and_then(|found| found.open_with(password, &options))
        .expect("it opens, whatever is in it");
    let snapshots = Snapshots::load(&repository, quiet()).expect("snapshots load, whatever is among them");
    let index =
        open_index(&repository, &scratch.path().join("cache"), &snapshots, quiet()).expect("the index opens");
    agreement(&Opened { repository, snapshots, index })
}

#[track_caller]
fn agreement(opened: &Opened) -> Verdicts {
    let Opened { repository, snapshots, index } = opened;
    let ear = Ear::default();
    let options = CheckOptions { read: ReadData::All };
    let report = check(repository, index, snapshots, &options, &ear).expect("a check runs");
    let findings = ear.findings();
    // Findings about a file or directory of a snapshot; others are about objects.
    let hit: BTreeSet<String> = ear
        .heard()
        .into_iter()
        .filter_map(|heard| match heard {
            Event::Damaged { object, .. } => object.strip_prefix("snapshot ").map(str::to_owned),
            _ => None,
        })
        .filter(|object| object.contains(": "))
        .collect();
    let scratch = TempDir::new().expect("a temporary folder can be made");
    let (mut lost, mut restored) = (BTreeSet::new(), 0);
    for (number, stored) in snapshots.all.iter().enumerate() {
        let snapshot = stored.snapshot.head.id.short();
        let (target, ear) = (scratch.path().join(format!("restored-{number}")), Ear::default());
        match opened.restore(&stored.snapshot, &ear, |options| options.target.clone_from(&target)) {
            Ok(report) => restored += report.files,
            // A root that can't be read.
            Err(EngineError::Damaged { .. } | EngineError::Missing { .. }) => {
                lost.insert(format!("{snapshot}: "));
            }
            Err(error) => panic!("snapshot {snapshot} doesn't restore: {error}\n{findings:#?}"),
        }
        for heard in ear.heard() {
            if let Event::Skipped { path, .. } = heard {
                lost.insert(format!("{snapshot}: {}", below(&target, &path)));
            }
        }
        let _ = fs::remove_dir_all(&target);
    }
    assert_eq!(hit, lost, "check (left) and restore (right) say otherwise; check found {findings:#?}");
    assert_eq!(report.files_hit, lost.len() as u64, "{report:?}");
    assert!(lost.is_empty() || report.findings > 0, "{report:?}");
    Verdicts { findings, lost, restored }
}

/// A path below the target as the snapshot has it.
fn below(target: &Path, path: &Path) -> String {
    let relative = path.strip_prefix(target).unwrap_or(path).as_os_str().as_bytes();
    if relative.is_empty() { String::new() } else { format!("/{}", String::from_utf8_lossy(relative)) }
}
