//! Restores that are cut short: what has its name is complete, and the next one goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use keepfast_engine::EngineError;
use keepfast_engine::restore::Overwrite;
use keepfast_testkit::{Disk, Ear, Lab, assert_same, compare, describe, tree};

const FILES: u64 = 12;

fn large_files(root: &Path) {
    for number in 0..FILES {
        tree::write(root.join(format!("dir {}/file {number}", number % 3)), tree::noise(number, 3 << 20));
    }
    tree::settle(root);
}

/// The regular files below a directory, as far as they are there, by path.
fn files_in(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut stack = vec![root.to_owned()];
    while let Some(folder) = stack.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.expect("it can be listed").path()) {
            if path.is_dir() {
                stack.push(path);
            } else if let Ok(bytes) = fs::read(&path) {
                found.insert(path, bytes);
            }
        }
    }
    found
}

fn is_temporary(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".keepfast-restore-"))
}

#[test]
fn while_a_restore_runs_what_has_its_name_is_complete() {
    let lab = Lab::with(large_files);
    lab.backup();
    let target = lab.fresh_target();
    let (source, restored) = (lab.source(), lab.restored_source(&target));
    // Looked at in the middle of the restore, by one thread at a time.
    let seen = std::sync::Arc::new(Mutex::new((0, Vec::new())));
    let (noted, looked_at) = (std::sync::Arc::clone(&seen), restored.clone());
    let ear = Ear::with_hook(move |_| {
        let mut seen = noted.lock().expect("no one panics with it");
        for (path, bytes) in files_in(&looked_at) {
            if is_temporary(&path) {
                seen.0 += 1;
            } else {
                let name = path.strip_prefix(&looked_at).expect("it is below");
                if fs::read(source.join(name)).expect("the source is there") != bytes {
                    seen.1.push(path);
                }
            }
        }
    });
    lab.try_restore("latest", &ear, |options| {
        options.target.clone_from(&target);
        options.verify = false;
    })
    .expect("it works");
    ear.assert_content();
    let seen = seen.lock().expect("no one panics with it");
    assert_eq!(seen.1, Vec::<PathBuf>::new(), "half files had their names");
    assert!(seen.0 > 0, "the look came in the middle");
    assert_same(&lab.source(), &restored);
}

/// Small files come fast: another thread lists their directory as often as it can.
#[test]
fn a_small_file_has_its_name_when_it_has_all_its_metadata_and_not_before() {
    let lab = Lab::with(|root| {
        for number in 0..3_000 {
            let file = tree::write(root.join(format!("file {number}")), format!("content of {number}"));
            fs::set_permissions(&file, fs::Permissions::from_mode(0o4751)).expect("it can be set");
            tree::set_mtime(&file, 1_000_000_000 + number, 5);
        }
        if tree::is_root() {
            for number in (0..3_000).step_by(2) {
                let file = root.join(format!("file {number}"));
                std::os::unix::fs::chown(&file, Some(4321), Some(1234)).expect("root gives files away");
                fs::set_permissions(&file, fs::Permissions::from_mode(0o4751)).expect("it can be set");
            }
        }
        tree::settle(root);
    });
    lab.backup();
    let look = |path: &Path| {
        fs::metadata(path).map(|found| (found.len(), found.mode(), found.uid(), found.gid(), found.mtime()))
    };
    let expected: BTreeMap<_, _> = fs::read_dir(lab.source())
        .expect("it can be listed")
        .map(|entry| entry.expect("it can be listed"))
        .map(|entry| (entry.file_name(), look(&entry.path()).expect("it is there")))
        .collect();
    let (target, folder) = (lab.fresh_target(), lab.in_snapshot(""));
    fs::create_dir(&target).expect("it can be made");
    let ended = AtomicBool::new(false);
    let (seen, early) = std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let (mut seen, mut early) = (BTreeSet::new(), 0_u32);
            while !ended.load(Ordering::Relaxed) {
                let entries = fs::read_dir(&target).expect("it can be listed");
                for entry in entries.map(|entry| entry.expect("it can be listed")) {
                    if !is_temporary(&entry.path()) && !seen.contains(&entry.file_name()) {
                        let found = look(&entry.path()).expect("it stays");
                        assert_eq!(Some(&found), expected.get(&entry.file_name()), "{:?}", entry.path());
                        seen.insert(entry.file_name());
                        early += u32::from(!ended.load(Ordering::Relaxed));
                    }
                }
            }
            (seen, early)
        });
        let ear = Ear::default();
        let restored = lab.try_restore("latest", &ear, |options| {
            options.target.clone_from(&target);
            options.folder = folder;
            options.verify = false;
        });
        ended.store(true, Ordering::Relaxed);
        restored.expect("it works");
        ear.assert_content();
        looking.join().expect("no file was there half")
    });
    assert!(early > 0 && seen.len() <= expected.len(), "the look came in the middle");
    let (mut source, mut restored) = (describe(&lab.source()), describe(&target));
    // The target was there before, and keeps its own metadata.
    source.remove(b"".as_slice());
    restored.remove(b"".as_slice());
    compare::assert_described(&source, &restored);
}

