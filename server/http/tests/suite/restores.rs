//! Restores as a client sees them: where they may go, what they would do, what they do, and who may.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use keepfast_server::daemon::definitions;
use keepfast_server::restores::Start;
use keepfast_server::restores::order::{Destination, Order, OverwriteFiles, SnapshotPath};
use keepfast_server::state;
use keepfast_store::{Claim, Progress, RunId, RunState, ServerId, Trigger};
use serde_json::{Value, json};

use crate::client::Client;
use crate::desk::{Desk, PASSWORD, Server};
use crate::snapshots::{back_up, fill, noise, quoted};

/// A server that may restore to a folder of its desk.
fn server() -> Server {
    let desk = Desk::new();
    fs::create_dir(desk.path("restored")).unwrap();
    let server = format!("restore_to = [{:?}, {:?}]\n", desk.path("restored"), desk.path("cache"));
    Server::at(desk, &server, "")
}

/// What is wanted of everything in the source: its content in a folder of the place.
fn to_folder(server: &Server, id: &str, folder: &str) -> Value {
    let (place, source) = (server.desk.path("restored"), server.desk.path("source"));
    json!({
        "repository": "main",
        "snapshot": id,
        "destination": { "to": "folder", "place": place, "folder": folder, "contents_of": source },
    })
}

fn with(mut wanted: Value, key: &str, value: Value) -> Value {
    wanted[key] = value;
    wanted
}

/// Starts a restore, and returns it when it is over.
fn restore(client: &Client, wanted: Value) -> Value {
    let begun = client.post("/restores", wanted).is(202).json();
    over(client, &begun)
}

fn over(client: &Client, begun: &Value) -> Value {
    client.wait(&format!("/restores/{}", begun["run"].as_str().unwrap()), |run| run["state"] == "ended")
}

/// What is in a folder: of each entry its path, its kind and rights, its time, and its content or where it leads.
fn seen(folder: &Path) -> BTreeMap<PathBuf, (u32, i64, Vec<u8>)> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            let about = fs::symlink_metadata(&path).unwrap();
            let content = if about.is_dir() {
                folders.push(path.clone());
                Vec::new()
            } else if about.is_symlink() {
                fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
            } else {
                fs::read(&path).unwrap()
            };
            let name = path.strip_prefix(folder).unwrap().to_owned();
            all.insert(name, (about.mode(), about.mtime(), content));
        }
    }
    all
}

fn set_time(path: &Path, seconds: u64) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
}

