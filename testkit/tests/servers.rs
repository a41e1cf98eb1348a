//! The servers that tests run against can be started, killed and started again, and leave nothing.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::{Duration, Instant};

use keepfast_testkit::servers::{Kind, PostgresServer, PostgresVersion, Server};

/// What an unsigned request is answered with: the status, and the whole answer.
fn ask(server: &Server, method: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(server.address()).expect("the server listens");
    let host = server.address();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
    .expect("the server takes a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the server answers");
    let status = answer.split_ascii_whitespace().nth(1).expect("an answer has a status");
    (status.parse().expect("a status is a number"), answer)
}

fn assert_gone(server: &Server) {
    assert!(TcpStream::connect(server.address()).is_err(), "{:?} still listens", server.kind());
}

/// SeaweedFS keeps what it has across a kill, asks for signatures, and makes no bucket unasked.
#[test]
fn seaweedfs_survives_a_kill() {
    let server = Server::start(Kind::SeaweedFs);
    let bucket = server.bucket();
    assert_ne!(bucket, server.bucket());
    assert_eq!(ask(&server, "GET", &format!("/{bucket}/object")).0, 403);
    server.kill();
    assert_gone(&server);
    server.restart();
    assert!(ask(&server, "GET", "/ready/probe").1.ends_with("ready"));
    assert_eq!(ask(&server, "GET", &format!("/{bucket}/object")).0, 403);
}

/// moto and s3rver start, make buckets, and start again.
#[test]
fn the_small_servers_start_again() {
    for kind in [Kind::Moto, Kind::S3rver] {
        let server = Server::start(kind);
        let bucket = server.bucket();
        let (status, listing) = ask(&server, "GET", "/");
        assert_eq!(status, 200);
        assert!(listing.contains(&bucket), "{listing}");
        server.kill();
        assert_gone(&server);
        server.restart();
        assert_eq!(ask(&server, "GET", "/").0, 200);
    }
}

/// PostgreSQL keeps what was committed across a kill, and each database is a test's own.
#[test]
fn postgres_survives_a_kill() {
    let server = PostgresServer::start();
    let (one, other) = (server.database(), server.database());
    server.execute(&one, "CREATE TABLE kept (x INTEGER)");
    server.execute(&other, "CREATE TABLE kept (x INTEGER)");
    let socket = server.socket().join(format!(".s.PGSQL.{}", server.port()));
    UnixStream::connect(&socket).expect("the server listens");
    server.kill();
    assert!(UnixStream::connect(&socket).is_err(), "PostgreSQL still listens");
    server.restart();
    server.execute(&one, "INSERT INTO kept VALUES (1)");
}

/// Each version that is installed can be chosen, and has the settings that it is given.
#[test]
fn postgres_of_each_version_has_its_settings() {
    let majors = PostgresVersion::ALL.map(|version| {
        let server = PostgresServer::of(version, &["work_mem=7MB"]);
        assert_eq!(server.query("postgres", "SHOW work_mem"), "7MB");
        server.query("postgres", "SELECT current_setting('server_version_num')::int / 10000")
    });
    assert_eq!(majors[1], "18");
    assert_ne!(majors[0], majors[1]);
}

/// Tests of one process share a server, and it is gone when they are done with it.
#[test]
fn a_shared_server_ends_with_its_last_user() {
    let first = Server::shared(Kind::Moto);
    let second = Server::shared(Kind::Moto);
    let address = first.address();
    assert_eq!(address, second.address());
    drop(first);
    assert!(TcpStream::connect(address).is_ok());
    drop(second);
    assert!(TcpStream::connect(address).is_err());
}

/// Where a killed test of [`dies_with_its_test`] writes its server's address.
const ADDRESS_FILE: &str = "KEEPFAST_TEST_ADDRESS_FILE";

/// Polls until there is something.
fn wait_for<T>(what: impl Fn() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = what() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "it doesn't come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// In a test that runs itself in a second process: there, starts a server, says where it listens, and waits to be killed.
/// In the first process, kills that one once the server listens, and waits until it doesn't.
fn dies_with_its_test<S>(name: &str, start: impl Fn() -> (S, String), listens: impl Fn(&str) -> bool) {
    if let Some(file) = std::env::var_os(ADDRESS_FILE) {
        let (_server, address) = start();
        let half = file.to_string_lossy().into_owned() + ".half";
        fs::write(&half, address).expect("the address is written");
        fs::rename(&half, &file).expect("the address is there at once");
        std::thread::sleep(Duration::from_secs(60));
        return;
    }
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("address");
    let program = std::env::current_exe().expect("the test knows its program");
    let mut test = Command::new(program)
        .args(["--exact", name])
        .env(ADDRESS_FILE, &file)
        .spawn()
        .expect("the test starts again");
    let address = wait_for(|| fs::read_to_string(&file).ok());
    assert!(listens(&address));
    test.kill().expect("the test can be killed");
    test.wait().expect("the test has ended");
    wait_for(|| (!listens(&address)).then_some(()));
}

/// The same for PostgreSQL, whose processes belong to another user.
#[test]
fn a_killed_test_leaves_no_postgres() {
    let start = || {
        let server = PostgresServer::start();
        let socket = server.socket().join(format!(".s.PGSQL.{}", server.port()));
        (server, socket.to_string_lossy().into_owned())
    };
    let listens = |socket: &str| UnixStream::connect(socket).is_ok();
    dies_with_its_test("a_killed_test_leaves_no_postgres", start, listens);
}

/// The test runs itself in a second process, which starts a server and is killed.
#[test]
fn a_killed_test_leaves_no_server() {
    let start = || {
        let server = Server::start(Kind::S3rver);
        let address = server.address().to_string();
        (server, address)
    };
    let listens = |address: &str| {
        let address: SocketAddr = address.parse().expect("an address");
        TcpStream::connect(address).is_ok()
    };
    dies_with_its_test("a_killed_test_leaves_no_server", start, listens);
}
