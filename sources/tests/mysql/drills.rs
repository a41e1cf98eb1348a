//! A server of its own with a dump inside, and what is asked of it.

use std::fs;
use std::os::unix::fs::chown;

use keepfast_process::tool::Account;
use keepfast_sources::address::Engine;
use keepfast_sources::boot::{Boot, BootOptions, ask, boot, examine};
use keepfast_sources::dump::DumpOptions;
use keepfast_sources::files::FolderFiles;
use keepfast_testkit::servers::MariaDbServer;

use crate::lab::{Lab, SHOP, address, files};

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

fn booted(files: &FolderFiles, options: &BootOptions, lab: &Lab) -> keepfast_sources::boot::Booted {
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
    assert_eq!(
        of("SELECT COUNT(*) FROM information_schema.events").expect("an answer").as_deref(),
        Some("1")
    );
    assert_eq!(of("SELECT @@skip_networking").expect("an answer").as_deref(), Some("1"));
    assert_eq!(of("SELECT @@event_scheduler").expect("an answer").as_deref(), Some("DISABLED"));
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
