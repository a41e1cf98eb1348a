//! The audit: one chain, also when several servers add to it, and each way to change it is noticed and named.

use std::collections::BTreeSet;

use keepfast_store::{
    AnchorFate, AuditAnchor, AuditFault, AuditFilter, AuditHash, AuditNote, AuditOrder, AuditVerdict, Label,
    PageSize, Sequence, Store, UserChange,
};
use serde_json::json;

use crate::lab::{Lab, On, at, on_both};
use crate::people::{add, note, recorded, user_id};

on_both! {
    servers_that_add_at_once_make_one_chain;
    each_change_of_an_entry_is_found_and_named;
    a_chain_that_was_written_again_is_found_by_an_anchor;
    each_of_several_anchors_is_compared_in_one_reading;
    old_entries_go_and_the_chain_is_still_verified;
    what_did_not_happen_is_not_recorded;
    entries_are_found_by_who_what_and_when;
    an_exported_state_has_the_whole_chain;
}

async fn add_entries(store: &Store, count: i64) {
    for number in 0..count {
        let note = AuditNote { at: at(number), ..note("plan.pause", &format!("plan:{number}")) };
        store.audit(&note).await.unwrap();
    }
}

async fn verify(store: &Store) -> AuditVerdict {
    store.audit_verify(&[]).await.unwrap()
}

/// Changes the database past the store.
async fn change(lab: &Lab, sql: &str) {
    match lab.on() {
        On::Sqlite => {
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(lab.state());
            let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&pool).await.unwrap();
            pool.close().await;
        }
        On::Postgres => {
            let (server, place) = lab.postgres();
            server.execute(&place.database, sql);
        }
    }
}

async fn servers_that_add_at_once_make_one_chain(lab: Lab) {
    let (one, other) = (lab.open().await, lab.join().await);
    let mut adding = Vec::new();
    for server in 0..4 {
        let store = if server % 2 == 0 { one.clone() } else { other.clone() };
        adding.push(tokio::spawn(async move {
            for number in 0..25 {
                store.audit(&note("plan.pause", &format!("plan:{server} {number}"))).await.unwrap();
            }
        }));
    }
    for adding in adding {
        adding.await.unwrap();
    }
    let verdict = verify(&one).await;
    assert_eq!((verdict.entries, verdict.fault), (100, None));
    assert_eq!(verdict.end, other.audit_head().await.unwrap());
    let page = one.audit_entries(&AuditFilter::default(), AuditOrder::OldestFirst, None, PageSize::MAX).await;
    let objects: BTreeSet<_> = page.unwrap().rows.into_iter().map(|entry| entry.object).collect();
    assert_eq!(objects.len(), 100);
}

async fn each_change_of_an_entry_is_found_and_named(lab: Lab) {
    let store = lab.open().await;
    // More than a page, so that the chain is followed across its edge.
    add_entries(&store, 510).await;
    let sound = verify(&store).await;
    assert_eq!((sound.entries, sound.fault.clone()), (510, None));
    let changed = |sequence| AuditFault::Changed { sequence };
    for (sql, undo, expected) in [
        (
            "UPDATE audit SET who = 'user eve' WHERE sequence = 7",
            "UPDATE audit SET who = 'user test' WHERE sequence = 7",
            changed(7),
        ),
        (
            "UPDATE audit SET at = at + 1 WHERE sequence = 1",
            "UPDATE audit SET at = at - 1 WHERE sequence = 1",
            changed(1),
        ),
        (
            "UPDATE audit SET after = NULL WHERE sequence = 505",
            "UPDATE audit SET after = '{\"x\":1}' WHERE sequence = 505",
            changed(505),
        ),
        (
            "UPDATE audit SET before = '' WHERE sequence = 3",
            "UPDATE audit SET before = NULL WHERE sequence = 3",
            changed(3),
        ),
        (
            "UPDATE audit SET sequence = 9000 WHERE sequence = 300",
            "UPDATE audit SET sequence = 300 WHERE sequence = 9000",
            AuditFault::Missing { found: 301, after: 299 },
        ),
        (
            "UPDATE audit SET sequence = -1 WHERE sequence = 1",
            "UPDATE audit SET sequence = 1 WHERE sequence = -1",
            AuditFault::Missing { found: 2, after: 0 },
        ),
        (
            "UPDATE audit SET sequence = -1 WHERE sequence = 510",
            "UPDATE audit SET sequence = 510 WHERE sequence = -1",
            AuditFault::CutOff { found: 509, expected: 510 },
        ),
        (
            "UPDATE audit_anchor SET hash = 'x' WHERE name = 'head'",
            &format!("UPDATE audit_anchor SET hash = '{}' WHERE name = 'head'", sound.end.hash),
            AuditFault::WrongHead { sequence: 510 },
        ),
        (
            "INSERT INTO audit (sequence, at, who, origin, action, object, previous, hash) \
             SELECT 511, at, who, origin, action, object, previous, hash FROM audit WHERE sequence = 510",
            "DELETE FROM audit WHERE sequence = 511",
            changed(511),
        ),
        (
            "INSERT INTO audit_anchor (name, sequence, hash) SELECT 'start', 100, hash FROM audit WHERE sequence = 99",
            "DELETE FROM audit_anchor WHERE name = 'start'",
            AuditFault::Unlinked { sequence: 101 },
        ),
    ] {
        change(&lab, sql).await;
        assert_eq!(verify(&store).await.fault, Some(expected), "{sql}");
        change(&lab, undo).await;
        assert_eq!(verify(&store).await, sound, "{undo}");
    }
}

