//! Snapshots as a client sees them: the catalogue, folders, downloads, differences, decisions.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};

use crate::client::Client;
use crate::desk::Server;

/// A path or a name as the value of a query.
pub fn quoted(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'/' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// Backs up, and returns the id of the snapshot as soon as the catalogue has it.
pub fn back_up(client: &Client) -> String {
    let run = client.post("/runs", json!({ "kind": "backup", "plan": "www" })).is(202).json();
    let run = client.wait(&format!("/runs/{}", run["run"].as_str().unwrap()), |run| run["state"] == "ended");
    assert_eq!(run["verdict"], "ok", "{run:#}");
    let id = run["report"]["backup"]["snapshot"]["id"].as_str().unwrap().to_owned();
    client.wait("/snapshots", |page| ids(page).contains(&id));
    id
}

pub fn ids(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().unwrap();
    items.iter().map(|item| item["snapshot"].as_str().unwrap().to_owned()).collect()
}

/// Bytes that don't shrink.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u8::try_from(state >> 56).unwrap()
    };
    (0..length).map(|_| next()).collect()
}

/// Files with names and contents that programs stumble over.
pub fn fill(source: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let files: [(&[u8], Vec<u8>); 7] = [
        (b"hello.txt", b"hello".to_vec()),
        (b"=cmd|calc", b"a formula".to_vec()),
        (b"<img src=x>.html", b"<script>alert(1)</script>".to_vec()),
        (b"odd\xff%20\n", b"odd".to_vec()),
        (b"empty", Vec::new()),
        (b"sub/large", noise(5_000_000)),
        (b"sub/deep/block", vec![7; 512]),
    ];
    fs::create_dir_all(source.join("sub/deep")).unwrap();
    for (name, content) in &files {
        fs::write(source.join(OsStr::from_bytes(name)), content).unwrap();
    }
    symlink("hello.txt", source.join("link")).unwrap();
    files.into_iter().map(|(name, content)| (name.to_vec(), content)).collect()
}

#[test]
fn a_snapshot_is_found_browsed_and_downloaded() {
    let server = Server::start("");
    let admin = server.admin();
    let source = server.desk.path("source");
    let files = fill(&source);
    let id = back_up(&admin);

    let found = admin.get("/snapshots?search=WWW&plan=www&repository=main&tag=plan:www").is(200).json();
    let snapshot = &found["items"][0];
    assert_eq!((&snapshot["snapshot"], &snapshot["files"]), (&json!(id), &json!(files.len())), "{found:#}");
    assert_eq!(snapshot["size_bytes"], json!(files.values().map(Vec::len).sum::<usize>()));
    for other in ["search=nothing", "plan=other", "host=bob", "tag=x", "until=2020-01-01T00:00:00Z"] {
        assert_eq!(admin.get(&format!("/snapshots?{other}")).is(200).json()["items"], json!([]), "{other}");
    }
    let table = admin.get("/snapshots.csv").is(200).text;
    assert!(table.starts_with("repository,snapshot,time,host,plan,") && table.contains(&id), "{table}");
    let detail = admin.get(&format!("/snapshots/main/{id}")).is(200).json();
    assert_eq!(detail["report"]["snapshot"]["id"], json!(id), "{detail:#}");
    let made_by = admin.get(&format!("/runs/{}", detail["run"].as_str().unwrap())).is(200).json();
    assert_eq!(made_by["kind"], "backup");
    let ages = admin.get("/catalogue").is(200).json();
    assert_eq!(
        (&ages["items"][0]["repository"], &ages["items"][0]["stale_since"]),
        (&"main".into(), &Value::Null)
    );
    assert!(ages["items"][0]["refreshed"].is_string(), "{ages:#}");

    // Every entry by its own path, page by page.
    let of = format!("/snapshots/main/{id}");
    let folder = quoted(source.to_str().unwrap());
    let mut entries = Vec::new();
    let mut next = String::new();
    loop {
        let page = admin.get(&format!("{of}/files?path={folder}&limit=3{next}")).is(200).json();
        entries.extend(page["items"].as_array().unwrap().clone());
        let Some(after) = page["next"].as_str() else { break };
        next = format!("&after={after}");
    }
    assert_eq!(entries.len(), 7, "{entries:#?}");
    let mut read = 0;
    for entry in &entries {
        let path = entry["path"].as_str().unwrap();
        assert!(!entry["name"].as_str().unwrap().chars().any(char::is_control), "{entry}");
        let content = admin.get(&format!("{of}/content?path={}", quoted(path)));
        match entry["type"].as_str().unwrap() {
            "symlink" => drop(content.fails(422, "unprocessable")),
            "dir" => {}
            _ => {
                let content = content.is(200);
                let exact = keepfast_api::path::bytes(path).unwrap();
                let name = exact.strip_prefix(source.as_os_str().as_bytes()).unwrap();
                assert_eq!(content.bytes, files[&name[1..]], "{path}");
                let header = |name: &str| content.headers[name].to_str().unwrap().to_owned();
                assert_eq!(header("content-type"), "application/octet-stream");
                assert_eq!(header("x-content-type-options"), "nosniff");
                assert!(header("content-disposition").starts_with("attachment; filename=\""), "{path}");
                assert_eq!(header("content-length"), content.bytes.len().to_string());
                read += 1;
            }
        }
    }
    assert_eq!(read, 5);
    let odd = entries.iter().find(|entry| entry["name"].as_str().unwrap().starts_with("odd")).unwrap();
    assert!(odd["path"].as_str().unwrap().ends_with("/odd%FF%2520%0A"), "{odd}");
    let table = admin.get(&format!("{of}/files.csv?path={folder}")).is(200).text;
    assert!(table.contains(",\"'=cmd|calc\","), "{table}");

    // The folder as one file.
    let tar = admin.get(&format!("{of}/content?path={folder}")).is(200);
    assert_eq!(tar.headers["content-type"], "application/x-tar");
    assert!(tar.headers["content-disposition"].to_str().unwrap().contains("filename=\"source.tar\""));
    let mut unpacked = BTreeMap::new();
    let mut links = 0;
    for entry in tar::Archive::new(&*tar.bytes).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path_bytes().into_owned();
        if entry.header().entry_type().is_file() {
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            unpacked.insert(path, content);
        } else if entry.header().entry_type().is_symlink() {
            links += 1;
            assert_eq!(&*entry.link_name_bytes().unwrap(), b"hello.txt");
        }
    }
    assert!(unpacked == files, "{:?}", unpacked.keys().collect::<Vec<_>>());
    assert_eq!(links, 1);
    let audit = admin.get("/audit?limit=500").is(200).text;
    assert!(audit.contains("snapshot.download") && audit.contains(&format!("snapshot:main/{id}")));
}

