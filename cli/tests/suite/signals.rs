//! Being interrupted and killed.

use std::fs;
use std::io::Write;
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::program::{Desk, Run};

/// Bytes that don't compress and don't repeat.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn desk_with_noise(files: u64, length: usize) -> Desk {
    let desk = Desk::new();
    for n in 0..files {
        fs::write(desk.src(&format!("noise{n}")), noise(n + 1, length)).unwrap();
    }
    desk
}

/// Starts a backup of a stream that gets `bytes` and then nothing, so that it is surely running.
fn start_stuck(desk: &Desk, bytes: &[u8]) -> (Child, std::process::ChildStdin) {
    let mut child = desk
        .command()
        .args(["backup", "--stdin", "--stdin-name", "s"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(bytes).unwrap();
    (child, stdin)
}

pub fn signal(child: &Child, name: &str) {
    let status = std::process::Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

fn bytes_stored(run: &Run) -> u64 {
    let after = run.out.split("\"bytes_stored\":").nth(1).unwrap();
    after.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

#[test]
fn sigint_and_sigterm_end_a_backup_with_130_and_the_next_run_uses_what_was_uploaded() {
    for name in ["-INT", "-TERM"] {
        let desk = Desk::new();
        let bytes = noise(77, 24 << 20);
        let (child, stdin) = start_stuck(&desk, &bytes);
        // Until the session has begun, and so the signal handlers are there.
        while !desk.repo().join("sessions").exists() {
            std::thread::sleep(Duration::from_millis(10));
        }
        std::thread::sleep(Duration::from_millis(300));
        signal(&child, name);
        let run = Run::of(child.wait_with_output().unwrap());
        drop(stdin);
        run.fails(130, &["interrupted", "used by the next run"]);
        assert!(desk.run(["snapshots"]).out.contains("no snapshots"));
        fs::write(desk.src("big"), &bytes).unwrap();
        let again = desk.run(["backup", "--json", desk.path("src").to_str().unwrap()]).succeeds();
        assert!(bytes_stored(&again) < 4 << 20, "{again:?}");
        assert!(desk.restores_identical() && desk.is_sound());
    }
}

#[test]
fn i2_i4_killed_at_any_moment_the_repository_is_sound_and_the_next_run_finishes() {
    let desk = desk_with_noise(12, 3 << 20);
    let source = desk.path("src");
    for round in 0..12_u64 {
        let mut child = desk.command().arg("backup").arg(&source).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(20 + 37 * round));
        // It may have finished already: then there is a snapshot more.
        let _ = child.kill();
        child.wait().unwrap();
        // So that each round has something to store.
        fs::write(desk.src("changing"), noise(1000 + round, 1 << 20)).unwrap();
    }
    assert_eq!(desk.run(["check", "--read-data"]).code, 0);
    desk.backup();
    assert!(desk.restores_identical() && desk.is_sound());
}

#[test]
fn a_killed_restore_is_finished_by_the_next_one() {
    let desk = desk_with_noise(8, 2 << 20);
    desk.backup();
    let target = desk.path("out");
    let snapshot = format!("latest:{}", desk.path("src").display());
    let arguments = ["restore", "--snapshot", &snapshot, "--target", target.to_str().unwrap()];
    let mut child = desk.command().args(arguments).stdout(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(150));
    let _ = child.kill();
    child.wait().unwrap();
    desk.run([&arguments[..], &["--overwrite", "always"]].concat()).succeeds();
    assert!(crate::program::same(&desk.path("src"), &target));
}
