//! What a tree itself excludes: by ignore files, named `.keepfastignore`, and by the attribute that `chattr +d`
//! sets.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use keepfast_engine::archive::{Source, estimate};
use keepfast_engine::fs::select::Patterns;
use keepfast_engine::run::Event;
use keepfast_testkit::lab::archive_options;
use keepfast_testkit::{Ear, Lab, describe, tree};
use rustix::fs::{CWD, IFlags, Mode, OFlags};

/// The names of the source's files in the newest snapshot, without the ignore files.
fn backed_up(lab: &Lab) -> BTreeSet<String> {
    let described = describe(&lab.restore("latest")).into_iter();
    described
        .filter(|(_, found)| found.mode & 0o170_000 == 0o100_000)
        .map(|(path, _)| String::from_utf8(path).expect("names are plain"))
        .filter(|path| !path.ends_with(".keepfastignore"))
        .collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn build(root: &Path, files: &[&str]) {
    for name in files {
        tree::write(root.join(name), name);
    }
}

#[test]
fn a_file_decides_what_is_left_out_of_its_directory_and_below() {
    let lab = Lab::with(|root| {
        build(
            root,
            &["a/build/x", "a/deep/build/x", "a/top", "a/deep/top", "a/b/c", "a/deep/b/c", "build/x"],
        );
        tree::write(root.join("a/.keepfastignore"), "# what is made again\nbuild\n/top\r\nb/c\n");
    });
    let report = lab.backup();
    assert_eq!(backed_up(&lab), set(&["a/deep/top", "build/x"]));
    assert_eq!(report.ignored, 5);
    // Again with a parent, and by the estimate.
    assert_eq!(lab.backup().ignored, 5);
    let ear = Ear::default();
    estimate(&[lab.source()], &archive_options(), &AtomicBool::new(false), &ear);
    assert_eq!(ear.counters().progress().files_expected, report.statistics.files());
    lab.backup_with(|options| options.ignore_files = false);
    assert_eq!(backed_up(&lab).len(), 7);
}

#[test]
fn the_deepest_file_decides_and_a_user_decides_before_it() {
    let lab = Lab::with(|root| {
        build(root, &["x.log", "a/x.log", "a/keep.log", "a/b/x.log", "a/b/secret", "a/b/x.tmp", "c/x.log"]);
        tree::write(root.join(".keepfastignore"), "*.log\n*.tmp\n");
        tree::write(root.join("a/.keepfastignore"), "!keep.log\n");
        tree::write(root.join("a/b/.keepfastignore"), "!*.log\n!secret\n");
    });
    let ear = Ear::default();
    let paths = [lab.source()];
    lab.archive(Source::paths(&paths), &ear, |options| {
        options.exclude = Patterns::new(&["secret"]).expect("it compiles");
    })
    .expect("the backup works");
    assert_eq!(ear.heard(), [], "an exception of what a file above leaves out is no mistake");
    assert_eq!(backed_up(&lab), set(&["a/keep.log", "a/b/x.log"]));
}

/// An ignore file may be anything. The backup works, whatever is in its place.
#[test]
fn a_file_that_cannot_be_used_leaves_nothing_out_and_is_reported() {
    let lab = Lab::with(|root| {
        build(root, &["large/x", "wrong/x", "link/x", "pipe/x", "folder/x", "doubtful/x", "other"]);
        tree::write(root.join("large/.keepfastignore"), "x\n".repeat(40_000));
        tree::write(root.join("wrong/.keepfastignore"), "x\n[z-a]\n");
        tree::write(root.join("elsewhere"), "x\n");
        std::os::unix::fs::symlink("../elsewhere", root.join("link/.keepfastignore")).expect("it is made");
        rustix::fs::mknodat(
            CWD,
            root.join("pipe/.keepfastignore"),
            rustix::fs::FileType::Fifo,
            Mode::RUSR,
            0,
        )
        .expect("a fifo can be made");
        fs::create_dir(root.join("folder/.keepfastignore")).expect("it can be made");
        tree::write(root.join("doubtful/.keepfastignore"), "./x\n");
    });
    let ear = Ear::default();
    lab.archive(Source::paths(&[lab.source()]), &ear, |_| {}).expect("the backup works");
    let names = ["doubtful/x", "elsewhere", "folder/x", "large/x", "link/x", "other", "pipe/x", "wrong/x"];
    assert_eq!(backed_up(&lab), set(&names));
    let mut heard: Vec<String> = ear
        .heard()
        .into_iter()
        .map(|heard| match heard {
            Event::Notice(line) => line,
            other => panic!("{other:?} is no notice"),
        })
        .collect();
    heard.sort_unstable();
    let folders = ["doubtful", "folder", "large", "link", "pipe", "wrong"];
    assert_eq!(heard.len(), folders.len(), "{heard:?}");
    for (line, folder) in heard.iter().zip(folders) {
        let file = lab.source().join(folder).join(".keepfastignore");
        assert!(line.starts_with(&format!("{}: ", file.display())), "{line}");
        assert_eq!(line.contains("nothing is left out by this file"), folder != "doubtful", "{line}");
    }
}

/// Any user can put an ignore file into a shared directory; it doesn't count for the files of others.
#[test]
fn a_file_of_another_user_leaves_nothing_out_of_a_shared_directory() {
    if !tree::is_root() {
        eprintln!("not tested: files of other users need root");
        return;
    }
    let lab = Lab::with(|root| build(root, &["shared/of root", "own/x"]));
    for folder in ["shared", "own"] {
        let file = tree::write(lab.source().join(folder).join(".keepfastignore"), "*\n");
        std::os::unix::fs::chown(file, Some(65_534), None).expect("root may");
    }
    std::os::unix::fs::chown(lab.source().join("own"), Some(65_534), None).expect("root may");
    let ear = Ear::default();
    lab.archive(Source::paths(&[lab.source()]), &ear, |_| {}).expect("the backup works");
    assert_eq!(backed_up(&lab), set(&["shared/of root"]));
    let heard = ear.heard();
    assert!(
        matches!(&heard[..], [Event::Notice(line)] if line.contains("belongs to user 65534")),
        "{heard:?}"
    );
}

#[test]
fn a_file_counts_for_a_limited_number_of_nested_directories() {
    let lab = Lab::new();
    tree::write(lab.source().join(".keepfastignore"), "none\n");
    let mut folder = lab.source();
    for _ in 0..130 {
        folder.push("d");
        tree::write(folder.join("none"), "");
    }
    let report = lab.backup();
    assert_eq!((report.ignored, backed_up(&lab).len()), (128, 2));
}

#[test]
fn the_number_of_files_in_nested_directories_is_limited() {
    let lab = Lab::new();
    let mut folder = lab.source();
    for _ in 0..12 {
        folder.push("d");
        tree::write(folder.join(".keepfastignore"), "none\n");
        tree::write(folder.join("none"), "");
    }
    let ear = Ear::default();
    lab.archive(Source::paths(&[lab.source()]), &ear, |_| {}).expect("the backup works");
    assert_eq!(ear.heard().len(), 4, "those below the eighth are told of: {:?}", ear.heard());
    assert_eq!(backed_up(&lab), BTreeSet::new(), "what the files above say is true below");
}

#[test]
fn entries_that_chattr_has_marked_are_left_out_unless_they_are_named() {
    let lab = Lab::with(|root| build(root, &["plain", "marked", "folder/x", "marked folder/x"]));
    for name in ["marked", "marked folder"] {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = rustix::fs::open(lab.source().join(name), flags, Mode::empty()).expect("it opens");
        if rustix::fs::ioctl_setflags(&file, IFlags::NODUMP).is_err() {
            eprintln!("not tested: this file system has no such attribute");
            return;
        }
    }
    lab.backup_with(|options| options.exclude_nodump = true);
    assert_eq!(backed_up(&lab), set(&["plain", "folder/x"]));
    let paths = [lab.source(), lab.source().join("marked folder")];
    lab.archive(Source::paths(&paths[1..]), &Ear::default(), |options| options.exclude_nodump = true)
        .expect("the backup works");
    assert_eq!(backed_up(&lab), set(&["marked folder/x"]));
    lab.backup();
    assert_eq!(backed_up(&lab).len(), 4);
}
