//! Plans, runs, problems, repositories and the rest, as a client sees them.

use std::fs;

use serde_json::{Value, json};

use crate::client::Client;
use crate::desk::Server;

fn back_up(client: &Client) -> Value {
    let run = client.post("/runs", json!({ "kind": "backup", "plan": "www" })).is(202).json();
    client.wait(&format!("/runs/{}", run["run"].as_str().unwrap()), |run| run["state"] == "ended")
}

#[test]
fn a_backup_is_started_watched_and_seen_in_all_places() {
    let server = Server::start("");
    let admin = server.admin();
    let before = admin.get("/overview").is(200).json();
    assert_eq!((&before["state"], &before["plans"]["total"]), (&"ok".into(), &1.into()));
    assert_eq!(before["last_achieved"], Value::Null);
    let run = back_up(&admin);
    assert_eq!((&run["verdict"], &run["trigger"]), (&"ok".into(), &"manual".into()), "{run:#}");
    assert!(run["report"]["backup"]["snapshot"]["id"].is_string(), "{run:#}");
    let plan = admin.get("/plans/www").is(200).json();
    assert_eq!(plan["last"]["run"], run["run"]);
    assert_eq!((&plan["standing"], &plan["zone"]), (&"ok".into(), &"Europe/Paris".into()));
    assert_eq!(plan["upcoming"].as_array().unwrap().len(), 10);
    assert_eq!(plan["schedule"]["cron"], "30 1 * * *");
    let origin = |path: &str| -> String {
        let settings = plan["settings"].as_array().unwrap();
        let found = settings.iter().find(|setting| setting["path"] == path);
        found.unwrap_or_else(|| panic!("{path}: {plan:#}"))["origin"].as_str().unwrap().to_owned()
    };
    assert!(
        origin("plan.www.description").ends_with("keepfast.toml:10"),
        "{}",
        origin("plan.www.description")
    );
    assert_eq!(origin("plan.www.enabled"), "default");
    let history = admin.get("/plans/www/history").is(200).json();
    assert_eq!((&history["items"][0]["run"], &history["items"][0]["bytes"]), (&run["run"], &5.into()));
    let matrix = admin.get("/overview/matrix?days=3").is(200).json();
    let cells = &matrix["plans"][0]["cells"];
    assert_eq!((&cells[2]["state"], &cells[2]["verdicts"]), (&"ok".into(), &json!({ "ok": 1 })));
    assert_eq!(cells[0]["state"], "unborn");
    let lines = admin.get(&format!("/runs/{}/log", run["run"].as_str().unwrap())).is(200).json();
    assert!(lines["items"].as_array().unwrap().iter().any(|line| line["message"] == "backup"), "{lines:#}");
    let text = admin.get(&format!("/runs/{}/log.txt?search=BACKUP", run["run"].as_str().unwrap())).is(200);
    assert!(text.text.contains(" info    backup\n") && !text.text.contains("opening"), "{}", text.text);
    let check = admin.post("/runs", json!({ "kind": "check", "repository": "main" })).is(202).json();
    let check =
        admin.wait(&format!("/runs/{}", check["run"].as_str().unwrap()), |run| run["state"] == "ended");
    assert_eq!(check["verdict"], "ok", "{check:#}");
    let repository = admin.get("/repositories/main").is(200).json();
    assert_eq!((&repository["checked"]["run"], &repository["plans"]), (&check["run"], &json!(["www"])));
    assert!(repository["stored_bytes"].as_u64().unwrap() > 0, "{repository:#}");
    assert_eq!(admin.get("/repositories/main/history").json()["items"][0]["run"], check["run"]);
}

#[test]
fn what_is_sent_again_with_its_key_starts_once() {
    let server = Server::start("");
    let admin = server.admin();
    let keyed = admin.again().with("idempotency-key", "a-1");
    let start = json!({ "kind": "backup", "plan": "www" });
    let first = keyed.post("/runs", start.clone()).is(202).json();
    assert_eq!(keyed.post("/runs", start.clone()).is(202).json()["run"], first["run"]);
    let other = json!({ "kind": "check", "repository": "main" });
    keyed.post("/runs", other).fails(422, "idempotency_key_reused");
    assert_ne!(admin.post("/runs", start.clone()).is(202).json()["run"], first["run"]);
    let bob = server.user(&admin, "bob", "operator", "all").with("idempotency-key", "a-1");
    assert_ne!(bob.post("/runs", start).is(202).json()["run"], first["run"], "a key is its user's own");
    let id = first["run"].as_str().unwrap();
    admin.wait(&format!("/runs/{id}"), |run| run["state"] == "ended");
    let retried = keyed.send(reqwest::Method::POST, &format!("/runs/{id}/retry"), None).is(202).json();
    let again = keyed.send(reqwest::Method::POST, &format!("/runs/{id}/retry"), None).is(202).json();
    assert_eq!((&retried["run"], &retried["parent"]), (&again["run"], &first["run"]));
    let another = admin.send(reqwest::Method::POST, &format!("/runs/{id}/retry"), None);
    another.fails(409, "conflict");
}

