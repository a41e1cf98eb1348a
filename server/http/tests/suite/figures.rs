//! Figures over time, storage with its forecast and cost, previews of prunes, and searches of logs.

use std::fs;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use keepfast_store::{
    BootId, Claim, ConfigHash, Decision, Ending, Executor, Figures, HostId, NewRun, PlanId, ProgramVersion,
    RepositoryId, RunId, RunKind, RunSubject, ScheduleId, ServerId, ServerLock, SlotChange, Store, Trigger,
    Unfired, UtcTime, Work,
};
use serde_json::{Value, json};

use crate::client::Client;
use crate::desk::{Desk, PASSWORD, Server};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The state of a server that has worked before.
struct Past {
    store: Store,
    runs: u32,
}

fn zone() -> TimeZone {
    TimeZone::get("Europe/Paris").unwrap()
}

/// A day of the past, this many days ago.
fn day(ago: i64) -> Date {
    zone().to_datetime(Timestamp::now()).date().checked_sub(ago.days()).unwrap()
}

/// Noon of that day: far from the beginnings of days.
fn noon(ago: i64) -> UtcTime {
    let noon = day(ago).at(12, 0, 0, 0).to_zoned(zone()).unwrap();
    UtcTime::from_micros(noon.timestamp().as_microsecond())
}

impl Past {
    /// Writes the state of a server that isn't there yet.
    fn of(desk: &Desk, write: impl AsyncFnOnce(&mut Self)) {
        fs::create_dir_all(desk.path("state")).unwrap();
        let lock = ServerLock::take(&desk.path("state/state.db")).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let mut past = Self { store: Store::open_sqlite(&lock).await.unwrap(), runs: 0 };
            let plans = ["www", "db"].map(|plan| PlanId::new(plan).unwrap());
            past.store.bear_plans(noon(100), &plans).await.unwrap();
            write(&mut past).await;
            past.store.close().await;
        });
    }

    async fn ran(&mut self, kind: RunKind, plan: Option<&str>, at: UtcTime, seconds: u64, done: Work) {
        self.runs += 1;
        let id = RunId::new(format!("run-{}", self.runs)).unwrap();
        let run = NewRun {
            id: id.clone(),
            kind,
            subject: RunSubject {
                plan: plan.map(|plan| PlanId::new(plan).unwrap()),
                repository: Some(RepositoryId::new("main").unwrap()),
                host: Some(HostId::new("ann").unwrap()),
                drill: None,
            },
            trigger: Trigger::Schedule,
            config: ConfigHash::new("c").unwrap(),
            not_before: None,
            errand: None,
        };
        self.store.queue(at, &run).await.unwrap();
        let executor =
            Executor { server: ServerId::new("server of before").unwrap(), boot: BootId::new("b").unwrap() };
        let (candidates, lease) = ([id], Duration::from_secs(60));
        let claim = Claim { candidates: &candidates, limits: &[], executor: &executor, lease };
        let held = self.store.claim(at, claim).await.unwrap().pop().unwrap();
        self.store.start(at, &held).await.unwrap();
        self.store.end(at.plus(Duration::from_secs(seconds)), &held, &done).await.unwrap();
    }

    /// A good backup of this much.
    async fn backed_up(&mut self, plan: &str, ago: i64, seconds: u64, size: u64) {
        let figures = Figures {
            files: Some(10),
            source_bytes: Some(size),
            read_bytes: Some(size / 2),
            new_bytes: Some(size / 10),
            stored_bytes: Some(size / 20),
            found_bytes: None,
        };
        let done = Work { figures, ..work(Ending::Ok) };
        self.ran(RunKind::Backup, Some(plan), noon(ago), seconds, done).await;
    }

    async fn failed(&mut self, plan: &str, ago: i64) {
        self.ran(RunKind::Backup, Some(plan), noon(ago), 5, work(Ending::Failed)).await;
    }

    /// Slots of a day that no run came for.
    async fn missed(&mut self, plan: &str, ago: i64, count: u32) {
        let record = NewRun {
            id: RunId::new(format!("missed-{plan}-{ago}")).unwrap(),
            kind: RunKind::Backup,
            subject: RunSubject { plan: Some(PlanId::new(plan).unwrap()), ..RunSubject::default() },
            trigger: Trigger::Schedule,
            config: ConfigHash::new("c").unwrap(),
            not_before: None,
            errand: None,
        };
        let (at, reason) = (noon(ago), "the server was down".into());
        let missed = Unfired { first: at, last: at, count, reason, record };
        let decision = Decision {
            schedule: ScheduleId::new(format!("test:{plan}-{ago}")).unwrap(),
            seen: None,
            document: json!({}),
            changes: vec![SlotChange::Missed(missed)],
        };
        self.store.decide(at, &decision).await.unwrap();
    }
}

