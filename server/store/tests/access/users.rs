//! Users: one name each, changes from what was seen, and always someone who may do everything.

use keepfast_store::{
    Generation, Label, NewApiToken, PreferenceName, Sequence, Store, StoredSecret, TokenName, User,
    UserAdded, UserChange, UserChanged,
};
use serde_json::json;

use crate::lab::{Lab, at, on_both};
use crate::people::{HOUR, add, hash, name, new_session, new_user, note, recorded, user_id};

on_both! {
    a_user_is_added_found_and_changed_from_what_was_seen;
    of_two_administrators_who_disable_each_other_one_stays;
    the_last_administrator_stays;
    of_many_who_use_the_token_for_the_first_user_one_does;
    what_a_user_had_goes_with_the_user;
    another_password_ends_the_other_sessions;
    who_a_user_is_elsewhere_is_one_user;
    preferences_and_what_was_read_are_kept;
}

async fn disable(store: &Store, user: &User, seen: Option<Generation>) -> UserChanged {
    let change = UserChange { disabled: Some(true), ..UserChange::default() };
    store.change_user(at(5), &user.id, seen, &change, &note("user.disable", "x")).await.unwrap()
}

async fn a_user_is_added_found_and_changed_from_what_was_seen(lab: Lab) {
    let (one, other) = (lab.open().await, lab.join().await);
    assert!(!one.has_users().await.unwrap());
    let ann = add(&one, "ann", true).await;
    add(&one, "bob", false).await;
    assert!(one.has_users().await.unwrap());
    assert!(ann.has_password && !ann.has_totp && ann.disabled.is_none());
    let again = other.add_user(at(1), &new_user("ann", false), &note("user.add", "ann")).await;
    assert!(again.is_err() || again.unwrap() == UserAdded::NameTaken);
    let same_name = keepfast_store::NewUser { id: user_id("other"), ..new_user("ann", false) };
    let added = other.add_user(at(1), &same_name, &note("user.add", "ann")).await.unwrap();
    assert_eq!(added, UserAdded::NameTaken);
    assert_eq!(other.user(&ann.id).await.unwrap(), Some(ann.clone()));
    assert_eq!(other.user_named(&name("ann")).await.unwrap(), Some(ann.clone()));
    assert_eq!(other.user_named(&name("cid")).await.unwrap(), None);
    let names: Vec<_> = other.users().await.unwrap().into_iter().map(|user| user.name.to_string()).collect();
    assert_eq!(names, ["ann", "bob"]);

    let change = UserChange { display: Some(Label::from("Ann")), ..UserChange::default() };
    let seen = Some(ann.generation);
    let UserChanged::Stored(changed) =
        one.change_user(at(2), &ann.id, seen, &change, &note("user.change", "ann")).await.unwrap()
    else {
        panic!("it wasn't stored")
    };
    assert_eq!(one.user(&ann.id).await.unwrap(), Some(changed.clone()));
    assert_eq!(changed.display, Label::from("Ann"));
    let late = other.change_user(at(3), &ann.id, seen, &change, &note("user.change", "ann")).await.unwrap();
    assert_eq!(late, UserChanged::Overtaken);
    let none = other.change_user(at(3), &user_id("cid"), None, &change, &note("x", "x")).await.unwrap();
    assert_eq!(none, UserChanged::NoUser);
    assert_eq!(recorded(&one).await, ["user.add", "user.add", "user.change"], "what failed isn't recorded");
}

async fn of_two_administrators_who_disable_each_other_one_stays(lab: Lab) {
    let (one, other) = (lab.open().await, lab.join().await);
    for round in 0..10 {
        let ann = add(&one, &format!("ann{round}"), true).await;
        let bob = add(&one, &format!("bob{round}"), true).await;
        for user in one.users().await.unwrap() {
            if user.id != ann.id && user.id != bob.id && user.disabled.is_none() {
                assert!(matches!(disable(&one, &user, None).await, UserChanged::Stored(_)));
            }
        }
        let (first, second) = tokio::join!(disable(&one, &ann, None), disable(&other, &bob, None));
        let last = [&first, &second].iter().filter(|changed| ***changed == UserChanged::LastAdmin).count();
        assert_eq!(last, 1, "{first:?} {second:?}");
    }
}

