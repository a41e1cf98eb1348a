//! What a run of a plan would read and store, and how long it would take.

use std::path::PathBuf;

use keepfast_config::config::Config;
use keepfast_engine::run::RunContext;
use keepfast_format::node::Timestamp;
use keepfast_operations::choose::Filter;
use keepfast_operations::open::SharedRepository;
use keepfast_operations::reports::{ListedSnapshot, StatisticsDocument};
use keepfast_operations::requests::{
    Backup, ListEntries, ListSnapshots, backup, list_entries, list_snapshots,
};
use serde::Serialize;

use crate::convert::backup::label;
use crate::error::{Result, ServerError};
use crate::recovery::STATE_PLAN;
use crate::recovery::copy::{Copy, ESTIMATED, Maker};
use crate::state::{self, PlanLock};
use crate::surroundings::Surroundings;
use crate::work::PlanWork;

/// Runs that are looked at, at most: the newest ones, because machines and data change.
const RUNS_MAX: usize = 10;

/// What a run of a plan would do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EstimateReport {
    /// The plan.
    pub plan: String,
    /// Its repository.
    pub repository: String,
    /// Files that the newest snapshot doesn't have.
    pub files_new: u64,
    /// Files that differ from the newest snapshot's.
    pub files_changed: u64,
    /// Files that are taken over from the newest snapshot.
    pub files_unchanged: u64,
    /// Files and directories that can't be read.
    pub skipped: u64,
    /// Streams, whose commands were not run.
    pub streams: Vec<StreamEstimate>,
    /// Bytes of all files and streams, as far as they are known.
    pub bytes_total: u64,
    /// Bytes that would be read.
    pub bytes_to_read: u64,
    /// Bytes that would be stored, if what is read is as new and compresses as well as in earlier runs. Null if there are
    /// none.
    pub bytes_to_store: Option<u64>,
    /// Seconds that it would take, at the pace of earlier runs. Null if there are none.
    pub seconds: Option<f64>,
    /// How many earlier runs this rests on.
    pub earlier_runs: usize,
}

/// A stream, and how large it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamEstimate {
    /// Its name.
    pub name: String,
    /// What it had in the newest snapshot, in bytes. Null if that has none of this name.
    pub bytes_before: Option<u64>,
}

/// What a run of the state's plan would back up. It is there for as long as this value.
#[derive(Debug)]
pub struct StateCopy {
    _copy: Copy,
    _lock: PlanLock,
}

