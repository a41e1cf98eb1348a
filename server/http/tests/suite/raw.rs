//! Requests that no client sends by itself: paths, sizes, forms and speeds.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::Client;
use crate::desk::{PATIENCE, Server};

/// What is answered to a request with this head and body, by someone who is signed in.
fn ask(client: &Client, line: &str, fields: &str, body: &str) -> String {
    let cookie = client.headers["cookie"].to_str().unwrap();
    let head = format!("{line} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nConnection: close\r\n");
    client.raw(format!("{head}{fields}\r\n{body}").as_bytes())
}

fn get(client: &Client, target: &str) -> String {
    ask(client, &format!("GET {target}"), "", "")
}

#[track_caller]
fn is_refused(what: &str, answer: &str) {
    assert!(answer.starts_with("HTTP/1.1 4"), "{what}: {answer}");
    // Nothing of this machine, nor of the server's inside.
    for inner in ["root:", "panicked", "/tmp/", "sqlx", "src/"] {
        assert!(!answer.contains(inner), "{what}: {answer}");
    }
}

#[test]
fn paths_are_names_and_lead_to_no_file() {
    let server = Server::start("");
    let admin = server.admin();
    let long = "a".repeat(20_000);
    let many = "%2e%2e%2f".repeat(1000);
    let names = [
        "..",
        "%2e%2e",
        "%2E%2E%2F%2e%2e%2Fetc%2Fpasswd",
        "..%2f..%2f..%2fetc%2fpasswd",
        "..%5c..%5cetc",
        "..\\..\\etc",
        "%252e%252e%252f",
        "%c0%ae%c0%ae%c0%af",
        "%00",
        "a%00b",
        "%0a",
        "%0d%0aSet-Cookie:%20a=b",
        "%1b[31m",
        "%e2%80%ae",
        "%7f",
        "%ff%fe",
        "%",
        "%zz",
        "file:%2f%2f%2fetc%2fpasswd",
        "%2fetc%2fpasswd",
        "C:%5cwindows",
        "con",
        "*",
        "%27%20OR%201=1--",
        "$(id)",
        "%3Cscript%3E",
        &long,
        &many,
    ];
    for name in names {
        for target in [
            format!("/api/v1/plans/{name}"),
            format!("/api/v1/runs/{name}/log.txt"),
            format!("/api/v1/repositories/{name}"),
            format!("/api/v1/snapshots/{name}/x/files"),
            format!("/api/v1/snapshots/main/{name}/content?path={name}"),
            format!("/api/v1/users/{name}"),
            format!("/api/v1/{name}"),
        ] {
            // A name that is a folder is one of the server's folders, and not of a file system.
            let answer = get(&admin, &target);
            is_refused(&target, &answer);
            let head = answer.split("\r\n\r\n").next().unwrap().to_lowercase();
            assert_eq!(head.matches("set-cookie").count(), 0, "{target}: {answer}");
        }
    }
    // The dashboard has the files that are in the program, and no others.
    for path in [
        "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/assets/../../etc/passwd",
        "/assets/..%2f..%2fetc%2fpasswd",
        "//etc/passwd",
        "/.git/config",
        "/assets/%00",
        "/index.html%00.js",
    ] {
        let answer = get(&admin, path);
        assert!(!answer.contains("root:") && !answer.contains("[core]"), "{path}: {answer}");
        assert!(answer.starts_with("HTTP/1.1 404") || answer.contains("text/html"), "{path}: {answer}");
    }
    // An address in the place of a path is answered as this server's path, and nothing is fetched.
    let answer = get(&admin, "http://169.254.169.254/api/v1/about");
    assert!(answer.starts_with("HTTP/1.1 200") || answer.starts_with("HTTP/1.1 4"), "{answer}");
    is_refused("CONNECT", &ask(&admin, "CONNECT example.org:443", "", ""));
    is_refused("*", &ask(&admin, "OPTIONS *", "", ""));
    admin.get("/plans").is(200);
}

