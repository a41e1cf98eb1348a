//! After a restore the metadata is what the snapshot says, or the entry is named.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use keepfast_engine::restore::{Overwrite, RestoreReport};
use keepfast_testkit::{Ear, Lab, assert_same, compare, describe, tree};
use rustix::fs::{CWD, FileType, Mode};

/// An access list that gives one more user all rights.
fn open_to_another() -> Vec<u8> {
    tree::access_list(&[
        (0x01, 7, u32::MAX),
        (0x02, 7, 4321),
        (0x04, 7, u32::MAX),
        (0x10, 7, u32::MAX),
        (0x20, 5, u32::MAX),
    ])
}

fn one_of_each(root: &Path) {
    tree::write(root.join("file"), "one");
    fs::set_permissions(root.join("file"), fs::Permissions::from_mode(0o640)).expect("it can be set");
    tree::write(root.join("dir/below/file"), "two");
    symlink("file", root.join("link")).expect("it can be made");
    rustix::fs::mknodat(CWD, root.join("fifo"), FileType::Fifo, Mode::from_raw_mode(0o600), 0)
        .expect("it can be made");
    fs::set_permissions(root.join("fifo"), fs::Permissions::from_mode(0o662)).expect("it can be set");
    tree::settle(root);
}

fn restore_folder(lab: &Lab, target: &Path, ear: &Ear, overwrite: Overwrite, verify: bool) -> RestoreReport {
    let folder = lab.in_snapshot("");
    lab.try_restore("latest", ear, |options| {
        options.target = target.to_owned();
        options.folder = folder;
        options.overwrite = overwrite;
        options.verify = verify;
    })
    .expect("the restore works")
}

#[test]
fn the_default_access_list_of_the_target_leaks_onto_nothing() {
    let lab = Lab::with(one_of_each);
    lab.backup();
    let target = lab.fresh_target();
    fs::create_dir(&target).expect("it can be made");
    if !tree::set_xattr(&target, "system.posix_acl_default", &open_to_another()) {
        eprintln!("skipped: the file system has no access lists");
        return;
    }
    let before = describe(&target);
    let ear = Ear::default();
    restore_folder(&lab, &target, &ear, Overwrite::Refuse, true);
    ear.assert_content();
    let (mut expected, mut found) = (describe(&lab.source()), describe(&target));
    expected.remove(b"".as_slice());
    let own = found.remove(b"".as_slice()).expect("the target is there");
    compare::assert_described(&expected, &found);
    assert_eq!(own.xattrs, before[b"".as_slice()].xattrs, "the target's own list stays");
}

/// Files that are kept because their content is right get the metadata that they should have.
#[test]
fn what_is_kept_gets_its_mode_owner_list_and_attributes() {
    let lab = Lab::with(|root| {
        one_of_each(root);
        for name in ["mode", "owner", "list", "attribute", "right"] {
            tree::set_xattr(tree::write(root.join(name), name), "user.own", b"value");
        }
        tree::settle(root);
    });
    lab.backup();
    let target = lab.fresh_target();
    restore_folder(&lab, &target, &Ear::default(), Overwrite::Refuse, false);
    fs::set_permissions(target.join("mode"), fs::Permissions::from_mode(0o666)).expect("it can be set");
    let mut wrong = 1;
    if tree::is_root() {
        std::os::unix::fs::chown(target.join("owner"), Some(4321), Some(1234))
            .expect("root gives files away");
        wrong += 1;
    }
    wrong += u64::from(tree::set_xattr(target.join("list"), "system.posix_acl_access", &open_to_another()));
    wrong += u64::from(
        tree::set_xattr(target.join("attribute"), "user.foreign", b"mine")
            && tree::set_xattr(target.join("attribute"), "user.own", b"another"),
    );
    tree::set_xattr(target.join("dir"), "user.foreign", b"mine");
    let inode = |name: &str| fs::metadata(target.join(name)).expect("it is there").ino();
    let before = ["mode", "right"].map(inode);
    let ear = Ear::default();
    let report = restore_folder(&lab, &target, &ear, Overwrite::IfChanged, true);
    ear.assert_content();
    let (mut expected, mut found) = (describe(&lab.source()), describe(&target));
    expected.remove(b"".as_slice());
    found.remove(b"".as_slice());
    compare::assert_described(&expected, &found);
    assert_eq!(["mode", "right"].map(inode), before, "they aren't written again");
    assert_eq!((report.corrected, report.files), (wrong, 0));
    assert_eq!(report.unchanged, 7 - wrong);
}

/// A file of someone else that a link has brought into the target isn't given away.
#[test]
fn a_file_with_a_name_elsewhere_is_replaced_and_not_changed() {
    let lab = Lab::with(one_of_each);
    lab.backup();
    let target = lab.fresh_target();
    fs::create_dir(&target).expect("it can be made");
    let outside = tree::write(lab.path("outside"), "two");
    let stamp = tree::mtime(lab.source().join("file"));
    tree::set_mtime(&outside, stamp.0, stamp.1);
    fs::set_permissions(&outside, fs::Permissions::from_mode(0o400)).expect("it can be set");
    fs::hard_link(&outside, target.join("file")).expect("it can be linked");
    let before = describe(&outside);
    restore_folder(&lab, &target, &Ear::default(), Overwrite::IfChanged, true);
    compare::assert_described(&before, &describe(&outside));
    assert_eq!(fs::read(target.join("file")).expect("it is there"), b"one");
}

#[test]
fn reading_back_names_metadata_that_differs() {
    let lab = Lab::with(one_of_each);
    lab.backup();
    let target = lab.fresh_target();
    restore_folder(&lab, &target, &Ear::default(), Overwrite::Refuse, false);
    fs::set_permissions(target.join("file"), fs::Permissions::from_mode(0o600)).expect("it can be set");
    tree::set_xattr(target.join("dir/below/file"), "user.foreign", b"mine");
    tree::set_mtime(target.join("link"), 1, 1);
    fs::remove_file(target.join("fifo")).expect("it can be removed");
    tree::write(target.join("fifo"), "no fifo");
    let ear = Ear::default();
    let report = restore_folder(&lab, &target, &ear, Overwrite::Never, true);
    let skipped = ear.skipped();
    let expected = [
        ("file", "its mode is 0600 and not 0640"),
        ("dir/below/file", "it has an attribute user.foreign"),
        ("link", "its modification time is another"),
        ("fifo", "it is of another kind"),
    ];
    for (name, why) in expected {
        let line = format!("{}: {why}", target.join(name).display());
        assert!(skipped.iter().any(|found| found.starts_with(&line)), "{line}: {skipped:?}");
    }
    assert_eq!((report.troubles.skipped, skipped.len()), (4, 4));
}

/// Reading back follows no link: what is elsewhere is not what was restored.
#[test]
fn reading_back_follows_no_link() {
    let lab = Lab::with(one_of_each);
    lab.backup();
    let target = lab.fresh_target();
    restore_folder(&lab, &target, &Ear::default(), Overwrite::Refuse, false);
    let moved = lab.path("moved away");
    fs::rename(target.join("file"), &moved).expect("it can be moved");
    symlink(&moved, target.join("file")).expect("it can be linked");
    let ear = Ear::default();
    restore_folder(&lab, &target, &ear, Overwrite::Never, true);
    assert_eq!(ear.skipped().len(), 1, "{:?}", ear.heard());
    assert_same(&lab.source().join("dir"), &target.join("dir"));
}
