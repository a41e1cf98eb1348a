//! Databases by the command line: tried, backed up next to files, restored under another name, and refused where something
//! would be lost.

use std::process::Command;

use keepfast_testkit::servers::{PostgresServer, RedisServer};
use serde_json::Value;

use crate::plans::Plans;
use crate::program::Desk;

/// The address of a database of the server, by its socket.
fn address(server: &PostgresServer, name: &str) -> String {
    let (user, port, socket) = (server.user(), server.port(), server.socket().display());
    format!("postgres://{user}@localhost:{port}/{name}?socket={socket}")
}

fn snapshots(desk: &Desk) -> Vec<Value> {
    serde_json::from_str(&desk.run(["snapshots", "--json"]).succeeds().out).unwrap()
}

#[test]
fn a_database_is_tried_backed_up_beside_files_and_restored_under_another_name() {
    let (desk, server) = (Desk::new(), PostgresServer::shared());
    let shop = server.database();
    server.execute(
        &shop,
        "CREATE TABLE orders (id int PRIMARY KEY, name text); \
         INSERT INTO orders SELECT i, 'order ' || i FROM generate_series(1, 5000) i; \
         CREATE VIEW recent AS SELECT * FROM orders WHERE id > 4000",
    );
    let from = address(&server, &shop);
    let tried = desk.run(["sources", "test", "--source", &from]).succeeds();
    assert!(tried.out.contains("a backup would be whole") && tried.out.contains(&shop), "{}", tried.out);

    std::fs::write(desk.src("notes"), "beside it").unwrap();
    let notes = desk.path("src").display().to_string();
    desk.run(["backup", &notes, "--source", &from, "--source-name", "shop"]).succeeds();
    let listed = desk.run(["ls", "--recursive", "latest", "/shop"]).succeeds().out;
    assert!(listed.contains("keepfast.json"), "{listed}");

    let copy = format!("{shop}_copy");
    let to = address(&server, &copy);
    let preview = desk.run(["restore", "--snapshot", "latest", "--database", &to, "--dry-run"]).succeeds();
    assert!(preview.out.contains(&copy) && preview.out.contains("1."), "{}", preview.out);
    let there = |name: &str| {
        server.query("postgres", &format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'"))
    };
    assert_eq!(there(&copy), "0", "a preview changes nothing");

    let restored =
        desk.run(["--json", "restore", "--snapshot", "latest:/shop", "--database", &to]).succeeds();
    let report: Value = serde_json::from_str(&restored.out).unwrap();
    assert_eq!((&report["rows"], &report["tables"]), (&5000.into(), &1.into()), "{report}");
    assert!(report["checks"].as_array().unwrap().iter().all(|check| check["is_right"] == true), "{report}");
    let figures = "SELECT count(*) || ' ' || max(name) || ' ' || (SELECT count(*) FROM recent) FROM orders";
    assert_eq!(server.query(&copy, figures), server.query(&shop, figures));

    // What is there stays, unless one says so.
    server.execute(&copy, "DELETE FROM orders WHERE id > 10");
    let refused = desk.run(["restore", "--snapshot", "latest", "--database", &to]);
    assert_eq!(refused.code, 1, "{}", refused.err);
    assert!(refused.err.contains("isn't empty") && refused.err.contains("--replace"), "{}", refused.err);
    assert_eq!(server.query(&copy, "SELECT count(*) FROM orders"), "10");
    desk.run(["restore", "--snapshot", "latest", "--database", &to, "--replace"]).succeeds();
    assert_eq!(server.query(&copy, figures), server.query(&shop, figures));

    // The second night stores no row again.
    desk.run(["backup", &notes, "--source", &from, "--source-name", "shop"]).succeeds();
    let all = snapshots(&desk);
    let stored = |which: usize| all[which]["summary"]["bytes_new"].as_u64().unwrap();
    assert!(stored(1) * 10 < stored(0), "{} after {}", stored(1), stored(0));
    assert!(desk.is_sound());
}

#[test]
fn what_cannot_be_dumped_makes_no_snapshot_and_passwords_are_refused_in_addresses() {
    let (desk, server) = (Desk::new(), PostgresServer::shared());
    let missing = desk.run(["backup", "--source", &address(&server, "no_such_database")]);
    assert_eq!(missing.code, 1, "{}", missing.err);
    assert!(missing.err.contains("no_such_database"), "{}", missing.err);
    let with_password = desk.run(["backup", "--source", "postgres://ann:s3cret@localhost/shop"]);
    assert_eq!(with_password.code, 2, "{}", with_password.err);
    assert!(
        !with_password.err.contains("s3cret") && with_password.err.contains("password"),
        "{}",
        with_password.err
    );
    let no_server = desk.run(["backup", "--source", "postgres://localhost:1/shop"]);
    assert_eq!(no_server.code, 1, "{}", no_server.err);
    assert!(no_server.err.contains("localhost:1"), "{}", no_server.err);
    assert!(snapshots(&desk).is_empty());
}

#[test]
fn a_plan_backs_up_databases_of_several_kinds_in_one_snapshot() {
    let plans = Plans::new("");
    let redis = RedisServer::start("");
    assert_eq!(redis.ask("MSET a 1 b 2 c 3").trim(), "OK");
    let file = plans.desk.path("app.db");
    let sqlite = |file: &std::path::Path, sql: &str| {
        let done = Command::new("python3")
            .args(["-c", "import sqlite3,sys; c=sqlite3.connect(sys.argv[1]); print(c.executescript(sys.argv[2]) and '' or '', end=''); print(c.execute('select count(*), max(name) from t').fetchone())"])
            .arg(file)
            .arg(sql)
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).into_owned()
    };
    let filled = sqlite(
        &file,
        "PRAGMA journal_mode=wal; CREATE TABLE t (id integer primary key, name text); INSERT INTO t (name) VALUES ('a'), ('b'), ('zz');",
    );
    let config = plans.desk.path("keepfast.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let source = format!(
        "source = [{{ sqlite = {{ path = \"{}\" }}, name = \"app\" }}, {{ redis = {{ socket = \"{}\" }}, name = \"cache\" }}, ",
        file.display(),
        redis.socket().display()
    );
    assert!(text.contains("source = ["), "{text}");
    std::fs::write(&config, text.replacen("source = [", &source, 1)).unwrap();
    let tried = plans.run(&["sources", "test", "www"]);
    assert!(tried.code == 0 || tried.code == 3, "{}", tried.err);
    let report = plans.document(&["run", "www"]);
    assert_eq!(report["verdict"], "ok", "{report}");
    let listed = plans.desk.run(["ls", "--recursive", "latest", "/"]).succeeds().out;
    assert!(listed.contains("app/keepfast.json") && listed.contains("cache/keepfast.json"), "{listed}");

    let to = plans.desk.path("back.db");
    let ambiguous =
        plans.desk.run(["restore", "--snapshot", "latest", "--database", "mongodb://localhost/x"]);
    assert_eq!(ambiguous.code, 2, "{}", ambiguous.err);
    assert!(ambiguous.err.contains("app") && ambiguous.err.contains("cache"), "{}", ambiguous.err);
    plans
        .desk
        .run(["restore", "--snapshot", "latest", "--database", &format!("sqlite://{}", to.display())])
        .succeeds();
    assert_eq!(sqlite(&to, ""), filled);
    assert!(plans.desk.is_sound());
}
