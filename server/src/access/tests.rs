//! Signing in as people and attackers do, over a real state.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use keepfast_access::grant::{Grant, from_document};
use keepfast_access::role::{Right, Role};
use keepfast_access::scope::{Object, Scope};
use keepfast_access::session::SessionPolicy;
use keepfast_access::token::{Token, TokenKind};
use keepfast_config::model::project::Role as DefinedRole;
use keepfast_oidc::Identity;
use keepfast_store::{AuditFilter, AuditOrder, PageSize, Sequence, ServerLock, Store, Subject};
use serde_json::json;
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::{
    AccessError, Actor, Caller, Credentials, Deciding, Decision, Gate, Matter, NewUserWish, SignInRefusal,
    SignedIn, Surroundings, TokenWish, Told, add_user, ask_approval, begin_second_factor, change_grants,
    confirm_second_factor, decide_approval, find_user, grants_of_groups, make_token, set_disabled,
    set_password, set_up, setup_token, use_approval, user_of_identity,
};

const PASSWORD: &str = "correct horse battery";

struct Lab {
    gate: Gate,
    store: Store,
    _folder: TempDir,
}

fn from(address: &str) -> Surroundings<'static> {
    Surroundings { address: address.parse::<IpAddr>().unwrap(), agent: "browser" }
}

fn local() -> Actor {
    Actor::local("root", 0)
}

impl Lab {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lock = ServerLock::take(&folder.path().join("state.db")).unwrap();
        let store = Store::open_sqlite(&lock).await.unwrap();
        Self { gate: Gate::new(store.clone(), SessionPolicy::USUAL), store, _folder: folder }
    }

    async fn with_user(name: &str, grants: Vec<Grant>) -> Self {
        let lab = Self::new().await;
        lab.add(name, grants).await;
        lab
    }

    async fn add(&self, name: &str, grants: Vec<Grant>) {
        let password = Some(Zeroizing::new(PASSWORD.to_owned()));
        let wish = NewUserWish { name: name.to_owned(), display: None, grants, password };
        add_user(&self.store, &local(), wish).await.unwrap();
    }

    async fn try_from(
        &self,
        address: &str,
        name: &str,
        password: &str,
        code: Option<&str>,
        device: Option<&str>,
    ) -> Result<SignedIn, SignInRefusal> {
        let password = Zeroizing::new(password.to_owned());
        let shown = Credentials { name, password, code, device };
        self.gate.sign_in(shown, from(address)).await.unwrap()
    }

    async fn sign_in(&self, name: &str, password: &str) -> Result<SignedIn, SignInRefusal> {
        self.try_from("192.0.2.1", name, password, None, None).await
    }

    async fn caller(&self, token: &str) -> Option<Caller> {
        self.gate.session(token, from("192.0.2.1").address).await.unwrap()
    }

    async fn recorded(&self) -> Vec<String> {
        let (filter, order) = (AuditFilter::default(), AuditOrder::OldestFirst);
        let page = self.store.audit_entries(&filter, order, None, PageSize::MAX).await.unwrap();
        page.rows.iter().map(|entry| format!("{}: {} {}", entry.who, entry.action, entry.object)).collect()
    }
}

#[tokio::test]
async fn the_first_user_comes_by_a_token_from_the_console_and_no_second_one_does() {
    let lab = Lab::new().await;
    let token = setup_token(&lab.store).await.unwrap().unwrap();
    let password = || Zeroizing::new(PASSWORD.to_owned());
    let guessed = Token::from_random(TokenKind::Setup, [7; 32]).text();
    let refused = set_up(&lab.store, &guessed, "eve", password(), "192.0.2.9").await;
    assert!(matches!(refused, Err(AccessError::NoSetupToken)));
    let short = set_up(&lab.store, &token, "ann", Zeroizing::new("short".to_owned()), "192.0.2.1").await;
    assert!(matches!(short, Err(AccessError::Password(_))), "the token isn't used up by that");
    let ann = set_up(&lab.store, &token, " Ann ", password(), "192.0.2.1").await.unwrap();
    assert_eq!(ann.name.as_str(), "ann");
    let again = set_up(&lab.store, &token, "eve", password(), "192.0.2.9").await;
    assert!(matches!(again, Err(AccessError::NotFirst)));
    assert!(setup_token(&lab.store).await.unwrap().is_none());
    let signed_in = lab.sign_in("ann", PASSWORD).await.ok().unwrap();
    let caller = lab.caller(&signed_in.token).await.unwrap();
    assert!(caller.authority.allows(Right::ReadContent, &Object::SERVER));
    assert_eq!(
        lab.recorded().await,
        ["not signed in: user.add_first user:ann", "user ann: session.begin user:ann"]
    );
}

