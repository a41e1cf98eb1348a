//! Messages on their way: targets that fail, hang or refuse, secrets that change, and the heartbeat.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use keepfast_operations::child::Children;
use keepfast_server::notices::trial::Trial;
use keepfast_server::notices::{Courier, Notifier, Pulse};
use keepfast_store::{DeliveryState, Place, ReaderId};
use keepfast_testkit::servers::mail::MailServer;
use keepfast_testkit::servers::web::{Answer, WebServer, status};
use serde_json::json;

use crate::lab::{Lab, SERVER, failed, hook, ok, route};

/// A target that doesn't answer is tried again, and the others have their messages meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_target_is_tried_again_and_the_others_are_served() {
    let dead = WebServer::start(vec![status(503), status(503), status(200)]);
    let other = WebServer::start(vec![status(200)]);
    let targets = format!("{}{}", hook("dead", &dead.url("/")), hook("other", &other.url("/")));
    let mut lab = Lab::new(&format!("{targets}{}", route(&["dead", "other"]))).await;
    lab.run("www", failed()).await;
    lab.wait(2).await;
    assert_eq!((dead.asked().len(), other.asked().len()), (1, 1));
    let waiting = lab.log("dead").await.remove(0);
    assert_eq!((waiting.state, waiting.attempts), ("waiting", 1));
    assert_eq!(waiting.error.as_deref(), Some("the answer was 503 Service Unavailable"));
    lab.restart().await;
    lab.wait(10).await;
    assert_eq!((dead.asked().len(), other.asked().len()), (3, 1));
    let delivered = lab.log("dead").await.remove(0);
    assert_eq!((delivered.state, delivered.attempts, delivered.error), ("delivered", 3, None));
    assert_eq!(delivered.answer.as_deref(), Some("200 OK"));
    let ids: Vec<_> = dead.asked().iter().map(|asked| asked.json()["id"].clone()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "each attempt has the same id: {ids:?}");
}

/// A target that hangs holds up no other, not even one whose message comes while it hangs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_hangs_holds_up_no_other() {
    let hanging = WebServer::start(vec![Answer::Hangs]);
    let other = WebServer::start(vec![status(200)]);
    let targets = format!("{}{}", hook("hanging", &hanging.url("/")), hook("other", &other.url("/")));
    let mut lab = Lab::new(&format!("{targets}{}", route(&["hanging", "other"]))).await;
    let decide = async |lab: &mut Lab| {
        lab.step().await;
        lab.now += SignedDuration::from_mins(3);
        lab.step().await;
    };
    lab.run("www", failed()).await;
    decide(&mut lab).await;
    let (sender, config, now) = (lab.sender.clone(), lab.config.clone(), lab.now);
    let first = tokio::spawn(async move { sender.send_due(&config, now).await });
    while hanging.asked().is_empty() || other.asked().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    lab.run("shop-db", failed()).await;
    decide(&mut lab).await;
    let begun = Instant::now();
    assert_eq!(
        lab.send().await,
        None,
        "the call that waits for the target that hangs says when it is due again"
    );
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!((hanging.asked().len(), other.asked().len()), (1, 2));
    let next = first.await.unwrap().unwrap();
    assert!(next.is_some(), "the second message to the target that hangs waits still");
    let log = lab.log("hanging").await;
    assert!(log[0].error.as_deref().unwrap().contains("didn't answer within 5 s"), "{log:?}");
}

/// What a service refuses isn't tried for a day; others hear of it, and that the target works again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_refuses_is_told_to_the_others() {
    let gone = WebServer::start(vec![status(404), status(200)]);
    let other = WebServer::start(vec![status(200)]);
    let targets =
        format!("{}{}", hook("gone", &gone.url("/secret-path-of-it")), hook("other", &other.url("/")));
    let mut lab = Lab::new(&format!("{targets}{}", route(&["gone", "other"]))).await;
    lab.run("www", failed()).await;
    lab.wait(30).await;
    let refused = lab.log("gone").await.remove(0);
    assert_eq!((refused.state, refused.attempts), ("undeliverable", 1));
    assert!(refused.advice.as_deref().unwrap().contains("Make another webhook"), "{refused:?}");
    assert_eq!(lab.titles("other").await, ["www: backup failed", "gone: messages don't arrive"]);
    let told = other.asked()[1].json();
    assert!(told["items"][0]["summary"].as_str().unwrap().contains("404"), "{told}");
    assert!(!told.to_string().contains("secret-path"), "an address may be a secret");
    let notifier = Notifier::new(lab.store.clone(), SERVER);
    let trial = Trial { store: &lab.store, config: &lab.config, notifier, sender: lab.sender.clone() };
    let again = trial.send_again(refused.id).await.unwrap().unwrap();
    assert_eq!((again.state, again.attempts), ("delivered", 1));
    assert!(trial.send_again(refused.id).await.unwrap_err().to_string().contains("it is delivered"));
    lab.wait(30).await;
    assert_eq!(lab.titles("other").await[2..], ["gone: messages arrive again"]);
}

