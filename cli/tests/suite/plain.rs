//! A file system without most of what Linux's own have (sshfs, exfat-fuse), as a store and as a source.

use std::fs;
use std::path::Path;
use std::process::Command;

use keepfast_testkit::servers::{Links, PlainDisk};

use crate::program::Desk;
use crate::prune::ids;

const LACK: &str = "neither link files nor rename them without replacing others";

/// A desk whose repository is to be on such a file system. What `behind` has is in it.
fn desk() -> (Desk, PlainDisk) {
    let desk = Desk::bare();
    fs::write(desk.src("a.txt"), "one").unwrap();
    fs::create_dir(desk.src("docs")).unwrap();
    fs::write(desk.src("docs/b.txt"), "two".repeat(100_000)).unwrap();
    let disk = PlainDisk::mount(desk.repo(), Links::Refused);
    (desk, disk)
}

/// All files below a folder, with their sizes.
fn everything(folder: &Path) -> String {
    let found =
        Command::new("find").arg(folder).args(["-type", "f", "-printf"]).arg("%P %s\n").output().unwrap();
    let mut lines: Vec<&str> = std::str::from_utf8(&found.stdout).unwrap().lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

#[test]
fn init_says_what_the_file_system_cant_do_and_leaves_nothing() {
    let (desk, disk) = desk();
    let said = ["can't be trusted", LACK, "Two runs that write at the same time", "--unsafe-store"];
    desk.run(["init"]).fails(1, &said);
    let below = desk.path("repo/not/yet/there");
    desk.run(["init", "--repo", below.to_str().unwrap()]).fails(1, &said);
    assert_eq!(fs::read_dir(disk.behind()).unwrap().count(), 0);
    desk.run(["snapshots"]).fails(10, &["holds no repository"]);
    let doctor = desk.run(["doctor"]);
    assert_eq!(doctor.code, 3, "{doctor:?}");
    assert!(doctor.out.contains("promises    broken") && doctor.out.contains(LACK), "{doctor:?}");
}

/// Each command works, and says that it must be the only one that writes.
#[test]
fn with_unsafe_store_a_repository_lives_there() {
    let (desk, _disk) = desk();
    let init = desk.run(["init", "--unsafe-store"]).succeeds();
    assert!(init.out.contains("never run two commands that write"), "{init:?}");
    let source = desk.path("src");
    let source = source.to_str().unwrap();
    desk.backup();
    fs::write(desk.src("docs/c.txt"), "three".repeat(200_000)).unwrap();
    // What limits a store hands the declaration on.
    desk.run(["backup", "--limit-upload", "100000", source]).succeeds();
    assert!(desk.restores_identical() && desk.is_sound());
    fs::remove_file(desk.src("docs/b.txt")).unwrap();
    desk.run(["backup", "--stdin-name", "made", "--command", "--", "echo", "made"]).succeeds();
    desk.backup();
    let restored = desk.path("restored").display().to_string();
    let all = ids(&desk, &[]);
    let commands: [&[&str]; 9] = [
        &["snapshots"],
        &["ls", "latest"],
        &["stats"],
        &["check", "--read-data"],
        &["forget", "--keep-last", "1"],
        &["undelete", &all[0]],
        &["restore", "--snapshot", "latest", "--target", &restored],
        &["forget", "--keep-last", "1", "--prune", "--session-timeout", "0s"],
        &["prune", "--max-unused", "0%", "--session-timeout", "0s"],
    ];
    for command in commands {
        let run = desk.run(command);
        assert_eq!(run.code, 0, "{command:?}: {run:?}");
        assert!(run.err.contains("warning: this store lets writers overwrite"), "{command:?}: {run:?}");
    }
    assert!(desk.restores_identical() && desk.is_sound());
    let doctor = desk.run(["doctor"]);
    assert_eq!(doctor.code, 3, "{doctor:?}");
    for words in [LACK, "2 snapshots, 0 damaged; declared for a single writer"] {
        assert!(doctor.out.contains(words), "{words:?} isn't said: {doctor:?}");
    }
}

#[test]
fn unsafe_store_changes_nothing_in_a_directory_that_lacks_nothing() {
    let desk = Desk::bare();
    let init = desk.run(["init", "--unsafe-store"]).succeeds();
    assert!(!init.out.contains("never run two commands"), "{init:?}");
    let run = desk.run(["snapshots"]).succeeds();
    assert!(!run.err.contains("warning"), "{run:?}");
    assert!(!desk.repo().join("probe").exists());
}

/// No one has declared that a single run writes, so none does.
#[test]
fn a_repository_that_was_moved_there_can_be_read_and_not_written() {
    let desk = Desk::new();
    desk.backup();
    desk.backup();
    fs::rename(desk.repo(), desk.path("repo.behind")).unwrap();
    let disk = PlainDisk::mount(desk.repo(), Links::Refused);
    let before = everything(disk.behind());
    let source = desk.path("src");
    let commands: [&[&str]; 3] = [
        &["backup", source.to_str().unwrap()],
        &["forget", "latest"],
        &["forget", "--keep-last", "1", "--prune"],
    ];
    for command in commands {
        let said = [LACK, "two writers could overwrite", "nothing was overwritten", "init --unsafe-store"];
        desk.run(command).fails(1, &said);
    }
    assert_eq!(everything(disk.behind()), before);
    assert!(desk.restores_identical() && desk.is_sound());
    let snapshots = desk.run(["snapshots"]).succeeds();
    assert!(!snapshots.err.contains("warning"), "{snapshots:?}");
    assert_eq!(desk.run(["doctor"]).code, 3);
    assert_eq!(everything(disk.behind()), before);
}

/// Servers show names that they can't find, as of files that have no name for their clients (SMB).
#[test]
fn what_is_listed_and_cant_be_found_is_a_finding() {
    let desk = Desk::new();
    let disk = PlainDisk::mount(desk.path("served"), Links::Refused);
    fs::write(disk.behind().join("before"), "here").unwrap();
    fs::write(disk.behind().join("unfindable"), "here too").unwrap();
    fs::write(disk.behind().join("zzz"), "and here").unwrap();
    fs::write(disk.behind().join("vanishing"), "for a moment").unwrap();
    let served = disk.path().to_str().unwrap();
    let why = "it is listed in its directory, but can't be found by its name";
    let backup = desk.run(["backup", served]).fails(3, &["served/unfindable", why]);
    assert_eq!(backup.err.matches("skipped: ").count(), 1, "{backup:?}");
    assert!(backup.err.contains("served/vanishing: it was removed before"), "{backup:?}");
    let listed = desk.run(["ls", "latest", served]).succeeds();
    let names: Vec<&str> = listed.out.lines().filter_map(|line| line.rsplit('/').next()).collect();
    assert_eq!(names, ["before", "zzz"], "{listed:?}");
    // Once it can be found, it is there.
    fs::rename(disk.behind().join("unfindable"), disk.behind().join("found")).unwrap();
    desk.run(["backup", served]).succeeds();
    let content = desk.run(["dump", "latest", &format!("{served}/found")]).succeeds();
    assert_eq!(content.out, "here too");
}