/// What a restore that is stopped leaves is complete, and so `never` finishes it.
#[test]
fn a_stopped_restore_leaves_no_half_file() {
    let lab = Lab::with(large_files);
    lab.backup();
    let target = lab.fresh_target();
    let error = lab
        .try_restore("latest", &Ear::stopping_after(9 << 20), |options| options.target.clone_from(&target))
        .expect_err("it is stopped");
    assert!(matches!(error, EngineError::RestoreInterrupted), "{error}");
    assert!(!error.to_string().contains("upload"), "{error}");
    let left = files_in(&target);
    assert!(!left.keys().any(|path| is_temporary(path)), "{:?}", left.keys());
    assert!((1..usize::try_from(FILES).expect("they are few")).contains(&left.len()), "{:?}", left.keys());
    let ear = Ear::default();
    let report = lab
        .try_restore("latest", &ear, |options| {
            options.target.clone_from(&target);
            options.overwrite = Overwrite::Never;
        })
        .expect("it works");
    ear.assert_content();
    assert_eq!((report.unchanged, report.files), (left.len() as u64, FILES - left.len() as u64));
    assert_same(&lab.source(), &lab.restored_source(&target));
}

#[test]
fn a_killed_restore_is_gone_on_with() {
    let own = ".keepfast-restore-of the user's own";
    let lab = Lab::with(|root| {
        large_files(root);
        tree::write(root.join("dir 0").join(own), "backed up under such a name");
        tree::settle(root);
    });
    lab.backup();
    let target = lab.fresh_target();
    lab.try_restore("latest", &Ear::stopping_after(9 << 20), |options| options.target.clone_from(&target))
        .expect_err("it is stopped");
    let here = lab.restored_source(&target);
    // As a process leaves it that is killed.
    let leftover = tree::write(here.join("dir 1/.keepfast-restore-0123456789ab-7"), tree::noise(1, 1 << 20));
    let half = tree::write(here.join("dir 2/file 2"), "of another version of the program");
    let inodes = |files: &BTreeMap<PathBuf, Vec<u8>>| -> BTreeMap<PathBuf, u64> {
        let inode = |path: &PathBuf| fs::metadata(path).expect("it is there").ino();
        files.keys().map(|path| (path.clone(), inode(path))).collect()
    };
    let mut complete = files_in(&target);
    complete.remove(&leftover);
    complete.remove(&half);
    let before = inodes(&complete);
    let ear = Ear::default();
    let report = lab
        .try_restore("latest", &ear, |options| {
            options.target.clone_from(&target);
            options.resume = true;
        })
        .expect("it goes on");
    ear.assert_content();
    assert_eq!(report.unchanged, before.len() as u64, "{report:?}");
    assert_eq!(inodes(&complete), before, "complete files aren't written again");
    assert!(!leftover.exists() && here.join("dir 0").join(own).exists());
    assert_same(&lab.source(), &here);
}

/// A target that has filled up has no half file either, and nothing under a temporary name.
#[test]
fn a_full_disk_leaves_what_is_complete() {
    let lab = Lab::with(large_files);
    lab.backup();
    let Some(disk) = Disk::mount(lab.path("small disk"), "size=16m") else { return };
    let restored = lab.try_restore("latest", &Ear::default(), |options| {
        options.target = disk.path().join("target");
        options.verify = false;
    });
    let left = files_in(disk.path());
    assert!(matches!(restored, Err(EngineError::File { .. })), "{restored:?}");
    let here = lab.restored_source(&disk.path().join("target"));
    assert!(!left.is_empty(), "some fit");
    for (path, bytes) in left {
        let name = path.strip_prefix(&here).expect("it is one of the source");
        assert!(fs::read(lab.source().join(name)).expect("it is there") == bytes, "{}", path.display());
    }
}