/// A process that ends while it sends loses nothing: the message is sent again, with the same id.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_that_dies_loses_nothing() {
    let server = WebServer::start(vec![Answer::Hangs, status(200)]);
    let mut lab = Lab::new(&format!("{}{}", hook("chat", &server.url("/")), route(&["chat"]))).await;
    lab.run("www", failed()).await;
    lab.step().await;
    lab.now += SignedDuration::from_mins(3);
    lab.step().await;
    let (sender, config, now) = (lab.sender.clone(), lab.config.clone(), lab.now);
    let dying = tokio::spawn(async move { sender.send_due(&config, now).await });
    while server.asked().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    dying.abort();
    let _ = dying.await;
    lab.restart().await;
    lab.wait(1).await;
    assert_eq!(server.asked().len(), 1, "it may still be on its way");
    // The lease is watched by looking often.
    for _ in 0..20 {
        lab.wait(0).await;
        lab.now += SignedDuration::from_secs(20);
    }
    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].json()["id"], asked[1].json()["id"]);
    assert_eq!(lab.log("chat").await[0].state, "delivered");
}

/// A token that was changed counts at once if the old one is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_was_changed_is_read_again() {
    let server = WebServer::start(vec![status(200), status(401), status(200)]);
    let target = format!(
        "[target.chat]\nwebhook = {{ url = \"{}\", token = {{ file = \"{{folder}}/token\" }}, hmac = {{ command = \
         [\"echo\", \"key\"] }} }}\n",
        server.url("/hook")
    );
    let mut lab = Lab::new(&format!("{target}{}", route(&["chat"]))).await;
    fs::write(lab.path("token"), "old-token\n").unwrap();
    lab.run("www", failed()).await;
    lab.wait(3).await;
    fs::write(lab.path("token"), "new-token\n").unwrap();
    lab.run("www", ok()).await;
    lab.wait(2).await;
    let asked = server.asked();
    let tokens: Vec<_> = asked.iter().map(|asked| asked.header("authorization").unwrap()).collect();
    assert_eq!(tokens, ["Bearer old-token", "Bearer old-token", "Bearer new-token"]);
    assert!(asked[0].header("webhook-signature").unwrap().starts_with("v1,"));
    let states: Vec<_> = lab.log("chat").await.iter().map(|delivery| delivery.attempts).collect();
    assert_eq!(states, [1, 1], "both are one attempt");
}

/// A target that the configuration doesn't define is waited for: another server may have a newer one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_to_a_target_that_is_gone_wait_for_a_day() {
    let server = WebServer::start(vec![status(503)]);
    let target = hook("chat", &server.url("/"));
    let mut lab = Lab::new(&format!("{target}{}", route(&["chat"]))).await;
    lab.run("www", failed()).await;
    lab.wait(2).await;
    lab.define("");
    lab.wait(60).await;
    let log = lab.log("chat").await;
    assert_eq!(log[0].state, "waiting");
    assert!(log[0].error.as_deref().unwrap().contains("defines no target chat"), "{log:?}");
    lab.wait(26 * 60).await;
    assert_eq!(lab.log("chat").await[0].state, "undeliverable");
    assert_eq!(lab.store.open_problems().await.unwrap().len(), 0, "it is no one's problem");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_heartbeat_is_silent_while_the_server_is_not_well() {
    let server = WebServer::start(vec![status(200), status(200), status(503)]);
    let url = server.url("/ping/uuid-of-it");
    let mut lab = Lab::new(&format!("[server.heartbeat]\nurl = \"{url}\"\nevery = \"5m\"\n")).await;
    let carrier = Arc::new(Courier::new());
    let mut pulse = Pulse::new(lab.store.clone(), carrier, Children::default(), Default::default(), SERVER);
    let mut beats = Vec::new();
    for is_well in [true, false, false, true] {
        let next = pulse.step(&lab.config, lab.now, is_well).await.unwrap();
        assert_eq!(next, Some(lab.now + SignedDuration::from_mins(5)));
        assert_eq!(pulse.step(&lab.config, lab.now, true).await.unwrap(), next, "it isn't due");
        beats.push(server.asked().len());
        lab.now += SignedDuration::from_mins(5);
    }
    assert_eq!(beats, [1, 1, 1, 2]);
    assert!(server.asked().iter().all(|asked| asked.line == "GET /ping/uuid-of-it HTTP/1.1"));
    for failures in 1..=3 {
        assert_eq!(lab.store.open_problems().await.unwrap().len(), 0, "after {}", failures - 1);
        pulse.step(&lab.config, lab.now, true).await.unwrap();
        lab.now += SignedDuration::from_mins(5);
    }
    let problem = lab.store.open_problems().await.unwrap().remove(0);
    assert_eq!((problem.subject.as_str(), problem.kind.as_str()), ("host:backup1.example.org", "heartbeat"));
    assert!(problem.document["summary"].as_str().unwrap().contains("503"));
}

