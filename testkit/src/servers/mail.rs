//! A real mail server, in a process that ends with the test.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use serde_json::{Value, json};

use super::installed;

/// A server that takes messages over SMTP and says what it took.
pub struct MailServer {
    child: Child,
    /// It ends when this does, even if the test is killed.
    input: Option<ChildStdin>,
    /// What it says is read all the time: a server that can't get rid of it would wait.
    said: Receiver<Value>,
    /// Its port of loopback.
    pub port: u16,
    /// The certificate that its own is signed by, in PEM.
    pub authority: String,
}

impl MailServer {
    /// `tls` is "none", "starttls" or "tls"; `answers` are given instead of its own, each `times` if that is there.
    pub fn start(tls: &str, user: bool, answers: Value) -> Self {
        let plan = json!({ "tls": tls, "user": user, "answers": answers });
        let mut child = Command::new(installed("python/bin/python"))
            .args(["-c", include_str!("mail.py"), &plan.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let (input, output) = (child.stdin.take(), child.stdout.take().expect("it was asked for"));
        let (says, said) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                let line = line.expect("it says text");
                let value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
                if says.send(value).is_err() {
                    break;
                }
            }
        });
        let mut server = Self { child, input, said, port: 0, authority: String::new() };
        let ready = server.next();
        server.port = u16::try_from(ready["port"].as_u64().expect("a port")).expect("a port");
        server.authority = ready["authority"].as_str().expect("a certificate").to_owned();
        server
    }

    fn next(&self) -> Value {
        self.said.recv().expect("the server says something")
    }

    /// The next message that it has taken.
    pub fn mail(&self) -> Mail {
        Mail(self.next())
    }

    /// All other messages; the server ends.
    pub fn rest(mut self) -> Vec<Mail> {
        self.input.take();
        self.said.iter().map(Mail).collect()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.input.take();
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A message as its receiver reads it.
#[derive(Debug)]
pub struct Mail(pub Value);

impl Mail {
    /// A header by its name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let headers = self.0["headers"].as_array().expect("headers");
        let header =
            headers.iter().find(|header| header[0].as_str().is_some_and(|is| is.eq_ignore_ascii_case(name)));
        header.and_then(|header| header[1].as_str())
    }

    /// The text of the part with this type: "text/plain".
    #[must_use]
    pub fn part(&self, kind: &str) -> &str {
        self.0["parts"][kind].as_str().unwrap_or_else(|| panic!("no part {kind} in {}", self.0))
    }
}