async fn the_last_administrator_stays(lab: Lab) {
    let store = lab.open().await;
    let (ann, bob) = (add(&store, "ann", true).await, add(&store, "bob", false).await);
    assert_eq!(disable(&store, &ann, None).await, UserChanged::LastAdmin);
    let change = UserChange { grants: Some((json!([]), false)), ..UserChange::default() };
    let changed = store.change_user(at(1), &ann.id, None, &change, &note("x", "x")).await.unwrap();
    assert_eq!(changed, UserChanged::LastAdmin);
    assert_eq!(store.remove_user(&ann.id, None, &note("x", "x")).await.unwrap(), UserChanged::LastAdmin);
    assert!(matches!(disable(&store, &bob, None).await, UserChanged::Stored(_)));
    let change = UserChange { grants: Some((json!([]), true)), ..UserChange::default() };
    let changed = store.change_user(at(1), &bob.id, None, &change, &note("x", "x")).await.unwrap();
    assert!(matches!(changed, UserChanged::Stored(_)));
    assert_eq!(disable(&store, &ann, None).await, UserChanged::LastAdmin, "the other one is disabled");
}

async fn of_many_who_use_the_token_for_the_first_user_one_does(lab: Lab) {
    let (one, other) = (lab.open().await, lab.join().await);
    assert!(one.store_setup_token(at(0), &hash("setup"), at(3600)).await.unwrap());
    assert!(one.store_setup_token(at(0), &hash("other setup"), at(3600)).await.unwrap());
    let mut tries = Vec::new();
    for number in 0..6 {
        let store = if number % 2 == 0 { one.clone() } else { other.clone() };
        tries.push(tokio::spawn(async move {
            let new = new_user(&format!("user{number}"), true);
            let token = hash(["setup", "other setup"][number / 2 % 2]);
            store.set_up(at(1), &token, &new, &note("user.add_first", "x")).await.unwrap()
        }));
    }
    let mut added = 0;
    for tried in tries {
        match tried.await.unwrap() {
            UserAdded::Added(_) => added += 1,
            other => assert_eq!(other, UserAdded::NotFirst),
        }
    }
    assert_eq!((added, one.users().await.unwrap().len()), (1, 1));
    assert!(!one.store_setup_token(at(2), &hash("third"), at(3600)).await.unwrap(), "there is a user");

    let lab = Lab::new(lab.on());
    let store = lab.open().await;
    store.store_setup_token(at(0), &hash("setup"), at(3600)).await.unwrap();
    let set_up = async |now, token: &str| {
        store.set_up(now, &hash(token), &new_user("ann", true), &note("x", "x")).await.unwrap()
    };
    assert_eq!(set_up(at(1), "guessed").await, UserAdded::NoToken);
    assert_eq!(set_up(at(3600), "setup").await, UserAdded::NoToken, "it has expired");
}

async fn what_a_user_had_goes_with_the_user(lab: Lab) {
    let store = lab.open().await;
    add(&store, "root", true).await;
    let ann = add(&store, "ann", false).await;
    store.begin_session(at(0), &new_session(&ann, "session", at(9999)), &note("x", "x")).await.unwrap();
    let token = NewApiToken {
        hash: hash("token"),
        user: ann.id.clone(),
        name: TokenName::new("deploy").unwrap(),
        grants: json!([]),
        expires: None,
    };
    store.make_token(at(0), &token, &note("x", "x")).await.unwrap();
    store.begin_totp(&ann.id, &StoredSecret::from("secret".to_owned())).await.unwrap();
    let theme = PreferenceName::new("theme").unwrap();
    store.store_preference(at(0), &ann.id, &theme, Some(&json!("dark"))).await.unwrap();
    assert_eq!(
        store.remove_user(&ann.id, Some(ann.generation), &note("x", "x")).await.unwrap(),
        UserChanged::Removed
    );
    // Someone else gets the name, and nothing of what belonged to it.
    let again = keepfast_store::NewUser { id: user_id("other ann"), ..new_user("ann", false) };
    store.add_user(at(1), &again, &note("x", "x")).await.unwrap();
    assert!(store.use_session(at(1), &hash("session"), HOUR).await.unwrap().is_none());
    assert!(store.use_token(at(1), &hash("token"), &Label::from("x")).await.unwrap().is_none());
    assert!(store.tokens(None).await.unwrap().is_empty());
    let facts = store.sign_in(&name("ann")).await.unwrap().unwrap();
    assert!(facts.totp.is_none() && facts.user.id == again.id);
    assert!(store.pending_totp(&ann.id).await.unwrap().is_none());
    assert!(store.preferences(&ann.id).await.unwrap().is_empty());
}

