//! Servers of one state that follow the same definitions, or others.

use keepfast_store::{Agreement, Apply, ConfigHash, EventKind, Follower, HostId, ServerId, Store};

use crate::lab::{Lab, all_events, at, on_both};

on_both! {
    definitions_that_were_applied_last_count_for_all_servers;
    a_server_that_only_starts_again_brings_no_definitions_back;
    a_person_can_bring_definitions_back;
    a_container_that_lost_its_name_brings_no_definitions_back;
    of_servers_that_apply_at_once_one_is_the_last;
}

async fn follow(store: &Store, name: &str, config: &str, apply: Apply) -> Option<String> {
    let follower = Follower {
        server: ServerId::new(format!("server {name}")).unwrap(),
        host: HostId::new(name).unwrap(),
        config: ConfigHash::new(config).unwrap(),
    };
    match store.follow(at(0), &follower, apply).await.unwrap() {
        Agreement::Same => None,
        Agreement::Differs(applied) => Some(format!("{} by {}", applied.config, applied.host)),
    }
}

async fn applied(store: &Store) -> String {
    store.applied().await.unwrap().unwrap().config.to_string()
}

async fn definitions_that_were_applied_last_count_for_all_servers(lab: Lab) {
    let store = lab.open().await;
    assert_eq!(store.applied().await.unwrap(), None);
    for name in ["a", "b"] {
        assert_eq!(follow(&store, name, "one", Apply::IfNew).await, None);
    }
    assert_eq!(follow(&store, "a", "two", Apply::IfNew).await, None, "it has changed them");
    assert_eq!(applied(&store).await, "two");
    assert_eq!(follow(&store, "b", "two", Apply::IfNew).await, None);
    // Back to what was before: that is a change, too.
    assert_eq!(follow(&store, "b", "one", Apply::IfNew).await, None);
    assert_eq!(applied(&store).await, "one");
    assert_eq!(follow(&store, "a", "two", Apply::IfNew).await, Some("one by b".to_owned()));
    let kinds = all_events(&store).await.into_iter().map(|event| event.kind);
    assert_eq!(kinds.filter(|kind| *kind == EventKind::CONFIG_APPLIED).count(), 2, "the first replace none");
}

async fn a_server_that_only_starts_again_brings_no_definitions_back(lab: Lab) {
    let store = lab.open().await;
    follow(&store, "a", "one", Apply::IfNew).await;
    follow(&store, "b", "one", Apply::IfNew).await;
    follow(&store, "a", "two", Apply::IfNew).await;
    for _ in 0..2 {
        assert_eq!(follow(&store, "b", "one", Apply::IfNew).await, Some("two by a".to_owned()));
        assert_eq!(follow(&store, "a", "two", Apply::IfNew).await, None);
    }
}

async fn a_person_can_bring_definitions_back(lab: Lab) {
    let store = lab.open().await;
    follow(&store, "b", "one", Apply::IfNew).await;
    follow(&store, "a", "two", Apply::IfNew).await;
    assert_eq!(follow(&store, "b", "one", Apply::IfNew).await, Some("two by a".to_owned()));
    assert_eq!(follow(&store, "b", "one", Apply::Anyway).await, None);
    assert_eq!(applied(&store).await, "one");
    assert_eq!(follow(&store, "a", "two", Apply::IfNew).await, Some("one by b".to_owned()));
}

async fn a_container_that_lost_its_name_brings_no_definitions_back(lab: Lab) {
    let store = lab.open().await;
    follow(&store, "a", "one", Apply::IfNew).await;
    follow(&store, "b", "one", Apply::IfNew).await;
    follow(&store, "a", "two", Apply::IfNew).await;
    assert_eq!(follow(&store, "b again", "one", Apply::IfNew).await, Some("two by a".to_owned()));
    assert_eq!(follow(&store, "c", "three", Apply::IfNew).await, None, "no server has ever had these");
}

async fn of_servers_that_apply_at_once_one_is_the_last(lab: Lab) {
    let mut tasks = Vec::new();
    let first = lab.open().await;
    for number in 0..8 {
        let store = lab.join().await;
        tasks.push(tokio::spawn(async move {
            follow(&store, &format!("s{number}"), &format!("config {number}"), Apply::IfNew).await
        }));
    }
    for task in tasks {
        assert_eq!(task.await.unwrap(), None, "each of them was the last for a moment");
    }
    let mut same = 0;
    for number in 0..8 {
        let config = format!("config {number}");
        same += u32::from(follow(&first, &format!("s{number}"), &config, Apply::IfNew).await.is_none());
    }
    assert_eq!(same, 1);
}
