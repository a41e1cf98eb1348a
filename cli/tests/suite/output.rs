//! What the program prints, and what becomes of it: names of strangers, and outputs that take nothing.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::program::{Desk, Run};

/// A name that would clear a terminal, forge a line, and turn the direction of writing.
const NASTY: &str = "x\u{1b}[2J\u{7}\nsnapshot 00000000 saved\r\u{7f}\u{9b}1m\u{202e}gpj\u{2066}";

#[track_caller]
fn assert_harmless(run: &Run) {
    for text in [&run.out, &run.err] {
        let harm = text.chars().find(|letter| {
            (letter.is_control() && *letter != '\n')
                || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        });
        assert_eq!(harm, None, "{run:?}");
        let forged = text.lines().find(|line| line.starts_with("snapshot 00000000"));
        assert_eq!(forged, None, "{run:?}");
    }
}

#[test]
fn no_one_s_names_move_the_cursor_or_forge_a_line() {
    let desk = Desk::new();
    let folder = desk.src(NASTY);
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join(NASTY), "content\u{1b}[1m\n").unwrap();
    let labels = ["--host", NASTY, "--tag", NASTY];
    let folder = folder.to_str().unwrap();
    let file = format!("{folder}/{NASTY}");
    let missing = format!("{folder}/missing");
    let run = desk.run([&["backup"], &labels[..], &[folder, &missing]].concat());
    assert_harmless(&run.fails(3, &["missing"]));
    let shown = "x\\x1b[2J\\x07\\nsnapshot 00000000 saved\\r\\x7f\\u{9b}1m\\u{202e}gpj\\u{2066}";
    let by_host = ["forget", "--keep-last", "1", "--group-by", "host", "--dry-run"];
    let by_nothing = ["forget", "--keep-last", "1", "--group-by", "", "--dry-run"];
    for arguments in [
        &["snapshots"][..],
        &["ls", "-R", "latest"],
        &["ls", "-l", "-R", "latest"],
        &["ls", "latest", &file],
        &by_host,
        &by_nothing,
    ] {
        let run = desk.run(arguments).succeeds();
        assert_harmless(&run);
        assert!(run.out.contains(shown), "{arguments:?}: {run:?}");
    }
    assert_eq!(desk.run(["ls", "latest", folder]).succeeds().out.lines().count(), 1);
    for arguments in [&["ls", "latest", &missing][..], &["ls", NASTY], &["dump", "latest", folder]] {
        assert_harmless(&desk.run(arguments).fails(1, &[]));
    }
    let option = format!("--{}", NASTY.replace('\n', ""));
    assert_harmless(&desk.run(["backup", &option]).fails(2, &["\\x1b[2J"]));
    // What scripts and other programs get is what is there.
    let listed = desk.run(["ls", "--json", "latest", folder]).succeeds().out;
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["entries"][0]["path"], file.as_str());
    assert_eq!(desk.run(["dump", "latest", &file]).succeeds().out, "content\u{1b}[1m\n");
    // Messages about what is stored, and about what was to be restored.
    fs::write(desk.repo().join(NASTY), "mine").unwrap();
    let check = desk.run(["check"]).fails(3, &["damaged: x\\x1b[2J"]);
    assert_harmless(&check);
    fs::remove_file(desk.repo().join(NASTY)).unwrap();
    let target = desk.path(NASTY);
    fs::create_dir(&target).unwrap();
    fs::write(target.join("there"), "mine").unwrap();
    let restore = ["restore", "--snapshot", "latest", "--target", target.to_str().unwrap()];
    assert_harmless(&desk.run(restore).fails(1, &[shown]));
    let run = desk.run([&restore[..], &["--overwrite", "always"]].concat()).succeeds();
    assert_harmless(&run);
    assert!(run.out.contains(shown), "{run:?}");
}

fn full() -> Stdio {
    Stdio::from(File::options().write(true).open("/dev/full").unwrap())
}

/// Standard output of which someone has closed the other end.
fn closed_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    Stdio::from(writer)
}

fn with_output(desk: &Desk, out: Stdio, err: Stdio, arguments: &[&str]) -> Run {
    let mut command = desk.command();
    Run::of(command.args(arguments).stdout(out).stderr(err).spawn().unwrap().wait_with_output().unwrap())
}

fn snapshots(desk: &Desk) -> usize {
    desk.run(["snapshots", "--json"]).succeeds().out.matches("\"id\":").count()
}