/// Makes the copy that a run of the state's plan makes, and lets the work be about that; nothing for other plans. Without
/// it, the folder of the state would be looked at, with logs and locks that no run backs up.
pub fn copy_state(work: &mut PlanWork, config: &Config, around: &Surroundings) -> Result<Option<StateCopy>> {
    if work.plan != STATE_PLAN {
        return Ok(None);
    }
    state::make_folders(config)?;
    let Some(lock) = PlanLock::take(&state::folder(config), STATE_PLAN)? else {
        return Err(ServerError::Running { plan: work.plan.clone(), run: "of another process".to_owned() });
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let copy = runtime.map_err(ServerError::Runtime)?.block_on(async {
        let store = state::open(config, &around.children_of(config)).await?;
        let maker = Maker { host: &around.host, version: &around.version, run: None };
        let copy = Copy::make(&store, config, ESTIMATED, maker).await;
        store.close().await;
        copy
    })?;
    work.backup.sources = copy.sources();
    Ok(Some(StateCopy { _copy: copy, _lock: lock }))
}

/// Looks at what a plan backs up, and reads no file. Nothing is stored. Commands of streams aren't run: as many bytes are
/// expected of them as they had before.
pub fn estimate(
    work: &PlanWork,
    host: &str,
    shared: &SharedRepository,
    run: &RunContext,
) -> Result<EstimateReport> {
    let filter = Filter { tags: vec![label(&work.plan)], host: Some(host.to_owned()), ..Filter::default() };
    let listed = list_snapshots(&ListSnapshots { filter: filter.clone(), forgotten: false }, shared, run)?;
    let newest = listed.snapshots.last();
    let streams = streams(work, newest, &filter, shared, run)?;
    let request = Backup {
        // Otherwise it would look for a snapshot of the same paths and no streams.
        parent: newest.filter(|_| !streams.is_empty()).map(|newest| newest.snapshot.id.clone()),
        streams: Vec::new(),
        dry_run: true,
        estimate: false,
        ..work.backup.clone()
    };
    let mut counts = None;
    if !request.sources.paths.is_empty() {
        counts = Some(backup(&request, shared, run)?.summary);
    }
    let of = |count: fn(&StatisticsDocument) -> u64| counts.as_ref().map_or(0, count);
    let of_streams: u64 = streams.iter().filter_map(|stream| stream.bytes_before).sum();
    let bytes_to_read = of(|counts| counts.bytes_read).saturating_add(of_streams);
    let files = of(|counts| counts.files_new + counts.files_changed + counts.files_unchanged);
    let earlier: Vec<Earlier> =
        listed.snapshots.iter().rev().take(RUNS_MAX).filter_map(Earlier::of).collect();
    let pace = Pace::of(&earlier);
    Ok(EstimateReport {
        plan: work.plan.clone(),
        repository: work.repository.clone(),
        files_new: of(|counts| counts.files_new),
        files_changed: of(|counts| counts.files_changed),
        files_unchanged: of(|counts| counts.files_unchanged),
        skipped: of(|counts| counts.skipped),
        streams,
        bytes_total: of(|counts| counts.bytes_total).saturating_add(of_streams),
        bytes_to_read,
        bytes_to_store: pace.and_then(|pace| pace.stored(bytes_to_read)),
        seconds: pace.map(|pace| pace.seconds(files, bytes_to_read)),
        earlier_runs: earlier.len(),
    })
}

fn streams(
    work: &PlanWork,
    newest: Option<&ListedSnapshot>,
    filter: &Filter,
    shared: &SharedRepository,
    run: &RunContext,
) -> Result<Vec<StreamEstimate>> {
    let named = work.backup.streams.iter().map(|stream| stream.name.clone());
    let mut streams: Vec<StreamEstimate> =
        named.map(|name| StreamEstimate { name, bytes_before: None }).collect();
    if let (false, Some(newest)) = (streams.is_empty(), newest) {
        // They are in the root.
        let request = ListEntries {
            snapshot: newest.snapshot.id.clone(),
            filter: filter.clone(),
            path: PathBuf::from("/"),
            recursive: false,
        };
        let entries = list_entries(&request, shared, run)?.entries;
        for stream in &mut streams {
            let entry = entries.iter().find(|entry| entry.path.trim_start_matches('/') == stream.name);
            stream.bytes_before = entry.and_then(|entry| entry.size);
        }
    }
    Ok(streams)
}

/// What an earlier run did.
#[derive(Debug, Clone, Copy)]
struct Earlier {
    seconds: f64,
    files: u64,
    bytes_read: u64,
    bytes_stored: u64,
}

impl Earlier {
    fn of(listed: &ListedSnapshot) -> Option<Self> {
        let snapshot = &listed.snapshot;
        let counts = &snapshot.summary;
        let seconds = length_s(snapshot.time, snapshot.end)?;
        Some(Self {
            seconds,
            files: counts.files_new + counts.files_changed + counts.files_unchanged,
            bytes_read: counts.bytes_read,
            bytes_stored: counts.bytes_stored,
        })
    }
}

/// How long a run took. Nothing if the clock was set back meanwhile.
#[allow(clippy::cast_precision_loss, reason = "it is an estimate")]
fn length_s(begin: Timestamp, end: Timestamp) -> Option<f64> {
    let seconds = end.seconds.checked_sub(begin.seconds)?;
    let length = seconds as f64 + (f64::from(end.nanos) - f64::from(begin.nanos)) / 1e9;
    (length > 0.0).then_some(length)
}

/// How fast earlier runs were. A run takes a time for each file that it looks at, and a time for each byte that it reads.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Pace {
    seconds_per_file: f64,
    seconds_per_byte: f64,
    stored_per_read: Option<f64>,
}

