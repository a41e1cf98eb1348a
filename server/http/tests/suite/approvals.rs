//! The two-person rule: what one person asks for is done, once and just so, when another one agrees.

use serde_json::{Value, json};

use crate::client::Client;
use crate::desk::{Desk, Server};
use crate::snapshots::{back_up, ids};

fn server() -> Server {
    let rule = "definitions = \"files+managed\"\ntwo_persons = [\"forget\", \"prune\", \"definitions\"]\n";
    Server::at(Desk::new(), rule, "")
}

fn decide(client: &Client, request: &Value, step: &str) -> crate::client::Answer {
    let id = request["approval"].as_str().unwrap();
    client.post(&format!("/approvals/{id}/{step}"), json!({ "reason": "I have looked at it" }))
}

fn news(client: &Client) -> Vec<String> {
    let document = client.get("/notifications").is(200).json();
    let items = document["items"].as_array().unwrap().iter();
    let told = items.filter(|item| item["kind"].as_str().unwrap().starts_with("approval."));
    told.map(|item| item["summary"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_snapshot_is_forgotten_when_another_person_agrees() {
    let server = server();
    let ann = server.admin();
    let bob = server.user(&ann, "bob", "admin", "all");
    let vic = server.user(&ann, "vic", "viewer", "all");
    assert_eq!(ann.get("/about").is(200).json()["two_persons"], json!(["forget", "prune", "definitions"]));
    let id = back_up(&ann);
    let forget = format!("/snapshots/main/{id}/forget");
    vic.post(&forget, json!({})).fails(403, "forbidden");
    let asked = ann.post(&forget, json!({})).is(202).json();
    assert_eq!((&asked["state"], &asked["action"]), (&json!("open"), &json!("snapshot.forget")), "{asked:#}");
    assert_eq!(ann.post(&forget, json!({})).is(202).json()["approval"], asked["approval"], "asked once");
    assert_eq!(ids(&ann.get("/snapshots").is(200).json()), [id.as_str()], "nothing is done");

    let path = format!("/approvals/{}", asked["approval"].as_str().unwrap());
    assert_eq!(ann.get(&path).is(200).json()["may_withdraw"], true);
    assert_eq!(bob.get(&path).is(200).json()["may_decide"], true);
    vic.get(&path).fails(404, "not_found");
    decide(&vic, &asked, "agree").fails(404, "not_found");
    assert_eq!(vic.get("/approvals").is(200).json()["items"], json!([]));
    decide(&ann, &asked, "agree").fails(403, "forbidden");
    decide(&bob, &asked, "withdraw").fails(403, "forbidden");
    let grants = json!([{ "role": "admin", "scope": "all" }]);
    let token = bob.post("/tokens", json!({ "name": "ci", "grants": grants })).is(201).json();
    let bearer = format!("Bearer {}", token["secret"].as_str().unwrap());
    let program = server.stranger().with("authorization", &bearer);
    decide(&program, &asked, "agree").fails(403, "forbidden");
    let short: String = id.chars().take(8).collect();
    let told = format!("ann asks for a second person: forget the snapshot {short} in main");
    assert_eq!((news(&bob), news(&ann), news(&vic)), (vec![told], vec![], vec![]));

    let done = decide(&bob, &asked, "agree").is(200).json();
    assert_eq!(
        (&done["approval"]["state"], &done["result"]["snapshot"]),
        (&json!("used"), &json!(id)),
        "{done:#}"
    );
    assert_eq!(ids(&ann.get("/snapshots").is(200).json()), [""; 0]);
    decide(&bob, &asked, "agree").fails(409, "conflict");
    assert_eq!(news(&ann).len(), 1);
    let audit = ann.get("/audit").is(200).json();
    let actions: Vec<_> = audit["items"].as_array().unwrap().iter().map(|one| &one["action"]).collect();
    for action in ["approval.ask", "approval.grant", "approval.use", "snapshot.forget"] {
        assert!(actions.contains(&&json!(action)), "{action}: {actions:?}");
    }
    // What loses nothing needs no one else.
    ann.post(&format!("/snapshots/main/{id}/undelete"), json!({})).is(200);
}

#[test]
fn a_prune_is_refused_withdrawn_or_begun_once() {
    let server = server();
    let ann = server.admin();
    let bob = server.user(&ann, "bob", "admin", "all");
    let ask = || ann.post("/runs", json!({ "kind": "prune", "repository": "main" })).is(200).json();
    let first = ask();
    let refused = decide(&bob, &first, "refuse").is(200).json();
    assert_eq!((&refused["state"], &refused["reason"]), (&json!("denied"), &json!("I have looked at it")));
    decide(&bob, &first, "agree").fails(409, "conflict");
    let second = ask();
    assert_ne!(second["approval"], first["approval"]);
    assert_eq!(decide(&ann, &second, "withdraw").is(200).json()["state"], "withdrawn");
    decide(&bob, &second, "agree").fails(409, "conflict");
    let third = ask();
    // Of two at once, one begins it.
    let (one, other) = (bob.again(), bob.again());
    let (a, b) = (third.clone(), third.clone());
    let both = [
        std::thread::spawn(move || decide(&one, &a, "agree").status),
        std::thread::spawn(move || decide(&other, &b, "agree").status),
    ];
    let mut both = both.map(|one| one.join().unwrap());
    both.sort();
    assert_eq!(both, [200, 409]);
    let run = ann.get(&format!("/runs/{}", third["approval"].as_str().unwrap())).is(200).json();
    assert_eq!((&run["kind"], &run["repository"]), (&json!("prune"), &json!("main")), "{run:#}");
    let of = |open: &str| ann.get(&format!("/approvals?open={open}")).is(200).json()["items"].clone();
    assert_eq!((of("true").as_array().unwrap().len(), of("false").as_array().unwrap().len()), (0, 3));
}

#[test]
fn definitions_are_written_as_they_were_when_both_looked_and_by_those_who_still_may() {
    let server = server();
    let ann = server.admin();
    let bob = server.user(&ann, "bob", "admin", "all");
    let plan = |rpo: &str| {
        let text = format!(
            "[plan.db]\nrepository = \"main\"\nsource = [{{ files = [\"/srv\"] }}]\nrpo = \"{rpo}\"\n"
        );
        json!({ "text": text })
    };
    let wrong = json!({ "text": "[plan.db]\n" });
    ann.put("/config/managed/db", wrong).fails(422, "invalid_config");
    let first = ann.put("/config/managed/db", plan("1d")).is(202).json();
    let other = ann.put("/config/managed/db", plan("2d")).is(202).json();
    ann.get("/config/managed/db").fails(404, "not_found");
    let done = decide(&bob, &first, "agree").is(200).json();
    assert_eq!(done["result"]["changes"][0]["path"], "plan.db", "{done:#}");
    let written = ann.get("/config/managed/db").is(200);
    assert!(written.json()["text"].as_str().unwrap().contains("1d"));
    // What it was decided upon is gone.
    decide(&bob, &other, "agree").fails(412, "changed");
    assert_eq!(ann.get("/config/managed/db").is(200).header("etag"), written.header("etag"));
    let removal = ann.delete_if(&written.header("etag"), "/config/managed/db").is(202).json();
    let present = bob.get("/users/ann").is(200).header("etag");
    let change = json!({ "grants": [{ "role": "viewer", "scope": "all" }] });
    let changing = bob.again().with("if-match", &present);
    changing.send(reqwest::Method::PATCH, "/users/ann", Some(change)).is(200);
    decide(&bob, &removal, "agree").fails(409, "conflict");
    bob.get("/config/managed/db").is(200);
}
