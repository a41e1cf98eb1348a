//! Names that stand in each other's way, names of one file, and directories without end.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use keepfast_engine::restore::Overwrite;
use keepfast_format::keys::{ChunkKind, Role};
use keepfast_testkit::{Crafted, Crafter, Disk, Ear, Lab, craft, describe, tree};
use rustix::fs::{CWD, Mode, OFlags};

/// More than a stack holds if a function calls itself for each.
const LEVELS: usize = 15_000;

/// If the first name of a file can't be written, the next one is the file, and the others are linked
/// to that.
#[test]
fn a_group_of_links_whose_first_name_is_in_the_way_is_restored_under_the_others() {
    for overwrite in [Overwrite::Always, Overwrite::IfChanged] {
        let lab = Lab::with(|root| {
            tree::write(root.join("1"), "the same file");
            for name in ["2", "3"] {
                fs::hard_link(root.join("1"), root.join(name)).expect("it can be linked");
            }
            rustix::fs::mknodat(CWD, root.join("f1"), rustix::fs::FileType::Fifo, Mode::RUSR, 0)
                .expect("it can be made");
            for name in ["f2", "f3"] {
                fs::hard_link(root.join("f1"), root.join(name)).expect("it can be linked");
            }
        });
        lab.backup();
        let target = lab.fresh_target();
        for name in ["1", "f1"] {
            tree::write(target.join(name).join("in the way"), "a directory of the user's");
        }
        let (ear, folder) = (Ear::default(), lab.in_snapshot(""));
        let report = lab
            .try_restore("latest", &ear, |options| {
                options.target.clone_from(&target);
                options.folder.clone_from(&folder);
                options.overwrite = overwrite;
                options.verify = false;
            })
            .expect("it works");
        assert_eq!(ear.skipped().len(), 2, "{:?}", ear.heard());
        let inode = |name: &str| fs::symlink_metadata(target.join(name)).expect("it is there").ino();
        assert_eq!(fs::read(target.join("2")).expect("it is there"), b"the same file");
        assert_eq!((inode("2"), inode("f2")), (inode("3"), inode("f3")));
        assert_eq!((report.files, report.others, report.hard_links), (1, 1, 2), "{overwrite:?}");
        assert!(target.join("1/in the way").exists());
    }
}

/// On another file system than its first name, a further name is a file of its own, and named.
#[test]
fn a_further_name_on_another_file_system_is_a_file_of_its_own() {
    let lab = Lab::with(|root| {
        tree::write(root.join("1"), "the same file");
        tree::write(root.join("disk/other"), "other");
        fs::hard_link(root.join("1"), root.join("disk/2")).expect("it can be linked");
    });
    lab.backup();
    let (target, folder) = (lab.fresh_target(), lab.in_snapshot(""));
    let Some(_disk) = Disk::mount(target.join("disk"), "size=2m") else { return };
    let ear = Ear::default();
    let restored = lab.try_restore("latest", &ear, |options| {
        options.target.clone_from(&target);
        options.folder = folder;
        options.overwrite = Overwrite::Always;
        options.verify = false;
    });
    let found = ["1", "disk/2"].map(|name| fs::read(target.join(name)).ok());
    restored.expect("it works");
    assert_eq!(found, [Some(b"the same file".to_vec()), Some(b"the same file".to_vec())]);
    let skipped = ear.skipped();
    assert!(skipped.len() == 1 && skipped[0].contains("a file of its own"), "{skipped:?}");
}

/// A file system in a file that takes names for one that differ in case, if there is a program for it.
fn case_insensitive(image: &Path, at: &Path) -> bool {
    let run = |program: &str, arguments: &[&std::ffi::OsStr]| {
        Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
    };
    fs::create_dir(at).expect("it can be made");
    fs::File::create(image).and_then(|file| file.set_len(32 << 20)).expect("it can be made");
    let options = "ignore_case,permissions,streams_interface=none".as_ref();
    let (image, at) = (image.as_os_str(), at.as_os_str());
    run("mkntfs", &["-F".as_ref(), "-Q".as_ref(), "-q".as_ref(), image])
        && run("lowntfs-3g", &["-o".as_ref(), options, image, at])
}