fn work(ending: Ending) -> Work {
    Work {
        ending,
        report: None,
        counters: None,
        figures: Figures::default(),
        error: None,
        baseline: None,
        retry: None,
        version: ProgramVersion::new("0").unwrap(),
    }
}

/// A second plan, in a project.
const DB: &str = "[project.shop]\n[plan.db]\nrepository = \"main\"\nproject = \"shop\"\n\
                  source = [{ stream = { name = \"s\", command = [\"true\"] } }]\n";

fn items(page: &Value) -> &[Value] {
    page["items"].as_array().unwrap()
}

fn names<'v>(page: &'v Value, name: &str) -> Vec<&'v str> {
    items(page).iter().map(|item| item[name].as_str().unwrap()).collect()
}

#[test]
fn what_did_not_run_counts_as_what_did_not_succeed() {
    let desk = Desk::new();
    Past::of(&desk, async |past| {
        for ago in 1..=8 {
            past.backed_up("www", ago, 10 * ago.unsigned_abs(), 100 * MIB).await;
        }
        past.failed("www", 3).await;
        past.missed("www", 2, 9).await;
        past.backed_up("db", 4, 7, GIB).await;
        past.backed_up("www", 40, 7, GIB).await;
    });
    let server = Server::at(desk, "", DB);
    let admin = server.admin();
    let period = format!("from={}&until={}", day(9), day(1));
    let all = admin.get(&format!("/analytics?{period}")).is(200).json();
    assert_eq!(
        (&all["zone"], &all["by"], &all["from"]),
        (&"Europe/Paris".into(), &"day".into(), &json!(day(9)))
    );
    let total = &all["total"];
    assert_eq!(total["verdicts"], json!({ "ok": 9, "failed": 1, "missed": 9 }), "{total:#}");
    assert_eq!((&total["due"], &total["good"], &total["open"]), (&19.into(), &9.into(), &0.into()));
    assert!((total["success"].as_f64().unwrap() - 9.0 / 19.0).abs() < 1e-9, "{total:#}");
    assert_eq!((&total["measured"], &total["files"]), (&9.into(), &90.into()));
    assert_eq!(
        (&total["bytes"], &total["new_bytes"]),
        (&json!(800 * MIB + GIB), &json!((800 * MIB) / 10 + GIB / 10))
    );
    // Of 7 and 10, 20 … 80 s.
    assert_eq!((&total["duration_median_s"], &total["duration_p95_s"]), (&json!(40.0), &json!(80.0)));
    assert!((total["deduplication"].as_f64().unwrap() - 10.0).abs() < 1e-6);
    assert!((total["compression"].as_f64().unwrap() - 2.0).abs() < 1e-6);

    let points = all["points"].as_array().unwrap();
    let missed: Vec<_> =
        points.iter().map(|point| point["verdicts"]["missed"].as_u64().unwrap_or(0)).collect();
    assert_eq!(missed, [0, 0, 0, 0, 0, 0, 0, 9, 0]);
    assert_eq!((&points[0]["day"], &points[0]["success"]), (&json!(day(9)), &Value::Null), "nothing was due");
    assert_eq!(points[0]["ends"], points[1]["begins"]);
    let plans: Vec<_> =
        all["plans"].as_array().unwrap().iter().map(|plan| (&plan["plan"], &plan["due"])).collect();
    assert_eq!(plans, [(&"db".into(), &1.into()), (&"www".into(), &18.into())]);

    let due = |query: &str| admin.get(&format!("/analytics?{query}")).is(200).json()["total"]["due"].clone();
    assert_eq!(due(&format!("{period}&plan=db")), 1);
    assert_eq!(due(&format!("{period}&project=shop")), 1);
    assert_eq!(due(&format!("{period}&host=other")), 0);
    assert_eq!(due(""), 19, "thirty days");
    assert_eq!(due(&format!("from={}&by=week", day(60))), 20);
    assert_eq!(due(&format!("from={}&by=month", day(60))), 20);

    let table = admin.get(&format!("/analytics/points.csv?{period}")).is(200).text;
    let rows: Vec<&str> = table.lines().collect();
    assert!(rows[0].starts_with("day,begins,ends,due,good,success,verdicts.ok,"), "{table}");
    assert!(rows[8].starts_with(&format!("{},", day(2))) && rows[8].contains(",9,"), "{table}");
    assert_eq!(
        names(&admin.get(&format!("/analytics/plans?{period}")).is(200).json(), "plan"),
        ["db", "www"]
    );

    for wrong in [
        format!("from={}&until={}", day(1), day(2)),
        format!("from={}", day(200)),
        "plan=".to_owned(),
        "zone=Nowhere/Else".to_owned(),
        "from=9999-12-30&until=9999-12-31".to_owned(),
    ] {
        admin.get(&format!("/analytics?{wrong}")).fails(422, "unprocessable");
    }
    admin.get("/analytics?by=hour").fails(400, "invalid_request");
    let bob = server.user(&admin, "bob", "viewer", "plan:db");
    let seen = bob.get(&format!("/analytics?{period}")).is(200).json();
    assert_eq!((&seen["total"]["due"], seen["plans"].as_array().unwrap().len()), (&1.into(), 1));
}