/// Who can write to the database can compute all hashes again, as another state does here. Only an anchor that was kept
/// elsewhere tells.
async fn a_chain_that_was_written_again_is_found_by_an_anchor(lab: Lab) {
    let store = lab.open().await;
    add_entries(&store, 5).await;
    let kept = store.audit_head().await.unwrap();
    add_entries(&store, 5).await;
    let verdict = store.audit_verify(std::slice::from_ref(&kept)).await.unwrap();
    assert_eq!((&verdict.fault, verdict.anchors_met()), (&None, 1));

    let other_lab = Lab::new(lab.on());
    let forged = other_lab.open().await;
    add_entries(&forged, 4).await;
    forged.audit(&note("plan.pause", "plan:other")).await.unwrap();
    assert_eq!(verify(&forged).await.fault, None);
    let verdict = forged.audit_verify(std::slice::from_ref(&kept)).await.unwrap();
    assert_eq!(verdict.fault, Some(AuditFault::WrongAnchor { sequence: 5 }));
    let later = AuditAnchor { sequence: Sequence::from_number(8), hash: AuditHash::START };
    let verdict = forged.audit_verify(&[later]).await.unwrap();
    assert_eq!(verdict.fault, Some(AuditFault::NoAnchor { sequence: 8 }));
}

async fn each_of_several_anchors_is_compared_in_one_reading(lab: Lab) {
    let store = lab.open().await;
    // More than a page, so that some are compared after its edge.
    let mut anchors = Vec::new();
    for count in [5, 1, 500, 4] {
        add_entries(&store, count).await;
        anchors.push(store.audit_head().await.unwrap());
    }
    anchors.reverse();
    let verdict = store.audit_verify(&anchors).await.unwrap();
    assert_eq!((verdict.entries, &verdict.fault), (510, &None));
    assert_eq!(verdict.anchors, [AnchorFate::Met; 4]);
    // One is of another chain, and one is beyond the end. The others are still compared.
    anchors[2].hash = anchors[3].hash.clone();
    anchors.push(AuditAnchor { sequence: Sequence::from_number(600), hash: anchors[0].hash.clone() });
    let verdict = store.audit_verify(&anchors).await.unwrap();
    assert_eq!(verdict.fault, Some(AuditFault::WrongAnchor { sequence: 6 }));
    assert_eq!((verdict.entries, verdict.end.sequence.number()), (5, 5), "what is before the first fault");
    let (met, wrong, missing) = (AnchorFate::Met, AnchorFate::Wrong, AnchorFate::Missing);
    assert_eq!(verdict.anchors, [met, met, wrong, met, missing]);
    // What was removed for its age is no fault; but the last one that was removed is known by its hash.
    let removed = store.remove_old_audit(at(9999), PageSize::at_most(6)).await.unwrap();
    assert_eq!(removed, 6);
    let verdict = store.audit_verify(&anchors[3..4]).await.unwrap();
    assert_eq!((&verdict.fault, verdict.anchors), (&None, vec![AnchorFate::Removed]));
    let verdict = store.audit_verify(&anchors[2..3]).await.unwrap();
    assert_eq!(verdict.fault, Some(AuditFault::WrongAnchor { sequence: 6 }));
    // Behind a place where the chain is broken, nothing is compared.
    change(&lab, "UPDATE audit SET who = 'user eve' WHERE sequence = 507").await;
    let verdict = store.audit_verify(&anchors[..2]).await.unwrap();
    assert_eq!(verdict.fault, Some(AuditFault::Changed { sequence: 507 }));
    assert_eq!(verdict.anchors, [AnchorFate::NotReached, AnchorFate::Met]);
}

