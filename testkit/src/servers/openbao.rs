//! A real OpenBao server, which speaks what Vault speaks. It keeps all in memory: a restart loses everything.

use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::http::exchange;
use super::process::{Folder, Kept};
use super::{POLL, START_MAX, installed, last_lines};

/// Who may do everything.
const ROOT_TOKEN: &str = "root-token-of-the-test";

/// A running server; it ends with this value, or with the test's process.
pub struct OpenBao {
    folder: Folder,
    running: Mutex<Option<Kept>>,
}

impl OpenBao {
    /// Starts one that no other test uses, and waits until it answers. It has an engine of KV version 2 at `kv`.
    #[must_use]
    pub fn start() -> Self {
        let server = Self { folder: Folder::new(), running: Mutex::default() };
        let mut command = Command::new(installed("python/bin/bao"));
        command.args(["server", "-dev", "-dev-no-store-token", "-log-level=warn"]);
        command.arg(format!("-dev-root-token-id={ROOT_TOKEN}"));
        command.arg(format!("-dev-listen-address=127.0.0.1:{}", server.port()));
        command.env("HOME", server.folder.path());
        let mut kept = Kept::start(command, &server.folder.path().join("log"));
        let begun = Instant::now();
        while !matches!(exchange(server.port(), "GET", "/v1/sys/health", &[], b""), Some(answer) if answer.status == 200)
        {
            assert!(!kept.has_ended(), "OpenBao ended while it started\n{}", server.log());
            assert!(begun.elapsed() < START_MAX, "OpenBao doesn't answer\n{}", server.log());
            std::thread::sleep(POLL);
        }
        *server.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
        server.ask("POST", "sys/mounts/kv", r#"{"type": "kv", "options": {"version": "2"}}"#);
        server
    }

    /// `http://127.0.0.1:PORT`
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }

    /// The token of who may do everything.
    #[must_use]
    pub fn root_token(&self) -> &'static str {
        ROOT_TOKEN
    }

    /// Stores a secret at a path of the engine; `fields` is an object of JSON.
    pub fn put(&self, path: &str, fields: &str) {
        self.ask("POST", &format!("kv/data/{path}"), &format!(r#"{{"data": {fields}}}"#));
    }

    /// Deletes the newest version of a secret.
    pub fn delete(&self, path: &str) {
        self.ask("DELETE", &format!("kv/data/{path}"), "");
    }

    /// A token that may read one secret of the engine, and nothing else.
    #[must_use]
    pub fn token_for(&self, path: &str) -> String {
        let policy = format!(r#"{{"policy": "path \"kv/data/{path}\" {{ capabilities = [\"read\"] }}"}}"#);
        self.ask("PUT", "sys/policies/acl/reader", &policy);
        let made = self.ask("POST", "auth/token/create", r#"{"policies": ["reader"]}"#);
        let (_, token) = made.split_once(r#""client_token":""#).expect("a token is in the answer");
        token.split('"').next().expect("the token ends").to_owned()
    }

    /// Seals it: it is there, and gives nothing any more.
    pub fn seal(&self) {
        self.ask("PUT", "sys/seal", "");
    }

    /// Kills it at once (SIGKILL).
    pub fn kill(&self) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The last lines of what it wrote.
    #[must_use]
    pub fn log(&self) -> String {
        last_lines(&self.folder.path().join("log"))
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> String {
        let headers = [("X-Vault-Token", ROOT_TOKEN)];
        let answer = exchange(self.port(), method, &format!("/v1/{path}"), &headers, body.as_bytes());
        let answer = answer.unwrap_or_else(|| panic!("no answer to {method} {path}\n{}", self.log()));
        assert!((200..300).contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.body);
        answer.body
    }

    fn port(&self) -> u16 {
        self.folder.first_port()
    }
}
