//! Pruning.

use std::time::Duration;

use keepfast_engine::prune::{self as engine, PruneOptions, UnusedLimit, plan_prune};
use keepfast_engine::repo::WriterOptions;
use keepfast_engine::run::RunContext;
use serde::{Deserialize, Serialize};

use super::{PROGRAM, limited, share_of};
use crate::error::Result;
use crate::host::monotonic;
use crate::open::{Mode, Opened, SharedRepository};
use crate::reports::PruneReport;
use crate::resources::{Resources, Work};

/// Dead sessions are moved into the catalogue when there are this many.
const COMPACT_FROM: usize = 1000;

/// How to prune.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Prune {
    /// How much may stay unused instead of being rewritten.
    #[serde(with = "share_text")]
    pub max_unused: UnusedLimit,
    /// Stored bytes of packs that are rewritten at most.
    pub max_rewrite_bytes: Option<u64>,
    /// How long a backup may be silent before it is assumed dead, in seconds: it begins again if it wasn't.
    pub session_timeout_s: u64,
    /// Missing snapshots, by the starts of their ids, that other snapshots name and that are given up for good.
    pub accept_missing: Vec<String>,
    /// Rest while backups run into a repository on the same machine.
    pub step_back: bool,
    /// Change nothing.
    pub dry_run: bool,
    /// What it may use.
    pub resources: Resources,
}

impl Default for Prune {
    fn default() -> Self {
        Self {
            max_unused: UnusedLimit::Thousandths(50),
            max_rewrite_bytes: None,
            session_timeout_s: 7200,
            accept_missing: Vec::new(),
            step_back: true,
            dry_run: false,
            resources: Resources::default(),
        }
    }
}

/// Prunes, or says what that would do.
pub fn prune(request: &Prune, shared: &SharedRepository, run: &RunContext) -> Result<PruneReport> {
    let opened = shared.open(&limited(run, &request.resources), Mode::Usual)?;
    prune_in(request, &opened, shared, run)
}

/// As [`prune`], in a repository that was opened for this run, as fast as its handle lets it be.
pub fn prune_in(
    request: &Prune,
    opened: &Opened,
    shared: &SharedRepository,
    run: &RunContext,
) -> Result<PruneReport> {
    let begun = monotonic();
    let Opened { repository, index, .. } = opened;
    let pack_bytes = repository.config().pack_bytes;
    let share = share_of(&request.resources, Work::Rewrite, pack_bytes, shared)?;
    let run = &run.clone().with_threads(share.threads);
    let options = PruneOptions {
        max_unused: request.max_unused,
        max_rewrite_bytes: request.max_rewrite_bytes.unwrap_or(u64::MAX),
        session_timeout: Duration::from_secs(request.session_timeout_s),
        accept_missing: request.accept_missing.clone(),
        compact_from: COMPACT_FROM,
        step_back: request.step_back,
        writer: WriterOptions { uploads: share.uploads, ..WriterOptions::default() },
        program: PROGRAM.to_owned(),
    };
    let report = if request.dry_run {
        let plan = plan_prune(repository, index, &options, run)?;
        engine::PruneReport { plan, ..engine::PruneReport::default() }
    } else {
        engine::prune(repository, index, &options, run)?
    };
    Ok(PruneReport {
        dry_run: request.dry_run,
        plan: (&report.plan, pack_bytes).into(),
        epochs: report.epochs,
        packs_removed: report.packs_removed,
        bytes_removed: report.bytes_removed,
        packs_spared: report.packs_spared,
        packs_rewritten: report.packs_rewritten,
        bytes_read: report.bytes_read,
        bytes_written: report.bytes_written,
        sessions_fenced: report.sessions_fenced,
        objects_removed: report.objects_removed,
        traffic: repository.backend().traffic().map(Into::into),
        seconds: begun.elapsed().as_secs_f64(),
        troubles: run.troubles(),
    })
}

/// A share as people write it.
mod share_text {
    use keepfast_engine::prune::UnusedLimit;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::units;

    pub fn serialize<S: Serializer>(share: &UnusedLimit, serializer: S) -> Result<S::Ok, S::Error> {
        match share {
            UnusedLimit::Thousandths(part) => {
                serializer.collect_str(&format_args!("{}.{}%", part / 10, part % 10))
            }
            UnusedLimit::Bytes(bytes) => serializer.collect_str(bytes),
            UnusedLimit::Unlimited => serializer.serialize_str("unlimited"),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<UnusedLimit, D::Error> {
        units::share(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::{Prune, UnusedLimit};

    #[test]
    fn a_request_survives_being_written() {
        for max_unused in [UnusedLimit::Thousandths(25), UnusedLimit::Bytes(3 << 20), UnusedLimit::Unlimited]
        {
            let request = Prune { max_unused, ..Prune::default() };
            let text = serde_json::to_string(&request).expect("a text");
            assert_eq!(serde_json::from_str::<Prune>(&text).expect("a request"), request);
        }
        assert_eq!(serde_json::from_str::<Prune>("{}").expect("defaults"), Prune::default());
    }
}