async fn another_password_ends_the_other_sessions(lab: Lab) {
    let store = lab.open().await;
    let ann = add(&store, "ann", true).await;
    for token in ["kept", "other"] {
        store.begin_session(at(0), &new_session(&ann, token, at(9999)), &note("x", "x")).await.unwrap();
    }
    let new = StoredSecret::from("new hash".to_owned());
    let (kept, note_of) = (hash("kept"), note("user.password", "ann"));
    assert!(store.set_password(at(1), &ann.id, Some(&new), Some(&kept), &note_of).await.unwrap());
    let is_valid = async |token: &str| store.use_session(at(2), &hash(token), HOUR).await.unwrap().is_some();
    assert!(is_valid("kept").await && !is_valid("other").await);
    assert_eq!(store.sign_in(&ann.name).await.unwrap().unwrap().password, Some(new.clone()));
    let newer = StoredSecret::from("newer hash".to_owned());
    store.replace_password_hash(&ann.id, &StoredSecret::from("old".to_owned()), &newer).await.unwrap();
    assert_eq!(store.sign_in(&ann.name).await.unwrap().unwrap().password, Some(new.clone()));
    store.replace_password_hash(&ann.id, &new, &newer).await.unwrap();
    assert_eq!(store.sign_in(&ann.name).await.unwrap().unwrap().password, Some(newer));
    assert!(!store.set_password(at(1), &user_id("cid"), None, None, &note("x", "x")).await.unwrap());
}

async fn who_a_user_is_elsewhere_is_one_user(lab: Lab) {
    let store = lab.open().await;
    let (ann, bob) = (add(&store, "ann", true).await, add(&store, "bob", false).await);
    let issuer = "https://id.example.org";
    assert!(store.store_identity(&ann.id, issuer, "42", &note("x", "x")).await.unwrap());
    assert!(!store.store_identity(&bob.id, issuer, "42", &note("x", "x")).await.unwrap());
    assert_eq!(store.user_of_identity(issuer, "42").await.unwrap().unwrap().id, ann.id);
    assert!(store.user_of_identity("https://other.example.org", "42").await.unwrap().is_none());
}

async fn preferences_and_what_was_read_are_kept(lab: Lab) {
    let store = lab.open().await;
    let ann = add(&store, "ann", true).await.id;
    let theme = PreferenceName::new("theme").unwrap();
    for value in [json!("dark"), json!({"size": 2})] {
        assert!(store.store_preference(at(1), &ann, &theme, Some(&value)).await.unwrap());
        assert_eq!(store.preferences(&ann).await.unwrap(), [(theme.clone(), value)]);
    }
    let long = json!("x".repeat(70_000));
    assert!(!store.store_preference(at(1), &ann, &theme, Some(&long)).await.unwrap());
    for number in 1..200 {
        let name = PreferenceName::new(format!("p{number}")).unwrap();
        assert!(store.store_preference(at(1), &ann, &name, Some(&json!(number))).await.unwrap());
    }
    let one_more = PreferenceName::new("one more").unwrap();
    assert!(!store.store_preference(at(1), &ann, &one_more, Some(&json!(1))).await.unwrap());
    assert!(store.store_preference(at(1), &ann, &theme, None).await.unwrap());
    assert_eq!(store.preferences(&ann).await.unwrap().len(), 199);

    let event = Sequence::from_number;
    for number in [7, 9, 9, 3] {
        store.mark_read(&ann, event(number)).await.unwrap();
    }
    let marks = store.read_marks(&ann, event(1), event(8)).await.unwrap();
    assert_eq!(marks.also, [event(3), event(7)]);
    store.mark_read_up_to(&ann, event(7)).await.unwrap();
    store.mark_read_up_to(&ann, event(2)).await.unwrap();
    store.mark_read(&ann, event(5)).await.unwrap();
    let marks = store.read_marks(&ann, event(1), event(20)).await.unwrap();
    assert_eq!((marks.up_to, marks.also.as_slice()), (event(7), &[event(9)][..]));
    assert!(marks.contains(event(1)) && marks.contains(event(9)) && !marks.contains(event(8)));
    let bob = add(&store, "bob", false).await.id;
    assert!(!store.read_marks(&bob, event(1), event(20)).await.unwrap().contains(event(1)));
}
