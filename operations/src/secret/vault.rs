//! Secrets in Vault or OpenBao: one GET of a secret of KV version 2.

use std::net::IpAddr;

use reqwest::header::{HeaderMap, HeaderName};
use reqwest::{Method, StatusCode, Url};
use zeroize::Zeroizing;

use super::http::{Answer, Request, add, address, ask};
use super::json::{Found, find};
use super::source::VaultReference;
use super::waiting::Patience;
use crate::error::FetchError;

/// What else a request needs.
pub struct Access {
    /// The server.
    pub address: String,
    /// The namespace.
    pub namespace: Option<String>,
    /// The token; an agent needs none.
    pub token: Option<Zeroizing<String>>,
}

/// Fetches the field of a secret.
pub fn fetch(
    reference: &VaultReference,
    access: Access,
    patience: Patience<'_>,
) -> Result<Zeroizing<Vec<u8>>, FetchError> {
    let Access { address: server, namespace, token } = access;
    let server = address(&server, "address of Vault")?;
    if server.scheme() != "https" && !is_this_machine(&server) {
        return Err(FetchError::Unprotected);
    }
    let url = url_of(&server, &reference.path)?;
    let mut headers = HeaderMap::new();
    let has_token = token.is_some();
    if let Some(token) = token {
        add(&mut headers, HeaderName::from_static("x-vault-token"), &token, "token for Vault")?;
    }
    if let Some(namespace) = namespace {
        add(&mut headers, HeaderName::from_static("x-vault-namespace"), &namespace, "namespace of Vault")?;
    }
    // The server's own sign that no page in a browser has sent this.
    add(&mut headers, HeaderName::from_static("x-vault-request"), "true", "header of Vault")?;
    let request = Request { method: Method::GET, url, headers, body: Vec::new() };
    let answer = patience.wait_for(async || ask(request).await)?;
    read(&answer, &reference.field, has_token)
}

/// Whether nothing that is sent there leaves this machine.
fn is_this_machine(server: &Url) -> bool {
    let host = server.host_str().unwrap_or_default();
    let number = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    number.map_or(host == "localhost", |number| number.is_loopback())
}

fn url_of(server: &Url, path: &str) -> Result<Url, FetchError> {
    let parts = || path.trim_matches('/').split('/');
    // These would lead elsewhere, in our library or in the server's.
    if parts().any(|part| matches!(part, "" | "." | "..")) {
        return Err(FetchError::Path);
    }
    let mut url = server.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.path_segments_mut()
        .map_err(|()| FetchError::Address { what: "address of Vault" })?
        .pop_if_empty()
        .push("v1")
        .extend(parts());
    Ok(url)
}

fn read(answer: &Answer, field: &str, has_token: bool) -> Result<Zeroizing<Vec<u8>>, FetchError> {
    let Answer { server, status, body, .. } = answer;
    let server = || server.clone();
    let not_understood =
        || FetchError::NotUnderstood { server: server(), expected: "that of a secret of KV version 2" };
    match *status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => {
            let deleted = find(body, &["data", "metadata", "deletion_time"]);
            let is_deleted = matches!(deleted, Ok(Found::Text(at)) if !at.is_empty());
            return Err(if is_deleted {
                FetchError::Deleted
            } else {
                FetchError::NoSuchPath { server: server() }
            });
        }
        // Without a token, some versions call the request bad.
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED | StatusCode::BAD_REQUEST if !has_token => {
            return Err(FetchError::NoToken { server: server() });
        }
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => {
            return Err(FetchError::Denied { server: server() });
        }
        status if status.is_redirection() => return Err(FetchError::Redirected { server: server() }),
        // 472 and 473 are those of a server that only stands by.
        status if status.is_server_error() || matches!(status.as_u16(), 408 | 412 | 429 | 472 | 473) => {
            let is_sealed = status == StatusCode::SERVICE_UNAVAILABLE && says_sealed(body);
            return Err(FetchError::Unavailable { server: server(), status: status.as_u16(), is_sealed });
        }
        status => {
            return Err(FetchError::Refused { server: server(), status: status.as_u16(), code: None });
        }
    }
    match find(body, &["data", "data", field]).map_err(|_| not_understood())? {
        Found::Text(text) => Ok(Zeroizing::new(text.as_bytes().to_owned())),
        Found::Other => Err(FetchError::NotText),
        Found::Nothing { keys: 2 } => Err(FetchError::NoSuchField),
        Found::Nothing { .. } => Err(not_understood()),
    }
}

