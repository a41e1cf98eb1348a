//! Projects: who has which role in one, and that its end loses no snapshot.

use std::fs;

use serde_json::{Value, json};

use crate::desk::{Desk, Server};
use crate::snapshots::ids;

fn server() -> Server {
    let desk = Desk::new();
    fs::create_dir(desk.path("managed.d")).unwrap();
    let plan = format!(
        "[plan.shop-db]\nproject = \"shop\"\nrepository = \"main\"\nsource = [{{ files = [{:?}] }}]\n",
        desk.path("source")
    );
    fs::write(desk.path("managed.d/shop-db.toml"), plan).unwrap();
    fs::write(
        desk.path("managed.d/shop.toml"),
        "[project.shop]\ndescription = \"The <b>shop</b>\"\nquota = { size = \"1GiB\" }\n",
    )
    .unwrap();
    Server::at(desk, "definitions = \"files+managed\"\n", "[project.bank]\n")
}

#[test]
fn members_have_roles_in_their_project_and_give_no_more() {
    let server = server();
    let ann = server.admin();
    let boss = server.user(&ann, "boss", "admin", "project:shop");
    let eve = server.user(&ann, "eve", "viewer", "plan:www");
    let names = |document: Value| -> Vec<String> {
        let items = document["items"].as_array().unwrap().iter();
        items.map(|one| one["project"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(ann.get("/projects").is(200).json()), ["bank", "shop"]);
    assert_eq!(names(boss.get("/projects").is(200).json()), ["shop"]);
    assert_eq!(names(eve.get("/projects").is(200).json()), [""; 0]);
    eve.get("/projects/shop").fails(404, "not_found");
    let shop = boss.get("/projects/shop").is(200).json();
    assert_eq!(
        (&shop["plans"], &shop["quota_bytes"], &shop["managed"]),
        (&json!(["shop-db"]), &json!(1_u64 << 30), &json!("shop"))
    );
    assert_eq!(shop["members"][0]["user"], "boss", "{shop:#}");

    let operator = json!({ "roles": [{ "role": "operator" }] });
    boss.put("/projects/shop/members/eve", operator.clone()).is(200);
    assert_eq!(names(eve.get("/projects").is(200).json()), ["shop"]);
    assert_eq!(eve.get("/projects/shop").is(200).json()["members"], Value::Null);
    assert_eq!(eve.get("/plans").is(200).json()["items"].as_array().unwrap().len(), 2, "and what she had");
    boss.put("/projects/bank/members/eve", operator.clone()).fails(404, "not_found");
    let names_too = json!({ "roles": [{ "role": "viewer", "see_names": true }] });
    boss.put("/projects/shop/members/eve", names_too).fails(403, "forbidden");
    boss.put("/projects/shop/members/no-one", operator.clone()).fails(404, "not_found");
    eve.put("/projects/shop/members/eve", json!({ "roles": [{ "role": "admin" }] })).fails(403, "forbidden");
    ann.put("/projects/nothing/members/eve", operator).fails(404, "not_found");
    boss.delete("/projects/shop/members/eve").is(204);
    eve.get("/projects/shop").fails(404, "not_found");
    assert_eq!(eve.get("/plans").is(200).json()["items"][0]["plan"], "www");
}

#[test]
fn the_end_of_a_project_loses_no_snapshot() {
    let server = server();
    let ann = server.admin();
    let boss = server.user(&ann, "boss", "admin", "project:shop");
    let run = ann.post("/runs", json!({ "kind": "backup", "plan": "shop-db" })).is(202).json();
    let run = ann.wait(&format!("/runs/{}", run["run"].as_str().unwrap()), |run| run["state"] == "ended");
    let id = run["report"]["backup"]["snapshot"]["id"].as_str().unwrap().to_owned();
    ann.wait("/snapshots", |page| ids(page).contains(&id));
    boss.delete("/projects/shop").fails(403, "forbidden");
    // One that a person has written, and a file that has something else as well.
    ann.delete("/projects/bank").fails(409, "conflict");
    let tag = ann.get("/config/managed/shop").is(200).header("etag");
    let more = "[project.shop]\n[target.x]\nsmtp = { host = \"mx\", to = [\"a@example.org\"] }\n";
    let tag = ann.put_if(&tag, "/config/managed/shop", json!({ "text": more })).is(200).header("etag");
    let refused = ann.delete("/projects/shop").fails(409, "conflict");
    assert!(refused.text.contains("target.x"), "{}", refused.text);
    ann.put_if(&tag, "/config/managed/shop", json!({ "text": "[project.shop]\n" })).is(200);

    let removed = ann.delete("/projects/shop").is(200).json();
    assert_eq!(removed, json!({ "files": ["shop", "shop-db"], "plans": ["shop-db"], "members": ["boss"] }));
    ann.get("/projects/shop").fails(404, "not_found");
    ann.get("/plans/shop-db").fails(404, "not_found");
    assert_eq!(ids(&ann.get("/snapshots?plan=shop-db").is(200).json()), [id.as_str()]);
    ann.get(&format!("/snapshots/main/{id}")).is(200);
    ann.get(&format!("/snapshots/main/{id}/files")).is(200);
    assert_eq!(boss.get("/projects").is(200).json()["items"], json!([]));
}
