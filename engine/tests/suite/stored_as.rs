//! A directory that the snapshot has at another path, and backups that make no snapshot if nothing has changed.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use keepfast_engine::archive::{ArchiveOptions, ArchiveReport, ParentChoice, Source, estimate};
use keepfast_engine::fs::select::Patterns;
use keepfast_testkit::lab::archive_options;
use keepfast_testkit::{Ear, Lab, assert_same, tree};

fn stored_as(path: &str) -> impl Fn(&mut ArchiveOptions) {
    move |options| options.stored_as = Some(PathBuf::from(path))
}

#[track_caller]
fn back_up(lab: &Lab, from: &Path, change: impl FnOnce(&mut ArchiveOptions)) -> ArchiveReport {
    let ear = Ear::default();
    let report = lab.archive(Source::paths(&[from.to_owned()]), &ear, change).expect("the backup works");
    assert_eq!(ear.skipped(), Vec::<String>::new());
    report
}

/// Restores the newest snapshot; returns where this path is in the target.
#[track_caller]
fn restored(lab: &Lab, path: &str) -> PathBuf {
    let target = lab.fresh_target();
    let ear = Ear::default();
    lab.try_restore("latest", &ear, |options| options.target.clone_from(&target)).expect("the restore works");
    ear.assert_content();
    target.join(path.strip_prefix('/').expect("it is absolute"))
}

/// As with nightly snapshots of a file system, which are mounted at another path each night.
#[test]
fn a_directory_is_backed_up_under_another_path_with_its_parent() {
    let lab = Lab::new();
    let nights = [lab.path("night 1"), lab.path("night 2")];
    tree::small(&nights[0]);
    tree::settle(&nights[0]);
    let copied = std::process::Command::new("cp").arg("-a").args(&nights).status().expect("cp runs");
    assert!(copied.success());
    for (path, is_there) in [("/usr/share/data", true), ("/no such/directory/here", false), ("/", true)] {
        for (night, from) in nights.iter().enumerate() {
            let report = back_up(&lab, from, |options| {
                stored_as(path)(options);
                // A copy has other inode numbers than the original, unlike a file system's snapshot.
                (options.ignore_inode, options.ignore_ctime) = (true, true);
            });
            assert_eq!(report.parent.is_some(), night == 1, "{path}");
            assert_eq!(report.statistics.bytes_read == 0, night == 1, "{path}");
            let snapshot = report.snapshot.expect("one is made");
            assert_eq!(snapshot.body.paths, [path.as_bytes()]);
            let found = restored(&lab, path);
            if path == "/" {
                // A snapshot has no metadata of the root directory.
                let (seconds, nanos) = tree::mtime(from);
                tree::set_mtime(&found, seconds, nanos);
            }
            assert_same(from, &found);
            if path != "/" {
                let above = fs::metadata(found.parent().expect("there is one")).expect("it is there");
                let expected = if is_there {
                    fs::metadata("/usr/share").expect("it is there").mode() & 0o7777
                } else {
                    0o755
                };
                assert_eq!(above.mode() & 0o7777, expected);
            }
        }
    }
    lab.assert_sound();
}

#[test]
fn patterns_are_matched_with_the_paths_in_the_snapshot() {
    let lab = Lab::new();
    let from = lab.path("mounted here");
    for name in ["home/ann/cache/x", "home/ann/file", "home/ben/cache/x", "etc/file"] {
        tree::write(from.join(name), name);
    }
    let change = |options: &mut ArchiveOptions| {
        options.stored_as = Some(PathBuf::from("/"));
        options.exclude = Patterns::new(&["/home/ann/cache", "/mounted here"]).expect("they compile");
    };
    let report = back_up(&lab, &from, change);
    assert_eq!(report.statistics.files(), 3);
    let found = restored(&lab, "/");
    assert!(found.join("home/ben/cache/x").exists() && !found.join("home/ann/cache").exists());
    let ear = Ear::default();
    let mut options = archive_options();
    change(&mut options);
    estimate(std::slice::from_ref(&from), &options, &AtomicBool::new(false), &ear);
    assert_eq!(ear.counters().progress().files_expected, 3);
}

