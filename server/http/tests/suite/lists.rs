//! Pages and tables.

use serde_json::{Value, json};

use crate::desk::Server;

#[test]
fn pages_follow_one_another_and_a_table_has_all_rows() {
    let server = Server::start("");
    let admin = server.admin();
    let mut started: Vec<Value> = Vec::new();
    for _ in 0..5 {
        started.push(
            admin.post("/runs", json!({ "kind": "check", "repository": "main" })).is(202).json()["run"]
                .clone(),
        );
    }
    started.reverse();
    let (mut listed, mut after) = (Vec::new(), String::new());
    loop {
        let page = admin.get(&format!("/runs?limit=2{after}")).is(200).json();
        let rows = page["items"].as_array().unwrap();
        assert!(rows.len() <= 2);
        listed.extend(rows.iter().map(|run| run["run"].clone()));
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(listed, started);
    for table in [admin.get("/runs.csv?kind=check"), admin.again().with("accept", "text/csv").get("/runs")] {
        let table = table.is(200);
        assert!(table.headers["content-type"].to_str().unwrap().starts_with("text/csv"));
        let lines: Vec<&str> = table.text.split("\r\n").collect();
        assert!(lines[0].starts_with("run,kind,plan,"), "{}", lines[0]);
        assert_eq!(lines.len(), 1 + 5 + 1, "{}", table.text);
    }
    assert_eq!(admin.get("/runs.csv?limit=3").text.lines().count(), 4);
    let runs = |document: &Value| -> Vec<Value> {
        document["items"].as_array().unwrap().iter().map(|run| run["run"].clone()).collect()
    };
    let file = admin.get("/runs.json?kind=check").is(200);
    assert_eq!(file.headers["content-type"], "application/json");
    assert_eq!(file.headers["content-disposition"], "attachment; filename=\"runs.json\"");
    assert_eq!((runs(&file.json()), &file.json()["next"]), (started.clone(), &Value::Null));
    let begin = admin.get("/runs.json?limit=3").is(200).json();
    assert_eq!(runs(&begin), started[..3]);
    let rest = admin.get(&format!("/runs.json?after={}", begin["next"].as_str().unwrap())).is(200).json();
    assert_eq!(runs(&rest), started[3..]);
    assert_eq!(admin.get("/runs.json?plan=none").is(200).json(), json!({ "items": [], "next": null }));
    admin.get("/runs.json?limit=1000001").fails(400, "invalid_request");
    admin.get("/runs/a.json").fails(404, "not_found");
    admin.get("/runs?limit=0").fails(400, "invalid_request");
    admin.get("/runs?limit=501").fails(400, "invalid_request");
    admin.get("/runs?after=nonsense").fails(422, "unprocessable");
    admin.get("/runs?kind=nonsense").fails(400, "invalid_request");
    admin.get("/runs/a.csv").fails(404, "not_found");
}

#[test]
fn names_of_strangers_are_no_formulas_and_no_markup() {
    let server = Server::start("");
    let admin = server.admin();
    let formula = "=cmd|' /C calc'!A0";
    admin.post("/users", json!({ "user": "bob", "display": formula, "grants": [] })).is(201);
    let table = admin.get("/users.csv").is(200).text;
    assert!(table.contains("\r\nbob,\"'=cmd|' /C calc'!A0\","), "{table}");
    let user = "<script>alert(1)</script>";
    admin.post("/session", json!({ "user": user, "password": "x" })).fails(401, "wrong_credentials");
    let plans = admin.get("/plans").is(200);
    assert_eq!(plans.headers["content-type"], "application/json");
    assert_eq!(plans.headers["x-content-type-options"], "nosniff");
    assert_eq!(plans.json()["items"][0]["description"], "Web <b>pages</b>");
    assert!(plans.headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
}
