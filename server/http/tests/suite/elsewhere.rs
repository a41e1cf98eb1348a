//! Signing in with an account of elsewhere, as a browser does it.

use std::net::TcpListener;

use data_encoding::BASE64URL_NOPAD;
use keepfast_testkit::servers::canaille::{Canaille, Member, Program};
use reqwest::header::{COOKIE, HeaderValue, SET_COOKIE};
use serde_json::json;

use crate::client::{Answer, Client};
use crate::desk::{Desk, Server};
use crate::issuer::{Issuer, Person};
use crate::visitor::Visitor;

const BOB: Person = Person { subject: "42", name: "bob", groups: &["ops"] };

/// An address for a server: where the issuer sends browsers back to has to be known before.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn server(issuer: &Issuer) -> Server {
    server_at(&free_address(), issuer.address())
}

fn server_at(free: &str, issuer: &str) -> Server {
    let desk = Desk::new().listening_at(free);
    let oidc = format!(
        "public_url = \"http://{free}\"\noidc = {{ issuer = {issuer:?}, client_id = \"keepfast\", \
         client_secret = {{ file = {:?} }}, scopes = [\"profile\", \"groups\"], \
         roles = {{ ops = \"operator\", staff = \"viewer\" }} }}\n",
        desk.path("password"),
    );
    Server::at(desk, &oidc, "")
}

/// Cookies that an answer sets, as a browser sends them back.
fn keep(client: &mut Client, answer: &Answer) {
    let lines = answer.headers.get_all(SET_COOKIE).iter().map(|line| line.to_str().unwrap());
    let cookies: Vec<&str> = lines
        .filter(|line| !line.contains("Max-Age=0"))
        .map(|line| line.split(';').next().unwrap())
        .collect();
    client.headers.insert(COOKIE, HeaderValue::from_str(&cookies.join("; ")).unwrap());
}

/// Goes to the issuer and comes back; returns the browser and where it is sent then.
fn sign_in(server: &Server, issuer: &Issuer, person: Person) -> (Client, String) {
    sign_in_from("/session/oidc", server, issuer, person)
}

/// The same, with another beginning.
fn sign_in_from(begin: &str, server: &Server, issuer: &Issuer, person: Person) -> (Client, String) {
    let mut browser = Client::new(&server.base);
    let begun = browser.get(begin).is(303);
    keep(&mut browser, &begun);
    let back = issuer.sign_in(&begun.header("location"), person);
    let returned = browser.get(&format!("/session/oidc/return{back}")).is(303);
    keep(&mut browser, &returned);
    (browser, returned.header("location"))
}

#[test]
fn a_person_of_elsewhere_signs_in_with_the_roles_of_the_groups() {
    let issuer = Issuer::start();
    let server = server(&issuer);
    let admin = server.admin();
    assert_eq!(server.stranger().get("/health").is(200).json()["has_oidc"], true);
    let (browser, place) = sign_in(&server, &issuer, BOB);
    assert_eq!(place, "/");
    let session = browser.get("/session").is(200).json();
    assert_eq!(
        (&session["user"], &session["grants"][0]["role"], &session["grants"][0]["scope"]),
        (&json!("bob"), &json!("operator"), &json!("all"))
    );
    // The groups of today count, and the name there may be another one.
    let other = Person { groups: &["staff"], name: "robert", ..BOB };
    let (browser, _) = sign_in(&server, &issuer, other);
    let session = browser.get("/session").is(200).json();
    assert_eq!((&session["user"], &session["grants"][0]["role"]), (&json!("bob"), &json!("viewer")));
    let user = admin.get("/users/bob").is(200);
    assert_eq!(user.json()["has_password"], false);
    let audit = admin.get("/audit?object=user:bob").is(200).json();
    let actions: Vec<_> = audit["items"].as_array().unwrap().iter().map(|one| &one["action"]).collect();
    for action in ["user.add", "user.identity", "session.begin", "user.grants"] {
        assert!(actions.contains(&&json!(action)), "{action}: {actions:?}");
    }
    let disabling = admin.again().with("if-match", &user.header("etag"));
    disabling.send(reqwest::Method::PATCH, "/users/bob", Some(json!({ "is_disabled": true }))).is(200);
    browser.get("/session").fails(401, "not_signed_in");
    let (browser, place) = sign_in(&server, &issuer, BOB);
    assert_eq!(place, "/?sign_in=disabled");
    browser.get("/session").fails(401, "not_signed_in");
}

#[test]
fn one_is_afterwards_on_the_page_where_one_was_and_on_no_other_site() {
    let issuer = Issuer::start();
    let server = server(&issuer);
    for (back, expected) in [
        ("%2Fsnapshots%2Fmain%2F4f%2Ffiles%3Fpath%3D%252Fsrv", "/snapshots/main/4f/files?path=%2Fsrv"),
        ("%2F%2Fevil.example.org", "/"),
        ("%2F%5Cevil.example.org", "/"),
        ("https%3A%2F%2Fevil.example.org%2F", "/"),
        ("%2Fapi%2Fv1%2Fsession%2Foidc", "/"),
    ] {
        let begin = format!("/session/oidc?back={back}");
        let (browser, place) = sign_in_from(&begin, &server, &issuer, BOB);
        assert_eq!(place, expected, "{back}");
        browser.get("/session").is(200);
    }
    // The page is kept by the browser, and looked at again.
    let mut browser = Client::new(&server.base);
    let begun = browser.get("/session/oidc?back=%2Fplans").is(303);
    let begun_cookie = begun.header("set-cookie");
    let (kept, _page) = begun_cookie.split(';').next().and_then(|pair| pair.split_once('.')).unwrap();
    let forged = format!("{kept}.{}", BASE64URL_NOPAD.encode(b"//evil.example.org"));
    browser.headers.insert(COOKIE, HeaderValue::from_str(&forged).unwrap());
    let back = issuer.sign_in(&begun.header("location"), BOB);
    let returned = browser.get(&format!("/session/oidc/return{back}")).is(303);
    assert_eq!(returned.header("location"), "/");
}