#[test]
fn only_one_directory_can_be_stored_as_a_path() {
    let lab = Lab::with(|root| drop(tree::write(root.join("file"), "x")));
    let (source, file) = (lab.source(), lab.source().join("file"));
    let try_it = |paths: &[PathBuf], path: &str| {
        lab.archive(Source::paths(paths), &Ear::default(), stored_as(path))
            .map(drop)
            .expect_err("it is refused")
    };
    let said = [
        try_it(&[source.clone(), file.clone()], "/x").to_string(),
        try_it(&[file], "/x").to_string(),
        try_it(&[source.join("none")], "/x").to_string(),
        try_it(std::slice::from_ref(&source), "x").to_string(),
        try_it(&[source], "/x/../y").to_string(),
    ];
    let parts = ["one directory", "Not a directory", "No such file", "absolute path", "absolute path"];
    for (said, part) in said.iter().zip(parts) {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(lab.open().snapshots.all.len(), 0);
}

fn skip(options: &mut ArchiveOptions) {
    options.skip_if_unchanged = true;
}

#[test]
fn without_a_change_there_is_no_snapshot() {
    let lab = Lab::with(tree::small);
    let file = tree::write(lab.source().join("linked"), "content");
    fs::hard_link(&file, lab.source().join("linked too")).expect("it can be made");
    tree::settle(&lab.source());
    let count = || lab.open().snapshots.all.len();
    assert!(lab.backup_with(skip).snapshot.is_some(), "there was nothing to compare with");
    let mut expected = 1;
    let unchanged = |expected: usize| {
        let report = lab.backup_with(skip);
        assert!(report.is_unchanged && report.snapshot.is_none());
        assert_eq!(count(), expected);
    };
    unchanged(expected);
    // Something next to the source is no part of it.
    let beside = lab.source().parent().expect("there is one").join("beside");
    tree::write(&beside, "x");
    unchanged(expected);
    // A file that was changed and changed back is read, and is the same.
    tree::set_mtime(&file, 1_000_000, 0);
    assert!(!lab.backup_with(skip).is_unchanged);
    expected += 1;
    fs::write(&file, "content").expect("it can be written");
    tree::set_mtime(&file, 1_000_000, 0);
    unchanged(expected);
    let changes: [&dyn Fn(); 6] = [
        &|| drop(tree::write(lab.source().join("new"), "")),
        &|| fs::remove_file(lab.source().join("new")).expect("it can be removed"),
        &|| {
            let open = fs::Permissions::from_mode(0o640);
            fs::set_permissions(&file, open).expect("it is ours");
        },
        // Two files with the same content aren't one file with two names.
        &|| {
            let (name, new) = (lab.source().join("linked too"), lab.source().join("aside"));
            let above = tree::mtime(lab.source());
            fs::copy(&name, &new).expect("it can be copied");
            fs::rename(&new, &name).expect("it can be renamed");
            tree::set_mtime(&name, 1_000_000, 0);
            tree::set_mtime(lab.source(), above.0, above.1);
        },
        &|| fs::create_dir(lab.source().join("folder")).expect("it can be made"),
        &|| tree::set_mtime(lab.source(), 2_000_000, 0),
    ];
    for (number, change) in changes.iter().enumerate() {
        change();
        assert!(!lab.backup_with(skip).is_unchanged, "change {number}");
        expected += 1;
        unchanged(expected);
    }
    // Other labels are a change.
    let labelled = lab.backup_with(|options| {
        skip(options);
        options.tags = vec!["yearly".to_owned()];
    });
    assert!(labelled.snapshot.is_some());
    let alone = lab.backup_with(|options| {
        skip(options);
        options.parent = ParentChoice::None;
    });
    assert!(alone.snapshot.is_some());
    lab.prune();
    lab.assert_sound();
}

#[test]
fn a_file_that_was_named_and_is_gone_is_a_change() {
    let lab = Lab::with(|root| drop(tree::write(root.join("file"), "x")));
    tree::settle(&lab.source());
    let paths = [lab.source().join("file")];
    let back_up = || lab.archive(Source::paths(&paths), &Ear::default(), skip).expect("the backup works");
    assert!(!back_up().is_unchanged);
    assert!(back_up().is_unchanged);
    fs::remove_file(&paths[0]).expect("it can be removed");
    assert!(!back_up().is_unchanged);
    assert!(back_up().is_unchanged);
}