#[test]
fn a_plan_is_paused_and_resumed() {
    let server = Server::start("");
    let admin = server.admin();
    let pause = json!({ "until": "2030-01-01T00:00:00Z", "reason": "new <disk>" });
    let paused = admin.put("/plans/www/pause", pause).is(200).json();
    assert_eq!((&paused["by"], &paused["reason"]), (&"ann".into(), &"new <disk>".into()));
    assert_eq!(admin.get("/plans/www").json()["pause"]["until"], "2030-01-01T00:00:00Z");
    let past = json!({ "until": "2001-01-01T00:00:00Z" });
    admin.put("/plans/www/pause", past).fails(422, "unprocessable");
    admin.put("/plans/other/pause", json!({})).fails(404, "not_found");
    admin.delete("/plans/www/pause").is(204);
    admin.delete("/plans/www/pause").is(204);
    assert_eq!(admin.get("/plans/www").json()["pause"], Value::Null);
    let entries = admin.get("/audit?object=plan:www").is(200).json();
    let actions: Vec<&str> =
        entries["items"].as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["plan.resume", "plan.pause"]);
}

#[test]
fn a_run_that_works_is_cancelled() {
    let server = Server::start(
        "[plan.slow]\nrepository = \"main\"\n\
         source = [{ stream = { name = \"s\", command = [\"sleep\", \"100\"] } }]\n",
    );
    let admin = server.admin();
    let run = admin.post("/runs", json!({ "kind": "backup", "plan": "slow" })).is(202).json();
    let path = format!("/runs/{}", run["run"].as_str().unwrap());
    admin.wait(&path, |run| run["phase"] == "backup");
    assert_eq!(admin.get("/overview").json()["running"][0]["run"], run["run"]);
    let asked = admin.send(reqwest::Method::POST, &format!("{path}/cancel"), None).is(202).json();
    assert_eq!(asked["outcome"], "asked");
    assert_eq!(admin.wait(&path, |run| run["state"] == "ended")["verdict"], "cancelled");
}

#[test]
fn a_failure_is_a_pattern_and_a_notification_with_advice() {
    let server =
        Server::start("[plan.gone]\nrepository = \"main\"\nsource = [{ files = [\"/nowhere/at/all\"] }]\n");
    let admin = server.admin();
    let run = admin.post("/runs", json!({ "kind": "backup", "plan": "gone" })).is(202).json();
    let failed =
        admin.wait(&format!("/runs/{}", run["run"].as_str().unwrap()), |run| run["state"] == "ended");
    assert_eq!((&failed["verdict"], &failed["error"]["category"]), (&"failed".into(), &"source".into()));
    assert!(failed["error"]["advice"].as_str().unwrap().ends_with('.'));
    let patterns = admin.get("/patterns").is(200).json();
    assert_eq!(patterns["items"][0]["fingerprint"], failed["error"]["fingerprint"]);
    let listed =
        admin.wait("/notifications", |list| list["items"].as_array().is_some_and(|items| !items.is_empty()));
    let told = listed["items"].as_array().unwrap().iter().find(|told| told["run"] == run["run"]).unwrap();
    assert_eq!((&told["tone"], &told["is_read"]), (&"error".into(), &false.into()));
    admin.send(reqwest::Method::POST, &format!("/notifications/{}/read", told["notification"]), None).is(204);
    let read = admin.get("/notifications").json();
    assert_eq!(
        read["items"].as_array().unwrap().iter().find(|one| one["run"] == run["run"]).unwrap()["is_read"],
        true
    );
    admin.post("/notifications/read", json!({ "up_to": 1_000_000 })).fails(422, "unprocessable");
}

#[test]
fn definitions_are_shown_with_their_places_and_what_is_wrong() {
    let server = Server::start(
        "[target.ops]\nwebhook = { url = \"http://127.0.0.1:9/\" }\n[[route]]\nto = [\"ops\"]\n",
    );
    let admin = server.admin();
    let settings = admin.get("/config?path=repository.main").is(200).json();
    let password =
        settings["items"].as_array().unwrap().iter().find(|one| one["path"] == "repository.main.password");
    assert!(password.unwrap()["value"].as_str().unwrap().contains("file = "), "{settings:#}");
    assert_eq!(admin.get("/config/files").json()["items"].as_array().unwrap().len(), 1);
    assert_eq!(admin.get("/targets").json()["items"][0]["kind"], "generic");
    assert_eq!(admin.get("/routes").json()["items"][0]["targets"], json!(["ops"]));
    assert_eq!(admin.get("/about").json()["config_is_valid"], true);
    fs::write(server.desk.path("keepfast.toml"), "version = 1\n[plan.www]\nretension = 3\n").unwrap();
    admin.send(reqwest::Method::POST, "/config/reload", None).is(202);
    let wrong = admin.wait("/config/diagnostics", |list| list["items"].to_string().contains("retension"));
    let found = wrong["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["message"].to_string().contains("retension"));
    assert_eq!(
        (&found.unwrap()["severity"], &found.unwrap()["line"]),
        (&"error".into(), &3.into()),
        "{wrong:#}"
    );
    assert_eq!(admin.get("/about").json()["config_is_valid"], false);
    assert_eq!(admin.get("/plans/www").is(200).json()["plan"], "www", "those of before are followed");
    let next =
        admin.get("/schedule/preview?cron=30%202%20*%20*%20*&zone=Europe/Paris&count=3").is(200).json();
    assert_eq!(next["items"].as_array().unwrap().len(), 3);
    admin.get("/schedule/preview?cron=nonsense").fails(422, "unprocessable");
}
