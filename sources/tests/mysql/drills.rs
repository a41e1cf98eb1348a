//! A server of its own with a dump inside, and what is asked of it.

use std::fs;
use std::os::unix::fs::chown;
use std::sync::atomic::{AtomicBool, Ordering};

use keepfast_process::tool::Account;
use keepfast_sources::address::{Address, Engine};
use keepfast_sources::boot::{Boot, BootOptions, Booted};
use keepfast_sources::dump::DumpOptions;
use keepfast_sources::engines::{ask, boot, dump, examine, survey};
use keepfast_sources::files::FolderFiles;
use keepfast_sources::manifest::Form;
use keepfast_sources::restore::Until;
use keepfast_sources::sink::FolderSink;
use keepfast_sources::survey::Weight;
use keepfast_testkit::servers::MariaDbServer;

use crate::lab::{Lab, SHOP, address, address_of, contents, files};

fn boot_options(lab: &Lab, name: &str, version: &str) -> BootOptions {
    let folder = lab.folder(name);
    let account = MariaDbServer::account().map(|(user, group)| Account { user, group });
    if let Some(Account { user, group }) = account {
        // The server's user must reach its folder.
        for path in [folder.parent().expect("a folder"), &folder] {
            chown(path, Some(user), Some(group)).expect("root may give a folder away");
        }
    }
    BootOptions { folder, account, version: version.to_owned(), memory: Some(64 << 20), until: None }
}

fn booted(files: &FolderFiles, options: &BootOptions, lab: &Lab) -> Booted {
    match boot(Engine::Mariadb, files, options, &lab.context()).expect("it starts") {
        Boot::Running(booted) => booted,
        Boot::NotHere(why) => panic!("{why}"),
    }
}

/// A dump in a server of its own: it answers, is sound, acts by itself in no way, and is gone afterwards.
#[test]
fn a_dump_is_proven_in_a_server_of_its_own() {
    let server = MariaDbServer::start();
    server.query(SHOP);
    server.query(
        "CREATE USER gone@localhost; CREATE DEFINER=gone@localhost VIEW shop.of_gone AS SELECT 1 AS one;",
    );
    let lab = Lab::new();
    let (manifest, folder) =
        lab.dump_with(&address(&server).with_database("shop"), "dump", &DumpOptions::default());
    drop(server);
    let options = boot_options(&lab, "server", &manifest.server);
    let booted = booted(&files(&folder), &options, &lab);
    assert!(booted.version.starts_with("10.11") && !booted.answered_after.is_zero());
    assert!(
        booted.checks.iter().all(|check| check.is_right) && booted.checks.len() > 5,
        "{:?}",
        booted.checks
    );
    let context = lab.context();
    let of = |query: &str| ask(&booted.address.with_database("shop"), query, &context);
    assert_eq!(of("SELECT COUNT(*) FROM `or``ders`").expect("an answer").as_deref(), Some("5"));
    assert_eq!(of("SELECT note FROM `or``ders` WHERE id = 2").expect("NULL"), None);
    assert_eq!(of("SELECT note FROM `or``ders` WHERE id = 3").expect("a text").as_deref(), Some(""));
    let fish = of("SELECT note FROM `or``ders` WHERE id = 4").expect("a text");
    assert_eq!(fish.as_deref(), Some("🐟 ä \\ ' \" ` ;; ),("));
    assert_eq!(of("SELECT id FROM `or``ders` WHERE id > 99").expect("no row"), None);
    assert_eq!(of("SELECT twice(4)").expect("a function").as_deref(), Some("8"));
    assert_eq!(
        of("SELECT one FROM of_gone").expect("a view").as_deref(),
        Some("1"),
        "its definer isn't there"
    );
    assert_eq!(of("SELECT COUNT(*) FROM mysql.event").expect("an answer").as_deref(), Some("1"));
    assert_eq!(of("SELECT @@skip_networking").expect("an answer").as_deref(), Some("1"));
    assert_eq!(of("SELECT @@event_scheduler").expect("an answer").as_deref(), Some("OFF"));
    assert!(of("SELECT nonsense").is_err());
    assert!(of("\\! touch /tmp/keepfast-was-here").is_err(), "a client's own commands aren't followed");
    let checks = examine(&booted.address, &context).expect("it is examined");
    assert!(checks.len() == 1 && checks[0].is_right, "{checks:?}");

    let pid = fs::read_to_string(options.folder.join("pid")).expect("it runs");
    let process = std::path::Path::new("/proc").join(pid.trim());
    assert!(process.exists());
    drop(booted.server);
    assert!(
        !process.exists() || !fs::read_to_string(process.join("comm")).unwrap_or_default().contains("maria")
    );
}

