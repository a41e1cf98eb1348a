//! What strangers try.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::Client;
use crate::desk::{PASSWORD, Server};

#[test]
fn a_page_of_another_site_changes_nothing() {
    let server = Server::start("");
    let admin = server.admin();
    let pause = |client: Client| client.put("/plans/www/pause", json!({}));
    pause(admin.again().with("sec-fetch-site", "cross-site")).fails(403, "cross_site");
    pause(admin.again().with("sec-fetch-site", "same-site")).fails(403, "cross_site");
    pause(admin.again().with("origin", "https://evil.example")).fails(403, "cross_site");
    pause(admin.again().with("origin", "null")).fails(403, "cross_site");
    pause(admin.again().with("origin", &server.base).with("sec-fetch-site", "cross-site"))
        .fails(403, "cross_site");
    admin.again().with("host", "evil.example").get("/plans").fails(403, "cross_site");
    // A form can send this type, and no other page can send JSON without being asked about.
    let form = admin.again().with("content-type", "text/plain");
    let sent = form.send(reqwest::Method::PUT, "/plans/www/pause", None);
    sent.fails(415, "unsupported_media_type");
    assert_eq!(admin.get("/plans/www").json()["pause"], serde_json::Value::Null);
    pause(admin.again().with("origin", &server.base)).is(200);
    pause(admin.again().with("sec-fetch-site", "same-origin")).is(200);
}

#[test]
fn forged_and_foreign_secrets_open_nothing() {
    let server = Server::start("");
    let admin = server.admin();
    let cookie = admin.headers["cookie"].to_str().unwrap().to_owned();
    let session = cookie.split("; ").find(|pair| pair.starts_with("keepfast=")).unwrap();
    let forged = [
        "keepfast=".to_owned(),
        "keepfast=kf_session_aaaa".to_owned(),
        session[..session.len() - 1].to_owned(),
        session.replace("kf_session_", "kf_api_"),
        session.replace("keepfast=", "__Host-keepfast="),
        format!("keepfast={}", "x".repeat(5000)),
    ];
    for cookie in forged {
        server.stranger().with("cookie", &cookie).get("/plans").fails(401, "not_signed_in");
    }
    let secret = session.split_once('=').unwrap().1;
    let bearer = format!("Bearer {secret}");
    server.stranger().with("authorization", &bearer).get("/plans").fails(401, "not_signed_in");
    server.stranger().with("cookie", session).get("/plans").is(200);
    assert!(!admin.get("/sessions").text.contains(secret), "no listing has the secret");
}

#[test]
fn giant_and_odd_requests_are_refused_and_the_server_goes_on() {
    let server = Server::start("");
    let admin = server.admin();
    // Refused by its announced length: the answer comes before a byte of the body is sent.
    let giant = format!(
        "PUT /api/v1/plans/www/pause HTTP/1.1\r\nHost: localhost\r\nCookie: {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        admin.headers["cookie"].to_str().unwrap(),
        3 << 20
    );
    let refused = admin.raw(giant.as_bytes());
    assert!(refused.starts_with("HTTP/1.1 413"), "{refused}");
    let head = "GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\n";
    let many = format!("{head}{}\r\n", "X-A: b\r\n".repeat(500));
    assert!(admin.raw(many.as_bytes()).starts_with("HTTP/1.1 4"));
    let long = format!("{head}X-A: {}\r\n\r\n", "b".repeat(200_000));
    assert!(!admin.raw(long.as_bytes()).starts_with("HTTP/1.1 2"));
    for path in
        ["/../../etc/passwd", "/runs/..%2f..%2fetc", "/runs/%00", "/plans/%0d%0aX-A:%20b", "/%ff", "//"]
    {
        let answer = admin.raw(
            format!("GET /api/v1{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes(),
        );
        assert!(answer.starts_with("HTTP/1.1 4"), "{path}: {answer}");
        assert!(!answer.to_lowercase().contains("\r\nx-a:"), "{path}: {answer}");
    }
    for body in ["{", "[]", "{\"reason\": 7}", "{\"surprise\": 1}", "\u{0}"] {
        let text = format!(
            "PUT /api/v1/plans/www/pause HTTP/1.1\r\nHost: localhost\r\nCookie: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            admin.headers["cookie"].to_str().unwrap(),
            body.len()
        );
        let answer = admin.raw(text.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("invalid_request"), "{body}: {answer}");
    }
    admin.send(reqwest::Method::POST, "/plans/www", None).fails(405, "method_not_allowed");
    admin.get("/nothing").fails(404, "not_found");
    admin.get("/plans").is(200);
}

#[test]
fn clients_that_say_nothing_keep_no_one_out() {
    let server = Server::start("");
    let admin = server.admin();
    let mut idle: Vec<_> = (0..100).map(|_| admin.connect()).collect();
    for stream in &mut idle {
        stream.write_all(b"GET /api/v1/health HTTP/1.1\r\nHost: local").unwrap();
    }
    let begun = Instant::now();
    admin.again().get("/plans").is(200);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let mut rest = Vec::new();
    let _ = idle[0].read_to_end(&mut rest);
    assert!(begun.elapsed() < Duration::from_secs(60), "a connection without a request ends");
}

#[test]
fn guessing_is_slowed_down_and_locks_no_one_out() {
    let server = Server::start("");
    let mut ann = server.admin();
    let stranger = server.stranger();
    let guess = || stranger.post("/session", json!({ "user": "ann", "password": "guess" }));
    let answers: Vec<u16> = (0..12).map(|_| guess().status).collect();
    assert_eq!(answers[0], 401);
    assert!(answers.contains(&429), "{answers:?}");
    let slowed = guess().fails(429, "too_many_requests");
    assert!(slowed.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
    ann.get("/plans").is(200);
    // The browser is known: what others guess doesn't count for it, even from the same address.
    ann.sign_in("/session", json!({ "user": "ann", "password": PASSWORD }));
}
