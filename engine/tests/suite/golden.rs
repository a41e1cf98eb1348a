//! Repositories that earlier versions have written: each opens, checks clean and restores to
//! what its manifest says. `KEEPFAST_BLESS=1` makes the folder of the current version again,
//! which is right only before that version is released.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keepfast_backend::{Backend, LocalBackend, MemoryBackend};
use keepfast_engine::check::{CheckOptions, ReadData, check};
use keepfast_engine::repo::{Repository, SnapshotFilter, Snapshots, open_index};
use keepfast_testkit::{Ear, Lab, Opened, describe, quiet, tree};

const PASSWORD: &[u8] = b"golden";
/// The folder of what this version writes: version 1 of the format, small files in bundles. `v1` has none.
const CURRENT: &str = "v1-bundles";
const MANIFEST: &str = "MANIFEST.txt";

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Opens a copy: a test changes nothing in the golden folders, not even by a cache. The manifest lies
/// beside the objects, and isn't one.
fn open(folder: &Path, scratch: &Path) -> Opened {
    open_with(folder, PASSWORD, scratch)
}

fn open_with(folder: &Path, password: &[u8], scratch: &Path) -> Opened {
    let (stored, copy) = (LocalBackend::new(folder), MemoryBackend::default());
    let mut names = Vec::new();
    stored.list("", &mut |listed| names.push(listed.name)).expect("the folder can be listed");
    for name in names.iter().filter(|name| *name != MANIFEST) {
        let bytes = stored.read(name, u64::MAX).expect("the object can be read");
        copy.create(name, &[&bytes]).expect("it can be copied");
    }
    let repository = Repository::open(Arc::new(copy), password)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let snapshots = Snapshots::load(&repository, quiet()).expect("snapshots load");
    let index = open_index(&repository, &scratch.join("cache"), &snapshots, &Ear::default())
        .expect("the index opens");
    Opened { repository, snapshots, index }
}

/// What all snapshots of a repository restore to, a line for each entry, the oldest first.
fn listing(opened: &Opened, scratch: &Path) -> String {
    let mut lines = String::new();
    for (number, stored) in opened.snapshots.all.iter().enumerate() {
        let target = scratch.join(format!("restored {number}"));
        let ear = Ear::default();
        opened
            .restore(&stored.snapshot, &ear, |options| {
                options.target.clone_from(&target);
                options.folder = stored.snapshot.body.paths[0].clone();
            })
            .expect("the restore works");
        ear.assert_content();
        let body = &stored.snapshot.body;
        writeln!(lines, "snapshot {number} of {} with {:?}", body.host, body.tags)
            .expect("strings take everything");
        let mut entries = describe(&target);
        // The target itself is the test's.
        entries.remove(b"".as_slice());
        let (mut many, mut many_lines) = (0, String::new());
        for (path, entry) in entries {
            // Owners differ where it isn't root who restores; access lists where there are none.
            let content: String = entry.content.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
            let mtime = format!("{}.{:09}", entry.mtime.0, entry.mtime.1);
            let linked = entry.linked_to.map(|path| path.escape_ascii().to_string()).unwrap_or_default();
            let attributes: Vec<String> = entry
                .xattrs
                .iter()
                .map(|(name, value)| format!("{}={}", name.escape_ascii(), value.escape_ascii()))
                .collect();
            // One line for a directory of very many.
            let is_of_many = path.starts_with(b"many/");
            many += usize::from(is_of_many);
            writeln!(
                if is_of_many { &mut many_lines } else { &mut lines },
                "{} {:o} {mtime} {} {content} [{linked}] {attributes:?}",
                path.escape_ascii(),
                entry.mode,
                entry.size
            )
            .expect("strings take everything");
        }
        writeln!(lines, "many/* {many} {}", blake3::hash(many_lines.as_bytes()))
            .expect("strings take everything");
    }
    lines
}

