//! A drill whose process is killed: what it leaves is removed by the next one, and what a living one uses isn't.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "tests")]

use std::env;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use keepfast_drills::scratch::{Scratch, reap};

/// The variable by which the test's own program is told to be a drill, and where.
const PLACE: &str = "KEEPFAST_TEST_DRILL";

/// Another process that has a scratch folder, until it is ended.
fn drill(place: &Path) -> Child {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "be_a_drill", "--nocapture", "--include-ignored"])
        .env(PLACE, place)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let is_ready = lines.map_while(Result::ok).any(|line| line.ends_with("ready"));
    assert!(is_ready);
    child
}

#[test]
#[ignore = "the other process of the test below"]
fn be_a_drill() {
    let Ok(place) = env::var(PLACE) else { return };
    let scratch =
        Scratch::make(Path::new(&place), std::process::id().to_le_bytes().repeat(4).try_into().unwrap());
    std::fs::write(scratch.as_ref().unwrap().folder("files").unwrap().join("restored"), "data").unwrap();
    println!("ready");
    let _ = std::io::stdin().read(&mut [0]);
}

#[test]
fn what_a_killed_drill_has_left_is_removed_and_a_living_one_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (mut alive, mut killed) = (drill(folder.path()), drill(folder.path()));
    killed.kill().unwrap();
    killed.wait().unwrap();
    let reaped = reap(folder.path()).unwrap();
    assert_eq!((reaped.removed.len(), reaped.left.len()), (1, 0), "{reaped:?}");
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let scratch = left.iter().find(|path| path.is_dir()).unwrap();
    assert!(scratch.join("files/restored").exists(), "{left:?}");
    assert!(reap(folder.path()).unwrap().removed.is_empty());
    drop(alive.stdin.take());
    alive.wait().unwrap();
    assert!(!scratch.exists(), "it removes what it has made");
}