#[test]
fn paths_lead_nowhere_else() {
    let server = Server::start("");
    let admin = server.admin();
    let id = back_up(&admin);
    let of = format!("/snapshots/main/{id}");
    let source = quoted(server.desk.path("source").to_str().unwrap());
    for path in [
        "/etc/passwd",
        "/../../etc/passwd",
        "..",
        &format!("{source}/../../password"),
        "/%25FF",
        "/proc/self/environ",
    ] {
        for what in ["files", "content"] {
            admin.get(&format!("{of}/{what}?path={path}")).fails(404, "not_found");
        }
    }
    for path in ["%25", "%2500", "/a%25zz", "/%00"] {
        admin.get(&format!("{of}/content?path={path}")).fails(422, "unprocessable");
    }
    admin.get(&format!("{of}/files?path={source}/hello.txt")).fails(404, "not_found");
    for wrong in ["latest", "0", "..", "%2e%2e%2fx", &"f".repeat(32), &id[..8]] {
        admin.get(&format!("/snapshots/main/{wrong}/files")).fails(404, "not_found");
        admin.get(&format!("/snapshots/other/{wrong}/files")).fails(404, "not_found");
        admin.post(&format!("/snapshots/main/{wrong}/forget"), json!({})).fails(404, "not_found");
    }
    admin.get(&format!("{of}/files?limit=501")).fails(400, "invalid_request");
    admin.get(&format!("{of}/files?after=x")).fails(422, "unprocessable");
}