#[test]
fn bodies_that_are_deep_odd_or_endless_are_refused() {
    let server = Server::start("");
    let admin = server.admin();
    let put = |fields: &str, body: &str| ask(&admin, "PUT /api/v1/plans/www/pause", fields, body);
    let json = |body: &str| {
        let length = body.len();
        put(&format!("Content-Type: application/json\r\nContent-Length: {length}\r\n"), body)
    };
    let deep = "[".repeat(500_000);
    let nested = format!("{{\"reason\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let objects = "{\"reason\":".repeat(90_000);
    for body in [
        &deep,
        &nested,
        &objects,
        "{\"reason\": \"\\ud800\"}",
        "{\"reason\": \"a\", \"reason\": \"b\"}",
        "{\"until\": 1e999}",
        "{\"until\": \"9999999-01-01T00:00:00Z\"}",
        "{\"until\": \"-009999-01-01T00:00:00Z\"}",
        "{\"reason\": NaN}",
        "\u{feff}{}",
        "{} {}",
        "null",
        "\"x\"",
        "",
    ] {
        let answer = json(body);
        is_refused(&body[..body.len().min(60)], &answer);
        assert!(answer.contains("problem+json"), "{answer}");
    }
    let body = "{\"user\": \"eve\", \"grants\": [[\"admin\", \"all\", true, true]]}";
    let fields = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    is_refused("a list as a document", &ask(&admin, "POST /api/v1/users", &fields, body));
    // In chunks, without a length that could be looked at before.
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let answer = put(
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n",
        &format!("{}0\r\n\r\n", chunk.repeat(40)),
    );
    assert!(answer.starts_with("HTTP/1.1 413") || answer.is_empty(), "{answer}");
    let bomb = put(
        "Content-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n",
        "\x1f\x08ab",
    );
    is_refused("gzip", &bomb);
    let long = get(&admin, &format!("/api/v1/plans?after={}", "a".repeat(100_000)));
    is_refused("a long address", &long);
    let wide = get(&admin, &format!("/api/v1/plans?{}", "a=b&".repeat(7000)));
    assert!(wide.starts_with("HTTP/1.1 200") || wide.starts_with("HTTP/1.1 4"), "{wide}");
    // Text is kept as it is, and is no more than text.
    admin.put("/plans/www/pause", json!({ "reason": "a\u{0}b\u{1b}[31m\u{202e}<script>" })).is(200);
    assert!(admin.get("/plans/www").is(200).text.contains("<script>"));
}

#[test]
fn ranges_and_heads_of_downloads_are_whole_and_bodies_of_them_are_none() {
    let server = Server::start("");
    let admin = server.admin();
    let run = admin.post("/runs", json!({ "kind": "backup", "plan": "www" })).is(202).json();
    admin.wait(&format!("/runs/{}", run["run"].as_str().unwrap()), |run| run["state"] == "ended");
    let page = admin.wait("/snapshots", |page| !page["items"].as_array().unwrap().is_empty());
    let id = page["items"][0]["snapshot"].as_str().unwrap();
    let file = server.desk.path("source/hello.txt");
    let target = format!("/api/v1/snapshots/main/{id}/content?path={}", file.display());
    for range in
        ["bytes=0-1", "bytes=4-", "bytes=-1", "bytes=9-99", "bytes=0-0,1-1,2-2", "bytes=x", "lines=1-2"]
    {
        let answer = ask(&admin, &format!("GET {target}"), &format!("Range: {range}\r\n"), "");
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\nhello"), "{range}: {answer}");
        assert!(answer.contains("accept-ranges: none"), "{answer}");
    }
    let many = format!("Range: bytes={}\r\n", "0-,".repeat(1000));
    assert!(ask(&admin, &format!("GET {target}"), &many, "").ends_with("\r\n\r\nhello"));
    let head = ask(&admin, &format!("HEAD {target}"), "", "");
    assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
    assert!(head.contains("content-length: 5"), "{head}");
    let policy = "content-security-policy: default-src 'none'";
    assert!(head.contains("x-content-type-options: nosniff") && head.contains(policy), "{head}");
    // Each of them was seen by the audit.
    let audit = admin.get("/audit?action=snapshot.download").is(200).json();
    assert_eq!(audit["items"].as_array().unwrap().len(), 9);
}

/// A body that comes a byte at a time ends when any answer has to have begun, and no one else waits for it.
#[test]
fn a_body_that_does_not_come_is_given_up() {
    let server = Server::start("");
    let admin = server.admin();
    let cookie = admin.headers["cookie"].to_str().unwrap();
    let head = format!(
        "PUT /api/v1/plans/www/pause HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\
         Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{"
    );
    let mut slow: Vec<_> = (0..60).map(|_| admin.connect()).collect();
    slow.iter_mut().for_each(|stream| stream.write_all(head.as_bytes()).unwrap());
    let begun = Instant::now();
    admin.again().get("/plans").is(200);
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    let mut answer = Vec::new();
    let _ = slow[0].read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("timed_out"), "{answer}");
    assert!(begun.elapsed() < PATIENCE);
}
