//! Guesses by the thousand, from all over the world.

use std::fs;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use reqwest::header::CONTENT_TYPE;
use serde_json::json;

use crate::desk::{Desk, PASSWORD, PATIENCE, Server};

/// Logins that are tried. In less than twelve seconds, that is ten thousand a minute.
const GUESSES: usize = 2000;
/// Guesses that are under way at once.
const AT_ONCE: usize = 48;
/// What comparing passwords takes (two at once, 19 MiB each), and what a server, its clients and this test take beside it.
const GROWTH_MAX_KIB: u64 = 160 << 10;

/// The most memory that this process has had, in KiB, since it was asked before.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    let peak = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    fs::write("/proc/self/clear_refs", "5").unwrap();
    peak
}

#[test]
fn ten_thousand_logins_a_minute_keep_no_user_out() {
    let server = Server::at(Desk::new(), "behind_proxy = true\n", "");
    let mut ann = server.admin();
    // The proxy says from where; this browser is known since then.
    ann = ann.with("x-forwarded-for", "203.0.113.7");
    // A page of the same name that isn't encrypted is another site.
    let host = server.base.split_once("://").unwrap().1;
    let pause = |scheme: &str| {
        ann.again().with("origin", &format!("{scheme}://{host}")).put("/plans/www/pause", json!({}))
    };
    pause("http").fails(403, "cross_site");
    pause("https").is(200);
    peak_kib();
    let before = peak_kib();
    let (next, is_over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let url = format!("{}/api/v1/session", server.base);
    let (guessing, over) = (Arc::clone(&next), Arc::clone(&is_over));
    let attackers = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let attack = async |next: &AtomicUsize| {
            let mut answers = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= GUESSES {
                    return answers;
                }
                let body = json!({ "user": "ann", "password": format!("guess {number}") });
                let request = http.post(&url).timeout(PATIENCE).header(CONTENT_TYPE, "application/json");
                let address = format!("10.0.{}.{}", number / 250, number % 250);
                let answer = request.header("x-forwarded-for", address).body(body.to_string()).send().await;
                answers.push(answer.unwrap().status().as_u16());
            }
        };
        let all = (0..AT_ONCE).map(|_| attack(&guessing));
        let answers: Vec<u16> =
            runtime.block_on(async { futures_util::future::join_all(all).await.concat() });
        over.store(true, Ordering::Relaxed);
        answers
    });
    let mut slowest = Duration::ZERO;
    let mut signed_in = 0;
    while !is_over.load(Ordering::Relaxed) {
        let begun = Instant::now();
        ann.get("/plans").is(200);
        slowest = slowest.max(begun.elapsed());
        if next.load(Ordering::Relaxed) > AT_ONCE {
            ann.again().sign_in("/session", json!({ "user": "ann", "password": PASSWORD }));
            signed_in += 1;
        }
    }
    let answers = attackers.join().unwrap();
    assert_eq!(answers.len(), GUESSES);
    assert!(answers.iter().all(|status| [401, 503].contains(status)), "{answers:?}");
    assert!(answers.contains(&503), "those that wait are limited");
    assert!(signed_in > 0, "the flood was over before");
    assert!(slowest < Duration::from_secs(10), "{slowest:?}");
    let growth = peak_kib().saturating_sub(before);
    assert!(growth < GROWTH_MAX_KIB, "{growth} KiB");
    // What was compared is in the audit, and what was refused before that isn't: its number is the attackers' choice.
    let compared = answers.iter().filter(|status| **status == 401).count();
    let table = ann.get("/audit.csv?action=session.refuse").is(200).text;
    assert_eq!(table.lines().count() - 1, compared);
    assert_eq!(ann.get("/audit/verdict").is(200).json()["is_sound"], true);
}

/// A client that hangs up leaves a password behind that is being compared: the next one waits for that all the same.
#[test]
fn clients_that_hang_up_make_no_passwords_be_compared_at_once() {
    let server = Server::start("");
    let admin = server.admin();
    let request = |number: usize| {
        let body = json!({ "user": format!("bob{number}"), "password": "a guess" }).to_string();
        format!(
            "POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    peak_kib();
    let before = peak_kib();
    for number in 0..40 {
        let mut stream = admin.connect();
        stream.write_all(request(number).as_bytes()).unwrap();
        thread::sleep(Duration::from_millis(8));
    }
    let growth = peak_kib().saturating_sub(before);
    assert!(growth < GROWTH_MAX_KIB, "{growth} KiB");
    admin.get("/plans").is(200);
}