async fn old_entries_go_and_the_chain_is_still_verified(lab: Lab) {
    let store = lab.open().await;
    add_entries(&store, 20).await;
    let anchor = store.audit_head().await.unwrap();
    let at_most = PageSize::at_most(6);
    let mut removed = Vec::new();
    loop {
        removed.push(store.remove_old_audit(at(10), at_most).await.unwrap());
        let verdict = verify(&store).await;
        assert_eq!(verdict.fault, None);
        if removed.last() == Some(&0) {
            assert_eq!((verdict.entries, verdict.start.sequence.number()), (10, 10));
            break;
        }
    }
    assert_eq!(removed, [6, 4, 0]);
    add_entries(&store, 2).await;
    let verdict = store.audit_verify(std::slice::from_ref(&anchor)).await.unwrap();
    assert_eq!((verdict.entries, &verdict.fault, verdict.anchors_met()), (12, &None, 1));
    // One more than retention has removed is missing.
    change(&lab, "DELETE FROM audit WHERE sequence = 11").await;
    assert_eq!(verify(&store).await.fault, Some(AuditFault::Missing { found: 12, after: 10 }));
    // The newest entry stays, however old it is.
    while store.remove_old_audit(at(9999), PageSize::MAX).await.unwrap() > 0 {}
    assert_eq!(verify(&store).await.entries, 1);
}

async fn what_did_not_happen_is_not_recorded(lab: Lab) {
    let store = lab.open().await;
    add(&store, "ann", true).await;
    let none = UserChange::default();
    store.change_user(at(1), &user_id("cid"), None, &none, &note("user.change", "cid")).await.unwrap();
    store.remove_user(&user_id("ann"), None, &note("user.remove", "ann")).await.unwrap();
    assert_eq!(recorded(&store).await, ["user.add"]);
}

async fn entries_are_found_by_who_what_and_when(lab: Lab) {
    let store = lab.open().await;
    add_entries(&store, 5).await;
    let by_bob = AuditNote {
        at: at(100),
        who: Label::from("user bob\n\u{1b}[2J"),
        before: Some(json!({"client_secret": "hunter2", "name": "x"})),
        ..note("plan.resume", "plan:3")
    };
    store.audit(&by_bob).await.unwrap();
    let find = async |filter: AuditFilter, order| {
        let page = store.audit_entries(&filter, order, None, PageSize::at_most(3)).await.unwrap();
        let numbers: Vec<_> = page.rows.iter().map(|entry| entry.sequence.number()).collect();
        (numbers, page)
    };
    let all = AuditFilter::default;
    let newest = AuditOrder::NewestFirst;
    assert_eq!(find(all(), newest).await.0, [6, 5, 4]);
    assert_eq!(find(all(), AuditOrder::OldestFirst).await.0, [1, 2, 3]);
    let action = Some(by_bob.action.clone());
    let (numbers, page) = find(AuditFilter { action, ..all() }, newest).await;
    assert_eq!(numbers, [6]);
    assert_eq!(page.rows[0].who.as_str(), "user bob??[2J", "a line of a log stays one");
    assert_eq!(page.rows[0].before, Some(json!({"client_secret": "(not recorded)", "name": "x"})));
    assert_eq!(find(AuditFilter { who: Some(by_bob.who.clone()), ..all() }, newest).await.0, [6]);
    assert_eq!(find(AuditFilter { object: Some(Label::from("plan:3")), ..all() }, newest).await.0, [6, 4]);
    let times = AuditFilter { from: Some(at(2)), until: Some(at(4)), ..all() };
    assert_eq!(find(times, newest).await.0, [4, 3]);
    let second =
        store.audit_entries(&all(), newest, Some(Sequence::from_number(4)), PageSize::MAX).await.unwrap();
    assert_eq!((second.rows.len(), second.next), (3, None));
}

async fn an_exported_state_has_the_whole_chain(lab: Lab) {
    let store = lab.open().await;
    add(&store, "ann", true).await;
    add_entries(&store, 3).await;
    store.remove_old_audit(at(1), PageSize::at_most(1)).await.unwrap();
    let mut exported = Vec::new();
    store.export(&mut exported).await.unwrap();
    for on in [On::Sqlite, On::Postgres] {
        let other_lab = Lab::new(on);
        let other = other_lab.open().await;
        other.import(&mut &exported[..]).await.unwrap();
        assert_eq!(verify(&other).await, verify(&store).await);
        assert_eq!(other.users().await.unwrap(), store.users().await.unwrap());
        add_entries(&other, 1).await;
        assert_eq!(verify(&other).await.fault, None);
    }
}