#[test]
fn a_run_that_is_unlike_others_is_told_with_its_limit() {
    let desk = Desk::new();
    let figures = |seconds: u64, size: u64| {
        json!({
            "duration_ms": seconds * 1000, "source_bytes": size, "new_bytes": size / 10, "stored_bytes": size / 20,
            "files_before": 0, "files_deleted": 0, "files_rewritten": 0, "files_moved": 0,
        })
    };
    Past::of(&desk, async |past| {
        let mut good = vec![figures(300, 10 * GIB); 9];
        good.push(figures(9000, 10 * GIB));
        let baseline = json!({ "version": 1, "good": good, "waiting": [] });
        let done = Work { baseline: Some(baseline), ..work(Ending::Ok) };
        past.ran(RunKind::Backup, Some("www"), noon(1), 9000, done).await;
        let baseline = json!({ "version": 1, "good": [figures(5, GIB)], "waiting": [] });
        let done = Work { baseline: Some(baseline), ..work(Ending::Ok) };
        past.ran(RunKind::Backup, Some("db"), noon(1), 5, done).await;
    });
    let server = Server::at(desk, "", DB);
    let admin = server.admin();
    let all = admin.get("/performance").is(200).json();
    assert_eq!(names(&all, "plan"), ["db", "db", "db", "db", "www", "www", "www", "www"]);
    let slow = items(&all).iter().find(|row| row["plan"] == "www" && row["figure"] == "duration").unwrap();
    assert_eq!(
        (&slow["state"], &slow["value"], &slow["usual"]),
        (&"beyond".into(), &json!(9000.0), &json!(300.0))
    );
    assert_eq!((&slow["limit"], &slow["factor"], &slow["runs"]), (&json!(1500.0), &json!(30.0), &9.into()));
    let beyond = admin.get("/performance?state=beyond").is(200).json();
    assert_eq!((names(&beyond, "plan"), names(&beyond, "figure")), (vec!["www"], vec!["duration"]));
    let few = admin.get("/performance?project=shop").is(200).json();
    assert!(items(&few).iter().all(|row| row["state"] == "unknown" && row["usual"].is_null()), "{few:#}");
    let bob = server.user(&admin, "bob", "viewer", "plan:db");
    assert_eq!(names(&bob.get("/performance").is(200).json(), "plan"), ["db"; 4]);
}

