//! Messages as the decisions make them, and a way to send them.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use keepfast_notify::{
    Channel, Content, Courier, Event, Fact, LogTail, Message, Outcome, Progress, SecretError, SecretFuture,
    SecretRef, Secrets, Security, Severity, Smtp, Target, TargetName, Verdict, Webhook, WebhookKind,
};
use zeroize::Zeroizing;

use super::lab::{HOUR, Lab, backup, failed, plan, route};

/// Names that try to be something else.
pub const HOSTILE: &str = "x\r\nBcc: evil@example.org\r\n\r\n@everyone <!channel> <script>alert(1)</script> \
                           [a](http://evil.example) **b** `c` https://evil.example /start #tag &amp; \u{202e}gnp.exe \u{0}";

fn filled(event: Event) -> Event {
    let content = Content {
        summary: "The repository main can't be reached: connection refused by s3.example.org:443.".to_owned(),
        facts: vec![
            Fact::new("Plan", "shop-db"),
            Fact::new("Repository", "main"),
            Fact::new("Last good backup", "2026-02-28 01:30 CET, 2 d 6 h ago"),
            Fact::new("Attempts", "3"),
        ],
        advice: Some(
            "See whether the store answers: keepfast doctor --repository main. The next attempt is at 09:30 CET."
                .to_owned(),
        ),
        path: Some("/runs/8123".to_owned()),
        log_tail: Some("08:59:58 connecting to s3.example.org\n08:59:59 connection refused\n09:00:00 giving up".to_owned()),
    };
    Event { content, ..event }
}

/// What is told of a failure.
pub fn failure() -> Message {
    let mut lab = Lab::new(vec![route("r", &["ops"], Default::default())]);
    let event = lab.event(&plan("shop-db"), failed());
    lab.decide(&[filled(event)]);
    lab.wait(HOUR).remove(0).1.message
}

/// What is told when it is over.
pub fn resolved() -> Message {
    let mut lab = Lab::new(vec![route("r", &["ops"], Default::default())]);
    lab.happens(&plan("shop-db"), failed());
    lab.wait(HOUR);
    let mut event = lab.event(&plan("shop-db"), backup(Verdict::Ok));
    event.content =
        Content::sentence("The backup was completed in 4 min: 812 files are new, 1.2 GiB were stored.");
    lab.decide(&[event]);
    lab.wait(HOUR).remove(0).1.message
}

/// Many problems in one message.
pub fn many(count: usize) -> Message {
    let mut lab = Lab::new(vec![route("r", &["ops"], Default::default())]);
    for n in 0..count {
        let mut event = filled(lab.event(&plan(&format!("plan-{n:02}")), failed()));
        if n == 1 {
            event.severity = Severity::Critical;
        }
        lab.decide(&[event]);
    }
    lab.wait(HOUR).remove(0).1.message
}

/// A failure in which every text of others is hostile.
pub fn hostile() -> Message {
    let mut lab = Lab::new(vec![route("r", &["ops"], Default::default())]);
    lab.context.server = HOSTILE.to_owned();
    let mut event = filled(lab.event(&plan(HOSTILE), failed()));
    event.content = Content {
        summary: HOSTILE.to_owned(),
        facts: vec![Fact::new(HOSTILE, HOSTILE)],
        advice: Some(HOSTILE.to_owned()),
        path: Some("\"><script>alert(1)</script>".to_owned()),
        log_tail: Some(format!("```\n{HOSTILE}\n</pre>")),
    };
    lab.decide(&[event]);
    lab.wait(HOUR).remove(0).1.message
}

/// As much as there can be of everything.
pub fn huge() -> Message {
    let mut lab = Lab::new(vec![route("r", &["ops"], Default::default())]);
    for n in 0..60 {
        let mut event = filled(lab.event(&plan(&format!("plan-{n:02}-{}", "n".repeat(300))), failed()));
        let long = "long text with <signs> & *stars* ".repeat(400);
        event.content.summary.clone_from(&long);
        event.content.facts = (0..30).map(|n| Fact::new(format!("{n} {long}"), long.clone())).collect();
        event.content.advice = Some(long.clone());
        event.content.log_tail = Some(format!("{long}\n").repeat(20));
        lab.decide(&[event]);
    }
    lab.wait(HOUR).remove(0).1.message
}

/// Secrets by their names.
pub struct Known(pub BTreeMap<&'static str, String>);

impl Secrets for Known {
    fn secret<'a>(&'a self, reference: &'a SecretRef) -> SecretFuture<'a> {
        Box::pin(async move {
            let found = self.0.get(reference.0.as_str()).cloned().map(Zeroizing::new);
            found.ok_or_else(|| SecretError(format!("there is no secret {}", reference.0)))
        })
    }
}

pub fn secret(name: &str) -> SecretRef {
    SecretRef(name.to_owned())
}

pub fn now() -> Timestamp {
    "2026-03-02T09:00:00Z".parse().expect("an instant")
}

pub fn webhook(kind: WebhookKind) -> Webhook {
    let timeout = Duration::from_secs(5);
    let headers = [("X-Team".to_owned(), "storage".to_owned())].into();
    Webhook { url: secret("url"), kind, headers, public_only: false, authorities: None, timeout }
}

pub fn smtp(port: u16, security: Security) -> Smtp {
    Smtp {
        host: "127.0.0.1".to_owned(),
        port,
        security,
        authorities: None,
        user: None,
        password: None,
        from: "keepfast <backup@example.org>".to_owned(),
        to: vec!["ops@example.org".to_owned()],
        hello: "backup1.example.org".to_owned(),
        timeout: Duration::from_secs(10),
    }
}

pub fn target(channel: Channel) -> Target {
    Target { name: TargetName::new("ops"), channel, log_tail: LogTail::None }
}

/// Sends a message, with these secrets.
pub fn deliver(
    target: &Target,
    message: &Message,
    progress: &Progress,
    secrets: &[(&'static str, String)],
) -> Outcome {
    let secrets = Known(secrets.iter().cloned().collect());
    run(Courier::new().deliver(target, message, progress, &secrets, now()))
}

pub fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime").block_on(future)
}
