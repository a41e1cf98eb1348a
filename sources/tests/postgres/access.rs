//! Ways in: a password over the network, which no one else on the machine sees, and certificates.

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};

use keepfast_sources::SourceError;
use keepfast_sources::address::{Address, Password, Place, Tls};
use keepfast_sources::dump::DumpOptions;
use keepfast_sources::restore::RestoreOptions;
use keepfast_testkit::servers::PostgresVersion;
use zeroize::Zeroizing;

use crate::lab::{Lab, error_of};

const SECRET: &str = "s3cret:with\\odd 'letters";

/// What others can read of the processes that this test has started, while `work` goes on.
fn seen_during(work: impl FnOnce() + Send) -> (BTreeSet<String>, String) {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let (mut programs, mut all) = (BTreeSet::new(), String::new());
            while !is_over.load(Ordering::SeqCst) {
                for process in children_of(std::process::id()) {
                    let read = |file: &str| fs::read(format!("/proc/{process}/{file}")).unwrap_or_default();
                    let arguments = String::from_utf8_lossy(&read("cmdline")).into_owned();
                    programs.extend(
                        arguments
                            .split('\0')
                            .next()
                            .and_then(|path| path.rsplit('/').next())
                            .map(str::to_owned),
                    );
                    all.push_str(&arguments);
                    all.push_str(&String::from_utf8_lossy(&read("environ")));
                }
            }
            (programs, all)
        });
        work();
        is_over.store(true, Ordering::SeqCst);
        watcher.join().expect("the watcher ends")
    })
}

fn children_of(process: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let of_thread =
        |thread: fs::DirEntry| fs::read_to_string(thread.path().join("children")).unwrap_or_default();
    threads
        .map(of_thread)
        .flat_map(|text| text.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>())
        .collect()
}

#[test]
fn a_password_is_used_over_the_network_and_seen_by_no_one() {
    let lab = Lab::with(PostgresVersion::Debian, &["listen_addresses=127.0.0.1"]);
    let shop = lab.server.database();
    lab.server.execute(
        &shop,
        &format!(
            "CREATE ROLE admin SUPERUSER LOGIN PASSWORD E'{}'; CREATE TABLE t (x integer); INSERT INTO t VALUES (1)",
            SECRET.replace('\\', "\\\\").replace('\'', "''")
        ),
    );
    let hba = lab.server.data().join("pg_hba.conf");
    fs::write(&hba, "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        .expect("the file is written");
    lab.server.execute("postgres", "SELECT pg_reload_conf()");
    let with = |password: &str| Address {
        place: Place::Server {
            host: Ipv4Addr::LOCALHOST.to_string(),
            port: lab.server.port().try_into().expect("a port"),
        },
        user: Some("admin".to_owned()),
        password: Some(Password::new(Zeroizing::new(password.to_owned()))),
        tls: Tls::Prefer,
        ..lab.address(&shop)
    };
    let (error, text) = error_of(lab.dump(&with("wrong one"), &DumpOptions::default(), "none"));
    assert!(matches!(error, SourceError::Connect { .. }), "{error}");
    assert!(
        text.contains("password authentication failed for user \"admin\"") && !text.contains("wrong"),
        "{text}"
    );

    let (programs, all) = seen_during(|| {
        lab.dump(&with(SECRET), &DumpOptions::default(), "dump").expect("a dump");
        let to = Address { database: Some("copy".to_owned()), ..with(SECRET) };
        let options = RestoreOptions { globals: true, ..RestoreOptions::default() };
        let report = lab.restore("dump", &to, &options).expect("a restore");
        assert_eq!((report.rows, report.warnings), (1, vec![]));
    });
    assert!(programs.contains("pg_dump") && programs.contains("pg_restore"), "they were seen: {programs:?}");
    assert!(all.contains("PGPASSFILE=/dev/fd/") && !all.contains("s3cret"));
    for (path, content) in lab.contents("dump") {
        assert!(!String::from_utf8_lossy(&content).contains("s3cret"), "{path}");
    }
}
