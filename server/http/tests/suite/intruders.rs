//! Who was let in once, and isn't any more; and who would like to be let further in.

use std::thread::sleep;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use reqwest::header::COOKIE;
use serde_json::{Value, json};

use crate::client::Client;
use crate::desk::{PASSWORD, PATIENCE, Server};

fn token(client: &Client, body: Value) -> Value {
    client.post("/tokens", body).is(201).json()
}

fn program(server: &Server, made: &Value) -> Client {
    let bearer = format!("Bearer {}", made["secret"].as_str().unwrap());
    server.stranger().with("authorization", &bearer)
}

fn everything() -> Value {
    json!([{ "role": "admin", "scope": "all", "see_names": true, "read_content": true }])
}

fn change(admin: &Client, user: &str, change: Value) {
    admin.again().with("if-match", "*").send(Method::PATCH, &format!("/users/{user}"), Some(change)).is(200);
}

fn secret(client: &Client) -> String {
    let cookies = client.headers[COOKIE].to_str().unwrap();
    let own = cookies.split("; ").find_map(|pair| pair.strip_prefix("keepfast="));
    own.unwrap().to_owned()
}

#[test]
fn a_user_who_is_disabled_or_removed_is_out_by_each_way() {
    let server = Server::start("");
    let admin = server.admin();
    for end in ["disabled", "removed"] {
        let bob = server.user(&admin, "bob", "viewer", "all");
        let made = token(&bob, json!({ "name": "t", "grants": [{ "role": "viewer", "scope": "all" }] }));
        let ways = [bob, program(&server, &made)];
        ways.iter().for_each(|way| drop(way.get("/plans").is(200)));
        match end {
            "disabled" => change(&admin, "bob", json!({ "is_disabled": true })),
            _ => drop(admin.delete("/users/bob").is(204)),
        }
        let sign_in = |password: &str| {
            server.stranger().post("/session", json!({ "user": "bob", "password": password }))
        };
        for way in &ways {
            way.get("/plans").fails(401, "not_signed_in");
            way.get("/session").fails(401, "not_signed_in");
            way.get("/events").fails(401, "not_signed_in");
            way.post("/session/proof", json!({ "secret": PASSWORD })).fails(401, "not_signed_in");
        }
        // The right password says no more than a wrong one.
        let right = sign_in(PASSWORD).fails(401, "wrong_credentials");
        assert_eq!(right.text, sign_in("wrong").fails(401, "wrong_credentials").text);
        if end == "disabled" {
            change(&admin, "bob", json!({ "is_disabled": false }));
            ways[0].get("/plans").fails(401, "not_signed_in");
            admin.delete("/users/bob").is(204);
        }
    }
    // Another one of the same name begins with nothing of the first.
    let bob = server.user(&admin, "bob", "viewer", "all");
    assert_eq!(bob.get("/tokens").is(200).json()["items"], json!([]));
    assert_eq!(bob.get("/sessions").is(200).json()["items"].as_array().unwrap().len(), 1);
}

#[test]
fn a_token_is_never_more_than_its_owner_nor_longer() {
    let server = Server::start("[plan.etc]\nrepository = \"main\"\nsource = [{ files = [\"/etc\"] }]\n");
    let admin = server.admin();
    let bob = server.user(&admin, "bob", "operator", "plan:www");
    // It may be asked for, and is worth what its owner is.
    let made = token(&bob, json!({ "name": "greedy", "grants": everything() }));
    let greedy = program(&server, &made);
    for path in ["/users", "/audit", "/config", "/targets"] {
        greedy.get(path).fails(403, "forbidden");
    }
    greedy.get("/plans/etc").fails(404, "not_found");
    greedy.post("/runs", json!({ "kind": "backup", "plan": "etc" })).fails(404, "not_found");
    greedy.put("/plans/www/pause", json!({})).is(200);
    greedy.post("/users", json!({ "user": "eve", "grants": everything() })).fails(403, "forbidden");
    // What only a person may do isn't done by a program whose secret was lost.
    greedy.post("/tokens", json!({ "name": "child", "grants": [] })).fails(422, "unprocessable");
    greedy
        .post("/session/password", json!({ "password": "another horse with staples" }))
        .fails(422, "unprocessable");
    greedy.send(Method::POST, "/session/second-factor", None).fails(422, "unprocessable");
    // It follows its owner at the next request, and has an end of its own.
    change(&admin, "bob", json!({ "grants": [{ "role": "viewer", "scope": "plan:www" }] }));
    greedy.put("/plans/www/pause", json!({})).fails(403, "forbidden");
    greedy.get("/plans/www").is(200);
    change(&admin, "bob", json!({ "grants": [] }));
    greedy.get("/plans/www").fails(404, "not_found");
    let soon = Timestamp::now() + SignedDuration::from_secs(2);
    let grants = json!([{ "role": "viewer", "scope": "all" }]);
    let made = token(&admin, json!({ "name": "short", "grants": grants, "expires": soon }));
    let short = program(&server, &made);
    let until = Instant::now() + PATIENCE;
    while short.get("/plans").status != 401 {
        assert!(Instant::now() < until, "it has no end");
        sleep(Duration::from_millis(200));
    }
    assert!(Timestamp::now() >= soon);
    let past = json!({ "name": "past", "grants": grants, "expires": "2001-01-01T00:00:00Z" });
    admin.post("/tokens", past).fails(422, "unprocessable");
}

