//! `keepfast notify`: targets are tested by the way of all messages, and the log says what came of them.

use std::fs;
use std::process::Command;

use keepfast_testkit::servers::mail::MailServer;
use keepfast_testkit::servers::web::{Answer, WebServer, status};
use serde_json::{Value, json};

use crate::program::{Desk, Run};

struct Notices {
    desk: Desk,
}

impl Notices {
    fn new(targets: &str) -> Self {
        let notices = Self { desk: Desk::bare() };
        notices.define(targets);
        notices
    }

    fn define(&self, targets: &str) {
        let desk = &self.desk;
        let text = format!(
            "version = 1\n[server]\nstate = {{ sqlite = {:?} }}\n{targets}",
            desk.path("state/state.db")
        );
        fs::write(desk.path("keepfast.toml"), text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.desk.command();
        command.arg("--config").arg(self.desk.path("keepfast.toml")).arg("notify").args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Run {
        Run::of(self.command(arguments).output().unwrap())
    }

    fn document(&self, arguments: &[&str]) -> Value {
        let run = self.run(&[arguments, &["--json"]].concat());
        serde_json::from_str(&run.out).unwrap_or_else(|error| panic!("{error}: {run:?}"))
    }
}

fn hook(name: &str, server: &WebServer) -> String {
    format!("[target.{name}]\nwebhook = {{ url = {:?}, timeout = \"2s\" }}\n", server.url("/hook"))
}

#[test]
fn a_test_arrives_and_says_what_the_service_answered() {
    let web = WebServer::start(vec![Answer::Is(202, "", "queued".to_owned())]);
    let mail = MailServer::start("none", false, json!({}));
    let smtp = format!(
        "[target.ops]\nsmtp = {{ host = \"127.0.0.1\", port = {}, tls = \"none\", from = \"kf@example.org\", to = \
         [\"ops@example.org\"] }}\n",
        mail.port
    );
    let notices = Notices::new(&format!("{}{smtp}", hook("chat", &web)));
    let run = notices.run(&["test", "chat"]).succeeds();
    assert_eq!(run.out, "the test of target chat arrived: 202 Accepted: queued\n");
    assert_eq!(web.asked()[0].json()["title"], "chat: test message");
    let run = notices.run(&["test", "ops"]).succeeds();
    assert_eq!(run.out, "the test of target ops arrived: 250 taken\n");
    let arrived = mail.mail();
    assert!(arrived.header("subject").unwrap().contains("ops: test message"));
    let log = notices.document(&["log"]);
    let states: Vec<_> = log.as_array().unwrap().iter().map(|row| (&row["target"], &row["state"])).collect();
    assert_eq!(states, [(&"ops".into(), &"delivered".into()), (&"chat".into(), &"delivered".into())]);
    let log = notices.run(&["log", "--target", "chat"]).succeeds().out;
    assert!(log.contains("chat: test message") && !log.contains("ops"), "{log}");
    assert_eq!(notices.run(&["log", "--failed"]).succeeds().out, "no messages\n");
}

#[test]
fn a_test_that_does_not_arrive_fails_and_can_be_sent_again() {
    let web = WebServer::start(vec![status(404), status(503), status(200)]);
    let notices = Notices::new(&hook("chat", &web));
    notices.run(&["test", "chat"]).fails(
        1,
        &[
            "keepfast: the test of target chat did not arrive: the answer was 404",
            "note: ",
            "Make another webhook",
        ],
    );
    let refused = notices.document(&["log", "--failed"])[0].clone();
    assert_eq!((&refused["state"], &refused["attempts"]), (&"undeliverable".into(), &1.into()));
    notices.run(&["test", "chat"]).fails(1, &["the answer was 503", "it is tried again at"]);
    let log = notices.run(&["log", "--failed"]).succeeds().out;
    assert!(log.contains("undeliverable") && log.contains("waiting") && log.contains("404"), "{log}");
    let id = refused["id"].to_string();
    let run = notices.run(&["retry", &id]).succeeds();
    assert_eq!(run.out, format!("message {id} arrived: 200 OK\n"));
    notices.run(&["retry", &id]).fails(2, &["it is delivered"]);
    notices.run(&["retry", "99"]).fails(2, &["there is no such delivery"]);
    notices.run(&["test", "char"]).fails(2, &["there is no target \"char\"", "there is chat"]);
    notices.define("");
    notices.run(&["test", "chat"]).fails(2, &["the configuration defines none"]);
}

/// The address of a webhook may be a secret, and so isn't said.
#[test]
fn an_address_from_a_variable_is_not_said() {
    let notices = Notices::new("[target.chat]\nwebhook = { url = { env = \"HOOK\" }, preset = \"slack\" }\n");
    let url = "http://127.0.0.1:9/services/very-secret-path";
    let output = notices.command(&["test", "chat"]).env("HOOK", url).output().unwrap();
    let run = Run::of(output).fails(1, &["127.0.0.1 can't be reached"]);
    let all = fs::read(notices.desk.path("state/state.db")).unwrap();
    let said = [run.err.as_bytes(), run.out.as_bytes(), &all].concat();
    assert!(!said.windows(11).any(|window| window == b"very-secret"), "{run:?}");
}
