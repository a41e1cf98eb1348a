//! Sums over many runs: by parts of time, by plans, by repositories; and those of runs from before there were any.

use keepfast_store::{
    BackupFilter, Ending, Figures, FoundBytes, HostId, NewRun, RepositoryId, RunKind, RunSubject, SlotChange,
    Store, Trigger, VerdictKind, Work,
};
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, Executor as _};

use crate::lab::{Lab, On, at, claim, decision, executor, id, new_run, on_both, plan, unfired, work};

on_both! {
    backups_are_summed_up_by_part_plan_and_verdict;
    what_was_stored_and_found_is_known_for_each_repository;
    runs_of_older_tables_have_their_figures;
}

const DAY: i64 = 86_400;

fn repository(name: &str) -> RepositoryId {
    RepositoryId::new(name).unwrap()
}

fn figures(size: u64) -> Figures {
    Figures {
        files: Some(size / 100),
        source_bytes: Some(size),
        read_bytes: Some(size / 2),
        new_bytes: Some(size / 10),
        stored_bytes: Some(size / 20),
        found_bytes: None,
    }
}

/// A run of a kind that begins at a second and takes some.
async fn run(store: &Store, run: NewRun, second: i64, takes: i64, done: Work) {
    let name = run.id.clone();
    store.queue(at(second), &run).await.unwrap();
    let held = claim(store, at(second), &name, &executor("a")).await.unwrap();
    store.start(at(second), &held).await.unwrap();
    store.end(at(second + takes), &held, &done).await.unwrap();
}

fn backup(name: &str, of: &str, host: &str) -> NewRun {
    let subject = RunSubject {
        plan: Some(plan(of)),
        repository: Some(repository("main")),
        host: Some(HostId::new(host).unwrap()),
        drill: None,
    };
    NewRun { subject, ..new_run(name, &plan(of), Trigger::Manual) }
}

async fn backups_are_summed_up_by_part_plan_and_verdict(lab: Lab) {
    let store = lab.open().await;
    let good = |size| Work { figures: figures(size), ..work(Ending::Ok) };
    run(&store, backup("one", "www", "web1"), 10, 4, good(1000)).await;
    run(&store, backup("two", "www", "web2"), 20, 2, good(3000)).await;
    run(&store, backup("three", "www", "web1"), 30, 9, work(Ending::Failed)).await;
    run(&store, backup("next day", "www", "web1"), DAY, 7, good(5000)).await;
    let missed = unfired(&plan("db"), at(DAY + 10), at(DAY + 30), 3, "the server was down");
    store.decide(at(DAY + 40), &decision(&plan("db"), None, vec![SlotChange::Missed(missed)])).await.unwrap();
    let check = NewRun { kind: RunKind::Check, ..backup("a check", "www", "web1") };
    run(&store, check, 40, 1, work(Ending::Ok)).await;

    let bounds = [at(0), at(DAY), at(2 * DAY)];
    let sums = async |filter: BackupFilter| {
        let mut sums = store.backup_sums(&bounds, &filter).await.unwrap();
        sums.sort_by_key(|sum| (sum.part, sum.plan.clone(), sum.verdict.map(VerdictKind::as_str)));
        sums.iter_mut().for_each(|sum| sum.durations_ms.sort_unstable());
        sums
    };
    let all = sums(BackupFilter::default()).await;
    let told: Vec<_> = all
        .iter()
        .map(|sum| (sum.part, sum.plan.as_str(), sum.verdict.map(VerdictKind::as_str), sum.slots))
        .collect();
    let expected = [
        (0, "www", Some("failed"), 1),
        (0, "www", Some("ok"), 2),
        (1, "db", Some("missed"), 3),
        (1, "www", Some("ok"), 1),
    ];
    assert_eq!(told, expected);
    let good = &all[1];
    assert_eq!(good.durations_ms, [2000, 4000]);
    let counted = [good.files, good.source_bytes, good.read_bytes, good.new_bytes, good.stored_bytes];
    assert_eq!(counted, [40, 4000, 2000, 400, 200]);
    assert_eq!((&*all[0].durations_ms, all[0].stored_bytes), (&[][..], 0), "it has made no snapshot");

    let of_host =
        sums(BackupFilter { host: Some(HostId::new("web2").unwrap()), ..BackupFilter::default() }).await;
    assert_eq!(of_host.iter().map(|sum| sum.source_bytes).collect::<Vec<_>>(), [3000]);
    let of_plan = sums(BackupFilter { plan: Some(plan("db")), ..BackupFilter::default() }).await;
    assert_eq!(of_plan.iter().map(|sum| (sum.part, sum.slots)).collect::<Vec<_>>(), [(1, 3)]);
    assert_eq!(store.backup_sums(&bounds[..1], &BackupFilter::default()).await.unwrap(), []);
}