/// A note, a skipped file and a summary each have nowhere to go.
#[test]
fn a_backup_goes_on_when_no_one_can_read_what_it_says() {
    let desk = Desk::new();
    let source = desk.path("src");
    let source = source.to_str().unwrap();
    let (good, skipping) = (&["backup", source][..], &["backup", "/no/such/path", source][..]);
    let mut made = 0;
    for (arguments, code) in [(good, 0), (skipping, 3)] {
        for json in [false, true] {
            let arguments = [arguments, if json { &["--json"] } else { &[] }].concat();
            for outputs in [(full(), full()), (closed_pipe(), closed_pipe())] {
                let run = with_output(&desk, outputs.0, outputs.1, &arguments);
                made += 1;
                assert_eq!((run.code, snapshots(&desk)), (code, made), "{arguments:?}");
            }
            let script = format!("exec \"$0\" {} >&- 2>&-", arguments.join(" "));
            let mut shell = Command::new("/bin/sh");
            shell
                .env_clear()
                .envs(desk.command().get_envs().filter_map(|(name, value)| Some((name, value?))));
            shell.arg("-c").arg(script).arg(desk.command().get_program());
            made += 1;
            assert_eq!((shell.status().unwrap().code(), snapshots(&desk)), (Some(code), made));
        }
    }
    let told = with_output(&desk, full(), Stdio::piped(), good);
    told.fails(0, &["warning", "can't be written to standard output", "No space left"]);
    assert!(desk.is_sound() && desk.restores_identical());
}

#[test]
fn results_that_cant_be_printed_are_an_error_unless_something_is_worse() {
    let desk = Desk::new();
    desk.backup();
    let path = desk.src("docs/b.txt");
    let path = path.to_str().unwrap();
    let shows = [
        &["check"][..],
        &["snapshots"],
        &["snapshots", "--json"],
        &["ls", "-R", "latest"],
        &["dump", "latest", path],
        &["stats"],
        &["doctor"],
        &["cache", "info"],
        &["completions", "bash"],
        &["forget", "--keep-last", "1", "--dry-run"],
        &["--help"],
        &["backup", "--help"],
        &["--version"],
    ];
    for arguments in shows {
        with_output(&desk, full(), Stdio::piped(), arguments).fails(1, &[]);
        assert_eq!(with_output(&desk, full(), full(), arguments).code, 1, "{arguments:?}");
        // A reader that closes a pipe has seen enough; only a file that was cut off isn't one.
        let expected = if arguments[0] == "dump" { 1 } else { 0 };
        let run = with_output(&desk, closed_pipe(), Stdio::piped(), arguments);
        assert_eq!(run.code, expected, "{arguments:?}: {run:?}");
    }
    with_output(&desk, full(), Stdio::piped(), &["stats"]).fails(1, &["standard output", "No space left"]);
    fs::remove_file(desk.object("packs")).unwrap();
    for (out, err) in [(full(), full()), (closed_pipe(), closed_pipe()), (full(), Stdio::piped())] {
        assert_eq!(with_output(&desk, out, err, &["check"]).code, 3);
    }
    let run = with_output(&desk, full(), full(), &["ls", "zzz"]);
    assert_eq!(run.code, 1, "{run:?}");
    let mut wrong = desk.command();
    wrong.env("KEEPFAST_PASSWORD", "wrong").arg("snapshots").stdout(full()).stderr(full());
    assert_eq!(wrong.status().unwrap().code(), Some(12));
}

/// `keepfast forget … --prune | head -1` ended before it pruned.
#[test]
fn who_closes_the_pipe_ends_nothing_but_the_listing() {
    let desk = Desk::new();
    let large: Vec<u8> =
        (0..3_000_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    fs::write(desk.src("large"), large).unwrap();
    desk.backup();
    fs::remove_file(desk.src("large")).unwrap();
    desk.backup();
    let bytes = || du(&desk.repo().join("packs"));
    let before = bytes();
    let arguments = ["forget", "--keep-last", "1", "--prune"];
    assert_eq!(with_output(&desk, closed_pipe(), Stdio::piped(), &arguments).code, 0);
    assert!(bytes() < before / 2, "nothing was pruned: {before} bytes became {}", bytes());
    assert!(desk.is_sound() && desk.restores_identical());
}

fn du(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| {
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() { du(&entry.path()) } else { metadata.len() }
        })
        .sum()
}
