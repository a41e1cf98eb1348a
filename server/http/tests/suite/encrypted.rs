//! TLS of the server's own listener.

use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use keepfast_testkit::servers::installed;
use reqwest::header::SET_COOKIE;
use serde_json::json;

use crate::client::Client;
use crate::desk::{Desk, PASSWORD, PATIENCE, Server};

/// Makes an authority, and a certificate of this machine with its key. Returns the authority, in PEM.
const MAKE: &str = "import sys, trustme
folder = sys.argv[1]
authority = trustme.CA()
own = authority.issue_cert('127.0.0.1', 'localhost')
own.private_key_pem.write_to_path(folder + '/key.pem')
with open(folder + '/new.pem', 'wb') as file:
    for part in own.cert_chain_pems:
        file.write(part.bytes())
print(authority.cert_pem.bytes().decode())
";

fn certify(desk: &Desk) -> String {
    let made =
        Command::new(installed("python/bin/python")).args(["-c", MAKE]).arg(desk.path("")).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    fs::rename(desk.path("new.pem"), desk.path("cert.pem")).unwrap();
    String::from_utf8(made.stdout).unwrap()
}

#[test]
fn connections_are_encrypted_and_a_renewed_certificate_counts() {
    let desk = Desk::new();
    let authority = certify(&desk);
    let tls = format!(
        "tls = {{ certificate = {:?}, key = {{ file = {:?} }} }}\n",
        desk.path("cert.pem"),
        desk.path("key.pem")
    );
    let server = Server::at(desk, &tls, "");
    assert!(server.base.starts_with("https://"), "{}", server.base);
    let mut client = Client::trusting(&server.base, &authority);
    let body = json!({ "token": server.setup_token, "user": "ann", "password": PASSWORD });
    let answer = client.sign_in("/setup", body);
    let cookies: Vec<_> =
        answer.headers.get_all(SET_COOKIE).iter().map(|line| line.to_str().unwrap()).collect();
    assert!(cookies[0].starts_with("__Host-keepfast=") && cookies[0].ends_with("; Secure"), "{cookies:?}");
    assert!(answer.headers.contains_key("strict-transport-security"));
    client.get("/plans").is(200);
    assert!(
        !client.raw(b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n").contains("well"),
        "no plain HTTP"
    );
    let renewed = certify(&server.desk);
    let begun = Instant::now();
    while !Client::trusting(&server.base, &renewed).reaches() {
        assert!(begun.elapsed() < PATIENCE, "the new certificate doesn't count");
        sleep(Duration::from_millis(500));
    }
    fs::write(server.desk.path("cert.pem"), "no certificate").unwrap();
    sleep(Duration::from_secs(12));
    assert!(Client::trusting(&server.base, &renewed).reaches(), "the one before goes on");
}