#[tokio::test]
async fn a_session_is_its_secret_and_ends_for_good() {
    let lab = Lab::with_user("ann", vec![Grant::everything()]).await;
    let signed_in = lab.sign_in("ann", PASSWORD).await.ok().unwrap();
    assert!(lab.caller(&signed_in.token).await.is_some());
    for forged in [
        Token::from_random(TokenKind::Session, [7; 32]).text().to_string(),
        signed_in.token.replace("session", "api"),
        signed_in.token.to_uppercase(),
        format!("{} ", *signed_in.token),
        String::new(),
        "1".to_owned(),
    ] {
        assert!(lab.caller(&forged).await.is_none(), "{forged}");
    }
    let address = from("192.0.2.1").address;
    assert!(lab.gate.token(&signed_in.token, address).await.unwrap().is_none(), "a session is no token");
    lab.gate.sign_out(&signed_in.token, address).await.unwrap();
    assert!(lab.caller(&signed_in.token).await.is_none());
    let ann = find_user(&lab.store, "ANN").await.unwrap();
    let signed_in = lab.sign_in("ann", PASSWORD).await.ok().unwrap();
    let new = Zeroizing::new("another password".to_owned());
    set_password(&lab.store, &local(), &ann, new, None).await.unwrap();
    assert!(lab.caller(&signed_in.token).await.is_none(), "its password is another one");
    assert_eq!(lab.sign_in("ann", PASSWORD).await.err(), Some(SignInRefusal::Wrong));
    assert!(lab.sign_in("ann", "another password").await.is_ok());
}

#[tokio::test]
async fn a_disabled_user_is_out_at_once_and_a_lost_right_is_lost_at_once() {
    let lab = Lab::with_user("root", vec![Grant::everything()]).await;
    lab.add("ann", vec![Grant::new(Role::Operator, Scope::All)]).await;
    let signed_in = lab.sign_in("ann", PASSWORD).await.ok().unwrap();
    let ann = find_user(&lab.store, "ann").await.unwrap();
    let wish = TokenWish {
        name: "deploy".to_owned(),
        grants: vec![Grant::new(Role::Operator, Scope::Plan("www".to_owned()))],
        expires: None,
    };
    let made = make_token(&lab.store, &local(), &ann, wish).await.unwrap();
    let www = Object { plan: Some("www"), ..Object::SERVER };
    let address = from("192.0.2.1").address;
    let token_may = async |right, object: &Object<'_>| {
        let caller = lab.gate.token(&made.text, address).await.unwrap();
        caller.map(|caller| caller.authority.allows(right, object))
    };
    assert_eq!(token_may(Right::Run, &www).await, Some(true));
    assert_eq!(token_may(Right::Run, &Object::SERVER).await, Some(false), "fewer rights than its user");
    let ann =
        change_grants(&lab.store, &local(), &ann, &[Grant::new(Role::Viewer, Scope::All)]).await.unwrap();
    assert_eq!(token_may(Right::Run, &www).await, Some(false), "its user may not any more");
    assert!(!lab.caller(&signed_in.token).await.unwrap().authority.allows(Right::Run, &www));
    set_disabled(&lab.store, &local(), &ann, true).await.unwrap();
    assert_eq!(token_may(Right::See, &www).await, None);
    assert!(lab.caller(&signed_in.token).await.is_none());
    assert_eq!(lab.sign_in("ann", PASSWORD).await.err(), Some(SignInRefusal::Wrong));
    let root = find_user(&lab.store, "root").await.unwrap();
    let last = set_disabled(&lab.store, &local(), &root, true).await;
    assert!(matches!(last, Err(AccessError::LastAdmin { .. })));
}

#[tokio::test]
async fn guessing_is_slowed_down_and_the_person_is_not() {
    let lab = Lab::with_user("ann", vec![Grant::everything()]).await;
    let device = lab.sign_in("ann", PASSWORD).await.ok().unwrap().device.unwrap();
    let mut tried = 0;
    // On a machine that is busy, comparing takes longer than the first delays.
    while let refused = lab.try_from("198.51.100.1", "ann", "guess guess guess", None, None).await.err()
        && !matches!(refused, Some(SignInRefusal::Wait(_)))
    {
        assert_eq!(refused, Some(SignInRefusal::Wrong));
        tried += 1;
        assert!(tried <= 12, "no one slows it down");
    }
    let refused = lab.try_from("198.51.100.1", "ann", PASSWORD, None, None).await.err();
    assert!(matches!(refused, Some(SignInRefusal::Wait(_))), "{refused:?}");
    assert!(lab.try_from("192.0.2.1", "ann", PASSWORD, None, None).await.is_ok(), "another address");
    let known = lab.try_from("198.51.100.1", "ann", PASSWORD, None, Some(&device)).await.ok().unwrap();
    assert!(known.device.is_none(), "the browser is known already");
    let recorded = lab.recorded().await;
    let refused = recorded.iter().filter(|entry| *entry == "not signed in: session.refuse user:ann").count();
    assert_eq!(refused, tried + 1, "each one, and once that there were too many");
}

