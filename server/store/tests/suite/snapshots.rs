//! The catalogue of snapshots: pages, filters, search.

use keepfast_store::{
    HostId, PageSize, PlanId, Proof, ProofKind, RepositoryId, Snapshot, SnapshotFilter, SnapshotId, Store,
    Tag, VerdictKind,
};

use crate::lab::{Lab, at, on_both};

on_both! {
    snapshots_are_listed_by_pages_the_newest_first;
    snapshots_are_found_by_what_they_have;
    what_was_shown_of_a_snapshot_stays;
    snapshots_that_are_gone_are_found_no_more;
    protected_snapshots_are_found;
}

fn snapshot(number: i64) -> Snapshot {
    Snapshot {
        repository: RepositoryId::new(format!("repository {}", number % 2)).unwrap(),
        id: SnapshotId::new(format!("{number:04x}")).unwrap(),
        // Three at each moment.
        time: at(number / 3),
        host: HostId::new(format!("web-{}.example.org", number % 3)).unwrap(),
        plan: (number % 5 != 0).then(|| PlanId::new(format!("plan {}", number % 5)).unwrap()),
        tags: (number % 7 == 0).then(|| Tag::new("before Upgrade").unwrap()).into_iter().collect(),
        files: 10,
        size_bytes: 1 << 40,
        new_bytes: 4096,
        clean: number % 2 == 0,
        checked: None,
        protected: false,
        drilled: None,
    }
}

async fn store_many(store: &Store, count: i64) {
    store.store_snapshots(&(0..count).map(snapshot).collect::<Vec<_>>()).await.unwrap();
}

/// All that a filter lets through, by small pages.
async fn list(store: &Store, filter: &SnapshotFilter) -> Vec<Snapshot> {
    let mut all = Vec::new();
    let mut before = None;
    loop {
        let page = store.snapshots(filter, before.as_ref(), PageSize::at_most(4)).await.unwrap();
        all.extend(page.rows);
        let Some(next) = page.next else { return all };
        before = Some(next);
    }
}

async fn snapshots_are_listed_by_pages_the_newest_first(lab: Lab) {
    let store = lab.open().await;
    store_many(&store, 50).await;
    let all = list(&store, &SnapshotFilter::default()).await;
    let mut expected: Vec<Snapshot> = (0..50).map(snapshot).collect();
    let key = |snapshot: &Snapshot| (snapshot.time, snapshot.repository.clone(), snapshot.id.clone());
    expected.sort_by_key(key);
    expected.reverse();
    assert_eq!(all, expected);
}

async fn snapshots_are_found_by_what_they_have(lab: Lab) {
    let store = lab.open().await;
    store_many(&store, 100).await;
    let all = SnapshotFilter::default;
    let (repository, host) =
        (RepositoryId::new("repository 1").unwrap(), HostId::new("web-2.example.org").unwrap());
    let plan = PlanId::new("plan 3").unwrap();
    let tag = Tag::new("before Upgrade").unwrap();
    let search = |text: &str| SnapshotFilter { search: text.to_owned(), ..all() };
    let has_word = |snapshot: &Snapshot, word: &str| {
        let names = [snapshot.host.as_str(), snapshot.plan.as_ref().map_or("", PlanId::as_str)];
        let tags = snapshot.tags.iter().map(Tag::as_str);
        names.into_iter().chain(tags).any(|name| {
            name.to_lowercase().split(|sign: char| !sign.is_alphanumeric()).any(|other| other == word)
        })
    };
    let cases: Vec<(SnapshotFilter, Box<dyn Fn(&Snapshot) -> bool>)> = vec![
        (SnapshotFilter { repository: Some(repository.clone()), ..all() }, {
            let repository = repository.clone();
            Box::new(move |s| s.repository == repository)
        }),
        (SnapshotFilter { host: Some(host.clone()), ..all() }, Box::new(move |s| s.host == host)),
        (
            SnapshotFilter { plan: Some(plan.clone()), ..all() },
            Box::new(move |s| s.plan.as_ref() == Some(&plan)),
        ),
        (SnapshotFilter { tags: vec![tag.clone()], ..all() }, {
            let tag = tag.clone();
            Box::new(move |s| s.tags.contains(&tag))
        }),
        (search("UPGRADE"), Box::new(move |s| has_word(s, "upgrade"))),
        (search("web 2 plan"), {
            Box::new(move |s| ["web", "2", "plan"].iter().all(|word| has_word(s, word)))
        }),
        (search("upgrad"), Box::new(|_| false)),
        (
            SnapshotFilter { repository: Some(repository.clone()), tags: vec![tag.clone()], ..search("org") },
            Box::new(move |s| s.repository == repository && s.tags.contains(&tag)),
        ),
        (
            SnapshotFilter { from: Some(at(10)), until: Some(at(20)), ..all() },
            Box::new(|s| s.time >= at(10) && s.time < at(20)),
        ),
        (
            SnapshotFilter { from: Some(at(10)), until: Some(at(20)), ..search("web") },
            Box::new(|s| s.time >= at(10) && s.time < at(20)),
        ),
        (search("'; DROP TABLE snapshot; --"), Box::new(|_| false)),
    ];
    for (filter, expected) in cases {
        let mut found: Vec<_> = list(&store, &filter).await.into_iter().map(|s| s.id).collect();
        found.sort();
        let expected: Vec<_> = (0..100).map(snapshot).filter(|s| expected(s)).map(|s| s.id).collect();
        assert_eq!(found, expected, "{filter:?}");
    }
    let by_prefix = store.snapshots_by_prefix("002", PageSize::MAX).await.unwrap();
    assert_eq!(by_prefix.iter().map(|s| s.id.as_str()).collect::<Vec<_>>()[..2], ["0020", "0021"]);
    assert_eq!(by_prefix.len(), 16);
}

