//! Mail, as a real server takes it and a mail program reads it.

use std::time::Duration;

use keepfast_notify::{Channel, LogTail, Outcome, Progress, Security, Smtp, Target};
use keepfast_testkit::servers::mail::{Mail, MailServer};
use serde_json::json;

use super::samples::{deliver, failure, hostile, huge, many, secret, smtp, target};

const PASSWORD: &str = "open sesame";

fn to(smtp: Smtp) -> Target {
    target(Channel::Smtp(smtp))
}

fn with_user(smtp: Smtp) -> Smtp {
    Smtp { user: Some("kf".to_owned()), password: Some(secret("password")), ..smtp }
}

fn send(target: &Target, progress: &Progress) -> Outcome {
    deliver(target, &failure(), progress, &[("password", PASSWORD.to_owned())])
}

const ANSWER: &str = "250 taken";

fn delivered() -> Outcome {
    Outcome::Delivered { answer: ANSWER.to_owned(), refused: Default::default() }
}

#[track_caller]
fn later(outcome: Outcome) -> (String, Progress) {
    match outcome {
        Outcome::Later { reason, progress, .. } => (reason, progress),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused(outcome: Outcome) -> (String, String) {
    match outcome {
        Outcome::Refused(refusal) => (refusal.reason, refusal.advice),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_mail_arrives_as_text_and_as_a_page() {
    let server = MailServer::start("none", false, json!({}));
    assert_eq!(send(&to(smtp(server.port, Security::Plain)), &Progress::default()), delivered());
    let mail = server.mail();
    assert_eq!(mail.header("Subject"), Some("[backup1] Error: shop-db: backup failed"));
    assert_eq!(mail.header("From"), Some("keepfast <backup@example.org>"));
    assert_eq!(mail.header("To"), Some("ops@example.org"));
    assert_eq!(mail.header("Date"), Some("Mon, 02 Mar 2026 08:02:00 +0000"));
    assert_eq!(mail.header("Auto-Submitted"), Some("auto-generated"));
    assert_eq!(mail.header("References"), Some("<thread-plan-shop-db@example.org>"));
    assert_eq!(mail.header("Message-ID"), Some(format!("<{}@example.org>", failure().id).as_str()));
    assert_eq!(mail.0["defects"], json!([]));
    let text = mail.part("text/plain");
    for part in [
        "Error: shop-db: backup failed\n",
        "The repository main can't be reached: connection refused by s3.example.org:443.",
        "  Since:             2026-03-02 08:00 UTC\n",
        "  Last good backup:  2026-02-28 01:30 CET, 2 d 6 h ago",
        "What to do: See whether the store answers",
        "https://backup.example.org/runs/8123",
    ] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    let page = mail.part("text/html");
    assert!(page.contains("href=\"https://backup.example.org/runs/8123\""), "{page}");
    assert!(page.contains("color-scheme"), "{page}");
    for remote in ["<img", "<script", "<link", "url(", "@import", "src="] {
        assert!(!page.contains(remote), "{remote} in {page}");
    }
    assert!(!text.contains("giving up") && !page.contains("giving up"), "no log that wasn't asked for");
}

#[test]
fn the_end_of_a_log_comes_only_where_the_target_says_so() {
    let server = MailServer::start("none", false, json!({}));
    let target = Target { log_tail: LogTail::Lines(2), ..to(smtp(server.port, Security::Plain)) };
    assert_eq!(send(&target, &Progress::default()), delivered());
    let mail = server.mail();
    for part in [mail.part("text/plain"), mail.part("text/html")] {
        assert!(part.contains("connection refused\n") && part.contains("giving up"), "{part}");
        assert!(!part.contains("connecting to"), "two lines were asked for: {part}");
    }
}

#[test]
fn starttls_and_a_password_are_used_before_anything_is_said() {
    let server = MailServer::start("starttls", true, json!({}));
    let authorities = Some(server.authority.clone());
    let target = to(with_user(Smtp { authorities, ..smtp(server.port, Security::StartTls) }));
    assert_eq!(send(&target, &Progress::default()), delivered());
    let mail = server.mail();
    assert_eq!((&mail.0["encrypted"], &mail.0["user"]), (&json!(true), &json!("kf")));
}

#[test]
fn tls_from_the_start_works_too() {
    let server = MailServer::start("tls", false, json!({}));
    let authorities = Some(server.authority.clone());
    let target = to(Smtp { authorities, ..smtp(server.port, Security::Tls) });
    assert_eq!(send(&target, &Progress::default()), delivered());
    assert_eq!(server.mail().header("To"), Some("ops@example.org"));
}

#[test]
fn a_certificate_of_an_unknown_authority_ends_the_conversation() {
    for (tls, security) in [("starttls", Security::StartTls), ("tls", Security::Tls)] {
        let server = MailServer::start(tls, false, json!({}));
        let (reason, _) = later(send(&to(smtp(server.port, security)), &Progress::default()));
        assert!(reason.to_lowercase().contains("certificate"), "{reason}");
        assert!(server.rest().is_empty());
    }
}

/// A man in the middle may take STARTTLS out of a server's greeting.
#[test]
fn without_starttls_nothing_is_sent_and_no_password_said() {
    let server = MailServer::start("none", true, json!({}));
    let (reason, advice) =
        refused(send(&to(with_user(smtp(server.port, Security::StartTls))), &Progress::default()));
    assert!(reason.contains("doesn't offer STARTTLS") && advice.contains("465"), "{reason} {advice}");
    assert!(server.rest().is_empty());
}

#[test]
fn a_wrong_password_is_refused_and_isnt_in_the_error() {
    let server = MailServer::start("starttls", true, json!({}));
    let authorities = Some(server.authority.clone());
    let target = to(with_user(Smtp { authorities, ..smtp(server.port, Security::StartTls) }));
    let ended =
        deliver(&target, &failure(), &Progress::default(), &[("password", "wrong password".to_owned())]);
    let Outcome::Refused(refusal) = ended else { panic!("{ended:?}") };
    assert!(refusal.secret_may_be_old && refusal.reason.contains("535"), "{refusal:?}");
    assert!(!format!("{refusal:?}").contains("wrong password"));
}

#[test]
fn a_secret_that_cant_be_read_now_is_tried_again_later() {
    let (reason, _) =
        later(deliver(&to(with_user(smtp(9, Security::Plain))), &failure(), &Progress::default(), &[]));
    assert_eq!(reason, "a secret of the target can't be read: there is no secret password");
}

/// Greylisting: strangers are asked to come back.
#[test]
fn a_server_that_says_later_gets_it_later() {
    let answers = json!({ "rcpt": { "text": "451 4.7.1 come back in five minutes", "times": 1 } });
    let server = MailServer::start("none", false, answers);
    let target = to(smtp(server.port, Security::Plain));
    let (reason, progress) = later(send(&target, &Progress::default()));
    assert!(reason.contains("come back in five minutes"), "{reason}");
    assert_eq!(send(&target, &progress), delivered());
    assert_eq!(server.mail().0["recipients"], json!(["ops@example.org"]));
}

#[test]
fn one_bad_recipient_keeps_a_mail_from_no_other_and_no_one_gets_it_twice() {
    let answers = json!({
        "rcpt gone@example.org": { "text": "550 5.1.1 no such user" },
        "rcpt grey@example.org": { "text": "451 4.7.1 later", "times": 1 },
    });
    let server = MailServer::start("none", false, answers);
    let recipients = ["ops@example.org", "gone@example.org", "Grey <grey@example.org>"];
    let target =
        to(Smtp { to: recipients.map(str::to_owned).to_vec(), ..smtp(server.port, Security::Plain) });
    let (_, progress) = later(send(&target, &Progress::default()));
    assert_eq!(progress.reached.iter().collect::<Vec<_>>(), ["ops@example.org"]);
    let stored: Progress = serde_json::from_value(json!(progress)).expect("it is data");
    let Outcome::Delivered { refused, .. } = send(&target, &stored) else { panic!("it wasn't delivered") };
    assert!(refused["gone@example.org"].contains("no such user"), "{refused:?}");
    let (first, second) = (server.mail(), server.mail());
    assert_eq!(first.0["recipients"], json!(["ops@example.org"]));
    assert_eq!(second.0["recipients"], json!(["grey@example.org"]));
    assert_eq!(first.header("Message-ID"), second.header("Message-ID"));
    assert!(server.rest().is_empty());
}

#[test]
fn what_a_server_refuses_for_good_says_what_to_change() {
    for (answers, said) in [
        (json!({ "mail": { "text": "553 5.7.1 sender not allowed" } }), "sender not allowed"),
        (json!({ "rcpt": { "text": "550 5.1.1 no such user" } }), "no such user"),
        (json!({ "data": { "text": "554 5.7.1 looks like spam" } }), "looks like spam"),
    ] {
        let server = MailServer::start("none", false, answers);
        let (reason, advice) = refused(send(&to(smtp(server.port, Security::Plain)), &Progress::default()));
        assert!(reason.contains(said), "{reason}");
        assert!(advice.contains("heck"), "{advice}");
    }
}

#[test]
fn a_server_that_dies_in_the_middle_gets_it_again() {
    for step in ["rcpt", "data"] {
        let server = MailServer::start("none", false, json!({ step: { "text": "die", "times": 1 } }));
        let target = to(smtp(server.port, Security::Plain));
        let (_, progress) = later(send(&target, &Progress::default()));
        assert_eq!(progress, Progress::default(), "{step}");
        assert_eq!(send(&target, &progress), delivered());
        assert_eq!(server.mail().header("To"), Some("ops@example.org"));
    }
}

#[test]
fn a_server_that_hangs_or_isnt_there_is_tried_again_later() {
    let server = MailServer::start("none", false, json!({ "data": { "text": "hang" } }));
    let smtp_now = Smtp { timeout: Duration::from_millis(800), ..smtp(server.port, Security::Plain) };
    let (reason, _) = later(send(&to(smtp_now), &Progress::default()));
    assert!(reason.contains("didn't take the message within"), "{reason}");
    let port = server.port;
    drop(server);
    let (reason, _) = later(send(&to(smtp(port, Security::Plain)), &Progress::default()));
    assert!(reason.contains("can't be reached"), "{reason}");
}

#[test]
fn addresses_that_are_none_are_refused() {
    for (from, to_address) in
        [("backup", "ops@example.org"), ("backup@example.org", "ops@example.org\r\nBcc: evil@example.org")]
    {
        let smtp =
            Smtp { from: from.to_owned(), to: vec![to_address.to_owned()], ..smtp(9, Security::Plain) };
        let (reason, _) = refused(send(&to(smtp), &Progress::default()));
        assert!(reason.contains("is no mail address"), "{reason}");
    }
    let (reason, _) =
        refused(send(&to(Smtp { to: Vec::new(), ..smtp(9, Security::Plain) }), &Progress::default()));
    assert!(reason.contains("no recipients"), "{reason}");
}

/// Header injection, and markup in names.
#[test]
fn hostile_names_change_no_header_and_no_page() {
    let server = MailServer::start("none", false, json!({}));
    let target = Target { log_tail: LogTail::Lines(100), ..to(smtp(server.port, Security::Plain)) };
    let ended = deliver(&target, &hostile(), &Progress::default(), &[]);
    assert_eq!(ended, delivered());
    let mail: Mail = server.mail();
    assert_eq!(mail.header("Bcc"), None);
    assert_eq!(mail.0["recipients"], json!(["ops@example.org"]));
    assert!(
        mail.header("Subject").expect("a subject").contains("Bcc: evil@example.org"),
        "it is text in one line"
    );
    let names: Vec<_> =
        mail.0["headers"].as_array().expect("headers").iter().map(|header| &header[0]).collect();
    let known =
        ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "In-Reply-To", "References"];
    let known = known.into_iter().chain(["MIME-Version", "Content-Type", "X-Peer", "X-MailFrom", "X-RcptTo"]);
    let known: Vec<_> = known.map(|name| json!(name)).collect();
    assert!(names.iter().all(|name| known.contains(name)), "{names:?}");
    let page = mail.part("text/html");
    assert!(page.contains("&#60;script&#62;") && !page.contains("<script"), "{page}");
    assert!(!page.contains("</pre>\n</pre>") && !page.contains('\u{202e}') && !page.contains('\u{0}'));
    let links = page.matches("href=").count();
    assert_eq!(links, page.matches("href=\"https://backup.example.org").count(), "{page}");
}

#[test]
fn a_mail_is_of_moderate_size_and_its_lines_are_short() {
    let server = MailServer::start("none", false, json!({}));
    let target = Target { log_tail: LogTail::Lines(1000), ..to(smtp(server.port, Security::Plain)) };
    assert_eq!(deliver(&target, &huge(), &Progress::default(), &[]), delivered());
    let mail = server.mail();
    let raw = mail.0["raw"].as_str().expect("a message");
    assert!(raw.len() < 1_500_000, "{}", raw.len());
    assert!(raw.lines().all(|line| line.len() <= 998), "a line is longer than mail may have");
    assert!(mail.part("text/plain").contains("shortened"));
}

#[test]
fn many_problems_are_one_mail_with_the_worst_first() {
    let server = MailServer::start("none", false, json!({}));
    let ended = deliver(&to(smtp(server.port, Security::Plain)), &many(4), &Progress::default(), &[]);
    assert_eq!(ended, delivered());
    let mail = server.mail();
    assert_eq!(mail.header("Subject"), Some("[backup1] Critical: 4 problems: plan-01, plan-00, plan-02, …"));
    assert_eq!((mail.header("Importance"), mail.header("References")), (Some("high"), None));
    let text = mail.part("text/plain");
    assert!(text.starts_with("Critical: plan-01: backup failed\n"), "{text}");
    assert_eq!(text.matches("https://backup.example.org/runs/8123").count(), 4);
}
