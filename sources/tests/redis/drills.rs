//! Servers of their own that load a dump.

use std::os::unix::fs::{PermissionsExt, chown};

use keepfast_process::tool::Account;
use keepfast_sources::SourceError;
use keepfast_sources::address::Engine;
use keepfast_sources::boot::{Boot, BootOptions};
use keepfast_sources::dump::DumpOptions;
use keepfast_sources::engines::{ask, boot, dump, examine};
use keepfast_sources::files::FolderFiles;
use keepfast_sources::sink::FolderSink;
use keepfast_testkit::servers::RedisServer;

use crate::kv::{Around, flipped};
use crate::round_trips::{SETTINGS, address};

/// A folder for a server that runs as someone else, if this process may do that.
fn options(around: &Around, name: &str, version: &str) -> BootOptions {
    let folder = around.place(name);
    let is_root =
        std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    let account = is_root.then_some(Account { user: 65_534, group: 65_534 });
    if let Some(Account { user, group }) = account {
        chown(&folder, Some(user), Some(group)).expect("root may give a folder away");
        let open = std::fs::Permissions::from_mode(0o711);
        std::fs::set_permissions(around.folder.path(), open).expect("a mode");
    }
    BootOptions { folder, account, version: version.to_owned(), memory: Some(1 << 30), until: None }
}

#[test]
fn a_server_of_its_own_loads_a_dump_and_answers_until_it_is_let_go() {
    let from = RedisServer::start(SETTINGS);
    let _ = from.ask("DEBUG POPULATE 1000\nSET soon x EX 100000\nSELECT 2\nHSET hash name value");
    let around = Around::new();
    let place = around.place("dump");
    let manifest =
        dump(&address(&from), &DumpOptions::default(), &FolderSink::new(&place), &around.context())
            .expect("a dump");
    let files = FolderFiles::new(&place);
    let options = options(&around, "server", &manifest.server);
    let Boot::Running(booted) = boot(Engine::Redis, &files, &options, &around.context()).expect("it loads")
    else {
        panic!("it isn't here");
    };
    assert_eq!(booted.version, manifest.server);
    let names: Vec<&str> = booted.checks.iter().map(|check| check.name.as_str()).collect();
    assert!(
        names.contains(&"redis-check-rdb") && names.contains(&"keys that were loaded or have expired"),
        "{names:?}"
    );
    assert!(names.contains(&"keys in database 2"), "{names:?}");
    assert!(booted.checks.iter().all(|check| check.is_right), "{:?}", booted.checks);
    assert!(!booted.answered_after.is_zero());
    let examined = examine(&booted.address, &around.context()).expect("it is examined");
    assert!(examined.len() == 3 && examined.iter().all(|check| check.is_right), "{examined:?}");
    let ask = |database: &str, query: &str| {
        ask(&booted.address.with_database(database), query, &around.context())
            .map_err(|error| error.to_string())
    };
    assert_eq!(ask("2", "HGET hash name"), Ok(Some("value".to_owned())));
    assert_eq!(ask("2", "GET nothing"), Ok(None));
    assert_eq!(ask("0", "DBSIZE"), Ok(Some("1001".to_owned())));
    assert!(ask("0", "HGET key:0 x").is_err_and(|error| error.contains("WRONGTYPE")));
    let address = booted.address.clone();
    drop(booted);
    assert!(examine(&address, &around.context()).is_err());
}

#[test]
fn a_planted_fault_is_found_and_another_version_says_nothing_about_the_dump() {
    let from = RedisServer::start(SETTINGS);
    let _ = from.ask("DEBUG POPULATE 1000");
    let around = Around::new();
    let place = around.place("dump");
    let manifest =
        dump(&address(&from), &DumpOptions::default(), &FolderSink::new(&place), &around.context())
            .expect("a dump");
    let damaged = around.folder.path().join("damaged");
    flipped(&place, &damaged, "dump.rdb", |bytes| bytes / 2);
    let booted = boot(
        Engine::Redis,
        &FolderFiles::new(&damaged),
        &options(&around, "first", &manifest.server),
        &around.context(),
    );
    assert!(matches!(booted, Err(SourceError::Dump { .. })));
    // A fault that a checksum doesn't show: the server's own programs must.
    let mut bytes = std::fs::read(damaged.join("dump.rdb")).expect("a file");
    let end = bytes.len() - 8;
    bytes[end..].fill(0);
    // The key's type becomes one that there isn't.
    let at = bytes.windows(5).position(|window| &window[..4] == b"key:").expect("a key") - 2;
    bytes[at] = 0x33;
    std::fs::write(damaged.join("dump.rdb"), &bytes).expect("it can be written");
    let booted = boot(
        Engine::Redis,
        &FolderFiles::new(&damaged),
        &options(&around, "second", &manifest.server),
        &around.context(),
    );
    let error = booted.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("redis-check-rdb finds a fault"), "{error}");
    for version in ["99.0.1", "valkey 99.1"] {
        let options = options(&around, version, version);
        let booted = boot(Engine::Redis, &FolderFiles::new(&place), &options, &around.context());
        let is_here = matches!(booted, Ok(Boot::Running(_)));
        assert_eq!(is_here, version.starts_with("valkey"), "{version}");
    }
}