#[test]
fn storage_says_when_it_is_full_and_what_it_costs() {
    let desk = Desk::new();
    Past::of(&desk, async |past| {
        // 50 MiB a day are stored for www and 10 for db.
        for ago in (1..=60).rev() {
            past.backed_up("www", ago, 5, 1000 * MIB).await;
            past.backed_up("db", ago, 5, 200 * MIB).await;
            if ago == 40 {
                let found = Figures { found_bytes: Some(100 * GIB), ..Figures::default() };
                let at = noon(ago).plus(Duration::from_secs(3600));
                past.ran(RunKind::Check, None, at, 5, Work { figures: found, ..work(Ending::Ok) }).await;
            }
        }
    });
    let more = format!(
        "{DB}[repository.main.price]\nstorage_per_gb_month = 0.023\negress_per_gb = 0.09\ncurrency = \"EUR\"\n\
         [repository.main.quota]\nsize = \"104GiB\"\nwarn = \"90%\"\n"
    );
    let server = Server::at(desk, "", &more);
    let admin = server.admin();
    let list = admin.get("/storage").is(200).json();
    let main = &items(&list)[0];
    // What was found, and 39 days after that.
    let used = 100 * GIB + 39 * 60 * MIB;
    assert_eq!(
        (&main["used"]["bytes"], &main["used"]["measured_bytes"]),
        (&json!(used), &json!(100 * GIB)),
        "{main:#}"
    );
    assert_eq!(main["growth_bytes_per_day"], json!(60 * MIB), "{main:#}");
    assert_eq!((&main["quota_bytes"], &main["quota_warns"]), (&json!(104 * GIB), &json!(0.9)));
    assert!(main["disk"]["free_bytes"].as_u64().unwrap() <= main["disk"]["total_bytes"].as_u64().unwrap());
    // 1,756 MiB are left, which 60 MiB a day take in 29 days and some.
    let full_on: Timestamp = main["full_on"].as_str().unwrap().parse().unwrap();
    let hours = full_on.duration_since(Timestamp::now()).as_hours();
    assert!((29 * 24..=30 * 24).contains(&hours), "{hours} h: {main:#}");
    assert_eq!(main["no_forecast"], Value::Null);
    let cost = &main["cost"];
    let micros =
        |bytes: u64, price: u64| json!((u128::from(bytes) * u128::from(price) + 500_000_000) / 1_000_000_000);
    assert_eq!((&cost["currency"], &cost["storage_per_gb_month_micros"]), (&"EUR".into(), &23_000.into()));
    assert_eq!(cost["month_micros"], micros(used, 23_000));
    assert_eq!(cost["month_in_90_days_micros"], micros(used + 90 * 60 * MIB, 23_000));
    assert_eq!(cost["restore_micros"], micros(used, 90_000));
    let advice = main["advice"].as_array().unwrap();
    let codes: Vec<_> = advice.iter().map(|advice| (&advice["code"], &advice["value"])).collect();
    // By the hour.
    let unchecked = [39, 40].map(|days| codes.contains(&(&"no_check".into(), &days.into())));
    assert!(unchecked.contains(&true), "{advice:#?}");
    assert!(codes.contains(&(&"full_soon".into(), &29.into())), "{advice:#?}");
    assert!(codes.contains(&(&"quota_near".into(), &json!(used * 1000 / (104 * GIB)))), "{advice:#?}");
    assert!(codes.contains(&(&"one_plan_grows".into(), &833.into())), "{advice:#?}");
    let table = admin.get("/storage.csv").is(200).text;
    assert!(table.lines().nth(1).unwrap().starts_with("main,,"), "{table}");

    let forecast = admin.get("/repositories/main/forecast").is(200).json();
    assert_eq!((&forecast["repository"], &forecast["limit"]["kind"]), (&"main".into(), &"quota".into()));
    assert_eq!(forecast["limit"]["left_bytes"], json!(104 * GIB - used));
    let windows: Vec<_> = forecast["growth"]
        .as_array()
        .unwrap()
        .iter()
        .map(|window| (&window["days"], &window["days_known"]))
        .collect();
    assert_eq!(windows, [(&30.into(), &30.into()), (&90.into(), &61.into())]);
    let earliest = forecast["growth"][0]["full_on_earliest"].as_str().unwrap();
    assert!(earliest <= forecast["full_on"].as_str().unwrap(), "{forecast:#}");
    let days = forecast["days"].as_array().unwrap();
    assert_eq!((days.len(), &days[60]["bytes"]), (61, &json!(used)));
    assert_eq!((&days[20]["measured"], &days[20]["added_bytes"]), (&true.into(), &json!(60 * MIB)));
    let plans: Vec<_> = forecast["plans"].as_array().unwrap().iter().map(|plan| &plan["plan"]).collect();
    assert_eq!(plans, ["www", "db"]);
    assert_eq!(forecast["plans"][1]["stored_bytes_30_days"], json!(29 * 10 * MIB));

    admin.get("/repositories/other/forecast").fails(404, "not_found");
    let bob = server.user(&admin, "bob", "viewer", "plan:db");
    assert_eq!(bob.get("/storage").is(200).json()["items"], json!([]));
    bob.get("/repositories/main/forecast").fails(404, "not_found");
}