/// `README` and `readme` are two files in the snapshot and one in the target: the second is named, and
/// the first is what it was.
#[test]
fn names_that_the_target_takes_for_one_are_named_and_overwrite_nothing() {
    let lab = Lab::with(|root| {
        for name in ["README", "readme", "Dir/a", "dir/a", "dir/b", "other"] {
            tree::write(root.join(name), name);
        }
        tree::settle(root);
    });
    lab.backup();
    let disk = lab.path("disk");
    if !case_insensitive(&lab.path("image"), &disk) {
        eprintln!("skipped: there is no file system that ignores case (lowntfs-3g)");
        return;
    }
    let folder = lab.in_snapshot("");
    let mut found = Vec::new();
    for overwrite in [Overwrite::Refuse, Overwrite::Always, Overwrite::IfChanged] {
        let ear = Ear::default();
        let restored = lab.try_restore("latest", &ear, |options| {
            options.target = disk.join("target");
            options.folder.clone_from(&folder);
            options.overwrite = overwrite;
            options.delete = overwrite != Overwrite::Refuse;
            options.verify = false;
        });
        // By the names that are listed: the kernel remembers others, for files that were replaced since.
        let read = ["README", "Dir/a", "other"]
            .map(|name| fs::read_to_string(disk.join("target").join(name)).unwrap_or_default());
        let listed = fs::read_dir(disk.join("target")).map_or(0, Iterator::count);
        let works = restored.is_ok() && listed == 3;
        found.push((overwrite, works, read, ear.skipped(), disk.join("target/dir/b").exists()));
    }
    let _ = Command::new("umount").arg(&disk).status();
    for (overwrite, works, read, skipped, has_other) in found {
        assert!(works && !has_other, "{overwrite:?}: {skipped:?}");
        assert_eq!(read, ["README", "Dir/a", "other"].map(str::to_owned), "{overwrite:?}");
        for name in ["target/readme", "target/dir"] {
            let named = format!("{}: another entry of its directory", disk.join(name).display());
            assert!(skipped.iter().any(|line| line.starts_with(&named)), "{overwrite:?}: {skipped:?}");
        }
    }
}

/// Goes down as far as there is a directory `d`; returns the last one, and how many there are above.
fn descend(top: &Path) -> (OwnedFd, usize) {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let mut at = rustix::fs::openat(CWD, top, flags, Mode::empty()).expect("the top is there");
    let mut levels = 0;
    while let Ok(below) = rustix::fs::openat(&at, "d", flags, Mode::empty()) {
        at = below;
        levels += 1;
    }
    (at, levels)
}

/// A snapshot of directories in directories is restored whole, compared, and removed, with a stack
/// that doesn't grow with them.
#[test]
fn fifteen_thousand_nested_directories_are_restored_and_removed() {
    let lab = Lab::with(tree::small);
    let crafter = Crafter::of(&lab).compares_nothing();
    let writer = crafter.enrol(Role::Writer, b"writer");
    let bottom = craft::node("fifo", keepfast_format::node::NodeKind::Fifo);
    let mut pages = vec![craft::page(vec![bottom])];
    let mut tree = crafter.chunk_id(ChunkKind::Metadata, &pages[0]);
    for _ in 0..LEVELS {
        let page = craft::page(vec![craft::directory("d", tree)]);
        tree = crafter.chunk_id(ChunkKind::Metadata, &page);
        pages.push(page);
    }
    let made = Crafted { data: Vec::new(), metadata: pages };
    let session = crafter.commit(&writer, &made, tree, |_| {}).to_string();
    let empty = craft::page(vec![]);
    let nothing = crafter.chunk_id(ChunkKind::Metadata, &empty);
    let made = Crafted { data: Vec::new(), metadata: vec![empty] };
    let later = crafter.commit(&writer, &made, nothing, |snapshot| snapshot.body.paths = vec![b"/".to_vec()]);
    let target = lab.fresh_target();
    let ear = Ear::default();
    let report = lab
        .try_restore(&session, &ear, |options| options.target.clone_from(&target))
        .expect("the restore works");
    ear.assert_content();
    assert_eq!((report.dirs, report.others), (LEVELS as u64, 1));
    let (lowest, levels) = descend(&target);
    assert_eq!(levels, LEVELS);
    assert!(rustix::fs::statat(&lowest, "fifo", rustix::fs::AtFlags::SYMLINK_NOFOLLOW).is_ok());
    drop(lowest);
    let report = lab
        .try_restore(&later.to_string(), &ear, |options| {
            options.target.clone_from(&target);
            options.overwrite = Overwrite::Always;
            options.delete = true;
        })
        .expect("the restore works");
    ear.assert_content();
    assert_eq!(report.deleted, LEVELS as u64 + 1);
    assert_eq!(describe(&target).len(), 1, "nothing but the target is left");
}
