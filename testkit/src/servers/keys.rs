//! A server that gives away keys as clouds do: to containers, and to machines by their metadata
//! service. It knows nothing else.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// The keys that it gives.
const ACCESS_KEY: &str = "KEYFROMTHECLOUD";
/// What a container must send with its question.
const CONTAINER_TOKEN: &str = "the container's token";
/// What the metadata service gives first, and wants with each question.
const SESSION: &str = "the session's token";
const ROLE: &str = "backup-role";
const METADATA: &str = "/latest/meta-data/iam/security-credentials";

/// A running server; it ends with the test's process.
pub struct KeyServer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl KeyServer {
    /// Starts one on a free port of loopback.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port of loopback is free");
        let address = listener.local_addr().expect("a listener has an address");
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let known = Arc::clone(&asked);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let known = Arc::clone(&known);
                std::thread::spawn(move || serve(client, &known));
            }
        });
        Self { address, asked }
    }

    /// The access key that it gives.
    #[must_use]
    pub fn access_key(&self) -> &'static str {
        ACCESS_KEY
    }

    /// What a container's environment has.
    #[must_use]
    pub fn container(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("http://{}/container", self.address)),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", CONTAINER_TOKEN.to_owned()),
        ]
    }

    /// What makes the metadata service be asked here.
    #[must_use]
    pub fn machine(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_EC2_METADATA_DISABLED", "false".to_owned()),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", format!("http://{}", self.address)),
        ]
    }

    /// What was asked of it.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(client: TcpStream, asked: &Mutex<Vec<String>>) {
    let Ok(mut out) = client.try_clone() else { return };
    let mut input = BufReader::new(client);
    while let Some((request, fields)) = head(&mut input) {
        asked.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
        let has = |name: &str, value: &str| fields.iter().any(|field| field.0 == name && field.1 == value);
        let (status, body) = match request.as_str() {
            "GET /container" if has("authorization", CONTAINER_TOKEN) => (200, keys()),
            "PUT /latest/api/token" => (200, SESSION.to_owned()),
            request if !has("x-aws-ec2-metadata-token", SESSION) => (401, request.to_owned()),
            request if request == format!("GET {METADATA}/") => (200, ROLE.to_owned()),
            request if request == format!("GET {METADATA}/{ROLE}") => (200, keys()),
            _ => (404, String::new()),
        };
        let answer = format!(
            "HTTP/1.1 {status} x\r\nContent-Length: {}\r\nx-aws-ec2-metadata-token-ttl-seconds: 21600\r\n\r\n{body}",
            body.len()
        );
        if out.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// A request's method and path, and its fields; none of these requests has a body.
fn head(input: &mut impl BufRead) -> Option<(String, Vec<(String, String)>)> {
    let mut line = String::new();
    input.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let request = line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    let mut fields = Vec::new();
    loop {
        let mut line = String::new();
        input.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Some((request, fields))
}

/// Keys as both services give them.
fn keys() -> String {
    format!(
        r#"{{"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2020-01-01T00:00:00Z",
            "AccessKeyId": "{ACCESS_KEY}", "SecretAccessKey": "secret", "Token": "token",
            "Expiration": "2100-01-01T00:00:00Z"}}"#
    )
}
