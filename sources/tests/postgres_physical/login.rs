//! Who gets in, and how.

use std::fs;
use std::io;
use std::num::NonZeroU16;
use std::process::Command;
use std::sync::Mutex;

use keepfast_sources::address::{Address, Password, Place, Tls};
use keepfast_sources::dump::DumpOptions;
use keepfast_sources::engines::{dump, survey};
use keepfast_sources::sink::FolderSink;
use keepfast_testkit::servers::PostgresVersion;

use crate::lab::{Lab, WatchedSink, refusal};

const SECRET: &str = "correct horse";

fn with_password(address: &Address, password: &str) -> Address {
    Address { password: Some(Password::new(password.to_owned().into())), ..address.clone() }
}

/// By SCRAM, MD5 and a password in clear text, each over what may carry it.
#[test]
fn passwords_are_proven_and_never_shown() {
    let lab = Lab::with(PostgresVersion::Debian, &["listen_addresses=127.0.0.1"]);
    let make = |user: &str, how: &str| {
        lab.execute(&format!(
            "SET password_encryption = '{how}'; CREATE ROLE {user} REPLICATION LOGIN PASSWORD '{SECRET}'"
        ));
    };
    make("scram", "scram-sha-256");
    make("hashed", "md5");
    make("clear", "scram-sha-256");
    lab.execute("CREATE ROLE unprivileged LOGIN");
    let data = lab.server.data();
    // OpenSSL's program stands in for an authority.
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-addext"])
        .args(["basicConstraints=critical,CA:FALSE", "-keyout"])
        .arg(data.join("server.key"))
        .arg("-out")
        .arg(data.join("server.crt"))
        .output()
        .expect("openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    if let Some(account) = crate::lab::account() {
        for name in ["server.key", "server.crt"] {
            std::os::unix::fs::chown(data.join(name), Some(account.user), Some(account.group))
                .expect("root may");
        }
    }
    let rules = "local all all trust\nlocal replication postgres trust\nhost replication scram 127.0.0.1/32 scram-sha-256\n\
                 host replication hashed 127.0.0.1/32 md5\nhost replication clear 127.0.0.1/32 password\n\
                 host replication unprivileged 127.0.0.1/32 trust\n";
    fs::write(data.join("pg_hba.conf"), rules).expect("rules");
    lab.execute("ALTER SYSTEM SET ssl = on");
    lab.execute("SELECT pg_reload_conf()");
    crate::lab::wait_until("the server encrypts", || lab.query("SHOW ssl") == "on");
    let place = |host: &str| Place::Server {
        host: host.to_owned(),
        port: NonZeroU16::new(lab.server.port()).expect("a port"),
    };
    let of = |user: &str, tls: Tls| Address {
        place: place("127.0.0.1"),
        user: Some(user.to_owned()),
        tls,
        ..lab.address()
    };
    // Who is in gets the first file of a base backup, and then it is enough.
    let enter = |address: &Address| {
        let sink = WatchedSink {
            folder: FolderSink::new(lab.path("none")),
            pages: Mutex::default(),
            before: &|_| Err(io::Error::other("it is in")),
        };
        let options = DumpOptions { physical: true, ..DumpOptions::default() };
        refusal(dump(address, &options, &sink, &lab.context()))
    };
    let folder = lab.folder("base");
    let options = DumpOptions { physical: true, ..DumpOptions::default() };
    let scram = with_password(&of("scram", Tls::Prefer), SECRET);
    dump(&scram, &options, &FolderSink::new(&folder), &lab.context())
        .expect("a base backup by SCRAM and TLS");
    let trusted = Address {
        place: place("localhost"),
        ca_file: Some(data.join("server.crt")),
        ..with_password(&of("scram", Tls::Verify), SECRET)
    };
    for address in [
        with_password(&of("scram", Tls::Off), SECRET),
        with_password(&of("hashed", Tls::Off), SECRET),
        with_password(&of("clear", Tls::Prefer), SECRET),
        trusted,
    ] {
        let said = enter(&address);
        assert!(said.ends_with("it is in"), "{address}: {said}");
    }
    for (address, why) in [
        (with_password(&of("scram", Tls::Off), "wrong"), "password authentication failed"),
        (of("scram", Tls::Off), "wants a password, and none is given"),
        (
            with_password(&of("clear", Tls::Off), SECRET),
            "in clear text over a connection that isn't encrypted",
        ),
        (with_password(&of("scram", Tls::Verify), SECRET), "certificate"),
        (of("unprivileged", Tls::Off), "replication role"),
    ] {
        let said = enter(&address);
        assert!(said.contains(why), "{why}: {said}");
        assert!(!said.contains(SECRET), "{said}");
    }
    // The same is told before a night shows it.
    let survey = |address: &Address| {
        survey(address, &options, &lab.context())
            .expect("it can be asked")
            .findings
            .into_iter()
            .map(|finding| finding.text)
    };
    let right: Vec<String> = survey(&of("unprivileged", Tls::Off)).collect();
    assert_eq!(right, ["unprivileged may not replicate: ALTER ROLE \"unprivileged\" REPLICATION"]);
    let rule: Vec<String> = survey(&of("stranger", Tls::Off)).collect();
    assert!(matches!(rule.as_slice(), [text] if text.contains("pg_hba.conf, and reload")), "{rule:?}");
    let advice = survey(&scram).collect::<Vec<String>>().join("; ");
    for part in ["archive_timeout is 0", "no checksums", "max_slot_wal_keep_size is -1", "fsync is off"] {
        assert!(advice.contains(part), "{part}: {advice}");
    }
    assert!(!advice.contains("archive_mode is off"), "{advice}");
}
