//! What goes wrong is told: which object, which file, and what to do.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use keepfast_backend::{LocalBackend, MemoryBackend};
use keepfast_engine::EngineError;
use keepfast_engine::archive::Source;
use keepfast_engine::repo::Repository;
use keepfast_engine::restore::Overwrite;
use keepfast_engine::run::Event;
use keepfast_testkit::lab::{PASSWORD, init_options};
use keepfast_testkit::{Disk, Ear, Lab, assert_same, store, tree};

#[test]
fn a_wrong_password_is_called_so() {
    let lab = Lab::new();
    let error = Repository::open(Arc::clone(&lab.backend), b"guess").err().expect("it doesn't open");
    assert!(matches!(error, EngineError::WrongPassword { .. }), "{error}");
}

#[test]
fn a_place_without_a_repository_is_called_so() {
    let lab = Lab::new();
    let nowhere = Arc::new(LocalBackend::new(lab.path("nowhere")));
    let error = Repository::open(nowhere, PASSWORD).err().expect("it doesn't open");
    assert!(matches!(error, EngineError::NoRepository { .. }), "{error}");
    assert!(!lab.path("nowhere").exists(), "looking makes nothing");
}

#[test]
fn init_over_a_repository_is_refused_and_changes_nothing() {
    let lab = Lab::with(tree::small);
    lab.backup();
    let before = store::names(&*lab.backend, "");
    let error =
        Repository::init(Arc::clone(&lab.backend), b"other", &init_options()).err().expect("it is refused");
    assert!(matches!(error, EngineError::RepositoryExists { .. }), "{error}");
    assert_eq!(store::names(&*lab.backend, ""), before);
}

/// A user that has lost a config must not be told to clear the place and begin again.
#[test]
fn init_over_backups_whose_config_is_lost_is_refused_as_damage() {
    let lab = Lab::with(tree::small);
    lab.backup();
    lab.backend.remove("config/00000000").expect("it can be removed");
    let init = Repository::init(Arc::clone(&lab.backend), PASSWORD, &init_options()).err();
    let open = Repository::open(Arc::clone(&lab.backend), PASSWORD).err();
    for error in [init, open] {
        let error = error.expect("it is refused");
        assert!(
            matches!(&error, EngineError::Missing { object, .. } if object == "config/00000000"),
            "{error}"
        );
    }
}

#[test]
fn a_path_that_was_asked_for_and_is_not_there_is_skipped_and_counted() {
    let lab = Lab::with(tree::small);
    let missing = lab.source().join("no such thing");
    let ear = Ear::default();
    let paths = [lab.source().join("a.txt"), missing.clone()];
    let report = lab.archive(Source::paths(&paths), &ear, |_| {}).expect("the rest is backed up");
    assert_eq!(report.statistics.skipped, 1);
    assert!(
        matches!(&ear.heard()[..], [Event::Skipped { path, .. }] if *path == missing),
        "{:?}",
        ear.heard()
    );
    let restored = lab.restore("latest");
    assert_eq!(fs::read(restored.join("a.txt")).expect("it is restored"), b"one\n");
}

/// Entries that change between being looked at and being opened. The hook runs when the
/// last file is counted; with one thread, directories are opened after it.
fn race(change: impl Fn(&Path) + Send + Sync + 'static) -> (Lab, Vec<Event>) {
    let lab = Lab::with(|root| {
        tree::write(root.join("last.txt"), "last");
        tree::write(root.join("folder/secret.txt"), "not what was asked for");
        tree::write(root.join("outside/secret.txt"), "elsewhere");
        tree::settle(root);
    });
    let root = lab.source();
    let once = std::sync::Once::new();
    let ear = Ear::with_hook(move |_| once.call_once(|| change(&root)));
    lab.archive(Source::paths(&[lab.source()]), &ear.run().with_threads(1), |_| {})
        .expect("the backup works");
    let heard = ear.heard();
    (lab, heard)
}

#[test]
fn a_directory_replaced_by_a_link_while_backing_up_is_not_followed() {
    let (lab, heard) = race(|root| {
        fs::remove_dir_all(root.join("folder")).expect("it can be removed");
        std::os::unix::fs::symlink("outside", root.join("folder")).expect("it can be made");
    });
    assert!(
        matches!(&heard[..], [Event::Skipped { path, why }] if path.ends_with("folder") && why.contains("replaced")),
        "{heard:?}"
    );
    assert!(!lab.restore("latest").join("folder").exists());
    lab.assert_sound();
}

#[test]
fn a_directory_that_vanishes_while_backing_up_is_no_error() {
    let (lab, heard) = race(|root| fs::remove_dir_all(root.join("folder")).expect("it can be removed"));
    assert!(matches!(&heard[..], [Event::Gone { path }] if path.ends_with("folder")), "{heard:?}");
    lab.assert_sound();
}

