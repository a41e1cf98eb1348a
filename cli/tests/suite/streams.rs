//! Dump streams: standard input, and the output of commands.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::program::{Desk, Run, same};

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

/// Mostly an empty dump is one that has failed.
#[test]
fn an_empty_stream_makes_no_snapshot_unless_that_is_allowed() {
    let desk = Desk::new();
    let dump = ["--stdin-name", "dump.sql"];
    let stdin = |more: &[&str]| {
        let mut command = desk.command();
        Run::of(command.arg("backup").args(dump).args(more).stdin(Stdio::null()).output().unwrap())
    };
    let command = |more: &[&str]| {
        desk.run([&["backup"], &dump[..], more, &["--command", "--", "sh", "-c", "exit 0"]].concat())
    };
    stdin(&["--stdin"]).fails(1, &["standard input was empty", "no snapshot was made", "--allow-empty"]);
    command(&[]).fails(1, &["the command sh printed nothing", "no snapshot was made", "--allow-empty"]);
    assert!(desk.run(["snapshots"]).out.contains("no snapshots"));
    stdin(&["--stdin", "--allow-empty"]).succeeds();
    assert_eq!(desk.run(["dump", "latest", "dump.sql"]).succeeds().out, "");
    command(&["--allow-empty"]).succeeds();
    assert_eq!(desk.run(["snapshots", "--json"]).succeeds().out.matches("\"id\":").count(), 2);
    desk.run(["backup", "--allow-empty", desk.path("src").to_str().unwrap()])
        .fails(2, &["--stdin, --command or --stream"]);
    assert!(desk.is_sound());
}

