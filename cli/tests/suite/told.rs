//! Messages about runs that have no server beside them: each is sent once, by whichever process comes to it.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use keepfast_testkit::servers::mail::MailServer;
use keepfast_testkit::servers::web::{Answer, Asked, WebServer, status};
use serde_json::{Value, json};

use crate::plans::Plans;
use crate::program::Run;
use crate::serve::Server;

/// A plan, and targets that hear of everything at once.
fn plans(targets: &str, to: &str, policy: &str) -> Plans {
    Plans::new(&format!(
        "[plan.shop]\nrepository = \"main\"\nsource = [{{ files = [\"/no/such/shop\"] }}]\n{targets}\n[[route]]\nto = \
         [{to}]\nmatch = {{ severity = [\"warning\", \"error\"] }}\n{policy}\n"
    ))
}

fn hook(web: &WebServer) -> String {
    format!("[target.chat]\nwebhook = {{ url = {:?}, timeout = \"5s\" }}", web.url("/hook"))
}

/// What a service was told, as `SUBJECT KIND`.
fn told(web: &WebServer) -> Vec<String> {
    let of = |asked: &Asked| -> Vec<String> {
        let text = |item: &Value, name: &str| item[name].as_str().unwrap().to_owned();
        let items = asked.json()["items"].as_array().unwrap().clone();
        items.iter().map(|item| format!("{} {}", text(item, "subject"), text(item, "kind"))).collect()
    };
    web.asked().iter().flat_map(of).collect()
}

#[test]
fn a_run_without_a_server_tells_by_mail_and_webhook_and_says_when_it_is_over() {
    let web = WebServer::start(vec![status(200)]);
    let mail = MailServer::start("none", false, json!({}));
    let smtp = format!(
        "[target.ops]\nsmtp = {{ host = \"127.0.0.1\", port = {}, tls = \"none\", from = \"kf@example.org\", to = \
         [\"ops@example.org\"] }}\n",
        mail.port
    );
    let plans = plans(&format!("{}\n{smtp}", hook(&web)), "\"chat\", \"ops\"", "");
    plans.run(&["run", "www"]).succeeds();
    assert_eq!(told(&web), Vec::<String>::new(), "a good run is no news");
    fs::rename(plans.desk.path("src"), plans.desk.path("away")).unwrap();
    let run = plans.run(&["run", "www"]);
    assert!(run.code != 0 && !run.err.contains("did not arrive"), "{run:?}");
    assert_eq!(told(&web)[0], "plan:www backup.failed");
    assert!(mail.mail().header("subject").unwrap().contains("www: backup failed"));
    let failed = told(&web).len();
    assert_eq!(plans.run(&["run", "www"]).code, run.code);
    assert_eq!(told(&web).len(), failed, "it has been told");
    fs::rename(plans.desk.path("away"), plans.desk.path("src")).unwrap();
    plans.run(&["run", "www"]).succeeds();
    assert_eq!(told(&web)[failed..], ["plan:www backup.ok"]);
    assert!(mail.mail().header("subject").unwrap().contains("www"));
    assert!(mail.rest().is_empty());
}

/// The exit code is that of the run; what didn't arrive is said and kept.
#[test]
fn a_message_that_does_not_arrive_changes_nothing_about_the_run() {
    let later = "Retry-After: 600\r\n";
    let web = WebServer::start(vec![Answer::Is(503, later, String::new())]);
    let plans = plans(&hook(&web), "\"chat\"", "");
    plans.define(&format!(
        "[[plan.www.hook]]\non = \"success\"\nrun = [\"/bin/false\"]\non_error = \"warn\"\n{}\n[[route]]\nto = [\"chat\"]\n",
        hook(&web)
    ));
    let run = plans.run(&["run", "www"]).fails(
        3,
        &[
            "warning: the message \"www: ",
            "to target chat did not arrive: the answer was 503",
            "it waits in the outbox",
        ],
    );
    assert!(!run.err.contains("given up"), "{run:?}");
    let log = plans.document(&["notify", "log"]);
    assert_eq!((&log[0]["state"], &log[0]["attempts"]), (&"waiting".into(), &1.into()));
    // Its next attempt is ten minutes later, as the service asks: a run at once doesn't make it, and says that it waits.
    plans.run(&["run", "www"]).fails(3, &["did not arrive: the answer was 503"]);
    let said = plans.run(&["--json", "run", "www"]);
    assert!(said.err.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{said:?}");
    assert_eq!(web.asked().len(), 1);
}

/// Two processes decide and send at the same time.
#[test]
fn runs_that_end_at_once_tell_each_thing_once() {
    let web = WebServer::start(vec![status(200)]);
    let plans = plans(&hook(&web), "\"chat\"", "");
    fs::rename(plans.desk.path("src"), plans.desk.path("away")).unwrap();
    let start = |plan| {
        plans.command().args(["run", plan]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let both = [start("www"), start("shop")].map(|child| Run::of(child.wait_with_output().unwrap()));
    assert!(both.iter().all(|run| run.code != 0 && !run.err.contains("did not arrive")), "{both:?}");
    let mut failures = told(&web);
    failures.retain(|told| told.ends_with("backup.failed"));
    failures.sort();
    assert_eq!(failures, ["plan:shop backup.failed", "plan:www backup.failed"]);
}

/// Beside a server, the server sends, and its group window counts.
#[test]
fn beside_a_server_a_run_leaves_the_telling_to_it() {
    let web = WebServer::start(vec![status(200)]);
    let plans = plans(&hook(&web), "\"chat\"", "policy = { group = \"15s\" }");
    let server = Server::start(&plans);
    let run = plans.run(&["run", "shop"]);
    assert!(run.code != 0, "{run:?}");
    assert_eq!(told(&web), Vec::<String>::new(), "the server waits for what else may happen");
    let until = Instant::now() + Duration::from_secs(120);
    while told(&web).is_empty() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(200));
    }
    let failures = told(&web).into_iter().filter(|told| told == "plan:shop backup.failed");
    assert_eq!(failures.count(), 1);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn what_waits_for_a_summary_is_said_and_not_sent() {
    let web = WebServer::start(vec![status(200)]);
    let digest =
        "policy = { digest = \"weekly\" }\n[digest]\nweekly = { cron = \"0 8 * * 1\", to = [\"chat\"] }";
    let plans = plans(&hook(&web), "\"chat\"", digest);
    let run = plans.run(&["run", "shop"]);
    assert!(run.err.contains("note: still to be told: ") && run.err.contains("due at 20"), "{run:?}");
    assert_eq!(told(&web), Vec::<String>::new());
}
