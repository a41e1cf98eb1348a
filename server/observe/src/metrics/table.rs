//! The one table of metrics: name, kind, labels, meaning, and how each is read from an observation.

use crate::metrics::observation::{Observation, PlanObservation, RepositoryObservation, TargetObservation};
use crate::metrics::read;
use crate::metrics::sample::{Samples, each, one, perhaps};

/// A metric.
#[derive(Debug)]
pub struct Metric {
    /// Its name as an alert has it, without the `_total` of counters.
    family: &'static str,
    /// Whether it only rises.
    pub kind: Kind,
    /// Its unit, which is the end of its name too.
    pub unit: Unit,
    /// The label that it has beyond those of its subject.
    pub further_label: Option<&'static str>,
    /// What it means, as a sentence.
    pub help: &'static str,
    read: Reader,
}

/// What a metric's values do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// They rise and fall.
    Gauge,
    /// They rise only, except when what counts begins again.
    Counter,
}

/// What a metric's values are measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// They are counts, shares, or yes and no.
    None,
    /// Seconds; for moments since 1970.
    Seconds,
    /// Bytes.
    Bytes,
}

/// What a metric is about, which says what labels it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A plan on one host.
    Plan,
    /// A repository.
    Repository,
    /// A target of notifications.
    Target,
    /// The server, or the one run without it.
    Server,
}

/// How a metric is read from an observation.
#[derive(Debug)]
pub(super) enum Reader {
    Plan(fn(&PlanObservation) -> Samples),
    Repository(fn(&RepositoryObservation) -> Samples),
    Target(fn(&TargetObservation) -> Samples),
    Server(fn(&Observation) -> Samples),
}

impl Metric {
    /// Its name as an alert has it.
    #[must_use]
    pub fn name(&self) -> String {
        match self.kind {
            Kind::Gauge => self.family.to_owned(),
            Kind::Counter => format!("{}_total", self.family),
        }
    }

    /// Its name in OpenMetrics' descriptions, where counters have no `_total`.
    #[must_use]
    pub fn family(&self) -> &'static str {
        self.family
    }

    /// What it is about.
    #[must_use]
    pub fn subject(&self) -> Subject {
        match self.read {
            Reader::Plan(_) => Subject::Plan,
            Reader::Repository(_) => Subject::Repository,
            Reader::Target(_) => Subject::Target,
            Reader::Server(_) => Subject::Server,
        }
    }

    pub(super) fn reader(&self) -> &Reader {
        &self.read
    }
}

impl Subject {
    /// The labels that all its metrics have.
    #[must_use]
    pub const fn labels(self) -> &'static [&'static str] {
        match self {
            Self::Plan => &["plan", "project", "repository", "host"],
            Self::Repository => &["repository", "project"],
            Self::Target => &["target"],
            Self::Server => &[],
        }
    }
}

const fn gauge(family: &'static str, unit: Unit, help: &'static str, read: Reader) -> Metric {
    Metric { family, kind: Kind::Gauge, unit, further_label: None, help, read }
}

const fn counter(family: &'static str, help: &'static str, read: Reader) -> Metric {
    Metric { family, kind: Kind::Counter, unit: Unit::None, further_label: None, help, read }
}

impl Metric {
    const fn by(mut self, label: &'static str) -> Self {
        self.further_label = Some(label);
        self
    }
}