/// The test of a target takes the way of all messages, whatever routes say.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_says_what_the_service_answered() {
    let server = WebServer::start(vec![Answer::Is(200, "", "thanks".to_owned()), status(404)]);
    let lab = Lab::unread(&hook("chat", &server.url("/"))).await;
    let notifier = Notifier::new(lab.store.clone(), SERVER);
    let mut trial = Trial { store: &lab.store, config: &lab.config, notifier, sender: lab.sender.clone() };
    let sent = trial.test("chat").await.unwrap().unwrap();
    assert_eq!((sent.state, sent.answer.as_deref()), ("delivered", Some("200 OK: thanks")));
    let sent = trial.test("chat").await.unwrap().unwrap();
    assert_eq!(sent.state, DeliveryState::Undeliverable.as_str());
    let unknown = trial.test("char").await.unwrap_err().to_string();
    assert_eq!(unknown, "there is no target \"char\"; there is chat");
    let titles = lab.titles("chat").await;
    assert_eq!(titles, ["chat: test message", "chat: test message"]);
    let reader = ReaderId::new("notifications").unwrap();
    assert_eq!(
        lab.store.reader_place(&reader).await.unwrap(),
        Place::default(),
        "no server reads the events"
    );
}

/// Each form of a webhook is asked as the definition says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_preset_is_asked_at_its_address() {
    let server = WebServer::start(vec![status(200)]);
    let target = |name: &str, path: &str, more: &str| {
        format!(
            "[target.{name}]\nwebhook = {{ url = \"{}\", preset = \"{name}\"{more} }}\n",
            server.url(path)
        )
    };
    let token = ", token = { file = \"{folder}/token\" }";
    let definitions = [
        target("ntfy", "/sub", &format!("{token}, channel = \"backups\"")),
        target("gotify", "/", token),
        target("telegram", "/", &format!("{token}, channel = \"-100\"")),
        target("generic", "/hook", &format!("{token}, headers = {{ X-Team = \"storage\" }}")),
        // Addresses of these are secrets.
        "[target.slack]\nwebhook = { url = { file = \"{folder}/url\" }, preset = \"slack\" }\n".to_owned(),
    ];
    let lab = Lab::unread(&definitions.concat()).await;
    fs::write(lab.path("token"), "TOKEN-of-it\n").unwrap();
    fs::write(lab.path("url"), server.url("/services/x\n")).unwrap();
    let notifier = Notifier::new(lab.store.clone(), SERVER);
    let mut trial = Trial { store: &lab.store, config: &lab.config, notifier, sender: lab.sender.clone() };
    let mut lines = Vec::new();
    for name in ["ntfy", "gotify", "telegram", "generic", "slack"] {
        let sent = trial.test(name).await.unwrap().unwrap();
        assert_eq!(sent.state, "delivered", "{sent:?}");
        lines.push(server.asked().last().unwrap().line.clone());
    }
    let post = |path: &str| format!("POST {path} HTTP/1.1");
    let paths = ["/sub", "/message", "/botTOKEN-of-it/sendMessage", "/hook", "/services/x"];
    assert_eq!(lines, paths.map(post));
    let asked = server.asked();
    assert_eq!(asked[0].json()["topic"], "backups");
    assert_eq!(asked[2].json()["chat_id"], "-100");
    assert_eq!(asked[3].header("x-team"), Some("storage"));
    assert_eq!(asked[3].header("authorization"), Some("Bearer TOKEN-of-it"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_a_certificate_of_ones_own_is_trusted_by_a_file() {
    let server = MailServer::start("starttls", false, json!({}));
    let target = format!(
        "[target.ops]\nsmtp = {{ host = \"127.0.0.1\", port = {}, ca_file = \"{{folder}}/ca.pem\", to = \
         [\"ops@example.org\"] }}\n",
        server.port
    );
    let lab = Lab::unread(&target).await;
    let notifier = Notifier::new(lab.store.clone(), SERVER);
    let mut trial = Trial { store: &lab.store, config: &lab.config, notifier, sender: lab.sender.clone() };
    let sent = trial.test("ops").await.unwrap().unwrap();
    let error = sent.error.unwrap();
    assert!(error.contains("ca.pem can't be read"), "{error}");
    fs::write(lab.path("ca.pem"), &server.authority).unwrap();
    let sent = trial.test("ops").await.unwrap().unwrap();
    assert_eq!((sent.state, sent.answer.as_deref()), ("delivered", Some("250 taken")));
    assert!(server.mail().header("subject").unwrap().contains("ops: test message"));
}
