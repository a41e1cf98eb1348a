//! Policies of retention as data, and what they say about the snapshots of a repository.

use std::collections::HashMap;

use jiff::tz::TimeZone;
use keepfast_drills::evidence::LABEL as EVIDENCE_LABEL;
use keepfast_engine::forget::NeededBytes;
use keepfast_engine::repo::StoredSnapshot;
use keepfast_engine::retention::{Candidate, Fit, Group, GroupBy, Policy, fit};
use keepfast_engine::run::RunContext;
use keepfast_format::ids::SessionId;
use keepfast_format::node::Timestamp;
use keepfast_format::numbers::u64_of;
use keepfast_format::snapshot::SnapshotBody;
use serde::{Deserialize, Serialize};

use crate::brake::Brake;
use crate::calendar::decide_in;
use crate::choose::Filter;
use crate::databases::wal::LABEL as LOG_LABEL;
use crate::error::{OperationsError, Result, TextError};
use crate::open::{Looked, SharedRepository};
use crate::policy::{PolicyData, group_by_data};

/// A policy, and the snapshots that it decides about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// The snapshots that it decides about.
    pub filter: Filter,
    /// What stays: a snapshot that any of these rules keeps.
    #[serde(with = "PolicyData")]
    pub keep: Policy,
    /// By what snapshots are judged apart.
    #[serde(with = "group_by_data")]
    pub group_by: GroupBy,
    /// Nothing goes if more than this would go at once.
    pub max_removed: Option<Brake>,
    /// The IANA name of the time zone in whose calendar days and weeks are counted; else this machine's.
    pub zone: Option<String>,
}

/// Whether snapshots with this label are kept by rules of their own. A policy decides about them only if it names the label.
fn is_apart(tag: &str) -> bool {
    tag.starts_with(LOG_LABEL) || tag == EVIDENCE_LABEL
}

impl Retention {
    /// The snapshots that it decides about.
    pub(super) fn candidates<'a>(&self, looked: &'a Looked) -> Result<Vec<Candidate<'a>>> {
        let snapshots = &looked.snapshots;
        let filter = self.filter.resolve(snapshots)?;
        let is_judged = |stored: &StoredSnapshot| {
            // The log of a database goes with its base backups, and evidence has a time of its own: thinned out, a log has
            // gaps.
            let apart = stored.snapshot.body.tags.iter().find(|tag| is_apart(tag));
            apart.is_none_or(|tag| self.filter.tags.contains(tag))
        };
        let matching = snapshots.all.iter().filter(|stored| filter.matches(stored) && is_judged(stored));
        let candidates = matching.map(|stored| {
            let is_protected = snapshots.protected.contains(&stored.snapshot.head.id);
            Candidate::of(&stored.snapshot, snapshots.lineages.line(stored.writer), is_protected)
        });
        Ok(candidates.collect())
    }

    /// How many other machines have just one of the snapshots that it would decide about if it asked for no machine.
    pub(super) fn lone_elsewhere(&self, looked: &Looked) -> Result<usize> {
        let Some(own) = &self.filter.host else { return Ok(0) };
        let filter = Filter { host: None, ..self.filter.clone() }.resolve(&looked.snapshots)?;
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for stored in looked.snapshots.all.iter().filter(|stored| filter.matches(stored)) {
            *counts.entry(&stored.snapshot.body.host).or_default() += 1;
        }
        Ok(counts.iter().filter(|(host, count)| **host != own && **count == 1).count())
    }

    /// What the rules say about snapshots, if it is `now`. A limit of size isn't heeded yet.
    pub(super) fn decide<'a>(&self, candidates: &[Candidate<'a>], now: Timestamp) -> Result<Vec<Group<'a>>> {
        let zone = match &self.zone {
            None => TimeZone::system(),
            Some(name) => TimeZone::get(name).map_err(|_| TextError::Zone(name.clone()))?,
        };
        decide_in(&zone, candidates, &self.keep, self.group_by, now)
    }

    /// Lets more go where the policy has a limit of size. Only then is the index needed.
    pub(super) fn fit(
        &self,
        groups: &mut [Group<'_>],
        looked: &Looked,
        shared: &SharedRepository,
        run: &RunContext,
    ) -> Result<Option<Fit>> {
        if self.keep.max_bytes.is_none() {
            return Ok(None);
        }
        let index = shared.index_of(looked, run)?;
        let bodies: HashMap<SessionId, &SnapshotBody> = looked
            .snapshots
            .all
            .iter()
            .map(|stored| (stored.snapshot.head.id, &stored.snapshot.body))
            .collect();
        let mut needed = NeededBytes::new(&looked.repository, &index, run)?;
        let fit = fit(groups, &self.keep, run.now(), &mut |id| needed.add(bodies[&id]))?;
        run.report_suspects(|_| false);
        if let Some(Fit { max_bytes, bytes }) = fit.filter(|fit| fit.bytes > fit.max_bytes) {
            run.notice(format!(
                "the snapshots that have to stay need {bytes} bytes, which is more than the limit of {max_bytes} bytes"
            ));
        }
        Ok(fit)
    }

    /// Why nothing may go, if too much would.
    pub(super) fn braked(&self, groups: &[Group<'_>]) -> Option<OperationsError> {
        let all = groups.iter().map(|group| u64_of(group.decisions.len())).sum();
        let going = groups.iter().map(|group| u64_of(group.forgotten().count())).sum();
        let brake = self.max_removed.filter(|brake| brake.stops(going, all))?;
        Some(OperationsError::Brake { going, all, brake })
    }
}