/// What a shell makes of `<(command)` is a link to a pipe, and the link would be all of the backup.
#[test]
fn a_path_that_is_an_open_pipe_is_refused_with_the_way_to_read_it() {
    let desk = Desk::new();
    for path in ["/dev/fd/0", "/proc/self/fd/0", "/dev/stdin"] {
        let mut command = desk.command();
        command.args(["backup", path, desk.path("src").to_str().unwrap()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It may have ended before.
        let _ = child.stdin.take().unwrap().write_all(b"what is meant");
        let run = Run::of(child.wait_with_output().unwrap());
        run.fails(2, &[path, "--stdin", "--command"]);
    }
    let mut shell = Command::new("bash");
    shell.env_clear().envs(desk.command().get_envs().filter_map(|(name, value)| Some((name, value?))));
    let script = format!("exec {} backup <(echo text)", desk.command().get_program().to_str().unwrap());
    let run = Run::of(shell.args(["-c", &script]).output().unwrap());
    run.fails(2, &["/dev/fd/", "--stdin", "--command"]);
    assert!(desk.run(["snapshots"]).out.contains("no snapshots"));
    // A pipe that has a name is kept as one, with a note.
    let pipe = desk.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let run = desk.run(["backup", pipe.to_str().unwrap()]).succeeds();
    assert!(run.err.contains("is a pipe or device") && run.err.contains("--read-special"), "{run:?}");
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
    desk.run(["backup", "--stdin-name", "a/b", "--command", "--", "true"]).fails(1, &["isn't a file name"]);
    desk.run(["backup", "--stdin-name", "a", desk.path("src").to_str().unwrap()])
        .fails(2, &["--stdin or --command"]);
}

/// Backs up with streams, and paths if there are any.
fn backup_streams(desk: &Desk, streams: &[&str], more: &[&str]) -> Run {
    let flags = streams.iter().flat_map(|stream| ["--stream", stream]);
    desk.run(["backup"].into_iter().chain(flags).chain(more.iter().copied()))
}

#[test]
fn files_and_the_output_of_commands_are_one_snapshot() {
    let desk = Desk::new();
    let src = desk.path("src");
    let streams = ["db.sql=seq 1 200000 | sort -n", "roles=printf '%s' \"a=b; $((1 + 1))\""];
    backup_streams(&desk, &streams, &[src.to_str().unwrap()]).succeeds();
    let listed = desk.run(["snapshots", "--json"]).succeeds().out;
    assert_eq!(listed.matches("\"id\":").count(), 1, "{listed}");
    assert_eq!(desk.run(["dump", "latest", "roles"]).succeeds().out, "a=b; 2");
    let target = desk.path("target");
    desk.run(["restore", "--snapshot", "latest", "--target", target.to_str().unwrap()]).succeeds();
    assert!(same(&src, &target.join(src.strip_prefix("/").unwrap())));
    let numbers: String = (1..=200_000).map(|number| format!("{number}\n")).collect();
    assert!(std::fs::read_to_string(target.join("db.sql")).unwrap() == numbers);
    // Alone, and compared with nothing.
    backup_streams(&desk, &["only=echo this"], &[]).succeeds();
    assert_eq!(desk.run(["ls", "latest"]).succeeds().out.trim(), "/only");
    assert!(desk.is_sound());
}

#[test]
fn if_one_command_fails_the_others_are_ended_and_there_is_no_snapshot() {
    let desk = Desk::new();
    let src = desk.path("src");
    let pid = desk.path("pid");
    // The one that would go on for an hour is a shell with another process.
    let endless = format!("endless=sleep 3600 & echo $! > {0}; echo begun; wait", pid.display());
    let failing = format!("db.sql=while [ ! -s {} ]; do sleep 0.05; done; echo half; exit 7", pid.display());
    let run = backup_streams(&desk, &[&endless, &failing], &[src.to_str().unwrap()]);
    run.fails(1, &["db.sql: the command /bin/sh failed (exit status: 7)", "no snapshot was made"]);
    let pid = std::fs::read_to_string(pid).unwrap();
    let status = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    assert!(status.is_empty() || status.contains(") Z"), "a process is left: {status}");
    backup_streams(&desk, &["a=echo x", "b=exit 0"], &[])
        .fails(1, &["b: ", "printed nothing", "--allow-empty"]);
    assert!(desk.run(["snapshots"]).out.contains("no snapshots"));
    backup_streams(&desk, &["a=echo x", "b=exit 0"], &["--allow-empty"]).succeeds();
    assert!(desk.is_sound());
}

#[test]
fn streams_need_names_of_their_own_and_go_with_neither_standard_input_nor_a_dry_run() {
    let desk = Desk::new();
    let src = desk.path("src");
    let top = src.components().nth(1).unwrap().as_os_str().to_str().unwrap().to_owned();
    backup_streams(&desk, &[&format!("{top}=echo x")], &[src.to_str().unwrap()])
        .fails(1, &[&format!("{top:?}"), "has it too"]);
    backup_streams(&desk, &["a=echo x", "a=echo y"], &[]).fails(1, &["two of them have it"]);
    backup_streams(&desk, &["a/b=echo x"], &[]).fails(1, &["isn't a file name"]);
    for wrong in ["a", "=echo", "a="] {
        backup_streams(&desk, &[wrong], &[]).fails(2, &["NAME=COMMAND"]);
    }
    for other in [&["--stdin", "--stdin-name", "x"][..], &["--dry-run"], &["--skip-if-unchanged"]] {
        backup_streams(&desk, &["a=echo x"], other).fails(2, &["cannot be used with"]);
    }
    assert!(desk.run(["snapshots"]).out.contains("no snapshots"));
}

/// An image of a disk as a file and from a pipe: cut at the same pages, it is stored once.
#[test]
fn chunking_holds_for_files_and_for_the_stream_of_a_command() {
    let desk = Desk::new();
    let image = desk.src("disk.img");
    std::fs::write(&image, keepfast_testkit::tree::noise(5, 3 << 20)).unwrap();
    let new = |arguments: &[&str]| {
        let run = desk.run([&["backup", "--json"], arguments].concat()).succeeds();
        let report: serde_json::Value = serde_json::from_str(&run.out).unwrap();
        report["summary"]["bytes_new"].as_u64().unwrap()
    };
    let image = image.to_str().unwrap();
    let stream = ["--stdin-name", "disk.img", "--command", "--", "cat", image];
    assert!(new(&["--chunking", "pages:8KiB", image]) >= 3 << 20);
    assert_eq!(new(&[&["--chunking", "pages:8192"], &stream[..]].concat()), 0);
    assert!(new(&stream) > 2 << 20, "by itself, a stream of noise is cut by content");
    for wrong in ["pages:5000", "pages:1MiB", "pages"] {
        desk.run(["backup", "--chunking", wrong, image]).fails(2, &["pages:8KiB"]);
    }
    assert!(desk.is_sound());
}
