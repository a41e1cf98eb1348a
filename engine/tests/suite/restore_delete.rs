//! What `delete` removes from a target, and what it leaves.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use keepfast_engine::EngineError;
use keepfast_engine::fs::select::Patterns;
use keepfast_engine::restore::{Overwrite, RestoreOptions, RestoreReport};
use keepfast_engine::run::Event;
use keepfast_testkit::{Ear, Lab, assert_same, tree};

/// A laboratory, and a target that its snapshot was restored into.
fn restored() -> (Lab, PathBuf) {
    let lab = Lab::with(tree::small);
    lab.backup();
    let target = lab.fresh_target();
    lab.try_restore("latest", &Ear::default(), |options| options.target.clone_from(&target))
        .expect("it works");
    (lab, target)
}

fn delete(lab: &Lab, target: &Path, ear: &Ear, change: impl FnOnce(&mut RestoreOptions)) -> RestoreReport {
    lab.try_restore("latest", ear, |options| {
        options.target = target.to_owned();
        options.overwrite = Overwrite::IfChanged;
        options.delete = true;
        options.verify = false;
        change(options);
    })
    .expect("the restore works")
}

/// A mounted file system, unmounted in the end.
struct Mounted(PathBuf);

impl Mounted {
    fn new(at: PathBuf, arguments: &[&str]) -> Option<Self> {
        fs::create_dir_all(&at).expect("it can be made");
        let mounted = Command::new("mount").args(arguments).arg(&at).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(at));
        }
        eprintln!("skipped: this user can't mount a file system");
        None
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// Directories that only lead to what was backed up have entries that the snapshot knows nothing of.
#[test]
fn beside_what_was_backed_up_nothing_is_removed() {
    let (lab, target) = restored();
    let here = lab.restored_source(&target);
    let bob = tree::write(target.join("bob/letters"), "bob's");
    let sibling = tree::write(here.with_file_name("sibling").join("file"), "a sibling's");
    tree::write(here.join("dir/own/below/file"), "not in the snapshot");
    let ear = Ear::default();
    let report = delete(&lab, &target, &ear, |_| {});
    ear.assert_content();
    assert!(bob.exists() && sibling.exists());
    assert_eq!(report.deleted, 3, "a file and two directories");
    assert_same(&lab.source(), &here);
}

#[test]
fn a_file_system_that_is_mounted_in_the_target_is_left_as_it_is() {
    let (lab, target) = restored();
    let here = lab.restored_source(&target);
    let elsewhere = tree::write(lab.path("elsewhere/precious"), "on the same file system");
    let bound =
        [&["--bind"], &[elsewhere.parent().and_then(Path::to_str).expect("it is plain")][..]].concat();
    let tmpfs = ["-t", "tmpfs", "tmpfs"];
    // One in a directory that goes, one in the place of one of the snapshot's, one of the same device.
    let Some(inside) = Mounted::new(here.join("goes/but not/mounted"), &tmpfs) else { return };
    let Some(instead) = Mounted::new(here.join("dir/nothing in it"), &tmpfs) else { return };
    let Some(same) = Mounted::new(here.join("dir/bound"), &bound) else { return };
    let kept = [&inside.0, &instead.0].map(|disk| tree::write(disk.join("below/file"), "elsewhere"));
    let gone = tree::write(here.join("goes/file"), "goes");
    let ear = Ear::default();
    let report = delete(&lab, &target, &ear, |_| {});
    assert!(kept.iter().chain([&elsewhere]).all(|file| file.exists()), "{kept:?}");
    assert!(!gone.exists());
    assert_eq!((report.deleted, report.troubles.skipped), (1, 3), "{:?}", ear.heard());
    let skipped = ear.skipped();
    for disk in [&inside.0, &instead.0, &same.0] {
        let named = format!("{}: it is on another file system", disk.display());
        assert!(skipped.iter().any(|line| line.starts_with(&named)), "{named}: {skipped:?}");
    }
}

/// A dry run, so that the test does no harm where the refusal fails.
#[test]
fn nothing_is_removed_from_the_root_for_a_whole_snapshot() {
    let (lab, _) = restored();
    let removes = |change: &dyn Fn(&mut RestoreOptions)| {
        lab.try_restore("latest", &Ear::default(), |options| {
            options.target = PathBuf::from("/../.");
            options.overwrite = Overwrite::IfChanged;
            options.delete = true;
            options.dry_run = true;
            change(options);
        })
    };
    let error = removes(&|_| {}).expect_err("it is refused");
    assert!(matches!(&error, EngineError::DeletesFromTop), "{error}");
    removes(&|options| options.paths = vec![lab.in_snapshot("dir")]).expect("a path was chosen");
}

#[test]
fn a_dry_run_names_what_would_be_removed_and_removes_nothing() {
    let (lab, target) = restored();
    let here = lab.restored_source(&target);
    tree::write(here.join("dir/own/below/file"), "not in the snapshot");
    tree::write(here.join("one more"), "not in the snapshot");
    tree::write(target.join("bob"), "bob's");
    let before = keepfast_testkit::describe(&target);
    let ear = Ear::default();
    let report = delete(&lab, &target, &ear, |options| options.dry_run = true);
    let mut named: Vec<PathBuf> = ear
        .heard()
        .into_iter()
        .map(|heard| match heard {
            Event::WouldRemove { path } => path,
            other => panic!("{other:?}"),
        })
        .collect();
    named.sort_unstable();
    let expected = ["dir/own", "dir/own/below", "dir/own/below/file", "one more"].map(|name| here.join(name));
    assert_eq!((named, report.deleted), (expected.to_vec(), 4));
    keepfast_testkit::compare::assert_described(&before, &keepfast_testkit::describe(&target));
    let done = delete(&lab, &target, &Ear::default(), |_| {});
    assert_eq!(done.deleted, 4);
    assert!(!here.join("dir/own").exists() && !here.join("one more").exists());
}

#[test]
fn what_is_excluded_from_a_restore_isn_t_removed_either() {
    let (lab, target) = restored();
    let here = lab.restored_source(&target);
    let kept =
        ["own.log", "gone/deep/own.log", "dir/own.log"].map(|name| tree::write(here.join(name), "excluded"));
    let gone = tree::write(here.join("gone/deep/other"), "goes");
    let ear = Ear::default();
    delete(&lab, &target, &ear, |options| {
        options.exclude = Patterns::new(&["*.log".to_owned()]).expect("it compiles");
    });
    ear.assert_content();
    assert!(kept.iter().all(|file| file.exists()) && !gone.exists());
}