async fn what_was_stored_and_found_is_known_for_each_repository(lab: Lab) {
    let store = lab.open().await;
    let good = |size| Work { figures: figures(size), ..work(Ending::Ok) };
    run(&store, backup("one", "www", "web1"), 10, 5, good(1000)).await;
    run(&store, backup("two", "db", "web1"), DAY + 10, 5, good(2000)).await;
    let found = |bytes| Work {
        figures: Figures { found_bytes: Some(bytes), ..Figures::default() },
        ..work(Ending::Ok)
    };
    for (name, second, bytes) in [("early", 50, 700), ("check", 100, 900), ("later", DAY + 100, 1000)] {
        let subject = RunSubject { repository: Some(repository("main")), ..RunSubject::default() };
        let check = NewRun { kind: RunKind::Check, subject, ..backup(name, "www", "web1") };
        run(&store, check, second, 5, found(bytes)).await;
    }
    let sums = store.stored_sums(&[at(0), at(DAY), at(2 * DAY)]).await.unwrap();
    let told: Vec<_> = sums
        .iter()
        .map(|sum| (sum.part, sum.repository.as_str(), sum.plan.as_str(), sum.stored_bytes))
        .collect();
    assert_eq!(told, [(0, "main", "www", 50), (1, "main", "db", 100)]);
    let found = store.found_bytes(&repository("main"), at(DAY)).await.unwrap();
    let expected =
        [(105, 900), (DAY + 105, 1000)].map(|(second, bytes)| FoundBytes { at: at(second), bytes });
    assert_eq!(found, expected, "and of those before, the newest");
    let since = async |name: &str, second| store.stored_since(&repository(name), at(second)).await.unwrap();
    assert_eq!([since("main", 0).await, since("main", 15).await, since("other", 0).await], [150, 100, 0]);
    assert_eq!(store.found_bytes(&repository("other"), at(0)).await.unwrap(), []);
    assert_eq!(store.run(&id("later")).await.unwrap().unwrap().found_bytes, Some(1000));
}

/// What reports of older versions say: those of runs that counted nothing, too.
const OLD_RUNS: [(&str, &str, &str); 6] = [
    (
        "a backup",
        "backup",
        r#"{"verdict":"ok","backup":{"summary":{"files_new":1,"files_changed":2,"files_unchanged":3,"bytes_total":600,"bytes_read":300,"bytes_new":60,"bytes_stored":30}}}"#,
    ),
    ("a failed one", "backup", r#"{"verdict":"failed","error":"no \u0000 answer","backup":null}"#),
    ("a check", "check", r#"{"read":{"bytes_all":5000}}"#),
    ("a failed check", "check", r#"{"read":null}"#),
    ("a prune", "prune", r#"{"prune":{"plan":{"bytes":5000},"bytes_written":100,"bytes_removed":900}}"#),
    ("a failed prune", "prune", r#"{"prune":null}"#),
];

async fn runs_of_older_tables_have_their_figures(lab: Lab) {
    older_tables(&lab).await;
    let store = lab.open().await;
    let sums = store.backup_sums(&[at(0), at(DAY)], &BackupFilter::default()).await.unwrap();
    let [sum] = &sums[..] else { panic!("{sums:?}") };
    assert_eq!((sum.slots, &*sum.durations_ms), (2, &[60_000][..]));
    let counted = [sum.files, sum.source_bytes, sum.read_bytes, sum.new_bytes, sum.stored_bytes];
    assert_eq!(counted, [6, 600, 300, 60, 30]);
    let found = store.found_bytes(&repository("main"), at(0)).await.unwrap();
    assert_eq!(found.iter().map(|found| found.bytes).collect::<Vec<_>>(), [5000, 4200]);
}

/// Makes the tables of the versions before figures, with runs.
async fn older_tables(lab: &Lab) {
    let folder = match lab.on() {
        On::Sqlite => "migrations/sqlite",
        On::Postgres => "migrations/postgres",
    };
    let all = Migrator::new(std::path::Path::new(folder)).await.unwrap();
    let older = all.iter().filter(|migration| migration.version < 6).cloned().collect();
    let older = Migrator::with_migrations(older);
    let mut statements = Vec::new();
    for (number, (name, kind, report)) in (0_i64..).zip(OLD_RUNS) {
        let (begin, end) = (at(number).as_micros(), at(number + 60).as_micros());
        statements.push(format!(
            "INSERT INTO run (id, kind, plan, repository, slots, due, trigger_kind, root, attempt, state, verdict, \
             created, started, ended, beat, config, report) VALUES ('{name}', '{kind}', 'www', 'main', 1, {begin}, \
             'manual', '{name}', 1, 'ended', 'ok', {begin}, {begin}, {end}, 1, 'c', '{report}')"
        ));
    }
    match lab.on() {
        On::Sqlite => {
            let options =
                sqlx::sqlite::SqliteConnectOptions::new().filename(lab.state()).create_if_missing(true);
            let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
            older.run(&pool).await.unwrap();
            for sql in statements {
                pool.execute(AssertSqlSafe(sql)).await.unwrap();
            }
            pool.close().await;
        }
        On::Postgres => {
            let place = lab.postgres().1;
            let options = sqlx::postgres::PgConnectOptions::new_without_pgpass()
                .socket(&place.host)
                .port(place.port)
                .username(&place.user)
                .database(&place.database);
            let pool = sqlx::PgPool::connect_with(options).await.unwrap();
            older.run(&pool).await.unwrap();
            for sql in statements {
                pool.execute(AssertSqlSafe(sql)).await.unwrap();
            }
            pool.close().await;
        }
    }
}
