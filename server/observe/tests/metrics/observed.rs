//! An observation with something of everything, for tests.

use std::time::Duration;

use jiff::Timestamp;
use keepfast_observe::metrics::{
    CheckObservation, DrillCounts, DrillObservation, DrillVerdict, Observation, PlanObservation,
    RepositoryObservation, RunCounts, RunObservation, ServerObservation, TargetObservation, Verdict,
};

/// 2026-11-01T00:00:00Z.
pub const NOW: i64 = 1_793_491_200;

const HOUR: Duration = Duration::from_secs(3600);

/// This many seconds after [`NOW`].
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(NOW + seconds).expect("in range")
}

/// A plan that was only just added.
pub fn newborn(plan: &str) -> PlanObservation {
    PlanObservation {
        plan: plan.to_owned(),
        project: None,
        repository: "main".to_owned(),
        host: "web1".to_owned(),
        added: at(0),
        promise: Some(26 * HOUR),
        last_success: None,
        last_run: None,
        overdue_by: None,
        next_slot: Some(at(3600)),
        paused: false,
        open_anomalies: 0,
        retention_paused: false,
        runs: RunCounts::default(),
        drill: None,
    }
}

/// A plan that has seen everything.
pub fn experienced(plan: &str) -> PlanObservation {
    PlanObservation {
        project: Some("shop".to_owned()),
        added: at(-9_000_000),
        last_success: Some(at(-100_000)),
        last_run: Some(RunObservation {
            ended: at(-500),
            verdict: Verdict::Failed,
            duration: Duration::from_millis(12_500),
            source_bytes: 4000,
            read_bytes: 2000,
            new_bytes: 1000,
            stored_bytes: 600,
            files: 42,
            findings: 3,
        }),
        overdue_by: Some(Duration::from_secs(6400)),
        open_anomalies: 2,
        retention_paused: true,
        runs: RunCounts { ok: 100, findings: 5, failed: 3, missed: 2, skipped: 1, cancelled: 4, lost: 6 },
        drill: Some(DrillObservation {
            promise: Some(24 * 30 * HOUR),
            last_passed: Some(at(-200_000)),
            last_verdict: Some(DrillVerdict::NotTested),
            restore_duration: Some(Duration::from_secs(321)),
            drills: DrillCounts { passed: 7, failed: 1, not_tested: 2 },
        }),
        ..newborn(plan)
    }
}

/// Something of everything.
pub fn everything() -> Observation {
    Observation {
        at: at(0),
        plans: vec![newborn("www"), experienced("shop-db")],
        repositories: vec![
            RepositoryObservation {
                repository: "main".to_owned(),
                project: Some("shop".to_owned()),
                added: at(-9_000_000),
                size_bytes: Some(1 << 40),
                quota_bytes: Some(4 << 40),
                snapshots: Some(77),
                unreachable: true,
                check: Some(CheckObservation {
                    promise: 24 * 8 * HOUR,
                    last_finished: Some(at(-3000)),
                    findings: 9,
                }),
            },
            RepositoryObservation {
                repository: "new".to_owned(),
                project: None,
                added: at(0),
                size_bytes: None,
                quota_bytes: None,
                snapshots: None,
                unreachable: false,
                check: None,
            },
        ],
        targets: vec![TargetObservation { target: "ops".to_owned(), waiting: 4, undeliverable: 1 }],
        server: Some(ServerObservation {
            version: "0.1.0".to_owned(),
            started: at(-777),
            config_valid: false,
            clock_jumps: 2,
            queued_runs: 5,
            active_runs: 3,
        }),
    }
}

/// What a run without a server exposes.
pub fn lone(plan: PlanObservation) -> Observation {
    Observation { at: at(0), plans: vec![plan], repositories: Vec::new(), targets: Vec::new(), server: None }
}
