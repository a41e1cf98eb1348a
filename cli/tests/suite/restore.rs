//! `restore`: stopped, killed and gone on with, by users who may not do everything, and with `--delete`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::program::{Desk, Run, same};
use crate::signals::{noise, signal};

/// A user who isn't the super-user.
const OTHER_USER: u32 = 65_534;

fn is_root() -> bool {
    Command::new("id").arg("-u").output().unwrap().stdout == b"0\n"
}

fn desk_with_noise() -> Desk {
    let desk = Desk::new();
    for number in 0..24 {
        fs::write(desk.src(&format!("docs/noise{number}")), noise(number + 1, 6 << 20)).unwrap();
    }
    desk.backup();
    desk
}

fn folder(desk: &Desk) -> String {
    format!("latest:{}", desk.path("src").display())
}

/// Files in a directory whose names begin like this.
fn named(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let is_one = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with(prefix);
    entries.map(|entry| entry.unwrap().path()).filter(is_one).collect()
}

/// Starts a restore, waits until some files are complete and others aren't, and sends it a signal.
/// Begins with another target as often as that came too late.
fn cut_short(desk: &Desk, name: &str) -> (PathBuf, Run) {
    for attempt in 0..20 {
        let target = desk.path(&format!("out{attempt}"));
        let child: Child = desk
            .command()
            .args(["restore", "--snapshot", &folder(desk), "--target", target.to_str().unwrap()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let docs = target.join("docs");
        while named(&docs, "noise").is_empty() {
            std::thread::sleep(Duration::from_millis(1));
        }
        signal(&child, name);
        let run = Run::of(child.wait_with_output().unwrap());
        if run.code != 0 {
            return (target, run);
        }
    }
    panic!("every restore was faster than its signal");
}

/// Each file that has its name is the source's.
fn assert_complete(desk: &Desk, target: &Path) -> usize {
    let complete = named(&target.join("docs"), "noise");
    for path in &complete {
        let name = path.file_name().unwrap();
        assert!(fs::read(path).unwrap() == fs::read(desk.src("docs").join(name)).unwrap(), "{name:?}");
    }
    complete.len()
}

/// Small files are made without a name and linked in. Where that isn't permitted, for containers and on
/// older kernels, they get a name that says that they aren't complete, and then their own.
#[test]
fn where_a_file_without_a_name_gets_none_it_is_written_under_another() {
    let desk = Desk::new();
    for number in 0..50 {
        let file = desk.src(&format!("docs/{number}"));
        fs::write(&file, format!("content of {number}")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    }
    desk.backup();
    for error in ["EPERM", "ENOENT", "ENOSYS"] {
        let target = desk.path(error);
        let calls = desk.path(&format!("calls {error}"));
        let program = desk.command();
        let run = Command::new("strace")
            .args(["-f", "-qq", "-e", "trace=linkat,renameat,renameat2", "-e"])
            .arg(format!("inject=linkat:error={error}"))
            .arg("-o")
            .args([calls.as_os_str(), program.get_program()])
            .args(["restore", "--snapshot", &folder(&desk), "--target", target.to_str().unwrap(), "--verify"])
            .env_clear()
            .envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .output();
        let Ok(output) = run else {
            eprintln!("skipped: there is no strace");
            return;
        };
        let run = Run::of(output);
        if run.err.contains("ptrace") {
            eprintln!("skipped: no process may be traced here");
            return;
        }
        run.succeeds();
        assert!(same(&desk.path("src"), &target), "{error}");
        assert!(named(&target.join("docs"), ".keepfast").is_empty(), "{error}");
        let calls = fs::read_to_string(&calls).unwrap();
        assert!(calls.contains("(INJECTED)"), "a link was tried: {calls}");
        assert!(calls.lines().filter(|line| line.contains("renameat")).count() >= 50, "{calls}");
    }
}

#[test]
fn a_restore_that_is_stopped_says_how_to_go_on_and_leaves_no_half_file() {
    let desk = desk_with_noise();
    let (target, run) = cut_short(&desk, "-INT");
    let run = run.fails(130, &["the restore was interrupted", "--resume", target.to_str().unwrap()]);
    assert!(!run.err.contains("upload"), "{run:?}");
    assert_complete(&desk, &target);
    assert_eq!(named(&target.join("docs"), ".keepfast-restore-"), Vec::<PathBuf>::new());
    let snapshot = folder(&desk);
    let arguments =
        ["restore", "--snapshot", &snapshot, "--target", target.to_str().unwrap(), "--overwrite", "never"];
    desk.run(arguments).succeeds();
    assert_complete(&desk, &target);
}

#[test]
fn a_restore_that_is_killed_is_gone_on_with() {
    let desk = desk_with_noise();
    let (target, _) = cut_short(&desk, "-KILL");
    let complete = assert_complete(&desk, &target);
    let snapshot = folder(&desk);
    let arguments = ["restore", "--snapshot", &snapshot, "--target", target.to_str().unwrap(), "--json"];
    desk.run(arguments).fails(1, &["isn't empty"]);
    let run = desk.run([&arguments[..], &["--resume", "--verify"]].concat()).succeeds();
    let unchanged: usize = run
        .out
        .split("\"unchanged\":")
        .nth(1)
        .and_then(|rest| rest.split(|character: char| !character.is_ascii_digit() && character != ' ').next())
        .and_then(|number| number.trim().parse().ok())
        .unwrap();
    assert!(unchanged >= complete, "{complete} were complete: {run:?}");
    assert!(same(&desk.path("src"), &target));
}

/// Who can't give a file to its owner doesn't make its setuid program their own.
#[test]
fn a_user_who_cannot_give_files_away_gets_no_setuid_programs() {
    if !is_root() {
        eprintln!("skipped: only root has files of others");
        return;
    }
    let desk = Desk::new();
    for (name, mode) in [("a.txt", 0o4755), ("docs/b.txt", 0o6711)] {
        fs::set_permissions(desk.src(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    desk.backup();
    let shared = Command::new("chmod").args(["-R", "a+rwX"]).arg(desk.folder.path()).status().unwrap();
    assert!(shared.success());
    // Another user may not reach the program where it is.
    let own = desk.command();
    fs::copy(own.get_program(), desk.path("program")).unwrap();
    let target = desk.path("out");
    let mut command = Command::new(desk.path("program"));
    command.env_clear().envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("KEEPFAST_CACHE_DIR", desk.path("no one's cache"));
    command.uid(OTHER_USER).gid(OTHER_USER).current_dir("/");
    let snapshot = folder(&desk);
    let arguments = ["restore", "--snapshot", &snapshot, "--target", target.to_str().unwrap()];
    let run = Run::of(command.args(arguments).output().unwrap());
    run.fails(3, &["a.txt: its setuid and setgid bits are left out", "b.txt: its setuid and setgid bits"]);
    for (name, mode) in [("a.txt", 0o755), ("docs/b.txt", 0o711)] {
        let metadata = fs::metadata(target.join(name)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o7777, mode, "{name}");
    }
}

#[test]
fn a_dry_run_with_delete_names_what_would_go() {
    let desk = Desk::new();
    desk.backup();
    let target = desk.path("out");
    fs::create_dir_all(target.join("own")).unwrap();
    fs::write(target.join("own/file"), "mine").unwrap();
    let snapshot = folder(&desk);
    let arguments = ["restore", "--snapshot", &snapshot, "--target", target.to_str().unwrap(), "--dry-run"];
    let restore =
        |more: &[&str]| desk.run([&arguments[..], &["--overwrite", "always", "--delete"], more].concat());
    let (file, own) = (target.join("own/file"), target.join("own"));
    let run = restore(&[]).succeeds();
    let lines = [&file, &own].map(|path| format!("would remove {}", path.display()));
    assert!(lines.iter().all(|line| run.err.lines().any(|said| said == line)), "{run:?}");
    assert!(run.out.contains("would remove 2 entries"), "{run:?}");
    let run = restore(&["--json"]).succeeds();
    let events = run.err.lines().filter(|line| line.contains("\"type\":\"would_remove\"")).count();
    assert!(events == 2 && run.out.contains("\"deleted\":2"), "{run:?}");
    assert!(file.exists() && !target.join("a.txt").exists());
    // A dry run, for when the refusal fails.
    let root = [
        "restore",
        "--snapshot",
        "latest",
        "--target",
        "/",
        "--overwrite",
        "always",
        "--delete",
        "--dry-run",
    ];
    desk.run(root).fails(1, &["nothing is removed from /"]);
}