#[test]
fn a_repository_without_a_past_says_why_nothing_is_foreseen() {
    let server = Server::start("");
    let admin = server.admin();
    let main = items(&admin.get("/storage").is(200).json())[0].clone();
    assert_eq!((&main["used"], &main["full_on"], &main["cost"]), (&Value::Null, &Value::Null, &Value::Null));
    assert_eq!((&main["no_forecast"], &main["advice"]), (&"too_little_history".into(), &json!([])));
    let forecast = admin.get("/repositories/main/forecast").is(200).json();
    assert_eq!(
        (&forecast["days"], &forecast["growth"], &forecast["plans"]),
        (&json!([]), &json!([]), &json!([]))
    );
}

fn back_up(client: &Client) -> String {
    let run = client.post("/runs", json!({ "kind": "backup", "plan": "www" })).is(202).json();
    let run = client.wait(&format!("/runs/{}", run["run"].as_str().unwrap()), |run| run["state"] == "ended");
    run["report"]["backup"]["snapshot"]["id"].as_str().unwrap().to_owned()
}

#[test]
fn what_a_prune_would_do_is_found_before_it_is_done() {
    let server = Server::start("");
    let admin = server.admin();
    // What doesn't shrink, and goes with its snapshot.
    let mut noise = vec![0; 3_000_000];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    fs::write(server.desk.path("source/large"), &noise).unwrap();
    let first = back_up(&admin);
    fs::remove_file(server.desk.path("source/large")).unwrap();
    back_up(&admin);
    let viewer = server.user(&admin, "bob", "viewer", "all");
    let unknown = viewer.get("/repositories/main/prune").is(200).json();
    assert_eq!(
        (&unknown["working"], &unknown["plan"]),
        (&false.into(), &Value::Null),
        "who may not run begins nothing"
    );

    let preview = |query: &str| {
        admin.wait(&format!("/repositories/main/prune{query}"), |preview| preview["working"] == false)
    };
    let before = preview("");
    assert_eq!((&before["plan"]["freed_bytes"], &before["error"]), (&0.into(), &Value::Null), "{before:#}");
    assert_eq!(viewer.get("/repositories/main/prune").is(200).json()["found"], before["found"]);
    admin.wait("/snapshots", |page| items(page).len() == 2);
    admin.post(&format!("/snapshots/main/{first}/forget"), json!({})).is(200);
    assert_eq!(preview("")["found"], before["found"], "it is kept for a while");
    admin.get("/repositories/main/prune?max_age_s=31536001").fails(400, "invalid_request");
    let after = preview("?max_age_s=0");
    let freed = after["plan"]["freed_bytes"].as_u64().unwrap();
    assert!((3_000_000..3_100_000).contains(&freed), "{after:#}");
    assert_eq!(
        after["plan"]["bytes"].as_u64().unwrap() - freed,
        after["plan"]["bytes_after"].as_u64().unwrap()
    );

    // A prune does just that.
    let run = admin.post("/runs", json!({ "kind": "prune", "repository": "main" })).is(202).json();
    let run = admin.wait(&format!("/runs/{}", run["run"].as_str().unwrap()), |run| run["state"] == "ended");
    let pruned = &run["report"]["prune"];
    let removed = pruned["bytes_removed"].as_u64().unwrap() - pruned["bytes_written"].as_u64().unwrap();
    assert!(removed.abs_diff(freed) < 4096, "{removed} and {freed}: {pruned:#}");
    let used = items(&admin.get("/storage").is(200).json())[0]["used"]["bytes"].as_u64().unwrap();
    assert_eq!(used, after["plan"]["bytes"].as_u64().unwrap() - removed);
    admin.get("/repositories/other/prune").fails(404, "not_found");
}

