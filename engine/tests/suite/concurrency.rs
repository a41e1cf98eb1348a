//! Many writers in one repository at the same time, without locks.

use std::sync::{Arc, Barrier};
use std::thread;

use keepfast_backend::{Backend, LocalBackend, MemoryBackend};
use keepfast_engine::archive::Source;
use keepfast_testkit::{Ear, Lab, assert_same, tree};

const WRITERS: u64 = 8;

fn back_up_all_at_once(backend: Arc<dyn Backend>) {
    let mut lab = Lab::on(backend);
    for writer in 0..WRITERS {
        let root = lab.source().join(writer.to_string());
        tree::write(root.join("own.bin"), tree::noise(writer, 700_000));
        // Four writers each have the same of these, so that they race to store them.
        for shared in 0..6 {
            tree::write(
                root.join(format!("shared {shared}")),
                tree::noise(100 + shared + writer % 2, 400_000),
            );
        }
    }
    let start = Barrier::new(usize::try_from(WRITERS).expect("they are few"));
    let caches = lab.path("caches");
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (start, lab, caches) = (&start, &lab, &caches);
            scope.spawn(move || {
                let cache = caches.join(writer.to_string());
                let ear = Ear::default();
                start.wait();
                lab.archive_with_cache(
                    &cache,
                    Source::paths(&[lab.source().join(writer.to_string())]),
                    &ear,
                    |options| options.host = format!("host {writer}"),
                )
                .expect("the backup works");
                ear.assert_content();
            });
        }
    });
    let opened = lab.open();
    assert_eq!(opened.snapshots.all.len() as u64, WRITERS);
    for stored in &opened.snapshots.all {
        let host = &stored.snapshot.body.host;
        let writer = host.strip_prefix("host ").expect("it is one of ours");
        let target = lab.fresh_target();
        opened
            .restore(&stored.snapshot, &Ear::default(), |options| options.target.clone_from(&target))
            .expect("the restore works");
        assert_same(&lab.source().join(writer), &lab.restored_source(&target).join(writer));
    }
    drop(opened);
    lab.assert_sound();
    // Every cache has seen only a part of it, and catches up.
    for writer in 0..WRITERS {
        lab.cache = caches.join(writer.to_string());
        lab.assert_sound();
    }
    // The next backup of all finds everything there, whichever run stored it.
    assert_eq!(lab.backup().statistics.bytes_new, 0);
}

#[test]
fn many_writers_at_once_all_commit_whole_snapshots_in_memory() {
    back_up_all_at_once(Arc::new(MemoryBackend::default()));
}

#[test]
fn many_writers_at_once_all_commit_whole_snapshots_in_a_directory() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    back_up_all_at_once(Arc::new(LocalBackend::new(folder.path().join("repository"))));
}

#[test]
fn a_restore_and_a_check_run_while_others_back_up() {
    let lab = Lab::with(tree::small);
    lab.backup();
    let first = lab.restore("latest");
    let id = lab.open().snapshots.all[0].snapshot.head.id.to_string();
    thread::scope(|scope| {
        for writer in 0..3 {
            let lab = &lab;
            scope.spawn(move || {
                for round in 0..4 {
                    let root = lab.path(&format!("files of {writer}"));
                    tree::write(root.join(round.to_string()), tree::noise(writer * 10 + round, 200_000));
                    let cache = lab.path(&format!("cache of {writer}"));
                    lab.archive_with_cache(&cache, Source::paths(&[root]), &Ear::default(), |_| {})
                        .expect("it works");
                }
            });
        }
        let (lab, id, first) = (&lab, &id, &first);
        scope.spawn(move || {
            for _ in 0..4 {
                assert_same(first, &lab.restore(id));
                lab.assert_sound();
            }
        });
    });
    assert_eq!(lab.open().snapshots.all.len(), 13);
    lab.assert_sound();
}
