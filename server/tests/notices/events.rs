//! What is told of the state's events, to whom and how often.

use keepfast_server::notices::Notifier;
use keepfast_server::state::stored;
use keepfast_store::{EventKind, NewEvent, Subject, SubjectKind, Unstarted, UserName};
use keepfast_testkit::servers::mail::MailServer;
use keepfast_testkit::servers::web::{WebServer, status};
use serde_json::json;

use crate::lab::{Lab, SERVER, failed, failed_by, hook, mail, ok, route};

/// A target at a server that takes everything.
fn web() -> (WebServer, String) {
    let server = WebServer::start(vec![status(200)]);
    let target = hook("chat", &server.url("/hook"));
    (server, target)
}

/// Also if the server is started again at any moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_run_makes_one_mail_and_its_success_another() {
    let server = MailServer::start("none", false, json!({}));
    let mut lab = Lab::new(&format!("{}{}", mail(server.port), route(&["ops"]))).await;
    lab.run("www", failed()).await;
    lab.step().await;
    lab.restart().await;
    lab.wait(2).await;
    lab.restart().await;
    lab.wait(30).await;
    let mail = server.mail();
    assert_eq!(mail.header("subject"), Some("[backup1.example.org] Error: www: backup failed"));
    assert_eq!(mail.header("from"), Some("keepfast@backup1.example.org"));
    let text = mail.part("text/plain");
    for said in [
        "The backup of plan www failed: the path /srv/www isn't there",
        "main",
        "web1",
        "1 min 15 s",
        "See whether the path is mounted",
        "https://backup.example.org/runs/run-1",
    ] {
        assert!(text.contains(said), "{said:?} isn't in {text}");
    }
    lab.run("www", ok()).await;
    lab.step().await;
    lab.restart().await;
    lab.wait(60).await;
    let mail = server.mail();
    assert_eq!(mail.header("subject"), Some("[backup1.example.org] Resolved: www: backup works again"));
    let text = mail.part("text/plain");
    for figure in ["2.0 KiB", "6, of which 3 are new or changed", "abcd1234"] {
        assert!(text.contains(figure), "{figure:?} isn't in {text}");
    }
    lab.wait(3 * 24 * 60).await;
    assert_eq!(server.rest().len(), 0, "nothing is told twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_tell_each_event_once() {
    let (web, target) = web();
    let mut lab = Lab::new(&format!("{target}{}", route(&["chat"]))).await;
    let mut other = Notifier::new(lab.store.clone(), SERVER);
    for _ in 0..2 {
        lab.run("www", failed()).await;
        for _ in 0..2 {
            let (now, elapsed) = (lab.now, lab.elapsed());
            let both = tokio::join!(
                lab.notifier.step(&lab.config, now, elapsed),
                other.step(&lab.config, now, elapsed)
            );
            both.0.unwrap();
            both.1.unwrap();
            lab.now += jiff::SignedDuration::from_mins(3);
        }
        lab.run("www", ok()).await;
        lab.wait(5 * 60).await;
    }
    let titles = lab.titles("chat").await;
    let expected = ["www: backup failed", "www: backup works again"].repeat(2);
    assert_eq!(titles, expected);
    assert_eq!(web.asked().len(), expected.len());
}

/// Forty plans that fail because of one repository are one message.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_that_cant_be_reached_is_one_message() {
    let (web, target) = web();
    let mut lab = Lab::new(&format!("{target}{}", route(&["chat"]))).await;
    for number in 0..40 {
        lab.run(&format!("plan-{number}"), failed_by("network", "main doesn't answer")).await;
    }
    let document = json!({
        "summary": "Repository main can't be reached since 08:00.", "advice": "Look at its network.",
        "facts": { "Address": "s3://backups", "Tries": 3 },
    });
    lab.problem(SubjectKind::Repository, "main", "unreachable", document).await;
    lab.wait(60).await;
    let asked = web.asked();
    assert_eq!(asked.len(), 1, "{:?}", lab.titles("chat").await);
    let item = &asked[0].json()["items"][0];
    assert_eq!(item["subject"], "repository:main");
    assert_eq!(item["summary"], "Repository main can't be reached since 08:00.");
    assert_eq!(item["link"], "https://backup.example.org/repositories/main");
    let facts = item["facts"].as_array().unwrap();
    let fact = |name: &str| facts.iter().find(|fact| fact["name"] == name).unwrap()["value"].clone();
    assert_eq!(fact("Address"), "s3://backups");
    assert!(fact("Also affects").as_str().unwrap().contains("plan-0"), "{facts:?}");
    lab.resolved(SubjectKind::Repository, "main", "unreachable").await;
    for number in 0..40 {
        lab.run(&format!("plan-{number}"), ok()).await;
    }
    lab.wait(60).await;
    assert_eq!(lab.titles("chat").await, ["main: can't be reached", "main: reachable again"]);
}

