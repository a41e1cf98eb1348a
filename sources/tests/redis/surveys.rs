//! What is said of servers before a night comes: rights, kinds, settings; and that passwords stay secret.

use std::process::Command;

use keepfast_sources::SourceError;
use keepfast_sources::address::{Address, Tls};
use keepfast_sources::dump::{DumpOptions, Selection};
use keepfast_sources::engines::{dump, survey};
use keepfast_sources::sink::FolderSink;
use keepfast_sources::survey::Weight;
use keepfast_testkit::servers::RedisServer;

use crate::kv::{Acting, Around, with_password};

const PASSWORD: &str = "correct-horse-battery";

#[test]
fn a_user_without_rights_is_told_what_to_allow_and_passwords_are_never_shown() {
    let server = RedisServer::start(&format!(
        "requirepass {PASSWORD}\nuser backup on >{PASSWORD} ~* +psync +replconf +info +ping\n\
         user reader on >{PASSWORD} ~* +get +ping +info +acl\nuser blind on >{PASSWORD} +ping\n"
    ));
    let around = Around::new();
    around.secrets.learn(PASSWORD.as_bytes());
    let place = format!("127.0.0.1:{}", server.port());
    let with = |user: &str, password: &str| with_password(&format!("redis://{user}@{place}"), password);
    let options = DumpOptions::default();

    let reader = survey(&with("reader", PASSWORD), &options, &around.context()).expect("a survey");
    assert!(!reader.is_whole());
    let texts: Vec<&str> = reader.findings.iter().map(|finding| finding.text.as_str()).collect();
    assert!(
        texts.iter().any(|text| text.contains("'psync'") && text.contains("ACL SETUSER reader +psync")),
        "{texts:?}"
    );
    let blind = survey(&with("blind", PASSWORD), &options, &around.context()).expect("a survey");
    assert!(blind.findings[0].text.contains("ACL SETUSER blind +psync +replconf +info +ping"), "{blind:?}");
    let error =
        dump(&with("reader", PASSWORD), &options, &Acting::full(1), &around.context()).expect_err("no dump");
    assert!(error.to_string().contains("REPLCONF: NOPERM"), "{error}");

    let backup = survey(&with("backup", PASSWORD), &options, &around.context()).expect("a survey");
    assert!(backup.is_whole(), "{backup:?}");
    let dumped =
        dump(&with("backup", PASSWORD), &options, &FolderSink::new(around.place("dump")), &around.context());
    assert_eq!(dumped.expect("a dump").server, backup.server);
    let without_user = with_password(&format!("redis://{place}"), PASSWORD);
    survey(&without_user, &options, &around.context()).expect("the user without a name");

    for address in
        [with("backup", "wrong-password"), Address::parse(&format!("redis://{place}")).expect("an address")]
    {
        let error = survey(&address, &options, &around.context()).expect_err("it isn't let in");
        assert!(matches!(error, SourceError::Connect { .. }), "{error:?}");
        let shown = format!("{error} {error:?} {address:?}");
        assert!(!shown.contains(PASSWORD) && !shown.contains("wrong-password"), "{shown}");
        assert!(shown.contains("WRONGPASS") || shown.contains("NOAUTH"), "{shown}");
    }
    let kept = std::fs::read_dir(around.folder.path().join("dump")).expect("a dump").flatten();
    for file in kept {
        let bytes = std::fs::read(file.path()).expect("a file");
        assert!(!bytes.windows(PASSWORD.len()).any(|window| window == PASSWORD.as_bytes()), "{file:?}");
    }
}

