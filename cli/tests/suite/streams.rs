//! Dump streams: standard input, and the output of commands.

use std::io::Write;
use std::process::Stdio;

use crate::program::{Desk, Run};

fn backup_stdin(desk: &Desk, bytes: &[u8]) -> Run {
    let mut child = desk
        .command()
        .args(["backup", "--stdin", "--stdin-name", "dump.sql"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    Run::of(child.wait_with_output().unwrap())
}

#[test]
fn a_stream_comes_back_as_it_was() {
    let desk = Desk::new();
    let bytes: Vec<u8> =
        (0..5_000_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    backup_stdin(&desk, &bytes).succeeds();
    let output = desk.command().args(["dump", "latest", "dump.sql"]).output().unwrap();
    assert!(output.status.success() && output.stdout == bytes);
    assert!(desk.is_sound());
}

#[test]
fn a_second_stream_of_the_same_name_and_length_isnt_taken_for_unchanged() {
    let desk = Desk::new();
    backup_stdin(&desk, b"first contents").succeeds();
    backup_stdin(&desk, b"other contents").succeeds();
    assert_eq!(desk.run(["dump", "latest", "dump.sql"]).succeeds().out, "other contents");
    assert_eq!(desk.run(["dump", "latest~1", "dump.sql"]).succeeds().out, "first contents");
}

#[test]
fn an_empty_stream_is_an_empty_file() {
    let desk = Desk::new();
    backup_stdin(&desk, b"").succeeds();
    assert_eq!(desk.run(["dump", "latest", "dump.sql"]).succeeds().out, "");
}

#[test]
fn the_output_of_a_command_is_backed_up() {
    let desk = Desk::new();
    desk.run(["backup", "--stdin-name", "hello", "--command", "--", "printf", "%s-%s", "a b", "c"])
        .succeeds();
    assert_eq!(desk.run(["dump", "latest", "hello"]).succeeds().out, "a b-c");
}

#[test]
fn a_command_that_fails_makes_no_snapshot() {
    let desk = Desk::new();
    desk.run(["backup", "--stdin-name", "x", "--command", "--", "sh", "-c", "echo half; exit 7"])
        .fails(1, &["failed", "exit status: 7", "no snapshot was made"]);
    desk.run(["backup", "--stdin-name", "x", "--command", "--", "sh", "-c", "echo half; kill -9 $$"])
        .fails(1, &["failed", "signal: 9"]);
    desk.run(["backup", "--stdin-name", "x", "--command", "--", "/no/such/program"])
        .fails(1, &["can't be run"]);
    assert!(desk.run(["snapshots"]).out.contains("no snapshots"));
    assert!(desk.is_sound());
}

#[test]
fn a_stream_needs_a_name_that_can_be_a_files() {
    let desk = Desk::new();
    desk.run(["backup", "--stdin"]).fails(2, &["--stdin-name"]);
    desk.run(["backup", "--stdin-name", "a/b", "--command", "--", "true"]).fails(1, &["without slashes"]);
    desk.run(["backup", "--stdin-name", "a", desk.path("src").to_str().unwrap()])
        .fails(2, &["--stdin or --command"]);
}
