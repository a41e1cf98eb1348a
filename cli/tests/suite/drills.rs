//! Drills: `keepfast drill`, and what `status` says of what they have shown.

use std::fs;
use std::process::Command;

use keepfast_testkit::servers::{MariaDbServer, PostgresServer, RedisServer};

use crate::plans::{NIGHTLY, Plans};

/// A desk with a plan that was backed up, and a drill of it.
fn drilled(drill: &str) -> Plans {
    let plans = Plans::new(&format!(
        "{NIGHTLY}\n[drill.weekly]\nplan = \"www\"\nschedule = {{ cron = \"0 6 * * 1\" }}\n{drill}"
    ));
    plans.run(&["run", "www"]).succeeds();
    plans
}

fn folders(plans: &Plans) -> usize {
    let drills = fs::read_dir(plans.desk.path("state/drills"));
    drills.map_or(0, |drills| drills.filter(|entry| entry.as_ref().unwrap().path().is_dir()).count())
}

#[test]
fn a_drill_proves_a_plan_and_keeps_evidence() {
    let b = |plans: &Plans| plans.desk.src("docs/b.txt").display().to_string();
    let plans = drilled("corrupt = true\nrto = \"1h\"");
    assert_eq!(plans.document(&["status"])[0]["proven"], serde_json::Value::Null);
    assert!(plans.run(&["status"]).succeeds().out.contains("never"));
    let text = fs::read_to_string(plans.desk.path("keepfast.toml")).unwrap();
    let expecting = format!("{text}\nexpect = [{{ path = {:?}, min = 30000 }}]\n", b(&plans));
    fs::write(plans.desk.path("keepfast.toml"), expecting).unwrap();

    let ran = plans.document(&["drill", "run", "weekly"]);
    assert_eq!((ran["verdict"].as_str(), ran["findings"].as_u64()), (Some("ok"), Some(0)), "{ran}");
    let evidence = &ran["evidence"];
    assert_eq!((evidence["verdict"].as_str(), evidence["plan"].as_str()), (Some("pass"), Some("www")));
    let parts: Vec<_> = evidence["parts"].as_array().unwrap().iter().map(|part| &part["name"]).collect();
    assert_eq!(parts, ["files", "corruption"]);
    assert!(evidence["restore"]["measured_ms"].as_u64().unwrap() < 3_600_000);
    assert_eq!(folders(&plans), 0, "nothing is left");

    let listed = plans.document(&["drill", "list"]);
    assert_eq!((listed[0]["drill"].as_str(), listed[0]["plan"].as_str()), (Some("weekly"), Some("www")));
    assert_eq!(listed[0]["last"]["evidence"], *evidence);
    assert!(plans.run(&["drill", "list"]).succeeds().out.contains("passed"));
    let run = listed[0]["last"]["run"].as_str().unwrap();
    assert_eq!(plans.document(&["drill", "show", &run[..8]]), *evidence);
    let shown = plans.run(&["drill", "show", "weekly"]).succeeds().out;
    assert!(shown.contains("files: passed") && shown.contains("live files: 3 equal"), "{shown}");

    let status = plans.document(&["status"]);
    assert!(status[0]["proven"].as_str().is_some(), "{status}");
    assert_eq!(status[0]["standing"], "ok");
    let kept = ran["kept"].as_str().unwrap();
    let out = plans.desk.path("out");
    let arguments = ["restore", "--snapshot", kept, "--target", out.to_str().unwrap()];
    plans.desk.run(arguments).succeeds();
    let files = fs::read_dir(out.join("evidence/weekly")).unwrap();
    let names: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.iter().any(|name| name.ends_with(".json")) && names.len() == 2, "{names:?}");
}

#[test]
fn a_drill_that_finds_a_fault_fails_and_proves_nothing() {
    let plans = drilled("expect = [{ path = \"/no/such/file\" }]");
    plans
        .run(&["drill", "run", "weekly"])
        .fails(1, &["drill weekly failed", "/no/such/file: it isn't there"]);
    let ran = plans.document_of(1, &["drill", "run", "weekly"]);
    assert_eq!(
        (ran["verdict"].as_str(), ran["evidence"]["verdict"].as_str()),
        (Some("failed"), Some("fail"))
    );
    assert_eq!(plans.document(&["status"])[0]["proven"], serde_json::Value::Null);
    let runs = plans.document(&["runs", "list", "--kind", "drill"]);
    assert_eq!(
        (runs[0]["verdict"].as_str(), runs[0]["error"]["category"].as_str()),
        (Some("failed"), Some("damage"))
    );
    assert_eq!(folders(&plans), 0);
}

