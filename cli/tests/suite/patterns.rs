//! Patterns of what to leave out: those that can't mean what they say are told of, and the last one decides.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::program::Desk;

/// The files of the newest snapshot, below the source.
fn stored(desk: &Desk) -> Vec<String> {
    let source = desk.path("src");
    let listed = desk.run(["ls", "-R", "latest", source.to_str().unwrap()]).succeeds().out;
    let below = listed.lines().filter_map(|line| line.strip_prefix(source.to_str().unwrap()));
    let mut names: Vec<String> = below.map(|name| name.trim_start_matches('/').to_owned()).collect();
    names.sort_unstable();
    names
}

fn with_files(names: &[&[u8]]) -> Desk {
    let desk = Desk::bare();
    desk.run(["init"]).succeeds();
    for name in names {
        let path: PathBuf = desk.path("src").join(OsStr::from_bytes(name));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    }
    desk
}

#[test]
fn patterns_that_match_nothing_are_told_of_with_what_was_meant() {
    let desk = with_files(&[b"build/a.o", b"b.txt"]);
    let list = desk.path("list");
    let source = desk.path("src");
    let arguments = ["backup", "--exclude-from", list.to_str().unwrap(), source.to_str().unwrap()];
    for (pattern, said) in [
        ("./build", "have no `.`"),
        ("../build", "have no `.`"),
        ("~/build", "home directory"),
        ("//build", "two slashes"),
        ("  *.o", "white space"),
        ("*.o ", "white space"),
        ("!*.o", "there is none"),
    ] {
        fs::write(&list, format!("# comment\n\n{pattern}\r\n*.none\n")).unwrap();
        let run = desk.run(arguments).fails(0, &["warning: the pattern", said]);
        assert_eq!(run.err.matches("warning").count(), 1, "{run:?}");
        assert!(run.err.contains(&format!("{pattern:?}")), "{run:?}");
        assert_eq!(stored(&desk), ["b.txt", "build", "build/a.o"]);
        let given = desk.run(["backup", "--exclude", pattern, source.to_str().unwrap()]);
        given.fails(0, &["warning: the pattern", said]);
    }
    let target = desk.path("out");
    let restore = ["restore", "--snapshot", "latest", "--target", target.to_str().unwrap()];
    desk.run([&restore[..], &["--include", "./b.txt"]].concat())
        .fails(0, &["warning: the pattern", "have no `.`"]);
    fs::write(&list, "*.o\nbuild/\n/x/y z\n\\ x\n").unwrap();
    assert_eq!(desk.run(arguments).succeeds().err, "");
}

/// Editors of some systems begin a file with it.
#[test]
fn a_byte_order_mark_is_no_part_of_the_first_pattern() {
    let desk = with_files(&[b"a.o", b"b.txt"]);
    let list = desk.path("list");
    let source = desk.path("src");
    let arguments = ["backup", "--exclude-from", list.to_str().unwrap(), source.to_str().unwrap()];
    fs::write(&list, "\u{feff}*.o\n").unwrap();
    desk.run(arguments).fails(0, &["warning", "byte-order mark"]);
    assert_eq!(stored(&desk), ["b.txt"]);
    fs::write(&list, b"\xff\xfe*\0.\0o\0").unwrap();
    desk.run(arguments).fails(1, &["list", "UTF-16"]);
}

#[test]
fn an_exclamation_mark_takes_back_what_was_left_out() {
    let desk = with_files(&[b"a.log", b"keep.log", b"old/keep.log", b"old/b", b"!c"]);
    let list = desk.path("list");
    fs::write(&list, "*.log\n!keep.log\nold/*.log\n\\!c\n").unwrap();
    let source = desk.path("src");
    let source = source.to_str().unwrap();
    desk.run(["backup", "--exclude-from", list.to_str().unwrap(), source]).succeeds();
    assert_eq!(stored(&desk), ["keep.log", "old", "old/b"]);
    desk.run(["backup", "--exclude", "*.log", "--exclude", "!a.log", source]).succeeds();
    assert_eq!(stored(&desk), ["!c", "a.log", "old", "old/b"]);
    let (inside, all) = (format!("!{source}/old/b"), format!("{source}/old"));
    let run = desk.run(["backup", "--exclude", &all, "--exclude", &inside, source]);
    run.fails(0, &["warning", "write", "old/* there"]);
}

#[test]
fn lines_that_arent_utf_8_are_bytes_as_names_are() {
    let desk = with_files(&[b"caf\xe9.txt", b"caf\xe9/x", b"na\xefve", b"plain", "café.txt".as_bytes()]);
    let list = desk.path("list");
    fs::write(&list, b"caf\xe9*\nna\xefve\n").unwrap();
    let source = desk.path("src");
    let backup = ["backup", "--exclude-from", list.to_str().unwrap(), source.to_str().unwrap()];
    assert_eq!(desk.run(backup).succeeds().err, "");
    assert_eq!(stored(&desk), ["café.txt", "plain"]);
    let given =
        [OsStr::new("backup"), OsStr::new("--exclude"), OsStr::from_bytes(b"caf\xe9*"), source.as_os_str()];
    desk.run(given).succeeds();
    assert_eq!(stored(&desk), ["café.txt", "na\u{fffd}ve", "plain"]);
}

/// What is meant by the path where a directory is mounted, and is stored as another.
#[test]
fn patterns_of_other_places_are_warned_about() {
    let desk = Desk::new();
    let source = desk.path("src");
    let source = source.to_str().unwrap();
    let warned = |arguments: &[&str]| {
        let run = desk.run([&["backup", "--dry-run"], arguments].concat()).succeeds();
        run.err.contains("matches nothing of what is backed up")
    };
    let below = format!("{source}/docs");
    for pattern in [&below, "/*", "/tm[p]/x", "*.o", "docs/x", &format!("{source}*")] {
        assert!(!warned(&["--exclude", pattern, source]), "{pattern}");
    }
    assert!(warned(&["--exclude", "/elsewhere/x", source]));
    assert!(warned(&["--exclude", &format!("{source}2/*"), source]));
    assert!(warned(&["--exclude", &below, "--as", "/real", source]));
    assert!(!warned(&["--exclude", "/real/docs", "--as", "/real", source]));
}

/// A pattern that can't be compiled is a wrong command line, and nothing is done for it.
#[test]
fn patterns_that_cant_be_used_are_wrong_usage() {
    let desk = Desk::new();
    desk.backup();
    let (source, list, target) = (desk.path("src"), desk.path("list"), desk.path("out"));
    let (source, list, target) = (source.to_str().unwrap(), list.to_str().unwrap(), target.to_str().unwrap());
    let before = desk.run(["snapshots", "--json"]).succeeds().out;
    for pattern in ["[z", "{a,b", "", "/"] {
        fs::write(list, format!("*.o\n{pattern}x[\n")).unwrap();
        for arguments in [
            &["backup", source, "--exclude", pattern][..],
            &["backup", source, "--exclude-from", list],
            &["rewrite", "latest", "--exclude", pattern],
            &["rewrite", "latest", "--exclude-from", list],
            &["restore", "--snapshot", "latest", "--target", target, "--exclude", pattern],
            &["restore", "--snapshot", "latest", "--target", target, "--include", pattern],
        ] {
            desk.run(arguments).fails(2, &["the pattern", "can't be used"]);
        }
    }
    assert_eq!(desk.run(["snapshots", "--json"]).succeeds().out, before);
    assert!(!desk.path("out").exists());
    // That a file can't be read is another matter.
    desk.run(["backup", source, "--exclude-from", "/nowhere"]).fails(1, &["/nowhere"]);
}