async fn what_was_shown_of_a_snapshot_stays(lab: Lab) {
    let store = lab.open().await;
    store_many(&store, 3).await;
    let one = snapshot(1);
    let proof = Proof { verdict: VerdictKind::Ok, at: at(500) };
    assert!(store.store_proof(&one.repository, &one.id, ProofKind::Drill, proof).await.unwrap());
    let unknown = SnapshotId::new("ffff").unwrap();
    assert!(!store.store_proof(&one.repository, &unknown, ProofKind::Check, proof).await.unwrap());
    // The repository was listed again, and its tags have changed.
    let changed = Snapshot { tags: vec![Tag::new("kept").unwrap()], ..one.clone() };
    store.store_snapshots(std::slice::from_ref(&changed)).await.unwrap();
    let filter = SnapshotFilter { tags: changed.tags.clone(), ..SnapshotFilter::default() };
    let found = list(&store, &filter).await;
    assert_eq!(found, [Snapshot { drilled: Some(proof), ..changed }]);
}

async fn snapshots_that_are_gone_are_found_no_more(lab: Lab) {
    let store = lab.open().await;
    store_many(&store, 10).await;
    let repository = RepositoryId::new("repository 1").unwrap();
    let ids = async |size| -> Vec<SnapshotId> {
        let ids = store.snapshot_ids(&repository, None, size).await.unwrap();
        ids.into_iter().map(|(id, _)| id).collect()
    };
    let first = ids(PageSize::at_most(3)).await;
    assert_eq!(first.iter().map(SnapshotId::as_str).collect::<Vec<_>>(), ["0001", "0003", "0005"]);
    store.remove_snapshots(&repository, &first).await.unwrap();
    let rest = ids(PageSize::MAX).await;
    assert_eq!(rest.iter().map(SnapshotId::as_str).collect::<Vec<_>>(), ["0007", "0009"]);
    let filter = SnapshotFilter { search: "web".to_owned(), ..SnapshotFilter::default() };
    assert_eq!(list(&store, &filter).await.len(), 7);
}

async fn protected_snapshots_are_found(lab: Lab) {
    let store = lab.open().await;
    store_many(&store, 10).await;
    let repository = RepositoryId::new("repository 1").unwrap();
    let ids = ["0003", "0007"].map(|id| SnapshotId::new(id).unwrap());
    let found = async |protected| {
        let filter = SnapshotFilter { protected: Some(protected), ..SnapshotFilter::default() };
        list(&store, &filter).await.into_iter().map(|row| row.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(found(true).await, Vec::<String>::new());
    store.set_protected(&repository, &ids, true).await.unwrap();
    assert_eq!(found(true).await, ["0007", "0003"]);
    assert_eq!(found(false).await.len(), 8);
    let search =
        SnapshotFilter { protected: Some(true), search: "web".to_owned(), ..SnapshotFilter::default() };
    assert_eq!(list(&store, &search).await.len(), 2);
    let known = store.snapshot_ids(&repository, None, PageSize::MAX).await.unwrap();
    assert_eq!(
        known.iter().map(|(_, protected)| *protected).collect::<Vec<_>>(),
        [false, true, false, true, false]
    );
    store.set_protected(&repository, &ids[..1], false).await.unwrap();
    assert_eq!(found(true).await, ["0007"]);
}
