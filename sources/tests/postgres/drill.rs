//! Drills: a dump is proven in a server of its own, which leaves nothing behind.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use keepfast_process::tool::Account;
use keepfast_sources::boot::{Boot, BootOptions};
use keepfast_sources::dump::DumpOptions;
use keepfast_sources::engines::{ask, boot, examine};
use keepfast_testkit::servers::PostgresVersion;

use crate::lab::Lab;

fn account() -> Option<Account> {
    let user = uzers::get_user_by_name("postgres").expect("setup makes the user postgres");
    let is_root = rustix::process::geteuid().is_root();
    is_root.then(|| Account { user: user.uid(), group: user.primary_group_id() })
}

/// Whether any process works in a folder.
fn is_in_use(folder: &Path) -> bool {
    let processes = fs::read_dir("/proc").expect("processes").flatten();
    processes
        .filter_map(|process| fs::read_link(process.path().join("cwd")).ok())
        .any(|place| place.starts_with(folder))
}

fn drill(version: PostgresVersion) {
    let lab = Lab::of(version);
    let shop = lab.server.database();
    lab.server.execute(&shop, include_str!("odd.sql"));
    let manifest = lab.dump(&lab.whole(), &DumpOptions::default(), "dump").expect("a dump");
    let folder = tempfile::tempdir().expect("a folder");
    let account = account();
    if let Some(account) = account {
        chown(folder.path(), Some(account.user), Some(account.group)).expect("root may");
    }
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).expect("a mode");
    let options = BootOptions {
        folder: folder.path().to_owned(),
        account,
        version: manifest.server.clone(),
        memory: Some(256 << 20),
        until: None,
    };
    let Boot::Running(server) =
        boot(manifest.engine, &lab.files("dump"), &options, &lab.context()).expect("a server")
    else {
        panic!("it can be tested here");
    };
    assert!(server.checks.iter().all(|check| check.is_right), "{:?}", server.checks);
    assert!(
        server
            .checks
            .iter()
            .any(|check| check.name == format!("rows of {shop}.public.orders") && check.found == "5000")
    );
    let of_shop = server.address.with_database(&shop);
    let checks = examine(&server.address, &lab.context()).expect("an examination");
    assert_eq!(checks.len(), 2, "{checks:?}");
    assert!(checks.iter().all(|check| check.is_right && check.name.starts_with("amcheck of ")), "{checks:?}");
    let answer = |query: &str| ask(&of_shop, query, &lab.context());
    assert_eq!(answer("SELECT count(*) FROM orders").expect("an answer").as_deref(), Some("5000"));
    assert_eq!(answer("SELECT NULL").expect("an answer"), None);
    assert_eq!(answer("SELECT 1 WHERE false").expect("an answer"), None);
    answer("DELETE FROM orders").expect_err("a question changes nothing");
    let owner = "SELECT tableowner FROM pg_tables WHERE tablename = 'items'";
    assert_eq!(answer(owner).expect("an answer").as_deref(), Some("Odd Owner"));

    // An index that lacks a row is found.
    let statements = [
        "UPDATE pg_index SET indisready = false WHERE indexrelid = 'orders_pkey'::regclass",
        "INSERT INTO orders (amount) VALUES (1)",
        "UPDATE pg_index SET indisready = true WHERE indexrelid = 'orders_pkey'::regclass",
    ];
    for statement in statements {
        let mut psql = lab.server.command("psql");
        psql.arg("--host").arg(folder.path()).args([
            "--no-psqlrc",
            "--port=5432",
            "--command",
            statement,
            &shop,
        ]);
        assert!(psql.output().expect("psql starts").status.success(), "{statement}");
    }
    let checks = examine(&of_shop, &lab.context()).expect("an examination");
    assert!(!checks[0].is_right && checks[0].found.contains("orders_pkey"), "{checks:?}");

    assert!(is_in_use(folder.path()), "the server is there");
    drop(server);
    assert!(!is_in_use(folder.path()), "it is gone, with its processes");
}

#[test]
fn a_dump_is_proven_in_a_server_of_its_own_debian() {
    drill(PostgresVersion::Debian);
}

#[test]
fn a_dump_is_proven_in_a_server_of_its_own_18() {
    drill(PostgresVersion::V18);
}

/// A version that isn't here says nothing about the dump.
#[test]
fn a_version_that_is_not_installed_is_no_verdict() {
    let lab = Lab::of(PostgresVersion::Debian);
    let manifest = lab.dump(&lab.address("postgres"), &DumpOptions::default(), "dump").expect("a dump");
    let options = BootOptions {
        folder: lab.place("drill"),
        account: account(),
        version: "13.4".to_owned(),
        memory: None,
        until: None,
    };
    match boot(manifest.engine, &lab.files("dump"), &options, &lab.context()).expect("no verdict") {
        Boot::NotHere(why) => assert_eq!(why, "PostgreSQL 13 isn't installed here"),
        Boot::Running(_) => panic!("13 isn't installed"),
    }
}
