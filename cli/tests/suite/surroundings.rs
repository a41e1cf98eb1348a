//! Machines that aren't as usual: without `/proc`, with directories that may only be passed through, with
//! users of one group.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::process::Command;

use keepfast_testkit::{assert_same, tree};

use crate::program::{Desk, Run};

/// A program's command line in a mount namespace in which `/proc` is empty.
fn without_proc(inner: &Command) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-ec", "mount -t tmpfs none /proc; exec \"$@\"", "sh"]);
    command.arg(inner.get_program()).args(inner.get_args()).env_clear();
    for (name, value) in inner.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command
}

#[test]
fn links_fifos_and_sockets_are_backed_up_without_proc() {
    if !tree::is_root() {
        return;
    }
    let desk = Desk::new();
    let source = desk.path("src");
    symlink("nowhere", source.join("dangling")).unwrap();
    assert!(Command::new("mkfifo").arg(source.join("fifo")).status().unwrap().success());
    drop(std::os::unix::net::UnixListener::bind(source.join("socket")).unwrap());
    tree::set_xattr(source.join("fifo"), "trusted.note", b"kept");
    let mut backup = desk.command();
    backup.arg("backup").arg(&source);
    let run = Run::of(without_proc(&backup).output().unwrap()).succeeds();
    assert!(run.out.contains(" 0 skipped") && !run.err.contains("gone"), "{run:?}");
    let target = desk.path("restored");
    let mut restore = desk.command();
    restore.args(["restore", "--snapshot", &format!("latest:{}", source.display()), "--target"]).arg(&target);
    Run::of(without_proc(&restore).output().unwrap()).succeeds();
    assert_same(&source, &target);
    desk.run(["check", "--read-data"]).succeeds();
}

#[test]
fn a_directory_that_may_only_be_passed_through_leads_to_what_is_below_it() {
    if !tree::is_root() {
        return;
    }
    let desk = Desk::new();
    let above = desk.src("closed");
    tree::write(above.join("open/file"), "content");
    fs::set_permissions(&above, fs::Permissions::from_mode(0o711)).unwrap();
    let mut command = desk.command_as_another_user();
    let run = Run::of(command.arg("backup").arg(above.join("open")).output().unwrap()).succeeds();
    assert!(run.out.contains("1 new") && run.out.contains(" 0 skipped"), "{run:?}");
    assert!(desk.run(["ls", "-R", "latest"]).succeeds().out.contains("open/file"));
}

#[test]
fn an_object_that_may_not_be_read_is_not_called_damaged() {
    if !tree::is_root() {
        return;
    }
    let desk = Desk::new();
    desk.backup();
    let mut command = desk.command_as_another_user();
    let mut packs = 0;
    for folder in fs::read_dir(desk.repo().join("packs")).unwrap() {
        for pack in fs::read_dir(folder.unwrap().path()).unwrap() {
            fs::set_permissions(pack.unwrap().path(), fs::Permissions::from_mode(0o000)).unwrap();
            packs += 1;
        }
    }
    assert!(packs > 0);
    let run = Run::of(command.args(["check", "--read-data"]).output().unwrap());
    let run = run.fails(3, &["unreachable: ", "Permission denied"]);
    assert!(run.out.contains("They may be sound") && !run.err.contains("damaged: "), "{run:?}");
    desk.run(["check", "--read-data"]).succeeds();
}

/// Whatever umask the writer has, and whatever commands make folders and files later.
#[test]
fn a_repository_that_its_group_may_read_is_read_by_its_group_and_no_one_else() {
    if !tree::is_root() {
        eprintln!("not tested: being several users needs root");
        return;
    }
    const GROUP: u32 = 61_234;
    let desk = Desk::bare();
    fs::write(desk.src("file"), "content").unwrap();
    fs::set_permissions(desk.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let script = "umask 077; exec \"$0\" \"$@\"";
    let run = |arguments: &[&str]| {
        let mut shell = Command::new("/bin/sh");
        shell.env_clear().envs(desk.command().get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.arg("-c").arg(script).arg(desk.command().get_program()).args(arguments);
        Run::of(shell.output().unwrap()).succeeds()
    };
    // As the administrator that prepares the place does it.
    fs::create_dir(desk.repo()).unwrap();
    std::os::unix::fs::chown(desk.repo(), None, Some(GROUP)).unwrap();
    run(&["init", "--group-readable"]);
    let source = desk.path("src");
    let source = source.to_str().unwrap();
    run(&["backup", source]);
    fs::write(desk.src("file"), "other content").unwrap();
    run(&["backup", source]);
    run(&["forget", "--keep-last", "1", "--prune"]);

    let (program, target) = (desk.path("program"), desk.path("out"));
    fs::copy(desk.command().get_program(), &program).unwrap();
    let as_user = |group: u32, arguments: &[&str]| {
        let cache = desk.path(&format!("cache of {group}"));
        fs::create_dir_all(&cache).unwrap();
        std::os::unix::fs::chown(&cache, Some(61_000), Some(group)).unwrap();
        let mut command = Command::new(&program);
        command.env_clear().envs(desk.command().get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("KEEPFAST_CACHE_DIR", cache).uid(61_000).gid(group).current_dir("/");
        Run::of(command.args(arguments).output().unwrap())
    };
    fs::create_dir(&target).unwrap();
    std::os::unix::fs::chown(&target, Some(61_000), Some(GROUP)).unwrap();
    as_user(GROUP, &["check", "--read-data"]).succeeds();
    let snapshot = format!("latest:{source}");
    as_user(GROUP, &["restore", "--snapshot", &snapshot, "--target", target.to_str().unwrap()]);
    assert_eq!(fs::read(target.join("file")).unwrap(), b"other content");
    as_user(GROUP, &["backup", "/usr/bin/env"]).fails(1, &["Permission denied"]);
    as_user(61_235, &["snapshots"]).fails(1, &["Permission denied"]);
    assert!(desk.is_sound());
    // In a directory with something in it, it is too late; and there are no groups in S3.
    desk.run(["-r", source, "init", "--group-readable"]).fails(1, &["isn't empty"]);
    desk.run(["-r", "s3://bucket", "init", "--group-readable"]).fails(2, &["--group-readable"]);
}
