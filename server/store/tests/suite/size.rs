//! A state of some years: 100,000 runs and 50,000 snapshots. What listings cost is measured here, when asked
//! for; that none of them scans is tested beside each listing.

use std::io::Write;
use std::time::{Duration, Instant};

use keepfast_store::{
    BackupFilter, Fingerprint, HostId, Level, LogFilter, PageSize, PlanId, RepositoryId, Retention,
    RunFilter, RunKind, SnapshotFilter, Store, Tag, VerdictKind,
};
use serde_json::json;

use crate::lab::{Lab, On, at, id, plan};

const RUNS: i64 = 100_000;
const SNAPSHOTS: i64 = 50_000;
const PLANS: i64 = 50;
const HOUR: i64 = 3600;
const LONGEST: Duration = Duration::from_millis(100);
/// Sums of all runs there are, for a page that shows nothing else.
const LONGEST_SUM: Duration = Duration::from_millis(150);
/// What a daemon asks for at each look takes less.
const QUICK: Duration = Duration::from_millis(5);

/// The state as an export.
fn lines() -> Vec<u8> {
    let mut out = Vec::new();
    let mut rows = 0;
    let mut line = |out: &mut Vec<u8>, table: &str, row: serde_json::Value| {
        writeln!(out, "{}", json!({"table": table, "row": row})).unwrap();
        rows += 1;
    };
    writeln!(out, "{}", json!({"keepfast_state": 1, "tables": 6})).unwrap();
    line(&mut out, "counter", json!({"name": "event", "last": 0}));
    line(&mut out, "counter", json!({"name": "fence", "last": RUNS}));
    let micros = |second: i64| at(second).as_micros();
    let report = json!({"text": "x".repeat(1500)}).to_string();
    for number in 1..=RUNS {
        let verdict = if number % 1000 == 0 { "failed" } else { "ok" };
        let due = micros(number / PLANS * HOUR);
        let mut run = json!({
            "number": number, "id": format!("run {number}"),
            "kind": if number % 100 == 9 { "check" } else { "backup" },
            "plan": format!("plan {}", number % PLANS), "repository": format!("repository {}", number % 3),
            "host": format!("host {}", number % 200), "slot": due, "slots": 1, "due": due,
            "trigger_kind": "schedule", "root": format!("run {number}"), "attempt": 1, "state": "ended",
            "verdict": verdict, "created": due, "started": due, "ended": due + 60_000_000, "server": "a",
            "boot": "1", "lease": 60_000_000, "lease_until": due, "beat": 9, "fence": number, "config": "c",
            "phase": "commit", "counters": "{\"bytes\":123456789,\"files\":1000}", "report": report,
            "files": 1000, "source_bytes": 1_i64 << 36, "read_bytes": 1 << 30, "new_bytes": 1 << 28, "stored_bytes": 1 << 27,
        });
        if verdict == "failed" {
            run["error_category"] = json!("network");
            run["fingerprint"] = json!(format!("f{}", number % 7));
            run["error"] = json!("no answer");
        }
        if number > RUNS - 5 {
            (run["state"], run["verdict"], run["ended"]) = (json!("running"), json!(null), json!(null));
            run.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        }
        line(&mut out, "run", run);
    }
    for number in 1..=RUNS {
        let at = micros(number / PLANS * HOUR);
        line(
            &mut out,
            "log_part",
            json!({
                "run": format!("run {number}"), "part": 1, "server": "a", "segment": 1, "position": 0, "stored_bytes": 9,
                "plain_bytes": 9, "line_count": 1, "worst_level": 2, "first_line": at, "last_line": at,
            }),
        );
    }
    for number in 0..PLANS {
        line(&mut out, "plan_state", json!({"plan": format!("plan {number}"), "born": 0}));
        let document = json!({"fired": "x".repeat(1500)}).to_string();
        line(
            &mut out,
            "schedule_state",
            json!({
                "schedule": format!("plan:plan {number}"), "generation": number + 1, "document": document,
                "changed": 0,
            }),
        );
    }
    for number in 0..SNAPSHOTS {
        let (repository, id) = (format!("repository {}", number % 3), format!("{:016x}", number * 7919));
        let time = micros(number * 600);
        let mut words =
            vec!["host".to_owned(), (number % 200).to_string(), "nightly".to_owned(), "#nightly".to_owned()];
        let mut tags = vec!["nightly"];
        if number % 5000 == 0 {
            tags.push("keep");
            words.extend(["keep".to_owned(), "#keep".to_owned()]);
        }
        let snapshot = json!({
            "repository": repository, "id": id, "time": time, "host": format!("host {}", number % 200),
            "plan": format!("plan {}", number % PLANS), "tags": json!(tags).to_string(), "files": 1000,
            "size_bytes": 1_i64 << 40, "new_bytes": 1 << 20, "clean": 1,
        });
        line(&mut out, "snapshot", snapshot);
        for word in words {
            let row = json!({"word": word, "time": time, "repository": repository, "id": id});
            line(&mut out, "snapshot_word", row);
        }
    }
    writeln!(out, "{}", json!({ "rows": rows })).unwrap();
    out
}

