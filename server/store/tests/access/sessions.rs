//! Sessions: over when they are idle, old, ended or their user is disabled; and never back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use keepfast_store::{NewSession, PageSize, UserChange};

use crate::lab::{Lab, at, on_both};
use crate::people::{HOUR, add, hash, new_session, note};

on_both! {
    a_session_is_over_when_it_is_idle_or_old;
    a_session_that_is_ended_while_it_is_used_is_over;
    the_sessions_of_a_disabled_user_are_over;
    a_user_has_fifty_sessions_at_most;
    a_browser_is_known_to_its_user_until_all_sessions_are_ended;
    what_has_expired_is_removed;
}

async fn a_session_is_over_when_it_is_idle_or_old(lab: Lab) {
    let (one, other) = (lab.open().await, lab.join().await);
    let ann = add(&one, "ann", true).await;
    let begun = one.begin_session(at(0), &new_session(&ann, "s", at(9000)), &note("x", "x")).await.unwrap();
    let seen = async |second| {
        let found = other.use_session(at(second), &hash("s"), HOUR).await.unwrap();
        found.map(|(session, user)| {
            assert_eq!((Some(session.number), &user.id), (begun, &ann.id));
            session.seen
        })
    };
    assert_eq!(seen(59).await, Some(at(0)), "not written within a minute");
    assert_eq!(seen(3599).await, Some(at(3599)));
    assert_eq!(seen(3600).await, Some(at(3599)));
    assert_eq!(seen(3599 + 3600).await, None, "idle for an hour");
    assert_eq!(seen(7100).await, Some(at(7100)));
    assert_eq!(seen(8999).await, Some(at(8999)));
    assert_eq!(seen(9000).await, None, "old");
    assert_eq!(one.use_session(at(1), &hash("guess"), HOUR).await.unwrap(), None);
    let number = begun.unwrap();
    assert!(one.authenticate_again(at(70), number, &note("x", "x")).await.unwrap());
    assert_eq!(one.sessions_of(&ann.id).await.unwrap()[0].authenticated, at(70));
    assert_eq!(one.user(&ann.id).await.unwrap().unwrap().last_login, Some(at(0)));
}

async fn a_session_that_is_ended_while_it_is_used_is_over(lab: Lab) {
    let (one, other) = (lab.open().await, lab.join().await);
    let ann = add(&one, "ann", true).await;
    for round in 0..5 {
        let token = format!("s{round}");
        let new = new_session(&ann, &token, at(999_999));
        let number = one.begin_session(at(0), &new, &note("x", "x")).await.unwrap().unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let users: Vec<_> = (0..4)
            .map(|user| {
                let store = if user % 2 == 0 { one.clone() } else { other.clone() };
                let (is_over, token) = (Arc::clone(&is_over), hash(&token));
                tokio::spawn(async move {
                    // Each use is a minute later, and so is written.
                    for second in (0..).step_by(60) {
                        let was_over = is_over.load(Ordering::SeqCst);
                        let found = store.use_session(at(second), &token, HOUR * 999).await.unwrap();
                        assert!(!(was_over && found.is_some()), "it was used after its end");
                        if found.is_none() {
                            return;
                        }
                    }
                })
            })
            .collect();
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        assert!(one.end_session(&ann.id, number, &note("session.end", "ann")).await.unwrap());
        is_over.store(true, Ordering::SeqCst);
        for user in users {
            user.await.unwrap();
        }
        assert!(!one.end_session(&ann.id, number, &note("session.end", "ann")).await.unwrap());
    }
    assert!(one.sessions_of(&ann.id).await.unwrap().is_empty());
}

async fn the_sessions_of_a_disabled_user_are_over(lab: Lab) {
    let store = lab.open().await;
    let (_, ann, bob) =
        (add(&store, "root", true).await, add(&store, "ann", false).await, add(&store, "bob", false).await);
    for (user, token) in [(&ann, "a"), (&bob, "b")] {
        store.begin_session(at(0), &new_session(user, token, at(9999)), &note("x", "x")).await.unwrap();
    }
    let set = async |is_disabled| {
        let change = UserChange { disabled: Some(is_disabled), ..UserChange::default() };
        store.change_user(at(1), &ann.id, None, &change, &note("x", "x")).await.unwrap();
    };
    set(true).await;
    let is_valid = async |token: &str| store.use_session(at(2), &hash(token), HOUR).await.unwrap().is_some();
    assert!(!is_valid("a").await && is_valid("b").await);
    let begun = store.begin_session(at(3), &new_session(&ann, "c", at(9999)), &note("x", "x")).await.unwrap();
    assert_eq!(begun, None);
    set(false).await;
    assert!(!is_valid("a").await, "it doesn't come back");
    assert_eq!(store.end_all_sessions(&note("x", "x")).await.unwrap(), 1);
    assert!(!is_valid("b").await);
}

async fn a_user_has_fifty_sessions_at_most(lab: Lab) {
    let store = lab.open().await;
    let ann = add(&store, "ann", true).await;
    for number in 0..52i64 {
        let new = new_session(&ann, &format!("s{number}"), at(9999));
        store.begin_session(at(number), &new, &note("x", "x")).await.unwrap();
    }
    let is_valid = async |token: &str| store.use_session(at(60), &hash(token), HOUR).await.unwrap().is_some();
    assert!(!is_valid("s0").await && !is_valid("s1").await && is_valid("s2").await && is_valid("s51").await);
    let keep = store.sessions_of(&ann.id).await.unwrap()[0].number;
    assert_eq!(store.end_sessions_of(&ann.id, Some(keep), &note("x", "x")).await.unwrap(), 49);
    assert_eq!(store.sessions_of(&ann.id).await.unwrap().len(), 1);
}

async fn a_browser_is_known_to_its_user_until_all_sessions_are_ended(lab: Lab) {
    let store = lab.open().await;
    let (ann, bob) = (add(&store, "ann", true).await, add(&store, "bob", false).await);
    let device = Some((hash("cookie"), at(5000)));
    let new = NewSession { device, ..new_session(&ann, "s", at(9999)) };
    store.begin_session(at(0), &new, &note("x", "x")).await.unwrap();
    let is_known = async |second, cookie: &str, user| {
        store.is_known_device(at(second), &hash(cookie), user).await.unwrap()
    };
    assert!(is_known(1, "cookie", &ann.id).await);
    assert!(!is_known(1, "cookie", &bob.id).await && !is_known(1, "guess", &ann.id).await);
    assert!(!is_known(5000, "cookie", &ann.id).await);
    store.end_sessions_of(&ann.id, None, &note("x", "x")).await.unwrap();
    assert!(!is_known(1, "cookie", &ann.id).await);
}

async fn what_has_expired_is_removed(lab: Lab) {
    let store = lab.open().await;
    let ann = add(&store, "ann", true).await;
    for (token, expires) in [("a", 100), ("b", 200), ("c", 300)] {
        let device = Some((hash(&format!("cookie {token}")), at(expires)));
        let new = NewSession { device, ..new_session(&ann, token, at(expires)) };
        store.begin_session(at(0), &new, &note("x", "x")).await.unwrap();
    }
    let one = PageSize::at_most(1);
    assert_eq!(store.remove_expired(at(200), at(0), one).await.unwrap(), 2);
    assert_eq!(store.remove_expired(at(200), at(0), one).await.unwrap(), 2);
    assert_eq!(store.remove_expired(at(200), at(0), one).await.unwrap(), 0);
    assert_eq!(store.sessions_of(&ann.id).await.unwrap().len(), 1);
}
