//! Requests to services, as these see them; and what comes of answers of all kinds.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use keepfast_notify::heartbeat::{Beat, Heartbeat, Method};
use keepfast_notify::{
    Channel, Courier, GenericHook, LogTail, Message, Outcome, Progress, Refusal, Target, Webhook, WebhookKind,
};
use keepfast_testkit::servers::web::{Answer, Asked, WebServer, status};
use serde_json::{Value, json};

use super::samples::{
    Known, deliver, failure, hostile, huge, many, now, resolved, run, secret, target, webhook,
};

const TOKEN: &str = "T0KEN-that-no-one-may-see";

fn kinds() -> Vec<(WebhookKind, &'static str)> {
    let token = || secret("token");
    vec![
        (WebhookKind::Slack, "/services/T00/B00/xyzxyzxyz"),
        (WebhookKind::Discord, "/api/webhooks/1/xyzxyzxyz"),
        (WebhookKind::Teams, "/workflows/1?sig=xyzxyzxyz"),
        (WebhookKind::Ntfy { topic: None, token: Some(token()) }, "/sub/backups"),
        (WebhookKind::Gotify { token: token() }, "/gotify/"),
        (WebhookKind::Telegram { token: token(), chat: "-100".to_owned() }, ""),
        (
            WebhookKind::Generic(GenericHook { signing_key: Some(secret("key")), bearer: Some(token()) }),
            "/hook",
        ),
    ]
}

fn to(kind: WebhookKind) -> Target {
    target(Channel::Webhook(webhook(kind)))
}

fn send(server: &WebServer, path: &str, target: &Target, message: &Message) -> Outcome {
    let secrets = [("url", server.url(path)), ("token", TOKEN.to_owned()), ("key", "signing key".to_owned())];
    deliver(target, message, &Progress::default(), &secrets)
}

/// What a service of this kind was asked for a message.
fn asked(kind: WebhookKind, path: &str, message: &Message, log_tail: LogTail) -> Asked {
    let server = WebServer::start(vec![status(200)]);
    let target = Target { log_tail, ..to(kind) };
    let ended = send(&server, path, &target, message);
    assert_eq!(ended, Outcome::Delivered { answer: "200 OK".to_owned(), refused: Default::default() });
    server.asked().remove(0)
}

fn kind(number: usize) -> (WebhookKind, &'static str) {
    kinds().swap_remove(number)
}

fn body(number: usize, message: &Message) -> Value {
    let (kind, path) = kind(number);
    asked(kind, path, message, LogTail::None).json()
}