#[test]
fn no_one_becomes_another_user_and_no_login_is_put_upon_another_browser() {
    let issuer = Issuer::start();
    let server = server(&issuer);
    let admin = server.admin();
    let same_name = Person { subject: "7", name: "ann", groups: &["ops"] };
    assert_eq!(sign_in(&server, &issuer, same_name).1, "/?sign_in=name_taken");
    let without = Person { subject: "8", name: "eve", groups: &["other"] };
    assert_eq!(sign_in(&server, &issuer, without).1, "/?sign_in=no_role");
    admin.get("/users/eve").fails(404, "not_found");

    // A login that began in one browser ends in no other one, and once.
    let mut mine = Client::new(&server.base);
    let begun = mine.get("/session/oidc").is(303);
    let cookie = begun.header("set-cookie");
    assert!(cookie.contains("HttpOnly; SameSite=Lax") && cookie.contains("Max-Age=600"), "{cookie}");
    keep(&mut mine, &begun);
    let back = format!("/session/oidc/return{}", issuer.sign_in(&begun.header("location"), BOB));
    let stranger = server.stranger();
    assert_eq!(stranger.get(&back).is(303).header("location"), "/?sign_in=another_login");
    let mut other = Client::new(&server.base);
    let begun = other.get("/session/oidc").is(303);
    keep(&mut other, &begun);
    let refused = other.get(&back).is(303);
    assert_eq!(refused.header("location"), "/?sign_in=another_login");
    assert_eq!(mine.get(&back).is(303).header("location"), "/");
    assert_eq!(mine.get(&back).is(303).header("location"), "/?sign_in=failed", "a code works once");
    let denied = issuer.sign_in(&begun.header("location"), BOB).replace("code=", "error=access_denied&x=");
    assert_eq!(
        other.get(&format!("/session/oidc/return{denied}")).is(303).header("location"),
        "/?sign_in=denied"
    );
    let refusals = admin.get("/audit?action=session.refuse").is(200).json();
    let words: Vec<_> =
        refusals["items"].as_array().unwrap().iter().map(|one| &one["after"]["because"]).collect();
    assert_eq!(words, ["denied", "failed", "no_role", "name_taken"], "{refusals:#}");
}

#[test]
fn without_an_issuer_there_is_nothing_to_go_to() {
    let server = Server::start("");
    server.stranger().get("/session/oidc").fails(404, "not_found");
    let back = server.stranger().get("/session/oidc/return?code=x&state=y").is(303);
    assert_eq!(back.header("location"), "/?sign_in=failed");
}

/// Begins at the server, signs in at Canaille and answers what it asks; returns the browser and where it is sent then.
fn sign_in_there(server: &Server, name: &str, password: &str, answer: &str) -> (Client, String) {
    let mut browser = Client::new(&server.base);
    let begun = browser.get("/session/oidc").is(303);
    keep(&mut browser, &begun);
    let mut visitor = Visitor::to(&begun.header("location"));
    visitor.send("login", name);
    visitor.send("password", password);
    // It asks until the person has agreed once.
    if visitor.sees("value=\"accept\"") {
        visitor.send("answer", answer);
    }
    let back = visitor.sent_to(&format!("{}/api/v1/session/oidc/return", server.base));
    let returned = browser.get(&format!("/session/oidc/return{back}")).is(303);
    keep(&mut browser, &returned);
    (browser, returned.header("location"))
}

#[test]
fn a_person_signs_in_at_a_server_for_accounts_that_others_wrote() {
    const CORRECT: &str = "a stable of horses";
    let free = free_address();
    let redirect = format!("http://{free}/api/v1/session/oidc/return");
    // Without a word about it from its administrator, it signs by RS512.
    let program =
        Program { id: "keepfast", secret: "correct horse", redirect: &redirect, algorithm: "RS512" };
    let members = [
        Member { name: "bob", password: CORRECT, groups: &["ops", "chess"] },
        Member { name: "eve", password: CORRECT, groups: &["chess"] },
    ];
    let canaille = Canaille::start(program, &members);
    let server = server_at(&free, &canaille.issuer());
    let admin = server.admin();
    let (browser, place) = sign_in_there(&server, "bob", CORRECT, "deny");
    assert_eq!(place, "/?sign_in=denied", "{}", canaille.log());
    browser.get("/session").fails(401, "not_signed_in");
    for _ in 0..2 {
        let (browser, place) = sign_in_there(&server, "bob", CORRECT, "accept");
        assert_eq!(place, "/", "{}", canaille.log());
        // The person's whole name isn't in the ID token.
        let log = canaille.log();
        assert!(log.contains("GET /oauth/userinfo HTTP/1.1\" 200"), "{log}");
        let session = browser.get("/session").is(200).json();
        assert_eq!(
            (&session["user"], &session["grants"][0]["role"], &session["grants"][0]["scope"]),
            (&json!("bob"), &json!("operator"), &json!("all"))
        );
    }
    assert_eq!(sign_in_there(&server, "eve", CORRECT, "accept").1, "/?sign_in=no_role");
    let audit = admin.get("/audit?object=user:bob").is(200).json();
    let added = audit["items"].as_array().unwrap().iter().filter(|one| one["action"] == json!("user.add"));
    assert_eq!(added.count(), 1, "the same account again is the same user: {audit:#}");
}