#[allow(clippy::cast_precision_loss, reason = "it is an estimate")]
impl Pace {
    /// The time for a file is that of the run that needed least for each, as if it had read nothing; what the others took
    /// beyond that, they took for what they read. Nothing if there are no runs.
    fn of(earlier: &[Earlier]) -> Option<Self> {
        let per_file = |one: &Earlier| one.seconds / one.files.max(1) as f64;
        let read: u64 = earlier.iter().map(|one| one.bytes_read).sum();
        let stored: u64 = earlier.iter().map(|one| one.bytes_stored).sum();
        let seconds: f64 = earlier.iter().map(|one| one.seconds).sum();
        let mut seconds_per_file = earlier.iter().map(per_file).min_by(f64::total_cmp)?;
        if let [only] = earlier
            && only.bytes_read > 0
        {
            // Most likely the first run, which reads everything.
            seconds_per_file = 0.0;
        }
        let for_files: f64 = earlier.iter().map(|one| one.files.max(1) as f64 * seconds_per_file).sum();
        let seconds_per_byte = if read == 0 { 0.0 } else { (seconds - for_files).max(0.0) / read as f64 };
        let stored_per_read = (read > 0).then(|| stored as f64 / read as f64);
        Some(Self { seconds_per_file, seconds_per_byte, stored_per_read })
    }

    fn seconds(self, files: u64, bytes: u64) -> f64 {
        self.seconds_per_file * files.max(1) as f64 + self.seconds_per_byte * bytes as f64
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is an estimate, and not negative"
    )]
    fn stored(self, bytes: u64) -> Option<u64> {
        self.stored_per_read.map(|share| (share * bytes as f64).round() as u64)
    }
}

#[cfg(test)]
mod tests {
    use keepfast_format::node::Timestamp;

    use super::{Earlier, Pace, length_s};

    fn near(one: f64, other: f64) -> bool {
        (one - other).abs() <= other.abs() / 100.0
    }

    #[test]
    fn a_run_takes_time_for_files_and_for_bytes() {
        // A thousandth of a second for a file, and a second for a million bytes.
        let run = |files: u32, bytes: u32| Earlier {
            seconds: f64::from(files) / 1e3 + f64::from(bytes) / 1e6,
            files: files.into(),
            bytes_read: bytes.into(),
            bytes_stored: u64::from(bytes) / 4,
        };
        let pace =
            Pace::of(&[run(100_000, 50_000_000), run(100_000, 0), run(101_000, 9_000_000)]).expect("a pace");
        assert!(near(pace.seconds(200_000, 100_000_000), 300.0), "{pace:?}");
        assert_eq!(pace.stored(1000), Some(250));
        let first = Pace::of(&[run(10, 80_000_000)]).expect("a pace");
        assert!(near(first.seconds(10, 80_000_000), 80.0), "{first:?}");
        assert_eq!(Pace::of(&[]), None);
        let idle = Pace::of(&[run(1000, 0)]).expect("a pace");
        assert_eq!((idle.stored(7), near(idle.seconds(2000, 7), 2.0)), (None, true), "nothing was ever read");
    }

    #[test]
    fn a_clock_that_was_set_back_says_nothing() {
        let at = |seconds, nanos| Timestamp { seconds, nanos };
        assert!(length_s(at(7, 500_000_000), at(9, 0)).is_some_and(|length| near(length, 1.5)));
        assert_eq!(length_s(at(9, 0), at(7, 0)), None);
        assert_eq!(length_s(at(i64::MIN, 0), at(i64::MAX, 0)), None);
    }
}