#[test]
fn names_and_contents_are_rights_of_their_own() {
    let server = Server::start("");
    let admin = server.admin();
    let id = back_up(&admin);
    let of = format!("/snapshots/main/{id}");
    let file = quoted(server.desk.path("source/hello.txt").to_str().unwrap());
    let viewer = server.user(&admin, "vera", "viewer", "all");
    assert_eq!(viewer.get("/snapshots").is(200).json()["items"][0]["snapshot"], json!(id));
    for path in [format!("{of}/files"), format!("{of}/files.csv"), format!("{of}/diff?with={id}")] {
        let refused = viewer.get(&path).fails(403, "forbidden");
        assert!(!refused.text.contains("hello"), "{path}");
    }
    viewer.get(&format!("{of}/content?path={file}")).fails(403, "forbidden");
    for deed in ["protect", "unprotect", "forget", "undelete"] {
        viewer.post(&format!("{of}/{deed}"), json!({})).fails(403, "forbidden");
    }
    let grants = json!([{ "role": "viewer", "scope": "all", "see_names": true }]);
    let body = json!({ "user": "nora", "password": crate::desk::PASSWORD, "grants": grants });
    admin.post("/users", body).is(201);
    let mut reader = server.stranger();
    reader.sign_in("/session", json!({ "user": "nora", "password": crate::desk::PASSWORD }));
    reader.get(&format!("{of}/files")).is(200);
    reader.get(&format!("{of}/content?path={file}")).fails(403, "forbidden");
    // Who may see another plan alone doesn't know that this snapshot is there.
    let other = server.user(&admin, "otto", "viewer", "plan:other");
    assert_eq!(other.get("/snapshots").is(200).json()["items"], json!([]));
    other.get(&of).fails(404, "not_found");
    other.get(&format!("{of}/files")).fails(404, "not_found");
    other.post(&format!("{of}/forget"), json!({})).fails(404, "not_found");
}

#[test]
fn two_snapshots_are_compared_page_by_page() {
    let server = Server::start("");
    let admin = server.admin();
    let source = server.desk.path("source");
    fill(&source);
    let first = back_up(&admin);
    fs::write(source.join("hello.txt"), "HELLO").unwrap();
    fs::remove_file(source.join("empty")).unwrap();
    fs::create_dir(source.join("new")).unwrap();
    fs::write(source.join("new/file"), "new").unwrap();
    let second = back_up(&admin);
    let of = format!("/snapshots/main/{first}/diff?with={second}");
    let all = admin.get(&of).is(200).json();
    let of_source = |page: &Value| -> Vec<(String, String)> {
        let items = page["items"].as_array().unwrap().clone();
        let text = |item: &Value, key: &str| item[key].as_str().unwrap().to_owned();
        items.iter().map(|item| (text(item, "change"), text(item, "name"))).collect()
    };
    let changes = of_source(&all);
    let expected = [("removed", "empty"), ("content", "hello.txt"), ("added", "new"), ("added", "file")];
    let expected: Vec<(String, String)> =
        expected.map(|(change, name)| (change.to_owned(), name.to_owned())).to_vec();
    let content: Vec<(String, String)> =
        changes.iter().filter(|(change, _)| change != "metadata").cloned().collect();
    assert_eq!(content, expected, "{all:#}");
    let mut paged = Vec::new();
    let mut next = String::new();
    loop {
        let page = admin.get(&format!("{of}&limit=1{next}")).is(200).json();
        paged.extend(of_source(&page));
        let Some(after) = page["next"].as_str() else { break };
        next = format!("&after={after}");
    }
    assert_eq!(paged, changes);
    assert_eq!(admin.get(&format!("/snapshots/main/{first}/diff?with={first}")).json()["items"], json!([]));
    let below = format!("{of}&path={}", quoted(source.join("new").to_str().unwrap()));
    assert_eq!(of_source(&admin.get(&below).is(200).json()), expected[2..]);
}