/// A file that becomes shorter while it is read ends where it ended, whatever holes it has.
#[test]
fn a_file_that_shrinks_while_it_is_read_leaves_a_sound_snapshot() {
    for extents in [0_u64, 8, 80] {
        let lab = Lab::new();
        let path = lab.source().join("shrinking");
        if extents == 0 {
            tree::write(&path, tree::noise(1, 20 << 20));
        } else {
            let length = (16_u64 << 20).div_ceil(extents);
            let list: Vec<(u64, u64)> = (0..extents).map(|number| (number * 2 * length, length)).collect();
            tree::write_sparse(&path, extents * 2 * length, &list);
        }
        let once = std::sync::Once::new();
        let ear = Ear::with_hook(move |counters| {
            if counters.progress().bytes > 1 << 20 {
                once.call_once(|| {
                    let file = fs::File::options().write(true).open(&path).expect("it opens");
                    file.set_len(5 << 20).expect("it can be cut");
                });
            }
        });
        let report = lab
            .archive(Source::paths(&[lab.source()]), &ear.run().with_threads(1), |_| {})
            .expect("it works");
        assert_eq!(report.changed_while_read, 1, "{:?}", ear.heard());
        lab.assert_sound();
        drop(lab.restore("latest"));
        // And the next backup sees what it has become.
        lab.assert_round_trip();
    }
}

#[test]
fn a_target_that_is_not_empty_is_refused() {
    let lab = Lab::with(tree::small);
    lab.backup();
    let target = lab.fresh_target();
    tree::write(target.join("mine"), "precious");
    let error = lab
        .try_restore("latest", &Ear::default(), |options| options.target.clone_from(&target))
        .expect_err("it is refused");
    assert!(error.to_string().contains("isn't empty"), "{error}");
    assert_eq!(fs::read_dir(&target).expect("it is there").count(), 1);
}

#[test]
fn a_snapshot_that_is_not_there_is_told() {
    let lab = Lab::with(tree::small);
    for which in ["latest", "latest~1", "abcdef", ""] {
        let error = lab.try_restore(which, &Ear::default(), |_| {}).expect_err("there is none");
        assert!(matches!(error, EngineError::Choice(_)), "{error}");
    }
}

#[test]
fn a_target_that_fills_up_ends_the_restore_with_the_file_s_name() {
    let lab = Lab::with(|root| drop(tree::write(root.join("too big"), tree::noise(1, 5 << 20))));
    lab.backup();
    let Some(disk) = Disk::mount(lab.path("small"), "size=2m") else { return };
    let error = lab
        .try_restore("latest", &Ear::default(), |options| options.target = disk.path().to_owned())
        .expect_err("it doesn't fit");
    let EngineError::File { path, source } = &error else { panic!("{error}") };
    assert!(path.ends_with("too big"), "{error}");
    assert_eq!(source.kind(), std::io::ErrorKind::StorageFull);
}

#[test]
fn a_repository_on_a_disk_that_fills_up_stays_sound() {
    let lab = Lab::new();
    let Some(disk) = Disk::mount(lab.path("small"), "size=2m") else { return };
    let mut lab = Lab::on(Arc::new(LocalBackend::new(disk.path().join("repository"))));
    tree::small(&lab.source());
    lab.backup();
    tree::write(lab.source().join("too big"), tree::noise(1, 9 << 20));
    let error = lab.try_backup(&Ear::default()).expect_err("it doesn't fit");
    assert!(error.to_string().contains("free some space"), "{error}");
    fs::remove_file(lab.source().join("too big")).expect("it can be removed");
    lab.assert_sound();
    // The user frees space by taking the repository elsewhere.
    let elsewhere = Arc::new(MemoryBackend::default());
    store::copy(&*lab.backend, &*elsewhere);
    lab.backend = elsewhere;
    lab.assert_round_trip();
}

#[test]
fn a_hostile_link_in_the_target_is_not_followed() {
    for overwrite in [Overwrite::Always, Overwrite::IfChanged, Overwrite::Never] {
        let lab = Lab::with(tree::small);
        lab.backup();
        let target = lab.fresh_target();
        let victim = lab.path("victim");
        tree::write(victim.join("a.txt"), "precious");
        fs::create_dir_all(&target).expect("it can be made");
        std::os::unix::fs::symlink(&victim, target.join("dir")).expect("it can be made");
        std::os::unix::fs::symlink(victim.join("a.txt"), target.join("a.txt")).expect("it can be made");
        let before = keepfast_testkit::describe(&victim);
        let folder = lab.in_snapshot("");
        lab.try_restore("latest", &Ear::default(), |options| {
            options.target.clone_from(&target);
            options.folder.clone_from(&folder);
            options.overwrite = overwrite;
            options.verify = false;
        })
        .expect("the rest is restored");
        keepfast_testkit::compare::assert_described(&before, &keepfast_testkit::describe(&victim));
        if overwrite == Overwrite::Always {
            assert_same(&lab.source().join("dir"), &target.join("dir"));
            assert!(fs::symlink_metadata(target.join("a.txt")).expect("it is there").is_file());
        }
    }
}
