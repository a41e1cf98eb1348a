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
const MAKE: &str = "import datetime, ipaddress, sys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
now, day = datetime.datetime.now(datetime.timezone.utc), datetime.timedelta(days=1)
def make(name, key, issuer, issuer_key, is_authority):
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address('127.0.0.1'))])
    made = x509.CertificateBuilder(issuer or subject, subject, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now - day).not_valid_after(now + 30 * day)
    made = made.add_extension(x509.BasicConstraints(is_authority, None), critical=True)
    return made.add_extension(names, critical=False).sign(issuer_key or key, hashes.SHA256())
authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
authority = make('authority', authority_key, None, None, True)
own = make('here', key, authority.subject, authority_key, False)
pem = serialization.Encoding.PEM
form = serialization.PrivateFormat.PKCS8
with open(sys.argv[1] + '/key.pem', 'wb') as file:
    file.write(key.private_bytes(pem, form, serialization.NoEncryption()))
with open(sys.argv[1] + '/new.pem', 'wb') as file:
    file.write(own.public_bytes(pem))
print(authority.public_bytes(pem).decode())
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