#[test]
fn tokens_and_sessions_of_others_are_neither_seen_nor_ended() {
    let server = Server::start("");
    let admin = server.admin();
    let bob = server.user(&admin, "bob", "operator", "all");
    let made = token(&admin, json!({ "name": "t", "grants": everything() }));
    let session = admin.get("/sessions").json()["items"][0]["session"].clone();
    for list in ["/tokens?user=ann", "/sessions?user=ann"] {
        bob.get(list).fails(403, "forbidden");
    }
    bob.delete(&format!("/tokens/{}", made["token"])).fails(404, "not_found");
    bob.delete(&format!("/sessions/{session}")).fails(404, "not_found");
    bob.delete(&format!("/sessions/{session}?user=ann")).fails(403, "forbidden");
    bob.get("/users/ann").fails(403, "forbidden");
    // Whether there is such a user isn't said either.
    bob.get("/users/noone").fails(403, "forbidden");
    bob.get("/tokens?user=noone").fails(403, "forbidden");
    for odd in ["0", "-1", "x", "9223372036854775808", "1e3", "1%00"] {
        admin.delete(&format!("/tokens/{odd}")).fails(404, "not_found");
    }
    program(&server, &made).get("/users").is(200);
    admin.get("/session").is(200);
}

#[test]
fn secrets_that_are_near_a_right_one_are_all_wrong() {
    let server = Server::start("");
    let admin = server.admin();
    let session = secret(&admin);
    let made = token(&admin, json!({ "name": "t", "grants": everything() }));
    let api = made["secret"].as_str().unwrap().to_owned();
    let device = admin.headers[COOKIE].to_str().unwrap();
    let device = device.split("; ").find_map(|pair| pair.strip_prefix("keepfast-device=")).unwrap();
    let mut wrong: Vec<String> = Vec::new();
    for right in [&session, &api] {
        wrong.extend((0..right.len()).step_by(7).map(|end| right[..end].to_owned()));
        for at in (0..right.len()).step_by(9) {
            let other = if &right[at..=at] == "a" { "b" } else { "a" };
            wrong.push(format!("{}{other}{}", &right[..at], &right[at + 1..]));
        }
        let wilder = [
            right.to_uppercase(),
            format!("{right}a"),
            format!("{right}%00"),
            format!("\"{right}\""),
            format!("{right},{right}"),
            "' OR '1'='1".to_owned(),
        ];
        wrong.extend(wilder);
    }
    wrong.extend([device.to_owned(), server.setup_token.clone()]);
    let show = |name: &str, value: String| server.stranger().with(name, &value).get("/plans");
    for wrong in &wrong {
        show("cookie", format!("keepfast={wrong}")).fails(401, "not_signed_in");
        show("authorization", format!("Bearer {wrong}")).fails(401, "not_signed_in");
    }
    show("cookie", format!("keepfast={api}")).fails(401, "not_signed_in");
    for scheme in ["Basic", "Token", "bearer:", ""] {
        show("authorization", format!("{scheme} {api}")).fails(401, "not_signed_in");
    }
    // A token that isn't valid isn't helped by a cookie that is.
    admin.again().with("authorization", "Bearer x").get("/plans").fails(401, "not_signed_in");
    show("authorization", format!("bearer {api}")).is(200);
    admin.get("/plans").is(200);
}