/// Whether the server says that it is sealed, in words that its own programs look for too.
fn says_sealed(body: &[u8]) -> bool {
    String::from_utf8_lossy(body).to_ascii_lowercase().contains("is sealed")
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::mpsc;
    use std::thread;
    use std::time::{Duration, Instant};

    use keepfast_backend::Cancel;

    use super::{Access, FetchError, Patience, Url, VaultReference, Zeroizing, fetch, url_of};
    use crate::error::SecretErrorKind;
    use crate::secret::SECRET_BYTES_MAX;

    const TOKEN: &str = "the token of the test";

    fn reference() -> VaultReference {
        VaultReference {
            path: "kv/data/keepfast".to_owned(),
            field: "password".to_owned(),
            address: None,
            namespace: None,
            token: None,
        }
    }

    /// What comes of an answer: these bytes, then the connection ends, or stays as it is without an end.
    fn fetched(
        answer: Vec<u8>,
        ends: bool,
        cancel: &Cancel,
        limit: Duration,
    ) -> (Result<String, FetchError>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let (asked, hears) = mpsc::channel();
        thread::spawn(move || {
            let (mut client, _) = listener.accept().expect("a client");
            let mut request = [0; 4096];
            let count = client.read(&mut request).expect("a request");
            let _ = asked.send(String::from_utf8_lossy(&request[..count]).into_owned());
            let _ = client.write_all(&answer);
            while !ends && client.read(&mut request).is_ok_and(|count| count > 0) {}
        });
        let token = Some(Zeroizing::new(TOKEN.to_owned()));
        let access = Access { address, namespace: Some("team".to_owned()), token };
        let fetched = fetch(&reference(), access, Patience { limit, cancel });
        let fetched = fetched.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (fetched, hears.recv().expect("it was asked"))
    }

    fn answer(status: &str, body: &str) -> Vec<u8> {
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn the_request_has_token_and_namespace_and_the_field_is_the_secret() {
        let body = r#"{"data": {"data": {"other": "x", "password": "ho\u0072se"}, "metadata": {}}}"#;
        let (fetched, request) = fetched(answer("200 OK", body), true, &Cancel::new(), LONG);
        assert_eq!(fetched.expect("a secret"), "horse");
        let request = request.to_ascii_lowercase();
        assert!(request.starts_with("get /v1/kv/data/keepfast http/1.1"), "{request}");
        assert!(request.contains(&format!("x-vault-token: {TOKEN}")), "{request}");
        assert!(request.contains("x-vault-namespace: team"), "{request}");
    }

    #[test]
    fn each_bad_answer_is_named_with_what_would_have_to_change_and_without_a_secret() {
        use SecretErrorKind::{Configuration, Credentials, Network};
        let huge = format!(r#"{{"data": "{}"}}"#, "x".repeat(super::super::http::ANSWER_BYTES_MAX));
        let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"data\"".to_vec();
        for (answer, kind, said) in [
            (answer("403 Forbidden", r#"{"errors": ["secret"]}"#), Credentials, "denies it"),
            (answer("404 Not Found", r#"{"errors": []}"#), Configuration, "nothing at this path"),
            (answer("503 Unavailable", r#"{"errors": ["Vault is sealed"]}"#), Network, "it is sealed"),
            (answer("500 Bad", "secret"), Network, "answers with 500"),
            (answer("429 Slow down", ""), Network, "answers with 429"),
            (answer("307 There", ""), Configuration, "refers to another address"),
            (answer("418 Teapot", "secret"), Configuration, "answers with 418"),
            (
                answer("200 OK", "<html>secret</html>"),
                Configuration,
                "isn't that of a secret of KV version 2",
            ),
            // Version 1 of the engine has no versions, and so no second `data`.
            (answer("200 OK", r#"{"data": {"password": "secret"}}"#), Configuration, "KV version 2"),
            (answer("200 OK", r#"{"data": {"data": {"other": "secret"}}}"#), Configuration, "no field"),
            (
                answer("200 OK", r#"{"data": {"data": {"password": ["secret"]}}}"#),
                Configuration,
                "isn't text",
            ),
            (answer("200 OK", &huge), Configuration, "more than 2097152 bytes"),
            (cut, Network, "ended early"),
            (Vec::new(), Network, "can't be reached"),
        ] {
            let shown = String::from_utf8_lossy(&answer[..answer.len().min(100)]).into_owned();
            let error = fetched(answer, true, &Cancel::new(), LONG).0.expect_err(&shown);
            let message = error.to_string();
            assert!(error.kind() == kind && message.contains(said), "{shown}: {message}");
            let of_secrets = message.replace("of a secret of KV", "").replace("the secret has", "");
            assert!(
                !of_secrets.replace("a secret", "").contains("secret") && !message.contains(TOKEN),
                "{message}"
            );
        }
    }

    #[test]
    fn a_server_that_does_not_answer_ends_the_wait_after_its_time_and_a_cancelled_run_at_once() {
        let begun = Instant::now();
        let begins = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{".to_vec();
        for silent in [Vec::new(), begins] {
            let (fetched, _) = fetched(silent, false, &Cancel::new(), Duration::from_millis(200));
            let error = fetched.expect_err("no answer");
            assert_eq!(error.kind(), SecretErrorKind::Network);
            assert_eq!(error.to_string(), "no answer came within 0.2 s");
        }
        let cancel = Cancel::new();
        let other = cancel.clone();
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(100));
            other.cancel();
        });
        let (fetched, _) = fetched(Vec::new(), false, &cancel, LONG);
        assert!(matches!(fetched, Err(FetchError::Cancelled)));
        assert!(begun.elapsed() < LONG / 2);
    }

    #[test]
    fn what_can_not_be_asked_is_refused_before() {
        let asked = |address: &str, token: &str| {
            let token = Some(Zeroizing::new(token.to_owned()));
            let access = Access { address: address.to_owned(), namespace: None, token };
            let patience = Patience { limit: LONG, cancel: &Cancel::new() };
            fetch(&reference(), access, patience).expect_err(address).to_string()
        };
        for address in ["", "vault:8200", "unix:///run/vault", "https://me:secret@vault", "https://"] {
            let message = asked(address, "x");
            assert!(message.starts_with("the address of Vault can't be used"), "{message}");
            assert!(!message.contains("secret"), "{message}");
        }
        for address in ["http://vault", "http://10.0.0.1:8200", "http://localhost.example.org"] {
            let message = asked(address, "x");
            assert!(message.contains("leads to another machine"), "{message}");
        }
        for address in ["http://localhost:1", "http://127.0.0.3:1", "http://[::1]:1"] {
            let message = asked(address, "x");
            assert!(!message.contains("leads to another machine"), "{message}");
        }
        assert_eq!(
            asked("https://vault", "a\nb"),
            "the token for Vault has characters in it that can't be sent"
        );
    }

    #[test]
    fn a_path_stays_below_the_servers_own() {
        let server = |text: &str| Url::parse(text).expect(text);
        let of = |address: &str, path: &str| url_of(&server(address), path).map(String::from);
        assert_eq!(of("https://v", "kv/data/x").expect("a path"), "https://v/v1/kv/data/x");
        assert_eq!(
            of("https://v/proxy/", "/kv/data/a b?c").expect("a path"),
            "https://v/proxy/v1/kv/data/a%20b%3Fc"
        );
        assert_eq!(
            of("https://v?x#y", "kv/data/%2e%2e/x").expect("a path"),
            "https://v/v1/kv/data/%252e%252e/x"
        );
        for path in ["", "/", "kv//x", "kv/../sys/seal", "kv/./x"] {
            assert!(matches!(of("https://v", path), Err(FetchError::Path)), "{path}");
        }
    }

    #[test]
    fn a_secret_is_as_large_as_any_other_and_a_worker_of_a_runtime_may_wait_for_it() {
        let body = format!(r#"{{"data": {{"data": {{"password": "{}"}}}}}}"#, "x".repeat(SECRET_BYTES_MAX));
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (fetched, _) =
            runtime.block_on(async { fetched(answer("200 OK", &body), true, &Cancel::new(), LONG) });
        assert_eq!(fetched.expect("a secret").len(), SECRET_BYTES_MAX);
    }
}