/// The server's own files, copied while it is written to, then its logs up to a transaction.
#[test]
fn files_of_a_server_are_copied_and_prepared() {
    let server = MariaDbServer::start();
    server.query(SHOP);
    let lab = Lab::new();
    server.query(
        "CREATE USER backup@localhost IDENTIFIED BY 'pw12'; CREATE TABLE shop.busy (a INT PRIMARY KEY, b INT);
         GRANT RELOAD, PROCESS, LOCK TABLES, BINLOG MONITOR ON *.* TO backup@localhost;",
    );
    let is_over = AtomicBool::new(false);
    let options = DumpOptions { physical: true, ..DumpOptions::default() };
    let from = address_of(&server, "backup", "pw12");
    let (manifest, folder) = std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0.. {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                server.query(&format!("INSERT INTO shop.busy VALUES ({n}, 1), (-{n} - 1, -1);"));
            }
        });
        let dumped = lab.dump_with(&from, "dump", &options);
        is_over.store(true, Ordering::Relaxed);
        dumped
    });
    let survey = survey(&from, &options, &lab.context()).expect("it is looked at");
    assert!(survey.findings.iter().all(|finding| finding.weight == Weight::Advice), "{survey:?}");
    assert_eq!((manifest.form, manifest.databases.len()), (Form::Physical, 2));
    let file = manifest.position.get("file").expect("a position").clone();
    let then = |sql: &str| {
        server.query(sql);
        server.query("SELECT @@gtid_binlog_pos;")
    };
    let gtid = then(
        "DELETE FROM shop.parents WHERE id > 2; GRANT INSERT ON shop.* TO reader@localhost; INSERT INTO shop.parents VALUES (3);",
    );
    then("DROP TABLE shop.children; FLUSH BINARY LOGS;");
    fs::create_dir(folder.join("binlogs")).expect("a folder");
    fs::copy(server.data().join(&file), folder.join("binlogs").join(&file)).expect("a log");

    let plain = boot_options(&lab, "plain", &manifest.server);
    let copy = booted(&files(&folder), &plain, &lab);
    let context = lab.context();
    let of = |copy: &Booted, query: &str| {
        ask(&copy.address, query, &context).expect("an answer").unwrap_or_default()
    };
    assert_eq!(of(&copy, "SELECT COUNT(*) FROM shop.`or``ders`"), "5");
    assert_eq!(of(&copy, "SELECT COUNT(*) FROM shop.`.hidden/dir`"), "5000");
    assert_eq!(of(&copy, "SELECT SUM(b) FROM shop.busy"), "0", "half of a transaction is none");
    assert_eq!(of(&copy, "SELECT GROUP_CONCAT(id) FROM shop.parents"), "1,2");
    let checks = examine(&copy.address, &context).expect("it is examined");
    assert!(checks.iter().all(|check| check.is_right), "{checks:?}");
    drop(copy);

    let until = Some(Until::Transaction(gtid));
    let later = booted(
        &files(&folder),
        &BootOptions { until, ..boot_options(&lab, "later", &manifest.server) },
        &lab,
    );
    assert_eq!(of(&later, "SELECT GROUP_CONCAT(id) FROM shop.parents"), "1,2,3");
    assert_eq!(of(&later, "SELECT COUNT(*) FROM shop.children"), "2", "it was dropped later");
    drop(later);

    // A page that is damaged in the store is found by the drill.
    let table = folder.join("data/shop/parents.ibd");
    let mut pages =
        fs::read(&table).unwrap_or_else(|error| panic!("{error}: {:?}", contents(&folder).keys()));
    let at = 3 * 16384 + 8000;
    pages[at] ^= 0xff;
    fs::write(&table, pages).expect("it is damaged");
    let found = match boot(
        Engine::Mariadb,
        &files(&folder),
        &boot_options(&lab, "damaged", &manifest.server),
        &lab.context(),
    ) {
        Ok(Boot::Running(damaged)) => match examine(&damaged.address, &lab.context()) {
            Ok(checks) => checks.iter().any(|check| !check.is_right),
            Err(_) => true,
        },
        Ok(Boot::NotHere(why)) => panic!("{why}"),
        Err(_) => true,
    };
    assert!(found);
    let one = refusal_of_one(&from, &options, &lab);
    assert!(one.contains("whole server"), "{one}");
}

fn refusal_of_one(from: &Address, options: &DumpOptions, lab: &Lab) -> String {
    let sink = FolderSink::new(lab.folder("one"));
    let refused = dump(&from.with_database("shop"), options, &sink, &lab.context());
    refused.expect_err("one database").to_string()
}

/// What can't be tested here says so, and is no fault of the dump.
#[test]
fn a_version_that_isn_t_installed_is_no_verdict() {
    let server = MariaDbServer::start();
    server.query("CREATE DATABASE a; CREATE TABLE a.t (a INT);");
    let lab = Lab::new();
    let (_, folder) = lab.dump(&address(&server), "dump");
    let options = boot_options(&lab, "server", "99.1.2-MariaDB");
    match boot(Engine::Mariadb, &files(&folder), &options, &lab.context()).expect("it is looked at") {
        Boot::NotHere(why) => assert!(why.contains("99.1.2"), "{why}"),
        Boot::Running(_) => panic!("no such server is installed"),
    }
}