#[track_caller]
fn later(outcome: Outcome) -> (String, Option<Duration>) {
    match outcome {
        Outcome::Later { reason, wait, .. } => (reason, wait),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused(outcome: Outcome) -> Refusal {
    match outcome {
        Outcome::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_service_is_asked_at_its_address_with_its_token() {
    let lines: Vec<(String, Option<String>, Option<String>)> = kinds()
        .into_iter()
        .map(|(kind, path)| {
            let asked = asked(kind, path, &failure(), LogTail::None);
            assert_eq!(asked.header("content-type"), Some("application/json"));
            assert_eq!(asked.header("x-team"), Some("storage"), "a header of the target's own");
            assert!(asked.header("user-agent").is_some_and(|agent| agent.starts_with("keepfast/")));
            let header = |name| asked.header(name).map(str::to_owned);
            (asked.line.clone(), header("authorization"), header("x-gotify-key"))
        })
        .collect();
    let bearer = Some(format!("Bearer {TOKEN}"));
    let post = |path: &str| format!("POST {path} HTTP/1.1");
    assert_eq!(
        lines,
        [
            (post("/services/T00/B00/xyzxyzxyz"), None, None),
            (post("/api/webhooks/1/xyzxyzxyz"), None, None),
            (post("/workflows/1?sig=xyzxyzxyz"), None, None),
            (post("/sub/"), bearer.clone(), None),
            (post("/gotify/message"), None, Some(TOKEN.to_owned())),
            (post(&format!("/bot{TOKEN}/sendMessage")), None, None),
            (post("/hook"), bearer, None),
        ]
    );
}

#[test]
fn a_topic_of_ntfy_may_stand_beside_the_address() {
    let ntfy = |topic: Option<&str>, path| {
        let kind = WebhookKind::Ntfy { topic: topic.map(str::to_owned), token: None };
        let asked = asked(kind, path, &failure(), LogTail::None);
        (asked.line.clone(), asked.json()["topic"].clone())
    };
    let line = |path: &str| format!("POST {path} HTTP/1.1");
    assert_eq!(ntfy(Some("backups"), "/sub/"), (line("/sub/"), "backups".into()));
    assert_eq!(ntfy(None, "/sub/backups"), (line("/sub/"), "backups".into()));
}

#[test]
fn slack_shows_the_title_and_a_card() {
    let body = body(0, &failure());
    assert_eq!(body["text"], "*Error* shop-db: backup failed");
    let card = &body["attachments"][0];
    assert_eq!(card["color"], "#c9302c");
    let blocks = card["blocks"].as_array().expect("blocks");
    assert!(blocks[0]["text"]["text"].as_str().expect("text").starts_with("The repository main"));
    assert_eq!(
        blocks[1]["fields"][1],
        json!({ "type": "plain_text", "text": "Plan\nshop-db", "emoji": false })
    );
    assert_eq!(blocks[3]["text"]["text"], "<https://backup.example.org/runs/8123|Open>");
}

#[test]
fn discord_shows_an_embed_that_calls_no_one() {
    let body = body(1, &resolved());
    assert_eq!(body["allowed_mentions"], json!({ "parse": [] }));
    let embed = &body["embeds"][0];
    assert_eq!(embed["title"], "Resolved\\: shop\\-db\\: backup works again");
    assert_eq!(embed["url"], "https://backup.example.org");
    assert_eq!(embed["color"], 0x001f_8a4c);
    assert_eq!(embed["timestamp"], "2026-03-02T09:02:00Z");
}

#[test]
fn teams_shows_a_card_of_plain_runs() {
    let body = body(2, &failure());
    let card = &body["attachments"][0]["content"];
    assert_eq!(card["type"], "AdaptiveCard");
    let blocks = card["body"].as_array().expect("a body");
    assert!(blocks.iter().all(|block| block["type"] == "RichTextBlock"), "blocks of text know markup");
    assert_eq!(blocks[0]["inlines"][0]["text"], "Error: shop-db: backup failed");
    assert_eq!(card["actions"][0]["url"], "https://backup.example.org/runs/8123");
}

#[test]
fn ntfy_gotify_and_telegram_show_text() {
    let ntfy = body(3, &failure());
    assert_eq!((&ntfy["topic"], &ntfy["priority"]), (&json!("backups"), &json!(4)));
    assert_eq!(ntfy["title"], "shop-db: backup failed");
    assert_eq!(ntfy["click"], "https://backup.example.org/runs/8123");
    let gotify = body(4, &failure());
    assert_eq!((&gotify["title"], &gotify["priority"]), (&json!("shop-db: backup failed"), &json!(8)));
    assert!(gotify["message"].as_str().expect("text").contains("What to do: See whether"));
    let telegram = body(5, &failure());
    assert_eq!((&telegram["chat_id"], &telegram["parse_mode"]), (&json!("-100"), &json!("HTML")));
    let text = telegram["text"].as_str().expect("text");
    assert!(text.starts_with("❌ <b>shop-db:\u{2060} backup failed</b>\n"), "{text}");
    assert!(text.contains("<a href=\"https://backup.example.org/runs/8123\">Open</a>"), "{text}");
}

/// The shape is documented; programs of others read it.
#[test]
fn the_generic_request_has_its_documented_shape() {
    let (kind, path) = kind(6);
    let body = asked(kind, path, &failure(), LogTail::Lines(1)).json();
    let message = failure();
    let expected = json!({
        "version": 1,
        "id": message.id,
        "thread": "plan:shop-db",
        "at": "2026-03-02T08:02:00Z",
        "server": "backup1",
        "title": "shop-db: backup failed",
        "tone": "error",
        "items": [{
            "tone": "error",
            "subject": "plan:shop-db",
            "kind": "backup.failed",
            "title": "shop-db: backup failed",
            "summary": "The repository main can't be reached: connection refused by s3.example.org:443.",
            "facts": [
                { "name": "Since", "value": "2026-03-02 08:00 UTC" },
                { "name": "Plan", "value": "shop-db" },
                { "name": "Repository", "value": "main" },
                { "name": "Last good backup", "value": "2026-02-28 01:30 CET, 2 d 6 h ago" },
                { "name": "Attempts", "value": "3" },
            ],
            "advice": "See whether the store answers: keepfast doctor --repository main. The next attempt is at 09:30 CET.",
            "link": "https://backup.example.org/runs/8123",
            "log_tail": "09:00:00 giving up",
        }],
        "left_out": 0,
        "remark": null,
        "link": "https://backup.example.org",
    });
    assert_eq!(body, expected);
}

/// A receiver that is written in another language verifies the signature.
#[test]
fn a_receiver_can_verify_who_sent_a_generic_request() {
    const VERIFY: &str = "
import base64, hashlib, hmac, json, sys
asked = json.load(sys.stdin)
key = base64.b64decode(asked['key'][6:]) if asked['key'].startswith('whsec_') else asked['key'].encode()
signed = f\"{asked['id']}.{asked['timestamp']}.{asked['body']}\".encode()
print('v1,' + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode())
";
    let hook = GenericHook { signing_key: Some(secret("key")), bearer: None };
    for key in ["signing key", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
        let server = WebServer::start(vec![status(204)]);
        let secrets = [("url", server.url("/hook")), ("key", key.to_owned())];
        let target = to(WebhookKind::Generic(hook.clone()));
        deliver(&target, &failure(), &Progress::default(), &secrets);
        let asked = server.asked().remove(0);
        let header = |name| asked.header(name).expect(name).to_owned();
        assert_eq!(header("webhook-timestamp"), now().as_second().to_string());
        assert_eq!(header("webhook-id"), failure().id);
        let question = json!({
            "key": key, "id": header("webhook-id"), "timestamp": header("webhook-timestamp"),
            "body": String::from_utf8(asked.body.clone()).expect("text"),
        });
        let mut python = Command::new("python3")
            .args(["-c", VERIFY])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python");
        python
            .stdin
            .take()
            .expect("a pipe")
            .write_all(question.to_string().as_bytes())
            .expect("it is written");
        let answer = python.wait_with_output().expect("it ends");
        assert_eq!(String::from_utf8_lossy(&answer.stdout).trim(), header("webhook-signature"));
    }
    let secrets = [("url", "http://127.0.0.1:9/".to_owned()), ("key", "whsec_?".to_owned())];
    let target = to(WebhookKind::Generic(hook));
    let refusal = refused(deliver(&target, &failure(), &Progress::default(), &secrets));
    assert!(refusal.reason.contains("isn't Base64"), "{refusal:?}");
}

/// All texts of a value.
fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(list) => list.iter().for_each(|value| texts(value, found)),
        Value::Object(fields) => fields.values().for_each(|value| texts(value, found)),
        _ => {}
    }
}

#[test]
fn hostile_names_stay_text_in_each_service() {
    for (number, (kind, path)) in kinds().into_iter().enumerate() {
        let body = asked(kind, path, &hostile(), LogTail::Lines(100)).json();
        let mut found = Vec::new();
        texts(&body, &mut found);
        for text in &found {
            assert!(!text.contains(['\u{0}', '\u{202e}', '\r']), "{number}: {text:?}");
        }
        if number < 6 {
            assert!(found.iter().all(|text| !text.contains("\"><script>")), "the link isn't used: {found:?}");
        }
    }
    let slack = body(0, &hostile());
    let text = slack["text"].as_str().expect("text");
    assert!(!text.contains("<!channel>") && text.contains("&lt;!channel&gt;"), "{text}");
    let blocks = slack["attachments"][0]["blocks"].as_array().expect("blocks");
    let marked = blocks.iter().filter(|block| block["text"]["type"] == "mrkdwn");
    assert_eq!(marked.count(), 0, "only the link is markup, and this one is none");
    let discord = body(1, &hostile());
    let description = discord["embeds"][0]["description"].as_str().expect("text");
    for part in ["\\@everyone", "\\[a\\]\\(http\\:", "\\*\\*b\\*\\*", "\\`c\\`", "\\<script\\>"] {
        assert!(description.contains(part), "no {part} in {description}");
    }
    let telegram = body(5, &hostile());
    let text = telegram["text"].as_str().expect("text");
    for (part, there) in [
        ("@everyone", false),
        ("<script>", false),
        ("https://evil", false),
        ("/start", false),
        ("#tag", false),
        ("&lt;script&gt;", true),
    ] {
        assert_eq!(text.contains(part), there, "{part} in {text}");
    }
}

#[test]
fn each_service_gets_no_more_than_it_takes_and_is_told_what_was_cut() {
    for message in [huge(), many(60)] {
        for (number, (kind, path)) in kinds().into_iter().enumerate() {
            let asked = asked(kind, path, &message, LogTail::Lines(1000));
            let body = asked.json();
            let chars = |value: &Value| value.as_str().expect("text").chars().count();
            let fits = match number {
                0 => {
                    let blocks = body["attachments"][0]["blocks"].as_array().expect("blocks");
                    let fields = blocks.iter().filter_map(|block| block["fields"].as_array());
                    blocks.len() <= 50
                        && blocks
                            .iter()
                            .filter(|block| block["text"].is_object())
                            .all(|block| (1..=3_000).contains(&chars(&block["text"]["text"])))
                        && fields.into_iter().all(|fields| {
                            fields.len() <= 10 && fields.iter().all(|field| chars(&field["text"]) <= 2_000)
                        })
                }
                1 => {
                    let embeds = body["embeds"].as_array().expect("embeds");
                    let all: usize =
                        embeds
                            .iter()
                            .map(|embed| {
                                let fields = embed["fields"].as_array().expect("fields");
                                assert!(
                                    fields.len() <= 25
                                        && chars(&embed["title"]) <= 256
                                        && chars(&embed["description"]) <= 4_096
                                );
                                assert!(
                                    fields.iter().all(|field| chars(&field["name"]) <= 256
                                        && chars(&field["value"]) <= 1_024)
                                );
                                let fields: usize = fields
                                    .iter()
                                    .map(|field| chars(&field["name"]) + chars(&field["value"]))
                                    .sum();
                                fields
                                    + chars(&embed["title"])
                                    + chars(&embed["description"])
                                    + chars(&embed["footer"]["text"])
                            })
                            .sum();
                    embeds.len() <= 10 && all <= 6_000 && chars(&body["content"]) <= 2_000
                }
                2 => asked.body.len() <= 28_000,
                3 => body["message"].as_str().expect("text").len() <= 4_096,
                4 => body["message"].as_str().expect("text").len() <= 16_000,
                5 => body["text"].as_str().expect("text").encode_utf16().count() <= 4_096,
                _ => true,
            };
            assert!(fits, "{number}: {} bytes", asked.body.len());
            assert!(number == 6 || body.to_string().contains("no room here"), "{number} doesn't say so");
        }
    }
}

/// 429 and 5xx pass; what asks for a pause gets one.
#[test]
fn answers_that_pass_are_tried_again_after_the_pause_they_ask_for() {
    let (slack, path) = kind(0);
    for (answer, wait) in [
        (Answer::Is(429, "Retry-After: 30\r\n", String::new()), Some(30_000)),
        (Answer::Is(429, "", r#"{"retry_after": 1.5}"#.to_owned()), Some(1_500)),
        (
            Answer::Is(503, "Retry-After: Mon, 02 Mar 2026 09:10:00 GMT\r\n", "maintenance".to_owned()),
            Some(600_000),
        ),
        (status(500), None),
        (status(502), None),
        (status(408), None),
    ] {
        let server = WebServer::start(vec![answer.clone()]);
        let (reason, asked) = later(send(&server, path, &to(slack.clone()), &failure()));
        assert!(reason.starts_with("the answer was "), "{reason}");
        assert_eq!(asked.map(|asked| asked.as_millis()), wait, "{answer:?}");
    }
}

#[test]
fn answers_that_stay_are_refused_with_what_to_change() {
    let (slack, path) = kind(0);
    for (code, advice, secret_may_be_old) in [
        (400, "preset", false),
        (401, "token or address", true),
        (403, "token or address", true),
        (404, "another webhook", true),
        (410, "another webhook", true),
        (413, "preset", false),
    ] {
        let server = WebServer::start(vec![Answer::Is(code, "", "no_service\r\n<b>".to_owned())]);
        let refusal = refused(send(&server, path, &to(slack.clone()), &failure()));
        assert!(refusal.reason.ends_with(": no_service <b>"), "{refusal:?}");
        assert!(refusal.advice.contains(advice), "{refusal:?}");
        assert_eq!(refusal.secret_may_be_old, secret_may_be_old, "{code}");
    }
}

#[test]
fn redirects_arent_followed() {
    let elsewhere = WebServer::start(vec![status(200)]);
    let (slack, path) = kind(0);
    for code in [301, 302, 307, 308] {
        let location: &'static str = format!("Location: {}\r\n", elsewhere.url("/secret-path")).leak();
        let server = WebServer::start(vec![Answer::Is(code, location, String::new())]);
        let refusal = refused(send(&server, path, &to(slack.clone()), &failure()));
        assert!(refusal.advice.contains("(on 127.0.0.1), and redirects aren't followed"), "{refusal:?}");
        assert!(!refusal.advice.contains("secret-path"));
    }
    assert!(elsewhere.asked().is_empty());
}

#[test]
fn a_service_that_hangs_or_breaks_off_or_isnt_there_is_tried_again_later() {
    let (kind, path) = kind(0);
    let hasty = Webhook { timeout: Duration::from_millis(500), ..webhook(kind.clone()) };
    let begun = Instant::now();
    let server = WebServer::start(vec![Answer::Hangs]);
    let (reason, _) = later(send(&server, path, &target(Channel::Webhook(hasty)), &failure()));
    assert!(reason.contains("127.0.0.1 didn't answer within"), "{reason}");
    assert!(begun.elapsed() < Duration::from_secs(5));
    let server = WebServer::start(vec![Answer::Breaks]);
    let (reason, _) = later(send(&server, path, &to(kind.clone()), &failure()));
    assert!(reason.contains("can't be reached"), "{reason}");
    let secrets = [("url", "http://127.0.0.1:9/services/secret-path".to_owned())];
    let (reason, _) = later(deliver(&to(kind), &failure(), &Progress::default(), &secrets));
    assert!(reason.contains("can't be reached") && !reason.contains("secret-path"), "{reason}");
}

#[test]
fn giant_and_broken_answers_do_no_harm() {
    let (kind, path) = kind(0);
    let server = WebServer::start(vec![Answer::Floods(200)]);
    let begun = Instant::now();
    assert!(matches!(send(&server, path, &to(kind.clone()), &failure()), Outcome::Delivered { .. }));
    assert!(begun.elapsed() < Duration::from_secs(4), "it isn't read to its end");
    let server = WebServer::start(vec![Answer::Floods(500)]);
    let (reason, _) = later(send(&server, path, &to(kind.clone()), &failure()));
    assert!(reason.len() < 500, "{reason}");
    let server = WebServer::start(vec![Answer::Half(200)]);
    assert!(
        matches!(send(&server, path, &to(kind), &failure()), Outcome::Delivered { .. }),
        "the status says that it arrived"
    );
}

/// Credentials in errors: an answer may repeat what it was asked.
#[test]
fn no_error_shows_an_address_or_a_token() {
    for (kind, path) in kinds() {
        let server = WebServer::start(vec![
            Answer::Is(404, "", format!("no {path} and no {TOKEN} and no signing key")),
            Answer::Breaks,
        ]);
        for _ in 0..2 {
            let target = to(kind.clone());
            let ended = format!("{:?} {target:?}", send(&server, path, &target, &failure()));
            let of_token = format!("{kind:?}").contains("\"token\"");
            let hidden = ["xyzxyzxyz"].into_iter().chain(of_token.then_some(TOKEN));
            for hidden in hidden.chain(matches!(kind, WebhookKind::Generic(_)).then_some("signing key")) {
                assert!(!ended.contains(hidden), "{hidden} in {ended}");
            }
        }
    }
}

#[test]
fn addresses_that_arent_public_are_refused_where_the_target_says_so() {
    let server = WebServer::start(vec![status(200)]);
    let (slack, path) = kind(0);
    let public = target(Channel::Webhook(Webhook { public_only: true, ..webhook(slack.clone()) }));
    let refusal = refused(send(&server, path, &public, &failure()));
    assert!(
        refusal.reason.contains("isn't a public address") && refusal.advice.contains("public_only"),
        "{refusal:?}"
    );
    let port = server.url("").rsplit_once(':').expect("a port").1.to_owned();
    for host in ["localhost", "[::1]", "[::ffff:127.0.0.1]", "127.1", "2130706433", "0x7f.1"] {
        let secrets = [("url", format!("http://{host}:{port}/"))];
        let refusal = refused(deliver(&public, &failure(), &Progress::default(), &secrets));
        assert!(refusal.reason.contains("isn't a public address"), "{host}: {refusal:?}");
    }
    assert!(server.asked().is_empty(), "nothing was sent");
    assert!(
        matches!(send(&server, path, &to(slack), &failure()), Outcome::Delivered { .. }),
        "the others may"
    );
}

#[test]
fn what_is_no_address_is_refused_and_isnt_shown() {
    let (slack, _) = kind(0);
    for text in ["hooks.example.org/secret-path", "ftp://example.org/secret-path", "", "http://"] {
        let secrets = [("url", text.to_owned())];
        let refusal = refused(deliver(&to(slack.clone()), &failure(), &Progress::default(), &secrets));
        assert!(!format!("{refusal:?}").contains("secret-path"), "{refusal:?}");
    }
    let secrets = [("url", "http://127.0.0.1:9/".to_owned()), ("token", "a\r\nX: b".to_owned())];
    let ntfy = to(WebhookKind::Ntfy { topic: None, token: Some(secret("token")) });
    let refusal = refused(deliver(&ntfy, &failure(), &Progress::default(), &secrets));
    assert!(refusal.reason.contains("no topic"), "{refusal:?}");
    let secrets = [("url", "http://127.0.0.1:9/topic".to_owned()), ("token", "a\r\nX: b".to_owned())];
    let refusal = refused(deliver(&ntfy, &failure(), &Progress::default(), &secrets));
    assert!(refusal.reason.contains("signs that a header can't have"), "{refusal:?}");
}

#[test]
fn sending_can_be_dropped_at_any_time() {
    let server = WebServer::start(vec![Answer::Hangs, status(200)]);
    let secrets = Known([("url", server.url("/services"))].into());
    let (target, courier) = (to(WebhookKind::Slack), Courier::new());
    run(async {
        let (message, progress, at) = (failure(), Progress::default(), now());
        let sending = courier.deliver(&target, &message, &progress, &secrets, at);
        assert!(tokio::time::timeout(Duration::from_millis(300), sending).await.is_err(), "it hangs");
        let again = courier.deliver(&target, &message, &progress, &secrets, at).await;
        assert!(matches!(again, Outcome::Delivered { .. }), "{again:?}");
    });
}

#[test]
fn a_heartbeat_says_start_success_and_failure_at_their_addresses() {
    let server = WebServer::start(vec![status(200)]);
    let secrets = Known([("url", server.url("/ping/uuid-that-is-secret/?rid=1"))].into());
    let heartbeat = |method| Heartbeat {
        url: secret("url"),
        every: Duration::from_secs(300),
        method,
        authorities: None,
        timeout: Duration::from_secs(5),
    };
    let courier = Courier::new();
    for (beat, method) in
        [(Beat::Start, Method::Get), (Beat::Success, Method::Post), (Beat::Fail, Method::Post)]
    {
        let note = "2 of 3 plans are well\u{0}";
        let ended = run(courier.beat(&heartbeat(method), beat, note, &secrets, now()));
        assert!(matches!(ended, Outcome::Delivered { .. }), "{ended:?}");
    }
    let asked: Vec<(String, String)> = server
        .asked()
        .into_iter()
        .map(|asked| (asked.line, String::from_utf8(asked.body).expect("text")))
        .collect();
    let well = "2 of 3 plans are well".to_owned();
    assert_eq!(
        asked,
        [
            ("GET /ping/uuid-that-is-secret/start?rid=1 HTTP/1.1".to_owned(), String::new()),
            ("POST /ping/uuid-that-is-secret/?rid=1 HTTP/1.1".to_owned(), well.clone()),
            ("POST /ping/uuid-that-is-secret/fail?rid=1 HTTP/1.1".to_owned(), well),
        ]
    );
    let gone = WebServer::start(vec![Answer::Is(404, "", "no uuid-that-is-secret".to_owned())]);
    let secrets = Known([("url", gone.url("/ping/uuid-that-is-secret"))].into());
    let ended = run(courier.beat(&heartbeat(Method::Get), Beat::Success, "", &secrets, now()));
    assert!(!format!("{ended:?}").contains("uuid-that"), "{ended:?}");
}
