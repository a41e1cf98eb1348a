//! What was backed up comes back, entry by entry and bit by bit; and what came back is backed
//! up as the same.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use keepfast_engine::archive::Source;
use keepfast_testkit::recording::bytes_created;
use keepfast_testkit::{Ear, Lab, RecordingBackend, assert_same, compare, describe, tree};
use std::sync::Arc;

#[test]
fn a_tree_of_everything_comes_back_identical() {
    let lab = Lab::new();
    let left_out = tree::nasty(&lab.source());
    if tree::is_root() {
        assert_eq!(left_out, Vec::<&str>::new(), "root on a usual file system can have all of it");
    }
    lab.assert_round_trip();
    lab.assert_sound();
}

#[test]
fn a_tree_that_was_taken_over_from_the_parent_comes_back_identical() {
    let lab = Lab::with(|root| drop(tree::nasty(root)));
    lab.backup();
    let second = lab.backup();
    assert_eq!((second.statistics.files_new, second.statistics.files_changed), (0, 0));
    assert_same(&lab.source(), &lab.restore("latest"));
}

#[test]
fn holes_come_back_as_holes() {
    let lab = Lab::with(|root| {
        tree::write_sparse(root.join("hole"), 64 << 20, &[]);
        tree::write_sparse(root.join("data between holes"), 64 << 20, &[(32 << 20, 1 << 20)]);
    });
    let blocks = |root: &Path, name: &str| fs::metadata(root.join(name)).expect("it is there").blocks();
    lab.backup();
    let restored = lab.restore("latest");
    for name in ["hole", "data between holes"] {
        assert_eq!(blocks(&restored, name), blocks(&lab.source(), name), "{name}");
    }
}

#[test]
fn a_restored_tree_is_backed_up_as_the_same_tree() {
    let lab = Lab::with(|root| drop(tree::nasty(root)));
    lab.backup();
    let target = lab.fresh_target();
    let folder = lab.in_snapshot("");
    lab.try_restore("latest", &Ear::default(), |options| {
        options.target.clone_from(&target);
        options.folder.clone_from(&folder);
    })
    .expect("the restore works");
    let before = lab.tree_of(&lab.source());
    let ear = Ear::default();
    lab.archive(Source::paths(std::slice::from_ref(&target)), &ear, |_| {}).expect("the backup works");
    ear.assert_content();
    assert_eq!(lab.tree_of(&target), before);
}

#[test]
fn reading_files_rewrites_no_tree() {
    let mut lab = Lab::with(tree::small);
    lab.backup();
    let before = lab.tree_of(&lab.source());
    // As a program that reads the file would leave it.
    let file = fs::File::open(lab.source().join("a.txt")).expect("it opens");
    let touched = fs::FileTimes::new().set_accessed(std::time::SystemTime::now());
    file.set_times(touched).expect("its access time can be set");
    let recording = RecordingBackend::new(Arc::clone(&lab.backend));
    lab.backend = recording.clone();
    lab.backup();
    assert_eq!(lab.tree_of(&lab.source()), before);
}

#[test]
fn one_more_file_in_a_large_directory_rewrites_one_page_of_it() {
    let mut lab = Lab::with(|root| {
        for number in 0..3000 {
            tree::write(root.join(format!("{number:04}")), format!("{number}"));
        }
    });
    lab.backup();
    tree::write(lab.source().join("1500 and a half"), "new");
    let all = keepfast_testkit::store::stored_bytes(&*lab.backend, "packs/");
    let recording = RecordingBackend::new(Arc::clone(&lab.backend));
    lab.backend = recording.clone();
    lab.backup();
    let written = bytes_created(&recording.take(), "packs/");
    assert!(written < all / 2, "{written} bytes of packs were written, and {all} are all there are");
}

#[test]
fn a_folder_of_a_snapshot_is_restored_into_the_target_itself() {
    let lab = Lab::with(tree::small);
    lab.backup();
    let target = lab.fresh_target();
    let folder = lab.in_snapshot("dir");
    let ear = Ear::default();
    lab.try_restore("latest", &ear, |options| {
        options.target.clone_from(&target);
        options.folder.clone_from(&folder);
    })
    .expect("the restore works");
    ear.assert_content();
    let mut expected = describe(&lab.source().join("dir"));
    let mut found = describe(&target);
    // The target is the user's own folder and keeps its time and mode.
    expected.remove(b"".as_slice());
    found.remove(b"".as_slice());
    compare::assert_described(&expected, &found);
}

#[test]
fn files_of_one_link_group_in_several_folders_come_back_linked_when_only_some_are_picked() {
    let lab = Lab::with(|root| {
        tree::write(root.join("one/a.txt"), "the same file");
        fs::create_dir_all(root.join("two/three")).expect("it can be made");
        fs::hard_link(root.join("one/a.txt"), root.join("two/three/b.txt")).expect("it can be linked");
        tree::write(root.join("one/c.bin"), "not picked");
    });
    lab.backup();
    let target = lab.fresh_target();
    let ear = Ear::default();
    lab.try_restore("latest", &ear, |options| {
        options.target.clone_from(&target);
        options.include =
            keepfast_engine::fs::select::Patterns::new(&["*.txt".to_owned()]).expect("it compiles");
        options.verify = false;
    })
    .expect("the restore works");
    ear.assert_content();
    let found = describe(&lab.restored_source(&target));
    assert_eq!(found[b"two/three/b.txt".as_slice()].linked_to.as_deref(), Some(b"one/a.txt".as_slice()));
    assert!(!found.contains_key(b"one/c.bin".as_slice()));
}