#[test]
fn protected_snapshots_are_shown_as_such() {
    let server = Server::start("");
    let admin = server.admin();
    let id = back_up(&admin);
    let row = |page: Value| items(&page).iter().find(|row| row["snapshot"] == json!(id)).cloned();
    let listed = admin.wait("/snapshots", |page| row(page.clone()).is_some());
    assert_eq!(row(listed).unwrap()["protected"], false);
    let protected = || items(&admin.get("/snapshots?protected=true").is(200).json()).len();
    assert_eq!(protected(), 0);
    for (deed, expected) in [("protect", 1), ("unprotect", 0)] {
        admin.post(&format!("/snapshots/main/{id}/{deed}"), json!({})).is(200);
        assert_eq!(protected(), expected, "{deed}");
        let detail = admin.get(&format!("/snapshots/main/{id}")).is(200).json();
        assert_eq!(detail["protected"], json!(expected == 1), "{detail:#}");
    }
}

/// All lines, page by page.
fn search(client: &Client, query: &str, limit: u32) -> Vec<Value> {
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("/logs?{query}&limit={limit}{after}")).is(200).json();
        assert!(items(&page).len() <= usize::try_from(limit).unwrap());
        found.extend(items(&page).iter().cloned());
        let Some(next) = page["next"].as_str() else { return found };
        after = format!("&after={next}");
    }
}

