//! Tokens of the API: valid as long as they, and their users, are.

use keepfast_store::{Label, NewApiToken, PageSize, TokenMade, TokenName, User, UserChange};
use serde_json::json;

use crate::lab::{Lab, at, on_both};
use crate::people::{add, hash, note};

on_both! {
    a_token_is_valid_until_it_expires_or_is_taken_away;
    a_token_of_a_disabled_user_is_not_valid;
    rights_that_a_user_loses_are_lost_at_the_next_use;
}

fn new_token(user: &User, name: &str, expires: Option<i64>) -> NewApiToken {
    NewApiToken {
        hash: hash(&format!("hash of {name}")),
        user: user.id.clone(),
        name: TokenName::new(name).unwrap(),
        grants: json!([{"role": "operator", "scope": "all"}]),
        expires: expires.map(at),
    }
}

async fn a_token_is_valid_until_it_expires_or_is_taken_away(lab: Lab) {
    let (one, other) = (lab.open().await, lab.join().await);
    let (ann, bob) = (add(&one, "ann", true).await, add(&one, "bob", false).await);
    let made = one
        .make_token(at(0), &new_token(&ann, "deploy", Some(5000)), &note("token.make", "ann"))
        .await
        .unwrap();
    let TokenMade::Made(number) = made else { panic!("{made:?}") };
    let again = NewApiToken { hash: hash("another"), ..new_token(&ann, "deploy", None) };
    assert_eq!(one.make_token(at(0), &again, &note("x", "x")).await.unwrap(), TokenMade::NameTaken);
    one.make_token(at(0), &new_token(&bob, "other", None), &note("x", "x")).await.unwrap();

    let used = async |second, from: &str| {
        let found = other.use_token(at(second), &hash("hash of deploy"), &Label::from(from)).await.unwrap();
        found.map(|(token, user)| {
            assert_eq!((token.number, &user.id), (number, &ann.id));
            token.last_used
        })
    };
    assert_eq!(used(10, "192.0.2.1").await, Some(Some((at(10), Label::from("192.0.2.1")))));
    assert_eq!(used(69, "192.0.2.2").await, Some(Some((at(10), Label::from("192.0.2.1")))), "once a minute");
    assert_eq!(used(71, "192.0.2.2").await, Some(Some((at(71), Label::from("192.0.2.2")))));
    assert_eq!(used(5000, "x").await, None, "expired");
    assert!(one.use_token(at(1), &hash("guess"), &Label::from("x")).await.unwrap().is_none());

    assert_eq!(one.tokens(Some(&ann.id)).await.unwrap().len(), 1);
    assert_eq!(one.tokens(None).await.unwrap().len(), 2);
    assert!(!one.revoke_token(number, Some(&bob.id), &note("x", "x")).await.unwrap(), "another user's");
    assert!(one.revoke_token(number, Some(&ann.id), &note("x", "x")).await.unwrap());
    assert_eq!(used(80, "x").await, None, "taken away");
    assert!(!one.revoke_token(number, None, &note("x", "x")).await.unwrap());
    one.make_token(at(0), &new_token(&ann, "short", Some(100)), &note("x", "x")).await.unwrap();
    assert_eq!(one.remove_expired(at(100), at(0), PageSize::MAX).await.unwrap(), 1);
}

async fn a_token_of_a_disabled_user_is_not_valid(lab: Lab) {
    let store = lab.open().await;
    let (_, ann) = (add(&store, "root", true).await, add(&store, "ann", false).await);
    store.make_token(at(0), &new_token(&ann, "deploy", None), &note("x", "x")).await.unwrap();
    let is_valid =
        async || store.use_token(at(1), &hash("hash of deploy"), &Label::from("x")).await.unwrap().is_some();
    assert!(is_valid().await);
    let set = async |is_disabled| {
        let change = UserChange { disabled: Some(is_disabled), ..UserChange::default() };
        store.change_user(at(1), &ann.id, None, &change, &note("x", "x")).await.unwrap();
    };
    set(true).await;
    assert!(!is_valid().await);
    let made = store.make_token(at(2), &new_token(&ann, "late", None), &note("x", "x")).await.unwrap();
    assert_eq!(made, TokenMade::NoUser);
    set(false).await;
    assert!(is_valid().await);
}

async fn rights_that_a_user_loses_are_lost_at_the_next_use(lab: Lab) {
    let store = lab.open().await;
    let (_, ann) = (add(&store, "root", true).await, add(&store, "ann", false).await);
    store.make_token(at(0), &new_token(&ann, "deploy", None), &note("x", "x")).await.unwrap();
    let change = UserChange { grants: Some((json!([]), false)), ..UserChange::default() };
    store.change_user(at(1), &ann.id, None, &change, &note("x", "x")).await.unwrap();
    let used = store.use_token(at(2), &hash("hash of deploy"), &Label::from("x")).await.unwrap().unwrap();
    assert_eq!((used.0.grants, used.1.grants), (json!([{"role": "operator", "scope": "all"}]), json!([])));
}