#[test]
fn a_session_is_new_at_each_sign_in_and_dies_with_its_password() {
    let server = Server::start("");
    let admin = server.admin();
    // A cookie that an attacker has planted isn't what a person is known by after signing in.
    let planted = secret(&server.user(&admin, "eve", "viewer", "all"));
    let mut ann = server.stranger().with("cookie", &format!("keepfast={planted}"));
    ann.sign_in("/session", json!({ "user": "ann", "password": PASSWORD }));
    assert_ne!(secret(&ann), planted);
    let of_planted = server.stranger().with("cookie", &format!("keepfast={planted}"));
    assert_eq!(of_planted.get("/session").is(200).json()["user"], "eve");
    let made = token(&ann, json!({ "name": "t", "grants": everything() }));
    ann.post("/session/password", json!({ "password": "another horse with staples" })).is(204);
    ann.get("/plans").is(200);
    admin.get("/plans").fails(401, "not_signed_in");
    program(&server, &made).get("/plans").is(200);
    let cookie = ann.headers[COOKIE].clone();
    ann.delete("/session").is(204);
    server.stranger().with("cookie", cookie.to_str().unwrap()).get("/plans").fails(401, "not_signed_in");
}

#[test]
fn another_site_and_another_name_get_nowhere() {
    let server = Server::start("");
    let admin = server.admin();
    let host = server.base.split_once("://").unwrap().1.to_owned();
    let pause = |client: Client| client.put("/plans/www/pause", json!({}));
    for origin in [
        "https://evil.example",
        "null",
        "file://",
        "http://127.0.0.1",
        &format!("http://{host}.evil.example"),
        &format!("http://evil.example/{host}"),
        &format!("http://evil.example@{host}.x"),
        "http://localhost:1",
        "",
    ] {
        pause(admin.again().with("origin", origin)).fails(403, "cross_site");
    }
    for site in ["cross-site", "same-site", "SAME-ORIGIN", "", "same-origin, cross-site"] {
        pause(admin.again().with("sec-fetch-site", site)).fails(403, "cross_site");
    }
    // Signing someone in as another is a change too.
    let forced = server.stranger().with("origin", "https://evil.example");
    forced.post("/session", json!({ "user": "ann", "password": PASSWORD })).fails(403, "cross_site");
    // What a form can send, and what some servers take for another method.
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""] {
        let form = admin.again().with("content-type", kind);
        form.send(Method::POST, "/runs", None).fails(415, "unsupported_media_type");
    }
    for name in ["x-http-method-override", "x-http-method", "x-method-override"] {
        let overriding = admin.again().with(name, "DELETE");
        overriding.get("/plans/www/pause").fails(405, "method_not_allowed");
        overriding.post("/users/ann", json!({})).fails(405, "method_not_allowed");
    }
    admin.get("/plans/www?_method=DELETE").is(200);
    for method in [Method::OPTIONS, Method::TRACE, Method::CONNECT] {
        let asked =
            admin.again().with("origin", "https://evil.example").with("access-control-request-method", "PUT");
        if method != Method::CONNECT {
            let answer = asked.send(method, "/plans/www/pause", None);
            assert!((400..500).contains(&answer.status), "{}", answer.status);
            assert!(!answer.headers.keys().any(|name| name.as_str().starts_with("access-control-")));
        }
    }
    // A name of elsewhere that leads to this machine is no name of this server, whatever else is claimed.
    for host in ["evil.example", "127.0.0.1.nip.io", "localhost.evil.example:80", "[fe80::1]", "0.0.0.0"] {
        let rebound = || admin.again().with("host", host);
        rebound().get("/plans").fails(403, "cross_site");
        rebound().with("x-forwarded-host", "localhost").get("/plans").fails(403, "cross_site");
        rebound().with("forwarded", "host=localhost").get("/plans").fails(403, "cross_site");
    }
    assert_eq!(admin.get("/plans/www").json()["pause"], Value::Null);
    let audit = admin.get("/audit").text;
    assert!(!audit.contains("plan.pause") && !audit.contains("run.start"), "{audit}");
}