/// All metrics.
pub const TABLE: &[Metric] = &[
    gauge(
        "keepfast_promise_seconds",
        Unit::Seconds,
        "The age that the plan's newest good snapshot may have at most; absent for plans that run only when they are told to.",
        Reader::Plan(|plan| perhaps(plan.promise)),
    ),
    gauge(
        "keepfast_plan_added_timestamp_seconds",
        Unit::Seconds,
        "When the plan first was in the configuration. Until its first success, its promise counts from here.",
        Reader::Plan(|plan| one(plan.added)),
    ),
    gauge(
        "keepfast_last_success_timestamp_seconds",
        Unit::Seconds,
        "When the newest run began that ended as ok or with findings; 0 before the first.",
        Reader::Plan(|plan| one(plan.last_success)),
    ),
    gauge(
        "keepfast_overdue",
        Unit::None,
        "1 if the plan's promise is broken, else 0.",
        Reader::Plan(|plan| one(plan.overdue_by.is_some())),
    ),
    gauge(
        "keepfast_overdue_seconds",
        Unit::Seconds,
        "By how much the plan's promise is broken; 0 while it is kept.",
        Reader::Plan(|plan| one(plan.overdue_by.unwrap_or_default())),
    ),
    gauge(
        "keepfast_paused",
        Unit::None,
        "1 if the plan is paused, else 0.",
        Reader::Plan(|plan| one(plan.paused)),
    ),
    gauge(
        "keepfast_next_slot_timestamp_seconds",
        Unit::Seconds,
        "When the plan runs next; 0 if no run is due, as while it is paused.",
        Reader::Plan(|plan| one(plan.next_slot)),
    ),
    counter(
        "keepfast_runs",
        "Runs that ended, by verdict: ok, findings, failed, missed, skipped, cancelled, lost.",
        Reader::Plan(read::runs),
    )
    .by("verdict"),
    gauge(
        "keepfast_last_run_timestamp_seconds",
        Unit::Seconds,
        "When the newest run ended, whatever its verdict; 0 before the first.",
        Reader::Plan(|plan| read::of_last_run(plan, |run| run.ended)),
    ),
    gauge(
        "keepfast_last_run_verdict",
        Unit::None,
        "1 for the verdict of the newest run, 0 for the others.",
        Reader::Plan(read::last_verdict),
    )
    .by("verdict"),
    gauge(
        "keepfast_last_run_duration_seconds",
        Unit::Seconds,
        "How long the newest run took.",
        Reader::Plan(|plan| read::of_last_run(plan, |run| run.duration)),
    ),
    gauge(
        "keepfast_last_run_source_bytes",
        Unit::Bytes,
        "Size of everything in the snapshot of the newest run.",
        Reader::Plan(|plan| read::of_last_run(plan, |run| run.source_bytes)),
    ),
    gauge(
        "keepfast_last_run_read_bytes",
        Unit::Bytes,
        "Bytes that the newest run read, because they could have changed.",
        Reader::Plan(|plan| read::of_last_run(plan, |run| run.read_bytes)),
    ),
    gauge(
        "keepfast_last_run_new_bytes",
        Unit::Bytes,
        "Bytes that the newest run read and that the repository didn't have, before compression.",
        Reader::Plan(|plan| read::of_last_run(plan, |run| run.new_bytes)),
    ),
    gauge(
        "keepfast_last_run_stored_bytes",
        Unit::Bytes,
        "Bytes that the newest run added to the store, after compression.",
        Reader::Plan(|plan| read::of_last_run(plan, |run| run.stored_bytes)),
    ),
    gauge(
        "keepfast_last_run_files",
        Unit::None,
        "Files in the snapshot of the newest run.",
        Reader::Plan(|plan| read::of_last_run(plan, |run| run.files)),
    ),
    gauge(
        "keepfast_last_run_deduplication_ratio",
        Unit::None,
        "Share of the newest snapshot's bytes that the repository had before, from 0 to 1.",
        Reader::Plan(|plan| read::of_last_run(plan, read::deduplication)),
    ),
    gauge(
        "keepfast_last_run_findings",
        Unit::None,
        "Findings of the newest run: files that couldn't be read, damage.",
        Reader::Plan(|plan| read::of_last_run(plan, |run| run.findings)),
    ),
    gauge(
        "keepfast_open_anomalies",
        Unit::None,
        "Anomalies of the plan that no one has accepted yet.",
        Reader::Plan(|plan| one(plan.open_anomalies)),
    ),
    gauge(
        "keepfast_retention_paused",
        Unit::None,
        "1 if retention removes none of the plan's snapshots until an anomaly is accepted, else 0.",
        Reader::Plan(|plan| one(plan.retention_paused)),
    ),
    gauge(
        "keepfast_drill_promise_seconds",
        Unit::Seconds,
        "The age that the plan's newest passed drill may have at most; absent without such a promise.",
        Reader::Plan(|plan| perhaps(plan.drill.and_then(|drill| drill.promise))),
    ),
    gauge(
        "keepfast_last_passed_drill_timestamp_seconds",
        Unit::Seconds,
        "When the newest drill ended that passed; 0 before the first, absent for plans without drills.",
        Reader::Plan(|plan| read::of_drill(plan, |drill| drill.last_passed)),
    ),
    gauge(
        "keepfast_last_drill_verdict",
        Unit::None,
        "1 for the verdict of the newest drill, 0 for the others; absent for plans without drills.",
        Reader::Plan(read::last_drill_verdict),
    )
    .by("verdict"),
    gauge(
        "keepfast_last_drill_restore_duration_seconds",
        Unit::Seconds,
        "How long the restore took of the newest drill that passed; absent before the first.",
        Reader::Plan(|plan| perhaps(plan.drill.and_then(|drill| drill.restore_duration))),
    ),
    counter(
        "keepfast_drills",
        "Drills that ended, by verdict: passed, failed, not_tested; absent for plans without drills.",
        Reader::Plan(read::drills),
    )
    .by("verdict"),
    gauge(
        "keepfast_repository_added_timestamp_seconds",
        Unit::Seconds,
        "When the repository first was in the configuration. Until its first check, the promise of checks counts from here.",
        Reader::Repository(|repository| one(repository.added)),
    ),
    gauge(
        "keepfast_repository_size_bytes",
        Unit::Bytes,
        "Bytes that the repository takes in its store; absent until they are counted.",
        Reader::Repository(|repository| perhaps(repository.size_bytes)),
    ),
    gauge(
        "keepfast_repository_quota_bytes",
        Unit::Bytes,
        "Bytes that the repository may take; absent without a quota.",
        Reader::Repository(|repository| perhaps(repository.quota_bytes)),
    ),
    gauge(
        "keepfast_repository_snapshots",
        Unit::None,
        "Snapshots in the repository; absent until they are listed.",
        Reader::Repository(|repository| perhaps(repository.snapshots)),
    ),
    gauge(
        "keepfast_repository_unreachable",
        Unit::None,
        "1 if the last attempt to reach the repository failed, else 0.",
        Reader::Repository(|repository| one(repository.unreachable)),
    ),
    gauge(
        "keepfast_repository_check_promise_seconds",
        Unit::Seconds,
        "The age that the repository's newest check may have at most; absent without planned checks.",
        Reader::Repository(|repository| perhaps(repository.check.map(|check| check.promise))),
    ),
    gauge(
        "keepfast_repository_last_check_timestamp_seconds",
        Unit::Seconds,
        "When the newest check ended that went through, whatever it found; 0 before the first, absent without planned checks.",
        Reader::Repository(|repository| perhaps(repository.check.map(|check| check.last_finished))),
    ),
    gauge(
        "keepfast_repository_last_check_findings",
        Unit::None,
        "What the newest check found; absent without planned checks.",
        Reader::Repository(|repository| perhaps(repository.check.map(|check| check.findings))),
    ),
    gauge(
        "keepfast_waiting_deliveries",
        Unit::None,
        "Notifications to the target that wait for their next attempt.",
        Reader::Target(|target| one(target.waiting)),
    ),
    gauge(
        "keepfast_undeliverable_deliveries",
        Unit::None,
        "Notifications to the target that were given up since one last arrived.",
        Reader::Target(|target| one(target.undeliverable)),
    ),
    gauge(
        "keepfast_build_info",
        Unit::None,
        "1, with the version of the server as a label.",
        Reader::Server(|all| each(all.server.as_ref().map(|server| (server.version.as_str(), true)))),
    )
    .by("version"),
    gauge(
        "keepfast_observation_timestamp_seconds",
        Unit::Seconds,
        "When these values were collected. In a textfile or a push, their age.",
        Reader::Server(|all| one(all.at)),
    ),
    gauge(
        "keepfast_server_start_timestamp_seconds",
        Unit::Seconds,
        "When the server started.",
        Reader::Server(|all| read::of_server(all, |server| server.started)),
    ),
    gauge(
        "keepfast_config_valid",
        Unit::None,
        "1 if the newest state of the configuration's files is in force, 0 if it is invalid and an older one is.",
        Reader::Server(|all| read::of_server(all, |server| server.config_valid)),
    ),
    counter(
        "keepfast_clock_jumps",
        "Jumps of the clock that the server has seen since it started.",
        Reader::Server(|all| read::of_server(all, |server| server.clock_jumps)),
    ),
    gauge(
        "keepfast_queued_runs",
        Unit::None,
        "Runs that wait for their turn.",
        Reader::Server(|all| read::of_server(all, |server| server.queued_runs)),
    ),
    gauge(
        "keepfast_active_runs",
        Unit::None,
        "Runs that are under way.",
        Reader::Server(|all| read::of_server(all, |server| server.active_runs)),
    ),
];