/// A state that no one has read the events of isn't told as a whole: what is wrong now counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_start_tells_what_is_a_problem_now() {
    let (_web, target) = web();
    let mut lab = Lab::unread(&format!("{target}{}", route(&["chat"]))).await;
    lab.run("www", failed()).await;
    lab.problem(SubjectKind::Plan, "shop-db", "overdue", json!({ "summary": "It is late." })).await;
    lab.problem(SubjectKind::Plan, "www", "overdue", json!({ "summary": "It was late." })).await;
    lab.resolved(SubjectKind::Plan, "www", "overdue").await;
    lab.wait(10).await;
    assert_eq!(lab.titles("chat").await, ["shop-db: backup overdue"]);
    lab.resolved(SubjectKind::Plan, "shop-db", "overdue").await;
    lab.run("www", failed()).await;
    lab.wait(10).await;
    assert_eq!(lab.titles("chat").await.len(), 2, "from then on, all that happens is told");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_news_is_not_told() {
    let (_web, target) = web();
    let mut lab = Lab::new(&format!("{target}[[route]]\nto = [\"chat\"]\n")).await;
    lab.unstarted("www", Unstarted::Skipped("it is paused".into())).await;
    // A run that is tried again: the server says so in the run's event.
    let document =
        json!({ "run": "run-x", "kind": "backup", "plan": "www", "verdict": "failed", "will_retry": true });
    let subject = Subject::of(SubjectKind::Plan, "www");
    let event = NewEvent { at: stored(lab.now), kind: EventKind::RUN_ENDED, subject, document };
    lab.store.publish(event).await.unwrap();
    lab.wait(60).await;
    assert_eq!(lab.titles("chat").await, Vec::<String>::new());
    lab.unstarted("www", Unstarted::Missed("the server was off".into())).await;
    lab.wait(60).await;
    assert_eq!(lab.titles("chat").await, ["www: backup missed"]);
}

/// A project's routes are about its own plans, whatever they match.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routes_of_a_project_match_what_is_its_own() {
    let (_web, target) = web();
    let project = "[[project.shop.route]]\nmatch = { event = [\"failed\", \"overdue\"], label = [\"team=shop\"] }\n\
                   to = [\"chat\"]\n\
                   [[project.shop.route]]\nmatch = { project = [\"other\"] }\nto = [\"chat\"]\n";
    let mut lab = Lab::new(&format!("{target}{project}")).await;
    lab.run("www", failed()).await;
    lab.run("shop-db", failed()).await;
    lab.problem(SubjectKind::Plan, "www", "overdue", json!({ "summary": "It is late." })).await;
    lab.wait(10).await;
    assert_eq!(lab.titles("chat").await, ["shop-db: backup failed"]);
}

/// What a person acknowledges isn't repeated, and its end is told all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_is_not_repeated() {
    let (_web, target) = web();
    let mut lab = Lab::new(&format!("{target}{}", route(&["chat"]))).await;
    lab.problem(SubjectKind::Host, "web1", "disk", json!({ "summary": "1 GiB is left on /var." })).await;
    lab.wait(25 * 60).await;
    assert_eq!(
        lab.titles("chat").await,
        ["web1: little room on a disk", "web1: still little room on a disk"]
    );
    let problem = lab.store.open_problems().await.unwrap().remove(0);
    let by = UserName::new("ann").unwrap();
    assert!(lab.store.acknowledge_problem(stored(lab.now), problem.number, &by).await.unwrap());
    lab.wait(3 * 24 * 60).await;
    assert_eq!(lab.titles("chat").await.len(), 2);
    lab.resolved(SubjectKind::Host, "web1", "disk").await;
    lab.wait(10).await;
    assert_eq!(lab.titles("chat").await[2..], ["web1: enough room again"]);
}

/// The problem's document may say that it is worse than usual, and what isn't known is told as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn problems_of_any_kind_are_told() {
    let (web, target) = web();
    let mut lab = Lab::new(&format!("{target}[[route]]\nto = [\"chat\"]\n")).await;
    for (kind, name, problem, severity) in [
        (SubjectKind::Plan, "www", "anomaly", "critical"),
        (SubjectKind::Repository, "main", "quota", "warning"),
        (SubjectKind::Host, "web1", "unreachable", "warning"),
        (SubjectKind::Host, "web2", "config", "error"),
        (SubjectKind::Host, "web3", "clock", "warning"),
        (SubjectKind::Host, "web4", "never heard of", "error"),
        (SubjectKind::Host, "web5", "config differs", "error"),
    ] {
        lab.problem(kind, name, problem, json!({ "summary": "So it is.", "severity": severity })).await;
    }
    let anomalies = json!([{ "text": "the run took 3 h, usually 10 min" }, { "text": "more of it" }]);
    let slow = json!({ "run": "run-1", "about_data": false, "anomalies": anomalies });
    lab.problem(SubjectKind::Plan, "shop-db", "anomaly", slow).await;
    lab.wait(10).await;
    let message = web.asked()[0].json();
    let slow =
        message["items"].as_array().unwrap().iter().find(|item| item["subject"] == "plan:shop-db").unwrap();
    assert_eq!(slow["summary"], "the run took 3 h, usually 10 min; more of it");
    let items = message["items"].as_array().unwrap();
    let mut kinds: Vec<_> =
        items.iter().map(|item| (item["kind"].as_str().unwrap(), item["tone"].as_str().unwrap())).collect();
    kinds.sort_unstable();
    assert_eq!(
        kinds,
        [
            ("anomaly", "critical"),
            ("anomaly", "warning"),
            ("clock", "warning"),
            ("config.differs", "error"),
            ("config.invalid", "error"),
            ("host.offline", "warning"),
            ("problem", "error"),
            ("quota", "warning"),
        ]
    );
}