#[test]
fn settings_and_kinds_of_servers_are_told() {
    let around = Around::new();
    let server = RedisServer::start("rdbchecksum no\nmaxmemory 0\n");
    let _ = server.ask("CONFIG SET repl-diskless-sync no\nSET a b\nSELECT 4\nMSET a b c d");
    let address =
        Address::parse(&format!("redis://127.0.0.1:{}?tls=off", server.port())).expect("an address");
    let found = survey(&address, &DumpOptions::default(), &around.context()).expect("a survey");
    assert!(found.is_whole() && found.server.starts_with("7."), "{found:?}");
    let databases: Vec<(&str, u64)> =
        found.databases.iter().map(|database| (database.name.as_str(), database.tables)).collect();
    assert_eq!(databases, [("0", 1), ("4", 2)]);
    for word in ["rdbchecksum is off", "repl-diskless-sync yes", "maxmemory isn't set"] {
        assert!(found.findings.iter().any(|finding| finding.text.contains(word)), "{word}: {found:?}");
    }
    // The server writes it to its disk first, and says its length; and it has no checksum.
    let manifest =
        dump(&address, &DumpOptions::default(), &FolderSink::new(around.place("dump")), &around.context());
    assert_eq!(manifest.expect("a dump").databases.len(), 2);
    let part = Selection { tables: vec!["a*".to_owned()], ..Selection::default() };
    let part = DumpOptions { selection: part, ..DumpOptions::default() };
    assert!(!survey(&address, &part, &around.context()).expect("a survey").is_whole());
    let refused = dump(&address, &part, &Acting::full(1), &around.context());
    assert!(matches!(refused, Err(SourceError::Unsupported { .. })), "{refused:?}");

    let cluster = RedisServer::start("cluster-enabled yes\n");
    let address = Address::parse(&format!("redis://127.0.0.1:{}", cluster.port())).expect("an address");
    let found = survey(&address, &DumpOptions::default(), &around.context()).expect("a survey");
    let finding =
        found.findings.iter().find(|finding| finding.weight == Weight::Impossible).expect("it can't");
    assert!(finding.text.contains("node of a cluster"), "{finding:?}");
    let refused = dump(&address, &DumpOptions::default(), &Acting::full(1), &around.context());
    assert!(matches!(refused, Err(SourceError::Unsupported { .. })), "{refused:?}");
}

#[test]
fn an_encrypted_port_is_found_and_its_certificate_is_checked_if_that_is_wanted() {
    let around = Around::new();
    let folder = around.place("certificates");
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "30"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(folder.join("key.pem"))
        .arg("-out")
        .arg(folder.join("cert.pem"))
        .output()
        .expect("openssl starts");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("a file");
    let (key, certificate) = (read("key.pem"), read("cert.pem"));
    // Its user can't enter the test's folder.
    let server = RedisServer::start("requirepass correct-horse\n");
    for (name, text) in [("key.pem", key), ("cert.pem", certificate)] {
        let path = server.folder().join(name);
        std::fs::write(&path, text).expect("it can be written");
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).expect("a mode");
    }
    let port = server.port() + 1;
    let at = server.folder().display();
    let said = server.ask(&format!(
        "CONFIG SET tls-port {port} tls-auth-clients no tls-cert-file {at}/cert.pem tls-key-file {at}/key.pem"
    ));
    assert_eq!(said, "OK");
    let address = with_password(&format!("redis://localhost:{port}"), "correct-horse");
    let look = |address: &Address| survey(address, &DumpOptions::default(), &around.context());
    look(&address).expect("it is found out that the port is encrypted");
    dump(&address, &DumpOptions::default(), &FolderSink::new(around.place("dump")), &around.context())
        .expect("a dump");
    let strict = Address { tls: Tls::Verify, ..address.clone() };
    let error = look(&strict).expect_err("no one knows this certificate").to_string();
    assert!(error.contains("can't connect") && error.contains("certificate"), "{error}");
    let known = Address { ca_file: Some(folder.join("cert.pem")), ..strict.clone() };
    look(&known).expect("it is known");
    let other =
        Address { place: Address::parse(&format!("redis://127.0.0.1:{port}")).expect("one").place, ..known };
    assert!(look(&other).is_err(), "another name isn't in the certificate");
    let plain = Address { tls: Tls::Off, ..address };
    assert!(look(&plain).is_err());
}
