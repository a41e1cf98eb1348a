//! Names and texts of strangers, in documents, tables, headers and logs. The state is in PostgreSQL, which takes less than
//! SQLite does.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use serde_json::{Value, json};

use crate::client::Client;
use crate::desk::{Desk, Server};

/// Texts that mean something to a spreadsheet, a browser, a terminal, a log, a header or a database.
const TEXTS: [&str; 14] = [
    "=cmd|' /C calc'!A0",
    "\u{a0}@SUM(1+1)*cmd",
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "\u{1b}[2J\u{1b}]0;title\u{7}",
    "\u{9b}31mred",
    "line\nerror another line\r\n",
    "nul\0nul",
    "'; DROP TABLE run; --",
    "$1 %s {0} ${jndi:ldap://x}",
    "invoice\u{202e}fdp.exe",
    "a\",\"b",
    "caf\u{e9} \u{1f4be}",
    "\u{2028}\u{feff}=1",
];

/// The cells of a table, by RFC 4180.
fn rows(table: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell, mut is_quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut signs = table.chars().peekable();
    while let Some(sign) = signs.next() {
        match sign {
            '"' if is_quoted && signs.peek() == Some(&'"') => cell.extend(signs.next()),
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => row.push(std::mem::take(&mut cell)),
            '\r' if !is_quoted => {
                assert_eq!(signs.next(), Some('\n'), "{table}");
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            sign => cell.push(sign),
        }
    }
    assert!(!is_quoted && row.is_empty() && cell.is_empty(), "{table}");
    rows
}

/// The table of a list: each row has each cell, none is a formula.
#[track_caller]
fn table(client: &Client, path: &str) -> Vec<Vec<String>> {
    let answer = client.get(path).is(200);
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    assert!(answer.headers["content-disposition"].to_str().unwrap().starts_with("attachment; filename="));
    let rows = rows(&answer.text);
    for row in &rows {
        assert_eq!(row.len(), rows[0].len(), "{row:?}");
        for cell in row {
            let first = cell.trim_start_matches([' ', '\u{a0}', '\u{feff}']).chars().next();
            let is_formula = first.is_some_and(|first| "=+@\t\r\n".contains(first));
            assert!(!is_formula, "{cell:?} in {row:?}");
        }
    }
    rows
}

#[test]
fn texts_of_strangers_are_texts_in_all_lists() {
    let server = Server::at(Desk::with_postgres(), "", "");
    let admin = server.admin();
    for text in TEXTS {
        let named = json!({ "user": text, "password": text, "code": text });
        server
            .stranger()
            .with("user-agent", "=cmd|'x'")
            .post("/session", named)
            .fails(401, "wrong_credentials");
        admin.put("/plans/www/pause", json!({ "reason": text })).is(200);
        let quoted = quoted(text);
        for list in [
            "snapshots?search=",
            "snapshots?tag=",
            "snapshots?host=",
            "snapshots?plan=",
            "audit?who=",
            "audit?object=",
            "audit?action=",
            "runs?plan=",
            "runs?host=",
            "runs?fingerprint=",
            "problems?subject=",
            "deliveries?target=",
            "config?path=",
            "schedule/preview?cron=",
            "schedule/preview?cron=0%200%20*%20*%20*&zone=",
            "retention/preview?plan=",
            "tokens?user=",
            "sessions?user=",
            "runs?after=",
            "audit?after=",
        ] {
            let status = admin.get(&format!("/{list}{quoted}")).status;
            assert!(status < 500, "{status}: {list}{text:?}");
        }
        for one in ["plans", "runs", "repositories", "users", "problems", "snapshots/main", "tokens"] {
            let status = admin.get(&format!("/{one}/{quoted}")).status;
            assert!((400..500).contains(&status), "{status}: {one}/{text:?}");
        }
        let keyed = admin.again().with("idempotency-key", "k");
        let started = keyed.post("/runs", json!({ "kind": "check", "repository": text }));
        assert!((400..500).contains(&started.status), "{}", started.text);
    }
    for (number, text) in TEXTS.into_iter().enumerate() {
        let added = json!({ "user": format!("user{number}"), "display": text, "grants": [] });
        admin.post("/users", added).is(201);
        let grants = json!([{ "role": "viewer", "scope": "all" }]);
        let made = admin.post("/tokens", json!({ "name": text, "grants": grants }));
        assert!([201, 422].contains(&made.status), "{}", made.text);
        let scoped = json!({ "user": "x", "grants": [{ "role": text, "scope": text }] });
        let status = admin.post("/users", scoped).status;
        assert!((400..500).contains(&status), "{status}: {text:?}");
    }
    // The same in tables: whole rows, no formulas, no control characters in what stands in one line.
    let audit = table(&admin, "/audit.csv?action=session.refuse");
    let object = audit[0].iter().position(|name| name == "object").unwrap();
    assert!(audit.len() > TEXTS.len() / 2, "{audit:?}");
    assert!(audit.iter().all(|row| !row[object].chars().any(char::is_control)), "{audit:?}");
    let users = table(&admin, "/users.csv");
    assert_eq!(users.len(), TEXTS.len() + 2);
    assert!(users.iter().all(|row| !row[1].chars().any(char::is_control)), "{users:?}");
    for list in [
        "/tokens.csv",
        "/sessions.csv",
        "/plans.csv",
        "/audit.csv",
        "/runs.csv",
        "/problems.csv",
        "/patterns.csv",
    ] {
        table(&admin, list);
    }
    let document = admin.get("/audit?limit=500").is(200);
    assert_eq!(document.headers["content-type"], "application/json");
    assert!(!document.text.contains(['\u{1b}', '\n', '\0']), "control characters are escaped");
    assert_eq!(admin.get("/audit/verdict").is(200).json()["is_sound"], true);
}

/// A text as a part of an address.
fn quoted(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[test]
fn names_of_files_are_names_in_documents_and_headers() {
    let server = Server::at(Desk::with_postgres(), "", "");
    let admin = server.admin();
    let source = server.desk.path("source");
    fs::remove_file(source.join("hello.txt")).unwrap();
    let names: BTreeSet<Vec<u8>> = TEXTS
        .iter()
        .map(|text| text.replace(['/', '\0'], "_").into_bytes())
        .chain([
            b"a\r\nSet-Cookie: a=b".to_vec(),
            b"\xff\xfe\"; x=\"".to_vec(),
            vec![b'x'; 255],
            b"...".to_vec(),
        ])
        .collect();
    for name in &names {
        fs::write(source.join(OsStr::from_bytes(name)), name).unwrap();
    }
    let run = admin.post("/runs", json!({ "kind": "backup", "plan": "www" })).is(202).json();
    let run = admin.wait(&format!("/runs/{}", run["run"].as_str().unwrap()), |run| run["state"] == "ended");
    assert_eq!(run["verdict"], "ok", "{run:#}");
    let page = admin.wait("/snapshots", |page| !page["items"].as_array().unwrap().is_empty());
    let of = format!("/snapshots/main/{}", page["items"][0]["snapshot"].as_str().unwrap());
    let folder = quoted(source.to_str().unwrap());
    let listed = admin.get(&format!("{of}/files?path={folder}")).is(200);
    let items = listed.json()["items"].as_array().unwrap().clone();
    assert_eq!(items.len(), names.len());
    for item in &items {
        let path = item["path"].as_str().unwrap();
        let content = admin.get(&format!("{of}/content?path={}", quoted(path))).is(200);
        assert!(names.contains(&content.bytes), "{path}");
        assert!(!content.headers.contains_key("set-cookie"), "{:?}", content.headers);
        assert_eq!(content.headers["content-type"], "application/octet-stream");
        let kept = content.headers["content-disposition"].to_str().unwrap();
        let plain = kept.strip_prefix("attachment; filename=\"").unwrap();
        let (plain, exact) = plain.split_once("\"; filename*=UTF-8''").unwrap_or_else(|| panic!("{kept}"));
        let is_harmless = |letter: char| letter.is_ascii_alphanumeric() || "._- %".contains(letter);
        assert!(plain.chars().chain(exact.chars()).all(is_harmless), "{kept}");
        assert!(!plain.starts_with('.') && !plain.starts_with('-'), "{kept}");
    }
    let lines = table(&admin, &format!("{of}/files.csv?path={folder}"));
    assert_eq!(lines.len(), names.len() + 1);
    let tar = admin.get(&format!("{of}/content?path={folder}")).is(200);
    let mut unpacked = BTreeSet::new();
    for entry in tar::Archive::new(&*tar.bytes).entries().unwrap() {
        let entry = entry.unwrap();
        if entry.header().entry_type().is_file() {
            unpacked.insert(entry.path_bytes().into_owned());
        }
    }
    assert_eq!(unpacked, names);
    let audit = admin.get("/audit?action=snapshot.download&limit=500").is(200);
    assert!(!audit.text.contains(['\n', '\u{1b}']), "{}", audit.text);
    assert_eq!(audit.json()["items"].as_array().unwrap().len(), names.len() + 1);
    assert_ne!(admin.get(&of).is(200).json()["snapshot"], Value::Null);
}