#[test]
fn files_go_to_a_folder_as_they_were_and_a_preview_says_so_before() {
    let server = server();
    let admin = server.admin();
    let source = server.desk.path("source");
    let files = fill(&source);
    fs::set_permissions(source.join("hello.txt"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::set_permissions(source.join("empty"), fs::Permissions::from_mode(0o4755)).unwrap();
    set_time(&source.join("hello.txt"), 1_000_000_000);
    let mut expected = seen(&source);
    // Elsewhere, nothing is setuid.
    expected.get_mut(Path::new("empty")).unwrap().0 &= 0o777_0777;
    let id = back_up(&admin);

    let places = admin.get("/restores/places").is(200).json();
    let place = server.desk.path("restored");
    assert_eq!((&places["machine"], &places["original"]), (&"ann".into(), &json!(["www"])));
    assert_eq!(places["places"][0]["place"], json!(place));
    assert!(places["places"][0]["free_bytes"].as_u64().unwrap() > 0, "{places:#}");
    assert_eq!(places["places"][0]["problem"], Value::Null);
    assert!(places["places"][1]["problem"].is_string(), "the cache is no place: {places:#}");

    // Everything, at its full paths.
    let wanted = json!({
        "repository": "main", "snapshot": id, "machine": "ann",
        "destination": { "to": "folder", "place": place, "folder": "a/tuesday" },
    });
    let preview = admin.post("/restores/preview", wanted.clone()).is(200).json();
    let size: usize = files.values().map(Vec::len).sum();
    assert_eq!((&preview["files"], &preview["others"]), (&json!(files.len()), &json!(1)), "{preview:#}");
    assert_eq!((&preview["bytes"], &preview["conflicts"]), (&json!(size), &json!([])), "{preview:#}");
    assert_eq!(
        (&preview["has_room"], &preview["is_whole"], &preview["refused"]),
        (&json!(true), &json!(true), &Value::Null)
    );
    assert!(!place.join("a").exists(), "a preview writes nothing");
    let keyed = admin.again().with("idempotency-key", "r-1");
    let begun = keyed.post("/restores", wanted.clone()).is(202).json();
    assert_eq!(begun["target"], json!(place.join("a/tuesday")));
    let done = over(&admin, &begun);
    assert_eq!((&done["verdict"], &done["by"]), (&"ok".into(), &"ann".into()), "{done:#}");
    for count in ["files", "dirs", "others", "hard_links", "bytes", "unchanged", "skipped"] {
        assert_eq!(done["report"][count], preview[count], "{count}: {done:#}");
    }
    assert_eq!(done["report"]["verified"], json!(files.len()), "{done:#}");
    assert_eq!(done["report"]["privileges_dropped"], 1, "{done:#}");
    let restored = place.join("a/tuesday").join(source.strip_prefix("/").unwrap());
    assert!(seen(&restored) == expected, "{:#?}", seen(&restored).keys());

    // Again with its key, it is the same one, though its folder isn't empty any more.
    assert_eq!(keyed.post("/restores", wanted.clone()).is(202).json()["run"], begun["run"]);
    let other = with(wanted.clone(), "verify", json!(false));
    keyed.post("/restores", other).fails(422, "idempotency_key_reused");
    let refused = admin.post("/restores", wanted.clone()).fails(409, "conflict");
    assert!(refused.text.contains("not empty"), "{}", refused.text);
    let preview = admin.post("/restores/preview", wanted).is(200).json();
    assert!(preview["refused"].as_str().unwrap().contains("not empty"), "{preview:#}");

    // It is a run as others are.
    let run = begun["run"].as_str().unwrap();
    let of_run = admin.get(&format!("/runs/{run}")).is(200).json();
    assert_eq!((&of_run["kind"], &of_run["plan"]), (&"restore".into(), &"www".into()), "{of_run:#}");
    let log = admin.get(&format!("/runs/{run}/log")).is(200).text;
    for phase in ["opening", "checks", "restore", "verify"] {
        assert!(log.contains(&format!("\"message\":\"{phase}\"")), "{phase}: {log}");
    }
    let listed = admin.get("/restores?plan=www&verdict=ok").is(200).json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed:#}");
    assert_eq!(listed["items"][0]["run"], begun["run"]);
    assert_eq!(admin.get("/restores?plan=other").is(200).json()["items"], json!([]));
    assert!(admin.get("/restores.csv").is(200).text.starts_with("run,repository,snapshot,"));
    let audit = admin.get("/audit?limit=500").is(200).text;
    assert!(audit.contains("restore.start") && audit.contains("a/tuesday"), "{audit}");
    assert_eq!(admin.get("/plans/www").is(200).json()["last"]["verdict"], "ok");
}

/// Puts in the way what a restore meets: a file that is newer, one that is older, one of another kind, one that is the same
/// and has another mode, a folder.
fn put_in_the_way(at: &Path) {
    fs::write(at.join("hello.txt"), "hello, newer").unwrap();
    fs::write(at.join("empty"), "not any more").unwrap();
    set_time(&at.join("empty"), 1_000_000_000);
    fs::set_permissions(at.join("sub/large"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(at.join("=cmd|calc")).unwrap();
    symlink("/etc/passwd", at.join("=cmd|calc")).unwrap();
    fs::remove_file(at.join("<img src=x>.html")).unwrap();
    fs::create_dir(at.join("<img src=x>.html")).unwrap();
    fs::remove_dir_all(at.join("sub/deep")).unwrap();
    fs::write(at.join("sub/deep"), "a file where a folder was").unwrap();
}

#[test]
fn what_is_in_the_way_is_named_and_what_a_preview_says_happens() {
    let server = server();
    let admin = server.admin();
    let files = fill(&server.desk.path("source"));
    let id = back_up(&admin);
    let outcomes = |preview: &Value| -> BTreeMap<String, (String, String)> {
        let text = |conflict: &Value, key: &str| conflict[key].as_str().unwrap().to_owned();
        let all = preview["conflicts"].as_array().unwrap().iter();
        all.map(|one| (text(one, "name"), (text(one, "conflict"), text(one, "outcome")))).collect()
    };
    for overwrite in ["always", "if_changed", "never"] {
        let at = server.desk.path("restored").join(overwrite);
        let wanted = to_folder(&server, &id, overwrite);
        assert_eq!(restore(&admin, wanted.clone())["verdict"], "ok");
        put_in_the_way(&at);
        let wanted = with(wanted, "overwrite", json!(overwrite));
        let preview = admin.post("/restores/preview", wanted.clone()).is(200).json();
        let replaced = if overwrite == "never" { "kept" } else { "replaced" };
        let folder = if overwrite == "never" { "kept" } else { "failed" };
        let deep = if overwrite == "never" { "failed" } else { "replaced" };
        let expected = [
            ("hello.txt", "newer", replaced),
            ("empty", "content", replaced),
            ("=cmd|calc", "type", replaced),
            ("<img src=x>.html", "type", folder),
            ("deep", "type", deep),
        ];
        let expected = expected
            .map(|(name, conflict, outcome)| (name.to_owned(), (conflict.to_owned(), outcome.to_owned())));
        assert_eq!(outcomes(&preview), BTreeMap::from(expected), "{overwrite}: {preview:#}");
        assert_eq!(preview["conflicts_count"], 5);
        let newer = preview["conflicts"].as_array().unwrap().iter().find(|one| one["name"] == "hello.txt");
        assert_eq!((&newer.unwrap()["size"], &newer.unwrap()["size_there"]), (&json!(5), &json!(12)));
        let path = server.desk.path("source/hello.txt");
        assert_eq!(newer.unwrap()["path"], json!(path));
        let done = restore(&admin, wanted);
        for count in ["files", "others", "bytes", "unchanged", "corrected", "skipped"] {
            // What is kept is read back, too, and differs.
            let kept = if (overwrite, count) == ("never", "skipped") { 5 } else { 0 };
            let told = done["report"][count].as_u64().unwrap() - kept;
            assert_eq!(json!(told), preview[count], "{overwrite}, {count}: {done:#}\n{preview:#}");
        }
        let read = |name: &str| fs::read(at.join(name)).unwrap_or_default();
        assert_eq!(read("hello.txt") == b"hello", overwrite != "never");
        assert_eq!(fs::read_link(at.join("=cmd|calc")).is_ok(), overwrite == "never");
        assert_eq!(read("sub/deep/block") == [7; 512], overwrite != "never");
        assert!(read("sub/large") == files[&b"sub/large"[..]]);
        let (verdict, named) = (&done["verdict"], &done["report"]["failures"]);
        assert_eq!(verdict, "findings", "{done:#}");
        let named: Vec<&str> =
            named.as_array().unwrap().iter().filter_map(|one| one["path"].as_str()).collect();
        let missing = if overwrite == "never" { "sub/deep" } else { "<img src=x>.html" };
        assert!(named.iter().any(|path| path.ends_with(missing)), "{named:?}");
    }
}

#[test]
fn no_name_and_no_link_leads_out_of_a_place() {
    let server = server();
    let admin = server.admin();
    fill(&server.desk.path("source"));
    let id = back_up(&admin);
    let (place, outside) = (server.desk.path("restored"), server.desk.path("outside"));
    fs::create_dir(&outside).unwrap();
    symlink(&outside, place.join("link")).unwrap();
    fs::write(place.join("file"), "").unwrap();
    let long = "n".repeat(256);
    for folder in
        ["..", "../outside", "a/../../outside", "/etc", "a//b", "a/", ".", "link", "link/x", "file/x", &long]
    {
        for path in ["/restores", "/restores/preview"] {
            let answer = admin.post(path, to_folder(&server, &id, folder));
            match path {
                "/restores" => drop(answer.fails(422, "unprocessable")),
                _ => assert!(answer.is(200).json()["refused"].is_string(), "{folder}"),
            }
        }
    }
    admin.post("/restores", to_folder(&server, &id, "a%00b")).fails(422, "unprocessable");
    for other in ["/", "/tmp", outside.to_str().unwrap(), "restored", place.join("link").to_str().unwrap()] {
        let mut wanted = to_folder(&server, &id, "x");
        wanted["destination"]["place"] = json!(other);
        admin.post("/restores", wanted).fails(422, "unprocessable");
    }
    let mut wanted = to_folder(&server, &id, "x");
    wanted["destination"]["place"] = json!(server.desk.path("cache"));
    let refused = admin.post("/restores", wanted).fails(422, "unprocessable");
    assert!(refused.text.contains("the cache of repositories is there"), "{}", refused.text);
    let elsewhere = with(to_folder(&server, &id, "x"), "machine", json!("bob"));
    admin.post("/restores", elsewhere).fails(409, "conflict");
    for snapshot in ["latest", &"f".repeat(32), &id[..8], ".."] {
        admin.post("/restores", to_folder(&server, snapshot, "x")).fails(404, "not_found");
    }
    let missing = with(to_folder(&server, &id, "x"), "paths", json!(["/no/such"]));
    admin.post("/restores/preview", missing).fails(404, "not_found");
    let many = with(to_folder(&server, &id, "x"), "paths", json!(vec!["/a"; 1001]));
    admin.post("/restores", many).fails(422, "unprocessable");

    // Links below the target lead nowhere: they are replaced.
    assert_eq!(restore(&admin, to_folder(&server, &id, "t"))["verdict"], "ok");
    fs::remove_dir_all(place.join("t/sub")).unwrap();
    symlink(&outside, place.join("t/sub")).unwrap();
    let again = with(to_folder(&server, &id, "t"), "overwrite", json!("always"));
    assert_eq!(restore(&admin, again.clone())["verdict"], "ok");
    assert!(place.join("t/sub").symlink_metadata().unwrap().is_dir());

    // Someone who may write there swaps the target for a link, again and again.
    let ends = Arc::new(AtomicBool::new(false));
    let (over, target, aside, away) =
        (Arc::clone(&ends), place.join("t"), place.join("aside"), outside.clone());
    let swapping = std::thread::spawn(move || {
        while !over.load(Ordering::Relaxed) {
            fs::rename(&target, &aside).unwrap();
            symlink(&away, &target).unwrap();
            std::thread::yield_now();
            fs::remove_file(&target).unwrap();
            fs::rename(&aside, &target).unwrap();
            std::thread::yield_now();
        }
    });
    for _ in 0..3 {
        let answer = admin.post("/restores", again.clone());
        if answer.status == 202 {
            self::over(&admin, &answer.json());
        }
    }
    ends.store(true, Ordering::Relaxed);
    // A restore may have made the folder while it was away: then it can't be put back, which is as well.
    let _ = swapping.join();
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "nothing was written outside");
}

/// Another user, with names of files or without.
fn user(server: &Server, admin: &Client, name: &str, role: &str, scope: &str, see_names: bool) -> Client {
    let grants = json!([{ "role": role, "scope": scope, "see_names": see_names }]);
    admin.post("/users", json!({ "user": name, "password": PASSWORD, "grants": grants })).is(201);
    let mut client = server.stranger();
    client.sign_in("/session", json!({ "user": name, "password": PASSWORD }));
    client
}

#[test]
fn rights_decide_who_restores_where() {
    let server = server();
    let admin = server.admin();
    let source = server.desk.path("source");
    fill(&source);
    let id = back_up(&admin);
    let place = server.desk.path("restored");
    let everything = |folder: &str| {
        json!({
            "repository": "main", "snapshot": id,
            "destination": { "to": "folder", "place": place, "folder": folder },
        })
    };
    let named = with(everything("x"), "paths", json!([source.join("hello.txt")]));
    let original = json!({
        "repository": "main", "snapshot": id, "paths": [source.join("hello.txt")],
        "destination": { "to": "original" }, "overwrite": "always",
    });

    let viewer = user(&server, &admin, "vera", "viewer", "all", true);
    viewer.get("/restores/places").fails(403, "forbidden");
    for wanted in [everything("x"), named.clone(), original.clone()] {
        viewer.post("/restores/preview", wanted.clone()).fails(403, "forbidden");
        viewer.post("/restores", wanted).fails(403, "forbidden");
    }
    let other = user(&server, &admin, "otto", "restorer", "plan:other", true);
    for wanted in [everything("x"), named.clone(), original.clone()] {
        other.post("/restores/preview", wanted.clone()).fails(404, "not_found");
        other.post("/restores", wanted).fails(404, "not_found");
    }

    // Who may not see names restores everything, and hears how many.
    let operator = user(&server, &admin, "olga", "operator", "plan:www", false);
    assert_eq!(operator.get("/restores/places").is(200).json()["original"], json!([]));
    operator.post("/restores", named.clone()).fails(403, "forbidden");
    operator.post("/restores/preview", named.clone()).fails(403, "forbidden");
    let by_folder = to_folder(&server, &id, "x");
    operator.post("/restores", by_folder).fails(403, "forbidden");
    operator.post("/restores", original.clone()).fails(403, "forbidden");
    let done = restore(&operator, everything("x"));
    assert_eq!((&done["verdict"], &done["paths"]), (&"ok".into(), &Value::Null), "{done:#}");
    assert_eq!(done["report"]["failures"], Value::Null);
    let run = done["run"].as_str().unwrap().to_owned();
    let of_run = operator.get(&format!("/runs/{run}")).is(200).json();
    assert!(of_run["report"].get("failures").is_none(), "{of_run:#}");
    let again = with(everything("x"), "overwrite", json!("always"));
    let preview = operator.post("/restores/preview", again).is(200).json();
    assert_eq!((&preview["conflicts"], &preview["refused"]), (&Value::Null, &Value::Null), "{preview:#}");
    viewer.post(&format!("/runs/{run}/retry"), json!({})).fails(403, "forbidden");
    viewer.post(&format!("/runs/{run}/cancel"), json!({})).fails(403, "forbidden");
    other.get(&format!("/restores/{run}")).fails(404, "not_found");
    assert_eq!(other.get("/restores").is(200).json()["items"], json!([]));

    // A right over the repository alone doesn't reach machines.
    let of_repository = user(&server, &admin, "rita", "restorer", "repository:main", true);
    of_repository.post("/restores", original.clone()).fails(403, "forbidden");
    let of_plan = user(&server, &admin, "rosa", "restorer", "plan:www", true);
    assert_eq!(of_plan.get("/restores/places").is(200).json()["original"], json!(["www"]));
    fs::write(source.join("hello.txt"), "spoiled").unwrap();
    assert_eq!(restore(&of_plan, original)["verdict"], "ok");
    assert_eq!(fs::read(source.join("hello.txt")).unwrap(), b"hello");
    assert_eq!(restore(&of_repository, with(named, "overwrite", json!("always")))["verdict"], "ok");
}

#[test]
fn the_original_place_is_the_plans_alone() {
    let server = server();
    let admin = server.admin();
    let source = server.desk.path("source");
    fill(&source);
    let id = back_up(&admin);
    let before = seen(&source);
    let wanted = |paths: Value, overwrite: &str| {
        json!({
            "repository": "main", "snapshot": id, "paths": paths,
            "destination": { "to": "original" }, "overwrite": overwrite,
        })
    };
    let sub = source.join("sub");
    for refused in [
        wanted(json!([sub]), "refuse"),
        wanted(json!([server.desk.path("")]), "always"),
        wanted(json!(["/etc/passwd"]), "always"),
    ] {
        admin.post("/restores", refused.clone()).fails(422, "unprocessable");
        assert!(admin.post("/restores/preview", refused).is(200).json()["refused"].is_string());
    }
    fs::remove_dir_all(&sub).unwrap();
    fs::write(source.join("hello.txt"), "newer").unwrap();
    fs::write(source.join("mine"), "not in the snapshot").unwrap();
    let preview = admin.post("/restores/preview", wanted(json!([sub]), "never")).is(200).json();
    assert_eq!((&preview["target"], &preview["files"]), (&"/".into(), &json!(2)), "{preview:#}");
    assert!(!sub.exists());
    let done = restore(&admin, wanted(json!([sub]), "never"));
    assert_eq!((&done["verdict"], &done["original"]), (&"ok".into(), &json!(true)), "{done:#}");
    assert_eq!(fs::read(source.join("hello.txt")).unwrap(), b"newer", "it was not asked for");
    let done = restore(&admin, wanted(json!([]), "if_changed"));
    assert_eq!(done["verdict"], "ok", "{done:#}");
    assert_eq!(fs::read(source.join("mine")).unwrap(), b"not in the snapshot", "nothing is removed");
    fs::remove_file(source.join("mine")).unwrap();
    let after = seen(&source);
    assert!(after == before, "{:#?}", after.keys());
    // Where a source is a link by now, it isn't followed, and not replaced.
    let moved = server.desk.path("moved");
    fs::rename(&source, &moved).unwrap();
    symlink(&moved, &source).unwrap();
    let refused = admin.post("/restores", wanted(json!([sub]), "always")).fails(422, "unprocessable");
    assert!(refused.text.contains("symbolic link"), "{}", refused.text);
}

#[test]
fn a_folder_comes_as_a_zip_that_others_unpack() {
    let server = server();
    let admin = server.admin();
    let source = server.desk.path("source");
    let files = fill(&source);
    fs::write(source.join("caf\u{e9} \u{1f600}.txt"), "text").unwrap();
    fs::write(source.join("100%25.txt"), "looks quoted").unwrap();
    set_time(&source.join("hello.txt"), 1_000_000_001);
    fs::set_permissions(source.join("hello.txt"), fs::Permissions::from_mode(0o640)).unwrap();
    let id = back_up(&admin);
    let folder = quoted(source.to_str().unwrap());
    let of = format!("/snapshots/main/{id}/content?path={folder}");
    admin.get(&format!("{of}&format=rar")).fails(400, "invalid_request");
    let zip = admin.get(&format!("{of}&format=zip")).is(200);
    assert_eq!(zip.headers["content-type"], "application/zip");
    assert!(zip.headers["content-disposition"].to_str().unwrap().contains("filename=\"source.zip\""));
    let archive = server.desk.path("source.zip");
    fs::write(&archive, &zip.bytes).unwrap();
    let script = "import json, sys, zipfile\n\
                  z = zipfile.ZipFile(sys.argv[1])\n\
                  assert z.testzip() is None\n\
                  z.extractall(sys.argv[2])\n\
                  print(json.dumps({i.filename: [i.external_attr >> 16, list(i.date_time),\
                  bool(i.flag_bits & 0x800)] for i in z.infolist()}))";
    let folder = server.desk.path("unpacked");
    let python =
        std::process::Command::new("python3").arg("-c").arg(script).arg(&archive).arg(&folder).output();
    let python = python.unwrap();
    assert!(python.status.success(), "{}", String::from_utf8_lossy(&python.stderr));
    let unpacked: BTreeMap<String, Value> = serde_json::from_slice(&python.stdout).unwrap();
    let names: Vec<&str> = unpacked.keys().map(String::as_str).collect();
    let mut expected: Vec<String> = files
        .keys()
        .map(|name| match std::str::from_utf8(name) {
            Ok(text) => text.to_owned(),
            Err(_) => "odd%FF%2520%0A".to_owned(),
        })
        .chain(["100%2525.txt", "caf\u{e9} \u{1f600}.txt", "link", "sub/", "sub/deep/"].map(str::to_owned))
        .collect();
    expected.sort();
    assert_eq!(names, expected);
    let hello = &unpacked["hello.txt"];
    assert_eq!(hello[0], 0o100_640);
    assert_eq!(hello[1], json!([2001, 9, 9, 1, 46, 40]), "in UTC, with two seconds");
    assert_eq!(unpacked["caf\u{e9} \u{1f600}.txt"][2], true, "its name is marked as UTF-8");
    assert_eq!(unpacked["link"][0].as_u64().unwrap() & 0o170_000, 0o120_000, "a symbolic link");
    for (name, content) in &files {
        let name = std::str::from_utf8(name).unwrap_or("odd%FF%2520%0A");
        assert!(fs::read(folder.join(name)).unwrap() == *content, "{name}");
    }
    assert_eq!(fs::read(folder.join("100%2525.txt")).unwrap(), b"looks quoted");
    // A file is itself.
    let file = admin.get(&format!("{of}/hello.txt&format=zip")).is(200);
    assert_eq!(file.bytes, b"hello");
}

/// The same client at another address: a server that was started again has another one.
fn at(server: &Server, client: &Client) -> Client {
    let mut again = server.stranger();
    again.headers = client.headers.clone();
    again
}

#[test]
fn a_server_that_stops_goes_on_with_its_restores() {
    let server = server();
    let admin = server.admin();
    let source = server.desk.path("source");
    for number in 0..16 {
        fs::write(source.join(format!("file {number}")), noise(1 << 20)).unwrap();
    }
    let id = back_up(&admin);
    let begun = admin.post("/restores", to_folder(&server, &id, "t")).is(202).json();
    let run = begun["run"].as_str().unwrap().to_owned();
    admin.wait(&format!("/restores/{run}"), |run| run["state"] != "waiting");
    let server = server.again();
    let admin = at(&server, &admin);
    // It was over, or ended in order and goes on as another run.
    let first = admin.wait(&format!("/restores/{run}"), |run| run["state"] == "ended");
    let newest = admin.wait("/restores", |page| page["items"][0]["state"] == "ended")["items"][0].clone();
    assert_eq!(newest["verdict"], "ok", "{newest:#}");
    if first["verdict"] == "cancelled" {
        assert_eq!(newest["parent"], json!(run));
    }
    let expected = seen(&server.desk.path("source"));
    assert!(seen(&server.desk.path("restored/t")) == expected);
}

/// A restore as a server stores it that dies: it has begun to write, and no one ends it.
async fn left_behind(desk: &Desk, wanted: &Value, id: &str) -> String {
    let (loaded, _) = definitions::read(&desk.path("keepfast.toml"));
    let config = loaded.config.unwrap();
    let around = desk.around();
    let store = state::open(&config, &around.children).await.unwrap();
    let machine = state::machine(&state::folder(&config)).unwrap();
    let executor = state::process(&state::server_name(&machine)).unwrap();
    let folder = |path: &str| SnapshotPath(path.as_bytes().to_vec());
    let order = Order {
        repository: "main".to_owned(),
        snapshot: id.to_owned(),
        time: jiff::Timestamp::now(),
        host: "ann".to_owned(),
        plan: Some("www".to_owned()),
        machine: "ann".to_owned(),
        paths: Vec::new(),
        destination: Destination::Folder {
            place: desk.path("restored"),
            folder: folder("t"),
            contents_of: folder(wanted["destination"]["contents_of"].as_str().unwrap()),
        },
        overwrite: OverwriteFiles::Refuse,
        verify: true,
        by: "ann".to_owned(),
    };
    let start = Start { config: &config, store: &store, around: &around, server: &executor.server };
    let run = RunId::new("f".repeat(32)).unwrap();
    let (queued, _) = start.queue(&order, Trigger::Manual, run.clone()).await.unwrap();
    assert_eq!(queued.state, RunState::Waiting);
    let candidates = [run.clone()];
    let lease = Duration::from_secs(3600);
    let claim = Claim { candidates: &candidates, limits: &[], executor: &executor, lease };
    let held = store.claim(state::now(), claim).await.unwrap().pop().unwrap();
    store.start(state::now(), &held).await.unwrap();
    let phase = Some("restore".to_owned().try_into().unwrap());
    store.beat(state::now(), &held, Some(&Progress { phase, counters: None })).await.unwrap();
    // Another one waits for a server that is nowhere.
    let elsewhere = ServerId::new("server of another machine").unwrap();
    let start = Start { server: &elsewhere, ..start };
    start.queue(&order, Trigger::Manual, RunId::new("e".repeat(32)).unwrap()).await.unwrap();
    store.close().await;
    run.to_string()
}

#[test]
fn a_restore_whose_server_died_is_lost_and_can_be_repeated() {
    let mut server = server();
    let admin = server.admin();
    let source = server.desk.path("source");
    fill(&source);
    let id = back_up(&admin);
    let wanted = to_folder(&server, &id, "t");
    let desk = server.end();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let run = runtime.block_on(left_behind(&desk, &wanted, &id));
    // What it has written: one file that is complete, and one that is not.
    let at = desk.path("restored/t");
    fs::create_dir(&at).unwrap();
    fs::copy(source.join("hello.txt"), at.join("hello.txt")).unwrap();
    fs::write(at.join(".keepfast-restore-0123456789abcdef-1"), "half").unwrap();
    let server = Server::serve(desk);
    let admin = self::at(&server, &admin);
    let lost = admin.wait(&format!("/restores/{run}"), |run| run["state"] == "ended");
    assert_eq!((&lost["verdict"], &lost["report"]), (&"lost".into(), &Value::Null), "{lost:#}");
    let listed = admin.get("/restores?verdict=lost").is(200).json();
    assert_eq!(listed["items"][0]["run"], json!(run));
    // Started again, it doesn't write into what is there. Repeated, it goes on.
    admin.post("/restores", wanted).fails(409, "conflict");
    let again = admin.post(&format!("/runs/{run}/retry"), json!({})).is(202).json();
    let done = over(&admin, &again);
    assert_eq!((&done["verdict"], &done["parent"]), (&"ok".into(), &json!(run)), "{done:#}");
    assert!(seen(&at) == seen(&source), "what was half done is gone: {:#?}", seen(&at).keys());

    // No server takes what is for another one; and it can be cancelled.
    let other = "e".repeat(32);
    let waits = admin.get(&format!("/restores/{other}")).is(200).json();
    assert_eq!(waits["state"], "waiting", "{waits:#}");
    let outcome = admin.post(&format!("/runs/{other}/cancel"), json!({})).is(202).json();
    assert_eq!(outcome["outcome"], "ended");
    let ended = admin.get(&format!("/restores/{other}")).is(200).json();
    assert_eq!(ended["verdict"], "cancelled", "{ended:#}");
}