#[test]
fn a_drill_never_touches_a_live_place_and_what_is_not_there_is_said() {
    let plans = drilled("");
    plans.run(&["drill", "run", "daily"]).fails(2, &["there is no drill \"daily\"; there is weekly"]);
    plans.run(&["drill", "show", "weekly"]).fails(2, &["no run of drill weekly has evidence"]);
    // The repository is no place of a plan, so that the configuration alone doesn't refuse it.
    let text = fs::read_to_string(plans.desk.path("keepfast.toml")).unwrap();
    let into = format!("{text}into = {:?}\n", plans.desk.repo().join("packs"));
    fs::write(plans.desk.path("keepfast.toml"), into).unwrap();
    plans.run(&["drill", "run", "weekly"]).fails(2, &["overlaps the repository main"]);
    // A plan without a snapshot can't be tested, which is no fault of a backup.
    let fresh = Plans::new(&format!(
        "{NIGHTLY}\n[drill.weekly]\nplan = \"www\"\nschedule = {{ cron = \"0 6 * * 1\" }}"
    ));
    let ran = fresh.document_of(3, &["drill", "run", "weekly"]);
    assert_eq!(ran["evidence"]["verdict"], "not_tested");
}

/// Each engine that is installed here, in one snapshot: all are started, examined and counted; and a fault is found.
#[test]
fn databases_of_four_kinds_are_started_on_their_own_and_asked() {
    let (postgres, redis, mariadb) =
        (PostgresServer::shared(), RedisServer::start(""), MariaDbServer::start());
    let shop = postgres.database();
    postgres.execute(
        &shop,
        "CREATE TABLE orders (id int PRIMARY KEY); INSERT INTO orders SELECT generate_series(1, 5000)",
    );
    assert_eq!(redis.ask("MSET a 1 b 2 c 3").trim(), "OK");
    mariadb.query("CREATE DATABASE blog; CREATE TABLE blog.posts (id int PRIMARY KEY); INSERT INTO blog.posts VALUES (1), (2)");
    let plans = Plans::new("");
    let file = plans.desk.path("app.db");
    let script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); \
                  c.executescript('create table t (id integer primary key); insert into t values (1), (2)')";
    assert!(Command::new("python3").args(["-c", script]).arg(&file).status().unwrap().success());
    let sources = [
        format!(
            "{{ postgres = {{ socket = {:?}, port = {}, user = {:?}, dbname = {shop:?} }}, name = \"shop\" }}",
            postgres.socket(),
            postgres.port(),
            postgres.user()
        ),
        format!("{{ redis = {{ socket = {:?} }}, name = \"cache\" }}", redis.socket()),
        format!(
            "{{ mariadb = {{ socket = {:?}, user = {:?}, dbname = \"blog\" }}, name = \"blog\" }}",
            mariadb.socket(),
            mariadb.user()
        ),
        format!("{{ sqlite = {{ path = {file:?} }}, name = \"app\" }}"),
    ];
    let drill = |name: &str, engine: &str, sql: &str, min: u32| {
        format!(
            "[drill.{name}]\nplan = \"data\"\nschedule = {{ cron = \"0 6 * * 1\" }}\nboot = {{ engine = \"{engine}\" }}\n\
             expect = [{{ sql = \"{sql}\", min = {min} }}]\n"
        )
    };
    plans.define(&format!(
        "[plan.data]\nrepository = \"main\"\nsource = [{}]\n{}{}",
        sources.join(", "),
        drill("right", "postgres", "select count(*) from orders", 5000),
        drill("wrong", "sqlite", "select count(*) from t", 3),
    ));
    assert_eq!(plans.document(&["run", "data"])["verdict"], "ok");

    let ran = plans.document(&["drill", "run", "right"]);
    let parts = ran["evidence"]["parts"].as_array().unwrap();
    let of = |name: &str| {
        parts.iter().find(|part| part["name"] == name).unwrap_or_else(|| panic!("{name}: {ran}"))
    };
    for name in ["database shop", "database cache", "database blog", "database app"] {
        assert_eq!(of(name)["verdict"], "pass", "{ran}");
    }
    let asked = of("database shop")["checks"].as_array().unwrap().iter();
    assert!(asked.clone().any(|check| check["found"] == "5000"), "{ran}");
    assert!(ran["evidence"]["restore"]["measured_ms"].as_u64().is_some());

    let ran = plans.document_of(1, &["drill", "run", "wrong"]);
    let failed: Vec<_> = ran["evidence"]["parts"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|part| part["verdict"] == "fail")
        .collect();
    assert_eq!((failed.len(), &failed[0]["name"]), (1, &"database app".into()), "{ran}");
    assert!(ran["error"].as_str().unwrap().contains("select count(*) from t: 2 and not at least 3"), "{ran}");
}
