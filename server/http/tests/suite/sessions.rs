//! Signing in and out, the first user, and what roles may do.

use serde_json::{Value, json};

use crate::desk::{PASSWORD, Server};

#[test]
fn the_first_user_is_made_once_with_the_token_of_the_console() {
    let server = Server::start("");
    let stranger = server.stranger();
    assert_eq!(
        stranger.get("/health").is(200).json(),
        json!({ "state": "well", "needs_setup": true, "has_oidc": false })
    );
    stranger.get("/plans").fails(401, "not_signed_in");
    let with = |token: &str, password: &str| json!({ "token": token, "user": "ann", "password": password });
    stranger.post("/setup", with("kf_setup_wrong", PASSWORD)).fails(401, "wrong_credentials");
    stranger.post("/setup", with(&server.setup_token, "short")).fails(422, "unprocessable");
    let admin = server.admin();
    let session = admin.get("/session").is(200).json();
    assert_eq!((&session["user"], &session["by"]), (&"ann".into(), &"session".into()));
    assert!(session["grants"][0]["rights"].as_array().unwrap().contains(&"read_content".into()));
    stranger.post("/setup", with(&server.setup_token, PASSWORD)).fails(409, "already_set_up");
    assert_eq!(stranger.get("/health").json()["needs_setup"], false);
}

#[test]
fn who_signs_out_is_out_and_who_signs_in_wrongly_isn_t_in() {
    let server = Server::start("");
    let admin = server.admin();
    let mut other = server.stranger();
    other.post("/session", json!({ "user": "ann", "password": "wrong" })).fails(401, "wrong_credentials");
    other.post("/session", json!({ "user": "bob", "password": PASSWORD })).fails(401, "wrong_credentials");
    other.sign_in("/session", json!({ "user": "ANN", "password": PASSWORD }));
    assert_eq!(admin.get("/sessions").is(200).json()["items"].as_array().unwrap().len(), 2);
    other.delete("/session").is(204);
    other.get("/session").fails(401, "not_signed_in");
    admin.get("/session").is(200);
    let entries = admin.get("/audit?action=session.refuse").is(200).json();
    assert_eq!(entries["items"][0]["object"], "user:bob");
    let verdict = admin.get("/audit/verdict").is(200).json();
    assert_eq!(verdict["is_sound"], true);
    let newest = admin.get("/audit?limit=1").is(200).json()["items"][0].clone();
    let line = format!("{}:{}", newest["entry"], newest["hash"].as_str().unwrap());
    assert_eq!(verdict["anchor"], line, "as `audit verify --anchor` takes it");
}