#[test]
fn logs_of_all_runs_are_searched_by_those_who_may_see_names() {
    let server = Server::start(
        "[plan.db]\nrepository = \"main\"\nsource = [{ stream = { name = \"s\", command = [\"false\"] } }]\n",
    );
    let admin = server.admin();
    back_up(&admin);
    let failed = admin.post("/runs", json!({ "kind": "backup", "plan": "db" })).is(202).json();
    let failed = failed["run"].as_str().unwrap();
    admin.wait(&format!("/runs/{failed}"), |run| run["state"] == "ended");
    // The log is written a moment after the end of the run.
    admin.wait("/logs?level=error", |page| !items(page).is_empty());
    let all = search(&admin, "search=", 500);
    let runs: Vec<_> = all.iter().map(|line| (&line["plan"], &line["kind"])).collect();
    assert!(
        runs.contains(&(&"www".into(), &"backup".into())) && runs.contains(&(&"db".into(), &"backup".into()))
    );
    assert_eq!(all[0]["plan"], "db", "the newest first: {all:#?}");
    let at = |line: &Value| line["at"].as_str().unwrap().to_owned();
    assert!(at(&all[0]) >= at(all.last().unwrap()));
    for limit in [1, 3] {
        assert_eq!(search(&admin, "search=", limit), all, "pages of {limit}");
    }
    let of_db = search(&admin, "plan=db", 2);
    assert_eq!(of_db.len(), all.iter().filter(|line| line["plan"] == "db").count());
    assert_eq!(search(&admin, &format!("run={failed}"), 2), of_db);
    assert!(search(&admin, "host=other", 9).is_empty() && search(&admin, "kind=check", 9).is_empty());
    let errors = search(&admin, "level=error", 9);
    assert!(!errors.is_empty() && errors.iter().all(|line| line["level"] == "error"), "{errors:#?}");
    let found = search(&admin, "search=OPEN%20ing&plan=www", 9);
    assert_eq!(
        found.iter().map(|line| &line["message"]).collect::<Vec<_>>(),
        ["opening"],
        "all words, in any case"
    );
    let begin = at(&all[all.len() - 2]);
    let later = search(&admin, &format!("from={begin}"), 9);
    assert!(later.len() < all.len() && later.iter().all(|line| at(line) >= begin), "{later:#?}");

    let page = admin.get("/logs?search=nothing-says-this").is(200).json();
    assert_eq!((&page["items"], &page["next"]), (&json!([]), &Value::Null));
    assert_eq!(page["searched"]["lines"], json!(all.len()), "{page:#}");
    assert!(
        page["searched"]["bytes"].as_u64().unwrap() > 0 && page["searched"]["parts"].as_u64().unwrap() >= 2
    );
    let table = admin.get("/logs.csv?plan=www").is(200);
    assert!(
        table.text.starts_with("at,level,message,fields,run,kind,plan,repository,host\r\n"),
        "{}",
        table.text
    );
    assert_eq!(table.text.lines().count(), 1 + all.len() - of_db.len());
    let long = "x%20".repeat(17);
    admin.get(&format!("/logs?search={long}")).fails(422, "unprocessable");

    let bob = server.user(&admin, "bob", "admin", "all");
    assert_eq!(search(&bob, "search=", 500), Vec::<Value>::new(), "no role has names");
    let grants = json!([{ "role": "viewer", "scope": "plan:db", "see_names": true }]);
    admin.post("/users", json!({ "user": "eve", "password": PASSWORD, "grants": grants })).is(201);
    let mut eve = server.stranger();
    eve.sign_in("/session", json!({ "user": "eve", "password": PASSWORD }));
    assert_eq!(search(&eve, "search=", 500), of_db);
}

#[test]
fn what_comes_next_is_the_same_wherever_it_is_shown() {
    let server = Server::start(
        "[plan.laptop]\nrepository = \"main\"\nschedule = { every = \"20h\" }\n\
         source = [{ stream = { name = \"s\", command = [\"echo\", \"x\"] } }]\n",
    );
    let admin = server.admin();
    let run = admin.post("/runs", json!({ "kind": "backup", "plan": "laptop" })).is(202).json();
    let run = admin.wait(&format!("/runs/{}", run["run"].as_str().unwrap()), |run| run["state"] == "ended");
    let began: Timestamp = run["began"].as_str().unwrap().parse().unwrap();
    let plan = admin.get("/plans/laptop").is(200).json();
    let next: Timestamp = plan["next"].as_str().unwrap().parse().unwrap();
    // Slots are whole seconds.
    assert!((next.duration_since(began).as_secs() - 20 * 3600).abs() <= 1, "{plan:#}");
    assert_eq!(plan["upcoming"][0]["at"], plan["next"]);
    let schedule = admin.get("/schedule").is(200).json();
    let of_plan = items(&schedule).iter().find(|run| run["plan"] == "laptop").unwrap();
    assert_eq!(of_plan["at"], plan["next"], "{schedule:#}");
}
