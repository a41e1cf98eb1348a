//! Second factors: no code is accepted twice, whoever tries at once.

use keepfast_store::{StoredSecret, TokenHash};

use crate::lab::{Lab, at, on_both};
use crate::people::{add, hash, note, recorded};

on_both! {
    a_secret_counts_when_a_code_has_confirmed_it;
    of_many_who_use_a_code_at_once_one_may;
    of_many_who_use_a_recovery_code_at_once_one_may;
}

fn secret(text: &str) -> StoredSecret {
    StoredSecret::from(text.to_owned())
}

fn codes() -> Vec<TokenHash> {
    (0..10).map(|number| hash(&format!("code {number}"))).collect()
}

async fn a_secret_counts_when_a_code_has_confirmed_it(lab: Lab) {
    let store = lab.open().await;
    let ann = add(&store, "ann", true).await;
    let totp = async || store.sign_in(&ann.name).await.unwrap().unwrap().totp;
    store.begin_totp(&ann.id, &secret("one")).await.unwrap();
    assert_eq!(totp().await, None);
    assert!(!store.use_totp_step(&ann.id, 7).await.unwrap());
    store.begin_totp(&ann.id, &secret("two")).await.unwrap();
    assert_eq!(store.pending_totp(&ann.id).await.unwrap(), Some(secret("two")));
    let confirm = async |text: &str| {
        store
            .confirm_totp(at(1), &ann.id, &secret(text), 5, &codes(), &note("user.second_factor", "ann"))
            .await
            .unwrap()
    };
    assert!(!confirm("one").await, "another one waits");
    assert!(confirm("two").await);
    assert!(!confirm("two").await);
    assert_eq!(totp().await, Some(secret("two")));
    assert!(store.user(&ann.id).await.unwrap().unwrap().has_totp);
    assert_eq!(store.recovery_codes_left(&ann.id).await.unwrap(), 10);
    assert!(!store.use_totp_step(&ann.id, 5).await.unwrap(), "it has confirmed the secret");
    // Another device: the one before counts until the new one is confirmed.
    store.begin_totp(&ann.id, &secret("three")).await.unwrap();
    assert_eq!(totp().await, Some(secret("two")));
    store.replace_recovery_codes(&ann.id, &codes()[..3], &note("x", "x")).await.unwrap();
    assert_eq!(store.recovery_codes_left(&ann.id).await.unwrap(), 3);
    assert!(store.remove_totp(&ann.id, &note("x", "x")).await.unwrap());
    assert!(!store.remove_totp(&ann.id, &note("x", "x")).await.unwrap());
    assert_eq!((totp().await, store.recovery_codes_left(&ann.id).await.unwrap()), (None, 0));
}

async fn of_many_who_use_a_code_at_once_one_may(lab: Lab) {
    let (one, other) = (lab.open().await, lab.join().await);
    let ann = add(&one, "ann", true).await;
    one.begin_totp(&ann.id, &secret("s")).await.unwrap();
    one.confirm_totp(at(0), &ann.id, &secret("s"), 1, &[], &note("x", "x")).await.unwrap();
    for step in [2, 3, 90] {
        let mut tries = Vec::new();
        for number in 0..8 {
            let (store, ann) = (if number % 2 == 0 { one.clone() } else { other.clone() }, ann.id.clone());
            tries.push(tokio::spawn(async move { store.use_totp_step(&ann, step).await.unwrap() }));
        }
        let mut used = 0;
        for tried in tries {
            used += u32::from(tried.await.unwrap());
        }
        assert_eq!(used, 1, "step {step}");
    }
    assert!(!one.use_totp_step(&ann.id, 89).await.unwrap(), "an older one");
}

async fn of_many_who_use_a_recovery_code_at_once_one_may(lab: Lab) {
    let (one, other) = (lab.open().await, lab.join().await);
    let (ann, bob) = (add(&one, "ann", true).await, add(&one, "bob", false).await);
    for user in [&ann, &bob] {
        one.replace_recovery_codes(&user.id, &codes(), &note("codes", "x")).await.unwrap();
    }
    let mut tries = Vec::new();
    for number in 0..8 {
        let (store, ann) = (if number % 2 == 0 { one.clone() } else { other.clone() }, ann.id.clone());
        tries.push(tokio::spawn(async move {
            let code = hash("code 3");
            store.use_recovery_code(at(number), &ann, &code, &note("code.used", "ann")).await.unwrap()
        }));
    }
    let mut used = 0;
    for tried in tries {
        used += u32::from(tried.await.unwrap());
    }
    assert_eq!((used, one.recovery_codes_left(&ann.id).await.unwrap()), (1, 9));
    assert_eq!(one.recovery_codes_left(&bob.id).await.unwrap(), 10, "another user's");
    assert_eq!(recorded(&one).await.iter().filter(|action| *action == "code.used").count(), 1);
    assert!(!one.use_recovery_code(at(9), &ann.id, &hash("guess"), &note("x", "x")).await.unwrap());
}