/// How long an answer takes doesn't tell which users there are.
#[tokio::test]
async fn an_unknown_user_costs_as_much_as_a_wrong_password() {
    let lab = Lab::with_user("ann", vec![Grant::everything()]).await;
    let mut least = [Duration::MAX; 2];
    for round in 0..4 {
        for (place, name) in ["ann", "bob"].into_iter().enumerate() {
            let began = Instant::now();
            let address = format!("198.51.100.{round}");
            let refused = lab.try_from(&address, name, "guess guess guess", None, None).await.err();
            assert_eq!(refused, Some(SignInRefusal::Wrong));
            least[place] = least[place].min(began.elapsed());
        }
    }
    let [known, unknown] = least;
    assert!(unknown > Duration::from_millis(5) && unknown * 2 > known, "{known:?} {unknown:?}");
}

#[tokio::test]
async fn a_code_is_needed_and_a_recovery_code_works_once() {
    let lab = Lab::with_user("ann", vec![Grant::everything()]).await;
    let ann = find_user(&lab.store, "ann").await.unwrap();
    let enrolment = begin_second_factor(&lab.store, &ann, "keepfast").await.unwrap();
    assert!(enrolment.address.contains(enrolment.secret.as_str()));
    let wrong = confirm_second_factor(&lab.store, &local(), &ann, "000").await;
    assert!(matches!(wrong, Err(AccessError::WrongCode)));
    assert!(lab.sign_in("ann", PASSWORD).await.is_ok(), "it isn't confirmed yet");
    let secret = data_encoding::BASE32_NOPAD.decode(enrolment.secret.as_bytes()).unwrap();
    let code = code_of_now(&secret);
    let codes = confirm_second_factor(&lab.store, &local(), &ann, &code).await.unwrap();
    assert_eq!(codes.len(), 10);
    let with = async |code: Option<&str>| lab.try_from("192.0.2.1", "ann", PASSWORD, code, None).await.err();
    assert_eq!(with(None).await, Some(SignInRefusal::CodeNeeded));
    assert_eq!(with(Some(&code)).await, Some(SignInRefusal::Wrong), "it has confirmed the device");
    assert_eq!(with(Some(&codes[3])).await, None);
    assert_eq!(with(Some(&codes[3])).await, Some(SignInRefusal::Wrong), "it was used");
    let ann = find_user(&lab.store, "ann").await.unwrap();
    assert!(ann.has_totp);
    // Codes are counted by account: other addresses don't help.
    let mut tried = 0;
    for number in 0..20 {
        let address = format!("198.51.100.{number}");
        match lab.try_from(&address, "ann", PASSWORD, Some("000000"), None).await.err() {
            Some(SignInRefusal::Wrong) => tried += 1,
            Some(SignInRefusal::Wait(_)) => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(tried <= 12, "{tried}");
}

/// The code of this moment, as a device computes it.
fn code_of_now(secret: &[u8]) -> String {
    let codes = keepfast_access::factor::CodeSecret::from_random(secret.try_into().unwrap());
    let seconds = jiff::Timestamp::now().as_second().unsigned_abs();
    let all = (0..1_000_000).map(|number| format!("{number:06}"));
    all.into_iter().find(|code| codes.step_of(code, seconds).is_some()).unwrap()
}

#[tokio::test]
async fn what_is_dangerous_needs_a_fresh_proof() {
    let lab = Lab::with_user("ann", vec![Grant::everything()]).await;
    let signed_in = lab.sign_in("ann", PASSWORD).await.ok().unwrap();
    let caller = lab.caller(&signed_in.token).await.unwrap();
    assert!(!caller.needs_proof(&SessionPolicy::USUAL));
    let none = SessionPolicy { proof: Duration::ZERO, ..SessionPolicy::USUAL };
    assert!(caller.needs_proof(&none));
    let prove = async |password: &str| {
        let shown = Zeroizing::new(password.to_owned());
        lab.gate.prove_again(&caller, shown, from("192.0.2.1")).await.unwrap().err()
    };
    assert_eq!(prove("guess guess guess").await, Some(SignInRefusal::Wrong));
    assert_eq!(prove(PASSWORD).await, None);
    for tried in 0.. {
        assert!(tried <= 12, "no one slows it down");
        if let Some(SignInRefusal::Wait(_)) = prove("guess guess guess").await {
            break;
        }
    }
    assert!(matches!(prove(PASSWORD).await, Some(SignInRefusal::Wait(_))));
}

#[tokio::test]
async fn a_prune_needs_two_people_and_is_what_they_agreed_to() {
    let lab = Lab::with_user("ann", vec![Grant::everything()]).await;
    lab.add("bob", vec![Grant::everything()]).await;
    let mut callers = Vec::new();
    for name in ["ann", "bob"] {
        let signed_in = lab.sign_in(name, PASSWORD).await.ok().unwrap();
        callers.push(lab.caller(&signed_in.token).await.unwrap());
    }
    let [ann, bob] = &callers[..] else { panic!("there are two") };
    let matter = |limit: &str| Matter {
        action: "prune".to_owned(),
        object: "repository:main".to_owned(),
        document: json!({ "max_unused": limit, "dry": false }),
    };
    let told = Told {
        summary: "prune main".to_owned(),
        about: Subject::new("repository:main").unwrap(),
        right: Right::Prune,
    };
    let asked = ask_approval(&lab.store, ann, matter("5%"), told.clone()).await.unwrap();
    let use_it =
        async |limit: &str, may| use_approval(&lab.store, &bob.actor, &asked.id, &matter(limit), may).await;
    assert!(use_it("5%", true).await.is_err(), "no one has agreed");
    let grant = async |caller, may_do_it| {
        let deciding = Deciding { id: &asked.id, decision: Decision::Grant, reason: None, may_do_it };
        decide_approval(&lab.store, caller, deciding, &told).await
    };
    assert!(grant(ann, true).await.is_err(), "the same person");
    assert!(grant(bob, false).await.is_err(), "without the right");
    grant(bob, true).await.unwrap();
    assert!(use_it("0%", true).await.is_err(), "something else");
    assert!(use_it("5%", false).await.is_err(), "ann has lost the right");
    let other_order = Matter { document: json!({ "dry": false, "max_unused": "5%" }), ..matter("5%") };
    use_approval(&lab.store, &bob.actor, &asked.id, &other_order, true).await.unwrap();
    assert!(use_it("5%", true).await.is_err(), "once");
    let told = lab.store.events_after(Sequence::START, PageSize::MAX).await.unwrap().events;
    let told: Vec<_> = told.iter().filter_map(|event| event.document.pointer("/document/summary")).collect();
    assert_eq!(told, ["ann asks for a second person: prune main", "agreed to by bob: prune main"]);
    let recorded = lab.recorded().await;
    for step in ["user ann: approval.ask", "user bob: approval.grant", "user bob: approval.use"] {
        assert!(recorded.contains(&format!("{step} repository:main")), "{recorded:#?}");
    }
}

fn identity(subject: &str, name: &str, groups: &[&str]) -> Identity {
    Identity {
        issuer: "https://id.example.org".to_owned(),
        subject: subject.to_owned(),
        user_name: Some(name.to_owned()),
        display: None,
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
    }
}

#[tokio::test]
async fn groups_of_elsewhere_give_roles_at_each_login_and_no_one_becomes_another_user() {
    let lab = Lab::with_user("ann", vec![Grant::everything()]).await;
    let roles = BTreeMap::from([
        ("ops".to_owned(), DefinedRole::Operator),
        ("audit".to_owned(), DefinedRole::Auditor),
        ("*".to_owned(), DefinedRole::Viewer),
    ]);
    let granted = |groups: &[&str]| {
        let grants = grants_of_groups(&identity("1", "x", groups).groups, &roles);
        grants.iter().map(|grant| grant.role).collect::<Vec<_>>()
    };
    assert_eq!(granted(&["audit", "ops", "ops"]), [Role::Operator, Role::Auditor]);
    assert_eq!(granted(&[]), [Role::Viewer]);
    assert_eq!(granted(&["*"]), [Role::Viewer], "a group of that name is none");
    let login = async |identity: Identity| user_of_identity(&lab.store, &identity, &roles, "192.0.2.1").await;
    let same_name = login(identity("7", "ann", &["ops"])).await;
    assert!(matches!(same_name, Err(AccessError::UserExists { .. })));
    let bob = login(identity("42", "bob", &["ops"])).await.unwrap();
    let names = Grant { see_names: true, ..Grant::new(Role::Operator, Scope::All) };
    let of_plan = Grant::new(Role::Restorer, Scope::Plan("www".to_owned()));
    change_grants(&lab.store, &local(), &bob, &[names.clone(), of_plan.clone()]).await.unwrap();
    let again = login(identity("42", "renamed", &["ops"])).await.unwrap();
    assert_eq!(again.id, bob.id);
    assert_eq!(from_document(&again.grants), [names, of_plan.clone()], "what was given here stays");
    let again = login(identity("42", "bob", &[])).await.unwrap();
    assert_eq!(from_document(&again.grants), [Grant::new(Role::Viewer, Scope::All), of_plan]);
    let none = user_of_identity(&lab.store, &identity("9", "eve", &[]), &BTreeMap::new(), "x").await;
    assert!(matches!(none, Err(AccessError::NoRole { .. })));
}