/// The fastest of five tries: what the call costs itself, whatever else the machine does meanwhile.
async fn measure<T>(name: &str, slow: &mut Vec<String>, call: impl AsyncFn() -> T) -> T {
    measure_within(LONGEST, name, slow, call).await
}

async fn measure_within<T>(
    longest: Duration,
    name: &str,
    slow: &mut Vec<String>,
    call: impl AsyncFn() -> T,
) -> T {
    let mut fastest = Duration::MAX;
    let mut result = None;
    for _ in 0..5 {
        let begun = Instant::now();
        result = Some(call().await);
        fastest = fastest.min(begun.elapsed());
    }
    #[expect(clippy::print_stderr, reason = "it is a measurement")]
    {
        eprintln!("{:8.2} ms  {name}", fastest.as_secs_f64() * 1000.0);
    }
    if fastest > longest {
        slow.push(format!("{name}: {fastest:?}"));
    }
    result.expect("it was tried")
}

async fn listings_take_less_than_a_tenth_of_a_second(on: On) {
    let lab = Lab::new(on);
    let store: Store = lab.open().await;
    store.import(&mut &lines()[..]).await.unwrap();
    let page = PageSize::MAX;
    let slow = &mut Vec::new();
    let all = RunFilter::default;
    let middle = store.run(&id(format!("run {}", RUNS / 2))).await.unwrap().unwrap().number;
    let runs = [
        ("the newest runs", all()),
        ("runs of a plan", RunFilter { plan: Some(plan("plan 7")), ..all() }),
        ("runs of a host", RunFilter { host: Some(HostId::new("host 7").unwrap()), ..all() }),
        (
            "runs of a repository",
            RunFilter { repository: Some(RepositoryId::new("repository 1").unwrap()), ..all() },
        ),
        ("drills, of which there are none", RunFilter { kind: Some(RunKind::Drill), ..all() }),
        ("backups", RunFilter { kind: Some(RunKind::Backup), ..all() }),
        ("checks", RunFilter { kind: Some(RunKind::Check), ..all() }),
        ("failures", RunFilter { verdict: Some(VerdictKind::Failed), ..all() }),
        (
            "failures of a plan that has none",
            RunFilter { plan: Some(plan("plan 7")), verdict: Some(VerdictKind::Failed), ..all() },
        ),
        ("runs with an error", RunFilter { fingerprint: Some(Fingerprint::new("f3").unwrap()), ..all() }),
        ("open runs", RunFilter { open_only: true, ..all() }),
    ];
    for (name, filter) in runs {
        for before in [None, Some(middle)] {
            measure(name, slow, async || store.runs(&filter, before, page).await.unwrap()).await;
        }
    }
    let month = (at((RUNS / PLANS - 720) * HOUR), at(RUNS / PLANS * HOUR));
    measure("a page of the matrix of a month", slow, async || {
        store.outcomes(month.0, month.1, None, page).await.unwrap()
    })
    .await;
    let days: Vec<_> = (0..=30).map(|day| at((RUNS / PLANS - 720 + day * 24) * HOUR)).collect();
    measure("a month of all plans, counted by days", slow, async || {
        let counts = store.outcome_counts(&days).await.unwrap();
        let slots: u64 = counts.iter().map(|count| count.slots).sum();
        assert!(slots > 30_000, "{slots}");
    })
    .await;
    // All runs there are.
    let season: Vec<_> = (0..=90).map(|day| at((RUNS / PLANS - 2160 + day * 24) * HOUR)).collect();
    let of_plan = BackupFilter { plan: Some(plan("plan 7")), ..BackupFilter::default() };
    for (name, filter, runs) in [
        ("sums of 90 days, by day and plan", BackupFilter::default(), 98_000..RUNS.unsigned_abs()),
        ("sums of 90 days of a plan, by day", of_plan, 1900..2001),
    ] {
        measure_within(LONGEST_SUM, name, slow, async || {
            let sums = store.backup_sums(&season, &filter).await.unwrap();
            let slots: u64 = sums.iter().map(|sum| sum.slots).sum();
            assert!(runs.contains(&slots), "{slots}");
        })
        .await;
    }
    measure_within(LONGEST_SUM, "what was stored in 90 days, by repository and plan", slow, async || {
        assert!(store.stored_sums(&season).await.unwrap().len() > 4000);
    })
    .await;
    let every_log = LogFilter {
        run: None,
        plan: None,
        repository: None,
        host: None,
        kind: None,
        least: Level::Debug,
        from: None,
        until: None,
    };
    let no_plan = LogFilter { plan: Some(plan("nothing")), ..every_log.clone() };
    for (name, filter) in [("parts of logs", every_log), ("parts of logs of a plan that has none", no_plan)] {
        measure(name, slow, async || store.log_parts(&filter, None, PageSize::at_most(64)).await.unwrap())
            .await;
    }
    let day = RunFilter { due_from: Some(at(HOUR * 1000)), due_until: Some(at(HOUR * 1024)), ..all() };
    measure("runs of a day long ago", slow, async || {
        assert_eq!(store.runs(&day, None, page).await.unwrap().rows.len(), 500);
    })
    .await;
    measure("runs of a plan with their reports", slow, async || {
        let of_plan = RunFilter { plan: Some(plan("plan 7")), kind: Some(RunKind::Backup), ..all() };
        store.reported_runs(&of_plan, None, page).await.unwrap()
    })
    .await;
    measure("the states of all plans", slow, async || store.plan_states().await.unwrap()).await;
    measure("the last run of each plan", slow, async || {
        assert_eq!(i64::try_from(store.last_runs(None).await.unwrap().len()).unwrap(), PLANS);
    })
    .await;
    measure("the last backup of each plan", slow, async || {
        assert_eq!(
            i64::try_from(store.last_runs(Some(RunKind::Backup)).await.unwrap().len()).unwrap(),
            PLANS
        );
    })
    .await;
    for not_after in [at(RUNS / PLANS * HOUR), at(RUNS / PLANS / 2 * HOUR)] {
        measure_within(QUICK, "the newest good start of each plan", slow, async || {
            let starts = store.good_starts(not_after).await.unwrap();
            assert_eq!(i64::try_from(starts.len()).unwrap(), PLANS);
        })
        .await;
    }
    measure_within(QUICK, "the last upkeep of each repository", slow, async || {
        assert_eq!(store.last_upkeep().await.unwrap().len(), 3);
    })
    .await;
    measure_within(QUICK, "the states of all schedules", slow, async || {
        assert_eq!(i64::try_from(store.schedule_states().await.unwrap().len()).unwrap(), PLANS);
    })
    .await;
    let begun = Instant::now();
    store.run_counts(at(RUNS * HOUR)).await.unwrap();
    #[expect(clippy::print_stderr, reason = "it is a measurement")]
    {
        eprintln!("{:8.2} ms  adding up all runs, once", begun.elapsed().as_secs_f64() * 1000.0);
    }
    measure("how many runs ended how", slow, async || store.run_counts(at(RUNS * HOUR)).await.unwrap()).await;
    measure("how many snapshots there are", slow, async || store.snapshot_counts().await.unwrap()).await;
    measure("how many runs are open", slow, async || store.open_run_counts().await.unwrap()).await;
    measure("active runs", slow, async || store.active_runs().await.unwrap()).await;
    measure("waiting runs", slow, async || store.waiting_runs(page).await.unwrap()).await;
    let any = SnapshotFilter::default;
    let tag = |name: &str| vec![Tag::new(name).unwrap()];
    let snapshots = [
        ("the newest snapshots", any()),
        ("snapshots of a host", SnapshotFilter { host: Some(HostId::new("host 7").unwrap()), ..any() }),
        ("snapshots of a plan", SnapshotFilter { plan: Some(PlanId::new("plan 7").unwrap()), ..any() }),
        (
            "snapshots of a repository",
            SnapshotFilter { repository: Some(RepositoryId::new("repository 1").unwrap()), ..any() },
        ),
        ("snapshots with a rare tag", SnapshotFilter { tags: tag("keep"), ..any() }),
        ("snapshots with a tag of all", SnapshotFilter { tags: tag("nightly"), ..any() }),
        ("a search by a common and a rare word", SnapshotFilter { search: "host keep".to_owned(), ..any() }),
        ("a search for nothing", SnapshotFilter { search: "host nothing".to_owned(), ..any() }),
    ];
    for (name, filter) in snapshots {
        let first = measure(name, slow, async || store.snapshots(&filter, None, page).await.unwrap()).await;
        measure(name, slow, async || store.snapshots(&filter, first.next.as_ref(), page).await.unwrap())
            .await;
    }
    measure("a snapshot by its id", slow, async || {
        store.snapshots_by_prefix("00000000000", page).await.unwrap()
    })
    .await;
    // No listing, and so without a limit.
    measure("a removal of history", &mut Vec::new(), async || {
        let retention = Retention { runs_before: at(HOUR * 100), events_before: at(0), at_most: page };
        assert_eq!(store.remove_history(&retention).await.unwrap().runs, 500);
    })
    .await;
    assert!(slow.is_empty(), "too slow: {slow:#?}");
}

#[ignore = "it measures: run it alone, on a machine that does nothing else"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listings_on_sqlite_take_less_than_a_tenth_of_a_second() {
    listings_take_less_than_a_tenth_of_a_second(On::Sqlite).await;
}

#[ignore = "it measures: run it alone, on a machine that does nothing else"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listings_on_postgres_take_less_than_a_tenth_of_a_second() {
    listings_take_less_than_a_tenth_of_a_second(On::Postgres).await;
}
