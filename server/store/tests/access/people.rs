//! Names, and users that tests begin with.

use std::time::Duration;

use keepfast_store::{
    AuditAction, AuditNote, Label, NewSession, NewUser, Store, StoredSecret, TokenHash, User, UserAdded,
    UserId, UserName, UtcTime,
};
use serde_json::json;

use crate::lab::at;

pub fn user_id(name: &str) -> UserId {
    UserId::new(format!("id of {name}")).unwrap()
}

pub fn name(name: &str) -> UserName {
    UserName::new(name).unwrap()
}

pub fn hash(text: &str) -> TokenHash {
    TokenHash::new(text).unwrap()
}

/// What is recorded of an action.
pub fn note(action: &'static str, object: &str) -> AuditNote {
    AuditNote {
        at: at(0),
        who: Label::from("user test"),
        origin: Label::from("192.0.2.1"),
        action: AuditAction::known(action),
        object: Label::from(object),
        before: None,
        after: Some(json!({"x": 1})),
    }
}

pub fn new_user(user: &str, is_admin: bool) -> NewUser {
    NewUser {
        id: user_id(user),
        name: name(user),
        display: Label::from(user),
        grants: json!([{"role": "viewer", "scope": "all"}]),
        is_admin,
        password: Some(StoredSecret::from(format!("hash of {user}"))),
    }
}

/// Adds a user, who is there afterwards.
pub async fn add(store: &Store, user: &str, is_admin: bool) -> User {
    match store.add_user(at(0), &new_user(user, is_admin), &note("user.add", user)).await.unwrap() {
        UserAdded::Added(user) => user,
        other => panic!("{other:?}"),
    }
}

pub fn new_session(user: &User, token: &str, expires: UtcTime) -> NewSession {
    NewSession {
        hash: hash(token),
        user: user.id.clone(),
        expires,
        origin: Label::from("192.0.2.1"),
        agent: Label::from("browser"),
        device: None,
    }
}

pub const HOUR: Duration = Duration::from_hours(1);

/// What was recorded: the actions, in their order.
pub async fn recorded(store: &Store) -> Vec<String> {
    use keepfast_store::{AuditFilter, AuditOrder, PageSize};
    let filter = AuditFilter::default();
    let page = store.audit_entries(&filter, AuditOrder::OldestFirst, None, PageSize::MAX).await.unwrap();
    page.rows.iter().map(|entry| entry.action.to_string()).collect()
}