#[test]
fn decisions_about_a_snapshot_are_carried_out_and_recorded() {
    let server = Server::start("");
    let admin = server.admin();
    let id = back_up(&admin);
    let post = |id: &str, deed: &str, body: Value| admin.post(&format!("/snapshots/main/{id}/{deed}"), body);
    let is_protected = || {
        admin.get(&format!("/snapshots/main/{id}/standing")).is(200).json()["protected"] == Value::Bool(true)
    };
    assert!(!is_protected());
    post(&id, "protect", json!({})).is(200);
    assert!(is_protected());
    post(&id, "forget", json!({})).fails(409, "conflict");
    post(&id, "tags", json!({ "add": ["other"] })).fails(409, "conflict");
    post(&id, "undelete", json!({})).fails(409, "conflict");
    post(&"f".repeat(32), "undelete", json!({})).fails(404, "not_found");
    assert_eq!(ids(&admin.get("/snapshots").json()), [id.as_str()]);
    post(&id, "unprotect", json!({})).is(200);
    for wrong in ["", "a\nb"] {
        post(&id, "tags", json!({ "add": [wrong] })).fails(422, "unprocessable");
    }
    let tagged = post(&id, "tags", json!({ "add": ["before upgrade"] })).is(200).json();
    let new = tagged["now"].as_str().unwrap().to_owned();
    assert_ne!(new, id);
    let listed = admin.get("/snapshots?search=upgrade").is(200).json();
    assert_eq!((ids(&listed), &listed["items"][0]["plan"]), (vec![new.clone()], &"www".into()));
    assert_eq!(post(&new, "forget", json!({})).is(200).json()["now"], Value::Null);
    assert_eq!(admin.get("/snapshots").json()["items"], json!([]));
    let back = post(&new, "undelete", json!({})).is(200).json();
    assert_eq!(ids(&admin.get("/snapshots").json()), [back["now"].as_str().unwrap()]);
    let audit = admin.get("/audit?limit=500").is(200).text;
    for deed in ["protect", "unprotect", "tag", "forget", "undelete"] {
        assert!(audit.contains(&format!("\"snapshot.{deed}\"")), "{deed}: {audit}");
    }
    let preview = admin.get("/retention/preview?plan=www").is(200).json();
    assert_eq!((&preview["plan"], &preview["repository"]), (&"www".into(), &"main".into()), "{preview:#}");
    admin.get("/retention/preview?plan=none").fails(404, "not_found");
    let (new, newest) = (back["now"].as_str().unwrap(), back_up(&admin));
    let left = |rules: &str| {
        let preview = admin.get(&format!("/retention/preview?plan=www&{rules}")).is(200).json();
        let stays = |one: &&Value| one["verdict"] == "keep";
        let all = preview["snapshots"].as_array().unwrap().clone();
        let ids = all.iter().filter(stays).map(|one| one["id"].as_str().unwrap().to_owned());
        ids.collect::<Vec<_>>()
    };
    let kept = admin.get("/retention/snapshots?plan=www").is(200).json();
    assert_eq!(kept["items"], json!([]), "a plan without retention keeps everything: {kept:#}");
    assert_eq!(left("last=2"), [new, newest.as_str()]);
    assert_eq!(left("last=1"), [newest]);
    for wrong in ["daily=many", "last=%2B3", "hourly=4294967296", "within=long", "max_size=large"] {
        admin.get(&format!("/retention/preview?plan=www&{wrong}")).fails(422, "unprocessable");
    }
}

#[test]
fn a_snapshot_says_what_keeps_it_and_until_when() {
    let server = Server::start(
        "[plan.few]\nrepository = \"main\"\nsource = [{ files = [\"/etc/passwd\"] }]\n\
         schedule = { cron = \"30 1 * * *\" }\nretention = { last = 2, at_least = 1 }\n",
    );
    let admin = server.admin();
    let back_up = || {
        let run = admin.post("/runs", json!({ "kind": "backup", "plan": "few" })).is(202).json();
        let path = format!("/runs/{}", run["run"].as_str().unwrap());
        let run = admin.wait(&path, |run| run["state"] == "ended");
        run["report"]["backup"]["snapshot"]["id"].as_str().unwrap().to_owned()
    };
    let (older, newer) = (back_up(), back_up());
    let kept = admin.get("/retention/snapshots?plan=few").is(200).json();
    assert_eq!(ids(&kept), [newer, older.clone()], "{kept:#}");
    let runs: Vec<&Value> =
        kept["items"].as_array().unwrap().iter().map(|one| &one["goes_after_runs"]).collect();
    assert_eq!(runs, [&json!(2), &json!(1)]);
    let of_older = admin.get(&format!("/retention/snapshots?plan=few&snapshot={older}")).is(200).json();
    assert_eq!(of_older["items"], json!([kept["items"][1]]));
    assert!(kept["items"][1]["kept_by"][0].is_string(), "{kept:#}");
    // Two nights later, and that night: texts of instants in one zone are in the order of time.
    let instant = |of: &Value, name: &str| of[name].as_str().unwrap().to_owned();
    let (newer, older) = (&kept["items"][0], &kept["items"][1]);
    assert!(instant(older, "goes") < instant(newer, "goes"));
    assert!(instant(newer, "goes") < instant(newer, "foreseen_until"));
    admin.get("/retention/snapshots?plan=none").fails(404, "not_found");
}