/// The tree of golden repositories, in two states.
fn build(root: &Path, second: bool) {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};
    let permissions = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("modes can be set");
    };
    tree::write(root.join("text.txt"), "golden\n".repeat(2000));
    tree::write(root.join("empty"), "");
    tree::write(root.join("noise.bin"), tree::noise(1, 40_000));
    tree::write(root.join(std::ffi::OsStr::from_bytes(b"not utf-8 \xff\n")), "odd name");
    tree::write(root.join("dir/run.sh"), "#!/bin/sh\n");
    permissions(&root.join("dir/run.sh"), 0o4755);
    fs::create_dir_all(root.join("dir/empty")).expect("it can be made");
    permissions(&root.join("dir/empty"), 0o1777);
    let _ = fs::remove_file(root.join("link"));
    symlink("text.txt", root.join("link")).expect("it can be made");
    let _ = fs::remove_file(root.join("second name"));
    fs::hard_link(root.join("noise.bin"), root.join("second name")).expect("it can be linked");
    tree::set_xattr(root.join("text.txt"), "user.golden", b"yes");
    tree::set_xattr(root.join("dir"), "user.long", &[b'x'; 600]);
    tree::write_sparse(root.join("sparse"), 1 << 20, &[(65_536, 4096), (524_288, 8192)]);
    let many: Vec<(u64, u64)> = (0..40).map(|number| (number * 131_072, 64)).collect();
    tree::write_sparse(root.join("many holes"), 40 * 131_072, &many);
    for number in 0..1500 {
        tree::write(root.join("many").join(format!("{number}")), "");
    }
    for number in 0..60 {
        tree::write(root.join("small").join(format!("{number}")), format!("small {number}\n").repeat(number));
    }
    if second {
        tree::write(root.join("small/25"), "another one");
        tree::write(root.join("dir/new.bin"), tree::noise(2, 10_000));
        fs::remove_file(root.join("empty")).expect("it can be removed");
    }
    for path in ["link", "many holes", "sparse", "noise.bin", "text.txt"] {
        permissions_unless_link(&root.join(path));
    }
    tree::settle(root);
}

fn permissions_unless_link(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    if !path.is_symlink() {
        fs::set_permissions(path, fs::Permissions::from_mode(0o640)).expect("modes can be set");
    }
}

/// Makes the current version's folder, if `KEEPFAST_BLESS` asks for it.
fn bless() {
    if std::env::var_os("KEEPFAST_BLESS").is_none() {
        return;
    }
    let folder = golden().join(CURRENT);
    let _ = fs::remove_dir_all(&folder);
    let mut lab = Lab::new();
    lab.backend = Arc::new(LocalBackend::new(&folder));
    lab.password = PASSWORD.to_vec();
    Repository::init(Arc::clone(&lab.backend), PASSWORD, &keepfast_testkit::lab::init_options())
        .expect("it is made");
    for second in [false, true] {
        build(&lab.source(), second);
        lab.backup_with(|options| {
            options.host = "golden".to_owned();
            options.tags = vec![if second { "second" } else { "first" }.to_owned()];
            options.program = "keepfast golden".to_owned();
        });
    }
    let scratch = tempfile::tempdir().expect("a temporary folder can be made");
    let manifest = listing(&open(&folder, scratch.path()), scratch.path());
    // Room for a full disk, which belongs to the place and not to the repository.
    let _ = fs::remove_file(folder.join(".writing-reserve"));
    fs::write(folder.join(MANIFEST), manifest).expect("the manifest can be written");
}

#[test]
fn every_golden_repository_opens_checks_and_restores() {
    bless();
    let folders: BTreeSet<PathBuf> = fs::read_dir(golden())
        .expect("there are golden repositories")
        .map(|entry| entry.expect("it can be listed").path())
        .collect();
    assert!(folders.contains(&golden().join(CURRENT)), "the current format has no golden repository");
    for folder in folders {
        let manifest = fs::read_to_string(folder.join(MANIFEST))
            .unwrap_or_else(|error| panic!("{} has no manifest: {error}", folder.display()));
        let scratch = tempfile::tempdir().expect("a temporary folder can be made");
        let opened = open(&folder, scratch.path());
        let ear = Ear::default();
        let options = CheckOptions { read: ReadData::All };
        let report =
            check(&opened.repository, &opened.index, &opened.snapshots, &options, &ear).expect("check runs");
        ear.assert_content();
        assert_eq!((report.findings, report.packs_read), (0, report.packs));
        assert!(report.packs > 0);
        let found = listing(&opened, scratch.path());
        for (expected, found) in manifest.lines().zip(found.lines()) {
            assert_eq!(expected, found, "{}", folder.display());
        }
        assert_eq!(manifest.lines().count(), found.lines().count(), "{}", folder.display());
        opened.snapshots.find("latest", &SnapshotFilter::default()).expect("there is one");
    }
}

/// SPEC's worked example is a repository as any other.
#[test]
fn the_repository_of_the_worked_example_checks_and_restores() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../repo-format/tests/vectors/worked");
    let scratch = tempfile::tempdir().expect("a temporary folder can be made");
    let opened = open_with(&folder, b"correct horse", scratch.path());
    let ear = Ear::default();
    let options = CheckOptions { read: ReadData::All };
    check(&opened.repository, &opened.index, &opened.snapshots, &options, &ear).expect("check runs");
    let newest = opened.snapshots.find("latest", &SnapshotFilter::default()).expect("there is one");
    let target = scratch.path().join("restored");
    opened
        .restore(&newest.snapshot, &ear, |options| options.target.clone_from(&target))
        .expect("the restore works");
    ear.assert_content();
    assert_eq!(fs::read(target.join("hello")).expect("it is there"), b"Hello, stranger!\n");
}
