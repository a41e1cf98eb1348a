//! A domain gets another version of its keys: what is there stays readable, what is new goes under the
//! new ones, and neither is taken for the other.

use std::sync::Arc;

use keepfast_backend::MemoryBackend;
use keepfast_engine::archive::ParentChoice;
use keepfast_engine::dump::dump;
use keepfast_engine::forget::{UndeleteOptions, undelete};
use keepfast_engine::list::list;
use keepfast_engine::repo::{SnapshotFilter, Snapshots};
use keepfast_format::keys::Role;
use keepfast_testkit::{Crafter, Ear, Lab, Opened, assert_same, store, tree};

/// A repository with a backup under the first version of its keys, which has a second one now.
fn rotated() -> (Lab, Crafter) {
    let lab = Lab::on(Arc::new(MemoryBackend::default()));
    tree::small(&lab.source());
    tree::write(lab.source().join("several frames"), tree::noise(21, 3 << 20));
    lab.backup();
    let mut crafter = Crafter::of(&lab);
    crafter.rotate();
    (lab, crafter)
}

/// The key versions of all snapshots that count, the oldest first.
fn versions(snapshots: &Snapshots) -> Vec<u32> {
    snapshots.all.iter().map(|stored| stored.snapshot.head.key.version).collect()
}

#[test]
fn what_was_backed_up_before_restores_and_what_comes_after_goes_under_the_new_keys() {
    let (lab, _) = rotated();
    lab.assert_sound();
    assert_same(&lab.source(), &lab.restore("latest"));

    let ear = Ear::default();
    let report = lab.try_backup(&ear).expect("the backup works");
    let heard = format!("{:?}", ear.heard());
    assert!(heard.contains("keys have changed"), "{heard}");
    assert_eq!((report.parent, report.statistics.files_unchanged), (None, 0));
    let opened = lab.open();
    let first = &opened.snapshots.all[0].snapshot.body.statistics;
    assert_eq!(report.statistics.bytes_new, first.bytes_new, "nothing of the first is referred to");
    assert_eq!(versions(&opened.snapshots), [1, 2]);
    drop(opened);
    lab.assert_sound();
    for which in ["latest", "latest~1"] {
        assert_same(&lab.source(), &lab.restore(which));
    }

    let report = lab.backup();
    assert_eq!(report.statistics.bytes_new, 0, "the same under the same keys is known");
    assert!(report.parent.is_some() && report.statistics.files_unchanged > 0);
}

#[test]
fn a_parent_under_earlier_keys_is_not_compared_with_even_if_it_is_named() {
    let (lab, _) = rotated();
    let oldest = lab.open().snapshots.all[0].snapshot.head.id.to_string();
    for _ in 0..2 {
        let named = ParentChoice::Named(oldest.clone());
        let report = lab.backup_with(|options| options.parent = named);
        assert_eq!((report.parent, report.statistics.files_unchanged), (None, 0));
    }
    lab.assert_sound();
    assert_same(&lab.source(), &lab.restore("latest"));
}

#[test]
fn files_under_earlier_keys_are_listed_and_dumped() {
    let (lab, _) = rotated();
    lab.backup();
    let Opened { repository, index, snapshots } = lab.open();
    for stored in &snapshots.all {
        let mut out = Vec::new();
        let path = lab.in_snapshot("several frames");
        dump(&repository, &index, &stored.snapshot, &path, &mut out, &Ear::default()).expect("it is dumped");
        assert_eq!(out, tree::noise(21, 3 << 20));
        let mut names = 0;
        list(&repository, &index, &stored.snapshot, b"/", true, &Ear::default(), &mut |_, _| {
            names += 1;
            Ok(())
        })
        .expect("it is listed");
        assert!(names > 5);
    }
}

#[test]
fn an_index_is_rebuilt_from_packs_of_several_key_versions() {
    let (mut lab, _) = rotated();
    lab.backup();
    for name in store::names(&*lab.backend, "index/") {
        lab.backend.remove(&name).expect("it can be removed");
    }
    lab.cache = lab.path("a new cache");
    for which in ["latest", "latest~1"] {
        assert_same(&lab.source(), &lab.restore(which));
    }
}

/// What is needed of a pack moves into one under the same keys: its chunks' ids are those of its keys.
#[test]
fn a_prune_rewrites_each_pack_under_its_own_keys() {
    let (mut lab, mut crafter) = rotated();
    let first = lab.restore("latest");
    // Another snapshot under each version that needs a part of what is there.
    let large = lab.source().join("several frames");
    let whole = tree::noise(21, 3 << 20);
    lab.backup();
    tree::write(&large, &whole[..1 << 20]);
    lab.backup();
    crafter.rotate();
    lab.backup();
    tree::write(&large, tree::noise(22, 1 << 20));
    lab.backup();
    assert_eq!(versions(&lab.open().snapshots), [1, 2, 2, 3, 3]);
    lab.forget(&["latest~3", "latest~1"]);
    let report = lab.prune();
    assert!(report.packs_rewritten > 0, "{report:?}");
    assert_eq!(versions(&lab.open().snapshots), [1, 2, 3]);
    for cache in [lab.cache.clone(), lab.path("a new cache")] {
        lab.cache = cache;
        lab.assert_sound();
        assert_same(&lab.source(), &lab.restore("latest"));
        assert_same(&first, &lab.restore("latest~2"));
    }
    let again = lab.prune();
    assert_eq!((again.packs_rewritten, again.packs_removed), (0, 0), "{again:?}");

    lab.forget(&["latest~2", "latest~1"]);
    lab.prune();
    lab.assert_sound();
    assert_same(&lab.source(), &lab.restore("latest"));
}

#[test]
fn a_snapshot_that_is_brought_back_stays_under_its_own_keys() {
    let (lab, _) = rotated();
    let first = lab.restore("latest");
    tree::write(lab.source().join("more"), "more");
    lab.backup();
    lab.forget(&["latest~1"]);
    let opened = lab.open();
    let options = UndeleteOptions { program: "testkit".to_owned() };
    let forgotten = &opened.snapshots.forgotten[0];
    undelete(&opened.repository, &opened.index, &opened.snapshots, forgotten, &options, &Ear::default())
        .expect("nothing of it is gone");
    drop(opened);
    assert_eq!(versions(&lab.open().snapshots), [1, 2]);
    lab.prune();
    lab.assert_sound();
    assert_same(&first, &lab.restore("latest~1"));
    assert_same(&lab.source(), &lab.restore("latest"));
    // It is no parent: the newest under the current keys is.
    assert_eq!(lab.backup().statistics.bytes_new, 0);
    let newest = lab.open();
    let found = newest.snapshots.find("latest", &SnapshotFilter::default()).expect("it is there");
    assert_eq!(found.snapshot.head.key.version, 2);
}

/// A writer has no key that opens packs, of no version: it writes under the newest.
#[test]
fn a_writer_goes_on_under_the_new_keys() {
    let mut lab = Lab::on(Arc::new(MemoryBackend::default()));
    tree::small(&lab.source());
    let mut crafter = Crafter::of(&lab);
    crafter.enrol(Role::Writer, b"writer");
    let owner = std::mem::replace(&mut lab.password, b"writer".to_vec());
    lab.backup();
    crafter.rotate();
    lab.try_backup(&Ear::default()).expect("the backup works");
    lab.password = owner;
    lab.cache = lab.path("the owner's cache");
    assert_eq!(versions(&lab.open().snapshots), [1, 2]);
    lab.assert_sound();
    for which in ["latest", "latest~1"] {
        assert_same(&lab.source(), &lab.restore(which));
    }
}
