//! Change detection: unchanged files aren't read again, and changed ones are.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use keepfast_engine::archive::{ArchiveOptions, ArchiveReport, ParentChoice, Source};
use keepfast_format::node::Timestamp;
use keepfast_testkit::{Lab, RecordingBackend, TestHost, assert_same, quiet, tree};

/// A second backup of an unchanged tree uploads nothing but its announcement and its snapshot.
#[test]
fn an_unchanged_tree_uploads_only_a_session_and_a_snapshot() {
    let mut lab = Lab::with(|root| {
        tree::small(root);
        for number in 0..1200 {
            tree::write(root.join("many").join(format!("{number}")), format!("{number}"));
        }
    });
    let recording = RecordingBackend::new(Arc::clone(&lab.backend));
    lab.backend = recording.clone();
    let (report, created) = lab.undisturbed(|| {
        lab.backup();
        recording.take();
        let report = lab.backup();
        (report, recording.take_created_folders())
    });
    assert_eq!(created, ["sessions", "snapshots"]);
    let statistics = &report.statistics;
    assert_eq!((statistics.files_new, statistics.files_changed, statistics.files_unchanged), (0, 0, 1205));
    assert_eq!((statistics.bytes_read, statistics.bytes_new, statistics.bytes_stored), (0, 0, 0));
    assert!(report.parent.is_some());
}

/// The times of the machine, for tests of rules that compare with them.
fn real_time() -> Timestamp {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is after 1970");
    Timestamp { seconds: now.as_secs().cast_signed(), nanos: now.subsec_nanos() }
}

fn unchanged(report: &ArchiveReport) -> u64 {
    report.statistics.files_unchanged
}

#[test]
fn a_file_modified_just_before_its_backup_is_read_again_by_the_next_one() {
    let lab = Lab::with(|root| drop(tree::write(root.join("racy"), "one")));
    let time = tree::mtime(lab.source().join("racy"));
    let paths = [lab.source()];
    let back_up = |ignore_ctime| {
        let host = TestHost::new(Arc::new(real_time));
        let change = |options: &mut ArchiveOptions| options.ignore_ctime = ignore_ctime;
        lab.archive_on(host, Source::paths(&paths), quiet(), change).expect("the backup works")
    };
    back_up(false);
    // The same size, and the same time within the granularity of a coarse clock: only the content differs.
    tree::write(lab.source().join("racy"), "two");
    tree::set_mtime(lab.source().join("racy"), time.0, time.1);
    let report = back_up(true);
    assert_eq!(unchanged(&report), 0);
    assert_same(&lab.source(), &lab.restore("latest"));
}

#[test]
fn a_file_that_changed_is_noticed_by_ctime_alone() {
    let lab = Lab::with(|root| drop(tree::write(root.join("sly"), "one")));
    tree::settle(&lab.source());
    let time = tree::mtime(lab.source().join("sly"));
    lab.backup();
    tree::write(lab.source().join("sly"), "two");
    tree::set_mtime(lab.source().join("sly"), time.0, time.1);
    let report = lab.backup();
    assert_eq!((unchanged(&report), report.statistics.files_changed), (0, 1));
    assert_same(&lab.source(), &lab.restore("latest"));
}

#[test]
fn without_ctime_a_file_of_the_same_size_and_mtime_counts_as_unchanged() {
    let lab = Lab::with(|root| drop(tree::write(root.join("sly"), "one")));
    tree::settle(&lab.source());
    let time = tree::mtime(lab.source().join("sly"));
    lab.backup();
    tree::write(lab.source().join("sly"), "two");
    tree::set_mtime(lab.source().join("sly"), time.0, time.1);
    let report = lab.backup_with(|options| options.ignore_ctime = true);
    assert_eq!(unchanged(&report), 1);
    let restored = fs::read(lab.restore("latest").join("sly")).expect("it is restored");
    assert_eq!(restored, b"one", "as the option says, the old content counts");
}

#[test]
fn a_file_of_another_inode_is_read_again_unless_inodes_are_ignored() {
    let lab = Lab::with(tree::small);
    let replace = || {
        let path = lab.source().join("a.txt");
        let time = tree::mtime(&path);
        // The new file is made while the old one exists, so that it gets another inode.
        tree::write(lab.source().join("new"), fs::read(&path).expect("it is there"));
        fs::set_permissions(
            lab.source().join("new"),
            fs::metadata(&path).expect("it is there").permissions(),
        )
        .expect("modes can be set");
        tree::set_mtime(lab.source().join("new"), time.0, time.1);
        fs::rename(lab.source().join("new"), &path).expect("it can be renamed");
    };
    lab.backup();
    replace();
    let report = lab.backup_with(|options| options.ignore_ctime = true);
    assert_eq!(report.statistics.bytes_read, 4, "only this file was read");
    replace();
    let report = lab.backup_with(|options| {
        options.ignore_ctime = true;
        options.ignore_inode = true;
    });
    assert_eq!(report.statistics.bytes_read, 0);
}

#[test]
fn a_change_of_mode_owner_or_attributes_alone_is_backed_up() {
    let lab = Lab::with(tree::small);
    lab.backup();
    let path = lab.source().join("a.txt");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o4711)).expect("modes can be set");
    lab.assert_round_trip();
    tree::set_xattr(&path, "user.new", b"value");
    lab.assert_round_trip();
    if tree::is_root() {
        std::os::unix::fs::chown(&path, Some(4321), Some(1234)).expect("root gives files away");
        lab.assert_round_trip();
    }
    tree::set_mtime(lab.source().join("dir/nothing in it"), 123, 456);
    lab.assert_round_trip();
}

#[test]
fn an_entry_that_becomes_another_kind_is_backed_up_as_what_it_is() {
    let lab = Lab::with(tree::small);
    lab.backup();
    fs::remove_file(lab.source().join("a.txt")).expect("it can be removed");
    fs::create_dir(lab.source().join("a.txt")).expect("it can be made");
    fs::remove_dir_all(lab.source().join("dir/below")).expect("it can be removed");
    tree::write(lab.source().join("dir/below"), "a file now");
    fs::remove_file(lab.source().join("link")).expect("it can be removed");
    tree::write(lab.source().join("link"), "no link now");
    lab.assert_round_trip();
    lab.assert_sound();
}

#[test]
fn without_a_parent_everything_is_read_and_nothing_stored_again() {
    let lab = Lab::with(tree::small);
    lab.backup();
    let report = lab.backup_with(|options| options.parent = ParentChoice::None);
    assert_eq!((report.parent.as_deref(), unchanged(&report)), (None, 0));
    assert_eq!((report.statistics.bytes_read, report.statistics.bytes_new), (160_004, 0));
}

#[test]
fn another_host_s_snapshot_is_no_parent() {
    let lab = Lab::with(tree::small);
    lab.backup();
    let report = lab.backup_with(|options| options.host = "elsewhere".to_owned());
    assert_eq!((report.parent, report.statistics.bytes_new), (None, 0));
}

#[test]
fn a_dry_run_stores_nothing() {
    let mut lab = Lab::with(tree::small);
    let recording = RecordingBackend::new(Arc::clone(&lab.backend));
    lab.backend = recording.clone();
    let report = lab.backup_with(|options| options.dry_run = true);
    assert!(report.snapshot.is_none());
    assert_eq!((report.statistics.files_new, report.statistics.bytes_total), (5, 160_004));
    assert_eq!(recording.take_created_folders(), Vec::<String>::new());
}
