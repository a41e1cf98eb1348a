//! What is in the way of a command, and what it says of that: names that are taken, things that aren't
//! objects, and objects that may not be read.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::program::{Desk, Run};

/// A user who isn't the super-user, for whom permissions count.
const OTHER_USER: u32 = 65_534;

fn is_root() -> bool {
    Command::new("id").arg("-u").output().unwrap().stdout == b"0\n"
}

/// Lets everybody read and write below a folder.
fn open_to_all(folder: &Path) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = path.symlink_metadata().unwrap();
        if metadata.is_dir() {
            open_to_all(&path);
        } else if metadata.is_file() {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        }
    }
}

/// A pack that may not be read is no damage: the check says so, and gives no advice to give anything up.
#[test]
fn a_pack_that_may_not_be_read_is_unreachable() {
    let desk = Desk::new();
    desk.backup();
    open_to_all(desk.folder.path());
    let mut packs = Vec::new();
    for folder in fs::read_dir(desk.repo().join("packs")).unwrap() {
        packs.extend(fs::read_dir(folder.unwrap().path()).unwrap().map(|entry| entry.unwrap().path()));
    }
    packs.iter().for_each(|pack| fs::set_permissions(pack, fs::Permissions::from_mode(0o000)).unwrap());
    // Another user may not reach the program where it is.
    let own = desk.command();
    fs::copy(own.get_program(), desk.path("program")).unwrap();
    let check = || {
        let mut command = Command::new(desk.path("program"));
        command.env_clear().envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if is_root() {
            command.uid(OTHER_USER).gid(OTHER_USER);
        }
        command.env("KEEPFAST_CACHE_DIR", desk.path("another cache"));
        Run::of(command.args(["check", "--read-data"]).current_dir("/").output().unwrap())
    };
    let run = check().fails(3, &["unreachable: packs/", "ermission denied"]);
    let said = format!("{}{}", run.out, run.err);
    assert!(run.out.contains("no damage found in what could be read"), "{run:?}");
    assert!(run.out.contains("run the check again"), "{run:?}");
    for word in ["forget", "damaged", "0 findings"] {
        assert!(!said.contains(word), "{word:?} is said: {run:?}");
    }
    packs.iter().for_each(|pack| fs::set_permissions(pack, fs::Permissions::from_mode(0o666)).unwrap());
    assert!(check().succeeds().out.contains("no damage found"));
}

/// What isn't an object and names that nothing explains are findings; a restore doesn't care.
#[test]
fn a_check_names_what_isnt_an_object() {
    let desk = Desk::new();
    desk.backup();
    let made = Command::new("mkfifo").arg(desk.repo().join("index/pipe")).status().unwrap();
    assert!(made.success());
    fs::write(desk.repo().join("notes.txt"), "mine").unwrap();
    let run = desk.run(["check"]).fails(3, &["index/pipe: it is a named pipe", "notes.txt: its name isn't"]);
    assert!(run.out.contains("2 findings; 0 files of snapshots"), "{run:?}");
    assert!(desk.restores_identical());
}

/// A backup of a stream that has announced itself, and its session.
#[allow(clippy::zombie_processes, reason = "the caller waits for it")]
fn begin_stream(desk: &Desk) -> (Child, String) {
    let child = desk
        .command()
        .args(["backup", "--stdin", "--stdin-name", "dump"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let sessions = desk.repo().join("sessions");
    loop {
        if let Some(entry) = fs::read_dir(&sessions).ok().and_then(|mut entries| entries.next()) {
            return (child, entry.unwrap().file_name().into_string().unwrap());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A backup whose own register another program has taken wasn't silent, and isn't told so.
#[test]
fn a_taken_register_is_told_from_a_fence() {
    let desk = Desk::new();
    let (mut child, session) = begin_stream(&desk);
    fs::create_dir_all(desk.repo().join("snapshots")).unwrap();
    fs::write(desk.repo().join("snapshots").join(&session), "rubbish").unwrap();
    child.stdin.take().unwrap().write_all(b"dump").unwrap();
    let run = Run::of(child.wait_with_output().unwrap());
    let run = run.fails(11, &[&format!("snapshots/{session} is taken"), "run it again"]);
    assert!(!run.err.contains("silent"), "{run:?}");
}