#[test]
fn a_viewer_sees_what_the_scope_has_and_changes_nothing() {
    let server = Server::start("[plan.etc]\nrepository = \"main\"\nsource = [{ files = [\"/etc\"] }]\n");
    let admin = server.admin();
    let viewer = server.user(&admin, "bob", "viewer", "plan:www");
    let names = |document: Value| -> Vec<String> {
        let items = document["items"].as_array().unwrap().iter();
        items.map(|plan| plan["plan"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(admin.get("/plans").is(200).json()), ["etc", "www"]);
    assert_eq!(names(viewer.get("/plans").is(200).json()), ["www"]);
    viewer.get("/plans/etc").fails(404, "not_found");
    let start = |plan: &str| json!({ "kind": "backup", "plan": plan });
    viewer.post("/runs", start("www")).fails(403, "forbidden");
    viewer.post("/runs", start("etc")).fails(404, "not_found");
    viewer.put("/plans/www/pause", json!({})).fails(403, "forbidden");
    for path in ["/config", "/users", "/audit", "/targets"] {
        viewer.get(path).fails(403, "forbidden");
    }
    assert_eq!(admin.get("/overview/matrix").is(200).json()["plans"].as_array().unwrap().len(), 2);
    assert_eq!(viewer.get("/overview").is(200).json()["plans"]["total"], 1);
}

#[test]
fn a_token_may_what_both_it_and_its_user_may_until_it_is_taken_away() {
    let server = Server::start("");
    let admin = server.admin();
    let grants = json!([{ "role": "viewer", "scope": "all" }]);
    let made = admin.post("/tokens", json!({ "name": "monitoring", "grants": grants })).is(201).json();
    let secret = made["secret"].as_str().unwrap();
    let program = server.stranger().with("authorization", &format!("Bearer {secret}"));
    assert_eq!(program.get("/session").is(200).json()["by"], "token");
    program.get("/plans").is(200);
    program.post("/runs", json!({ "kind": "backup", "plan": "www" })).fails(403, "forbidden");
    program.post("/tokens", json!({ "name": "more", "grants": grants })).fails(422, "unprocessable");
    assert_eq!(admin.get("/tokens").json()["items"][0]["name"], "monitoring");
    admin.delete(&format!("/tokens/{}", made["token"])).is(204);
    program.get("/plans").fails(401, "not_signed_in");
}

#[test]
fn a_user_is_changed_from_the_state_that_was_seen_and_someone_stays_admin() {
    let server = Server::start("");
    let admin = server.admin();
    let bob = server.user(&admin, "bob", "viewer", "all");
    let change = json!({ "grants": [{ "role": "operator", "scope": "all" }] });
    let patch = |client: &crate::client::Client, name: &str, body: Value| {
        client.send(reqwest::Method::PATCH, &format!("/users/{name}"), Some(body))
    };
    patch(&admin, "bob", change.clone()).fails(428, "precondition_needed");
    let tag = admin.get("/users/bob").is(200).headers["etag"].to_str().unwrap().to_owned();
    patch(&admin.again().with("if-match", "\"0\""), "bob", change.clone()).fails(412, "changed");
    patch(&admin.again().with("if-match", &tag), "bob", change).is(200);
    bob.post("/runs", json!({ "kind": "backup", "plan": "www" })).is(202);
    patch(&admin.again().with("if-match", &tag), "bob", json!({ "is_disabled": true })).fails(412, "changed");
    patch(&admin.again().with("if-match", "*"), "bob", json!({ "is_disabled": true })).is(200);
    bob.get("/plans").fails(401, "not_signed_in");
    admin.delete("/users/ann").fails(409, "conflict");
    admin.delete("/users/bob").is(204);
}

#[test]
fn a_second_factor_is_asked_for_once_its_first_code_was_shown() {
    let server = Server::start("");
    let admin = server.admin();
    let begun = admin.send(reqwest::Method::POST, "/session/second-factor", None).is(201).json();
    assert!(begun["address"].as_str().unwrap().starts_with("otpauth://totp/"), "{begun}");
    let sign_in = |code: Option<&str>| {
        server.stranger().post("/session", json!({ "user": "ann", "password": PASSWORD, "code": code }))
    };
    sign_in(None).is(201);
    admin.post("/session/second-factor/confirm", json!({ "code": "000000" })).fails(401, "wrong_credentials");
    let secret = keepfast_access::factor::CodeSecret::from_stored(begun["secret"].as_str().unwrap()).unwrap();
    let now = || u64::try_from(jiff::Timestamp::now().as_second()).unwrap();
    // The code isn't told by the library: it is found as an attacker with a million tries would.
    let code =
        (0..1_000_000).map(|code| format!("{code:06}")).find(|code| secret.step_of(code, now()).is_some());
    let confirmed =
        admin.post("/session/second-factor/confirm", json!({ "code": code.unwrap() })).is(200).json();
    let recovery = confirmed["recovery_codes"][0].as_str().unwrap();
    sign_in(None).fails(401, "second_factor_needed");
    sign_in(Some("000000")).fails(401, "wrong_credentials");
    sign_in(Some(recovery)).is(201);
    sign_in(Some(recovery)).fails(401, "wrong_credentials");
}
