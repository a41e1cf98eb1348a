//! Files of a drill: restored, compared with the snapshot, and with the files that they were made of.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use keepfast_drills::expect::{Expectation, Question};
use keepfast_drills::live::{self, Comparison};
use keepfast_drills::log::Log;
use keepfast_drills::verdict::Part;
use keepfast_engine::EngineError;
use keepfast_engine::fs::select::Patterns;
use keepfast_engine::list;
use keepfast_engine::restore::{self as engine, Overwrite, Reach, RestoreOptions, RestoreReport, Sample};
use keepfast_engine::run::{Listener, RunContext};
use keepfast_format::node::NodeKind;
use keepfast_format::snapshot::Snapshot;
use keepfast_sources::check::Check;

use super::heard::{Faults, Heard};
use crate::error::{Result, with_causes};
use crate::host::monotonic;
use crate::open::Opened;

/// The name of this part.
const PART: &str = "files";

/// Files that are tested.
pub struct FilesDrill<'d> {
    /// The repository.
    pub opened: &'d Opened,
    /// The snapshot.
    pub snapshot: &'d Snapshot,
    /// An empty folder.
    pub target: &'d Path,
    /// Which of the files.
    pub sample: Sample,
    /// The drill's log.
    pub log: &'d Arc<Log>,
}

/// Files that were restored.
pub struct RestoredFiles {
    report: RestoreReport,
    faults: Faults,
    /// How long that took.
    pub took: Duration,
}

impl FilesDrill<'_> {
    /// Restores them. Nothing gets rights that only root can give: what is in a scratch folder serves no one.
    pub fn restore(&self, run: &RunContext) -> Result<RestoredFiles> {
        let begun = monotonic();
        let heard = Heard::new(self.log, run.listener());
        let run = &run.clone().with_listener(Arc::clone(&heard) as Arc<dyn Listener>);
        let Opened { repository, index, .. } = self.opened;
        let report = engine::restore(repository, index, self.snapshot, &self.options(), run)?;
        Ok(RestoredFiles { report, faults: heard.take(), took: begun.elapsed() })
    }

    /// Compares them with the snapshot; with the live files below `live`, if they are on this machine; and with what is
    /// expected of paths.
    pub fn prove(
        &self,
        restored: RestoredFiles,
        live: Option<&Path>,
        expect: &[Expectation],
        run: &RunContext,
    ) -> Result<Part> {
        let heard = Heard::new(self.log, run.listener());
        let run = &run.clone().with_listener(Arc::clone(&heard) as Arc<dyn Listener>);
        let Opened { repository, index, .. } = self.opened;
        let right = engine::compare(repository, index, self.snapshot, &self.options(), run)?;
        let compared = heard.take();
        if restored.faults.wrong == 0 && compared.wrong == 0 {
            let faults = if restored.faults.is_empty() { &compared } else { &restored.faults };
            if !faults.is_empty() {
                let why = format!("the store can't be read in full now: {}", faults.words());
                return Ok(Part::not_tested(PART, why));
            }
        }
        let mut checks = vec![restored.check(), compared_check(right, &compared)];
        if let Some(live) = live {
            checks.push(self.live(live, run)?);
        }
        for expectation in expect {
            if let Question::Path(path) = &expectation.ask {
                checks.push(expectation.judge_size(self.size(path, run)?));
            }
        }
        Ok(Part::of(PART, checks))
    }

    fn options(&self) -> RestoreOptions {
        RestoreOptions {
            target: self.target.to_owned(),
            reach: Reach::ByPath,
            folder: Vec::new(),
            paths: Vec::new(),
            include: Patterns::default(),
            exclude: Patterns::default(),
            sample: Some(self.sample.clone()),
            overwrite: Overwrite::Refuse,
            resume: false,
            delete: false,
            dry_run: false,
            verify: false,
            numeric_owners: true,
            no_privileges: true,
        }
    }

    fn live(&self, live: &Path, run: &RunContext) -> Result<Check> {
        let start = self.snapshot.body.start;
        // A time beyond the calendar excuses everything, or nothing.
        let edge = if start.seconds < 0 { Timestamp::MIN } else { Timestamp::MAX };
        let begun = Timestamp::new(start.seconds, start.nanos.cast_signed()).unwrap_or(edge);
        // Absolute paths are of files; all others are names of what programs wrote into the root directory.
        let streams = self.snapshot.body.paths.iter().filter(|path| !path.starts_with(b"/"));
        let except: Vec<PathBuf> = streams.map(|name| OsStr::from_bytes(name).into()).collect();
        let comparison =
            Comparison { restored: self.target, live, except: &except, begun, cancel: run.cancel() };
        match live::compare(comparison) {
            Ok(compared) => Ok(compared.check()),
            Err(_) if run.is_cancelled() => Err(EngineError::Interrupted.into()),
            Err(error) => Ok(Check::sound("live files", Some(with_causes(&error)))),
        }
    }

    /// The size of a regular file of the snapshot; nothing if it isn't there.
    fn size(&self, path: &str, run: &RunContext) -> Result<Option<u64>> {
        let Opened { repository, index, .. } = self.opened;
        match list::look_up(repository, index, self.snapshot, path.as_bytes(), run) {
            Ok(node) => Ok(node.and_then(|node| match node.kind {
                NodeKind::File { size, .. } => Some(size),
                _ => None,
            })),
            Err(EngineError::NotInSnapshot { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl RestoredFiles {
    fn check(&self) -> Check {
        let RestoreReport { files, dirs, others, hard_links, bytes, .. } = &self.report;
        let all = files.saturating_add(*others).saturating_add(*hard_links);
        let found = format!("{all} files in {dirs} folders, {bytes} bytes");
        fault_check("restored", "everything that was asked for", found, &self.faults)
    }
}

fn compared_check(right: u64, faults: &Faults) -> Check {
    let found = format!("{right} files are as in the snapshot");
    fault_check(
        "compared with the snapshot",
        "content, modes, times and attributes as in the snapshot",
        found,
        faults,
    )
}

fn fault_check(name: &str, expected: &str, found: String, faults: &Faults) -> Check {
    let is_right = faults.wrong == 0;
    let found = match is_right {
        true => found,
        false => format!("{found}; {} aren't ({})", faults.wrong, faults.words()),
    };
    Check { name: name.to_owned(), expected: Some(expected.to_owned()), found, is_right }
}
