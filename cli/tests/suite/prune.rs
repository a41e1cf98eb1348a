//! Forgetting, pruning, bringing back: at the command line, and beside other processes.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::program::{Desk, Run};
use crate::signals::{noise, signal};

/// Backs up versions of a source of which half changes every time.
fn desk_with_versions(versions: u64) -> Desk {
    let desk = Desk::new();
    for version in 0..versions {
        write_version(&desk, version);
        desk.backup();
    }
    desk
}

fn write_version(desk: &Desk, version: u64) {
    for n in 0..4 {
        let mut bytes = noise(n + 1, 300_000);
        bytes.extend(noise(1000 * (version + 1) + n, 300_000));
        fs::write(desk.src(&format!("noise{n}")), bytes).unwrap();
    }
}

fn json(run: &Run) -> serde_json::Value {
    serde_json::from_str(&run.out).unwrap_or_else(|error| panic!("{error}: {run:?}"))
}

pub fn ids(desk: &Desk, options: &[&str]) -> Vec<String> {
    let run = desk.run([&["snapshots", "--json"], options].concat()).succeeds();
    let snapshots = json(&run);
    let snapshots = snapshots.as_array().expect("an array");
    snapshots.iter().map(|snapshot| snapshot["id"].as_str().unwrap().to_owned()).collect()
}

/// Bytes of all packs, as the file system has them.
fn pack_bytes(desk: &Desk) -> u64 {
    fn sum(folder: &Path) -> u64 {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| if path.is_dir() { sum(&path) } else { path.metadata().unwrap().len() }).sum()
    }
    sum(&desk.repo().join("packs"))
}

#[test]
fn a_policy_forgets_and_says_why_and_prune_frees() {
    let desk = desk_with_versions(4);
    let before = ids(&desk, &[]);
    let dry = desk.run(["forget", "--keep-last", "2", "--dry-run"]).succeeds();
    assert!(dry.out.contains("forget") && dry.out.contains("keep"), "{dry:?}");
    assert_eq!(ids(&desk, &[]), before);
    desk.run(["forget", "--keep-last", "2"]).succeeds();
    assert_eq!(ids(&desk, &[]), before[2..]);
    assert_eq!(ids(&desk, &["--forgotten"]), before[..2]);

    let stored = pack_bytes(&desk);
    let plan = json(&desk.run(["prune", "--dry-run", "--json", "--max-unused", "0%"]).succeeds());
    assert_eq!(pack_bytes(&desk), stored, "a dry run removes nothing");
    let report = json(&desk.run(["prune", "--json", "--max-unused", "0%"]).succeeds());
    assert_eq!(plan["plan"]["bytes"], stored);
    assert_eq!(report["plan"], plan["plan"]);
    let left = pack_bytes(&desk);
    assert!(left < stored, "{stored} bytes before, {left} after");
    let said = plan["plan"]["bytes_after"].as_u64().unwrap();
    assert!(said.abs_diff(left) < stored / 20, "{said} bytes were said to stay, and {left} do");
    assert!(desk.is_sound() && desk.restores_identical());
    assert_eq!(ids(&desk, &["--forgotten"]), before[..2], "they are remembered, though they can't come back");
    desk.run(["undelete", &before[0][..8]]).fails(1, &["can't be brought back"]);
}

#[test]
fn forgetting_by_id_protecting_and_bringing_back() {
    let desk = desk_with_versions(3);
    let all = ids(&desk, &[]);
    desk.run(["forget", "--protect", &all[0]]).succeeds();
    desk.run(["forget", &all[0]]).fails(1, &["is protected", "--unprotect"]);
    assert!(desk.run(["snapshots"]).succeeds().out.contains("protected"));
    desk.run(["forget", "--keep-last", "1"]).succeeds();
    assert_eq!(ids(&desk, &[]), [all[0].clone(), all[2].clone()], "a policy leaves the protected one");
    desk.run(["undelete", &all[1][..8]]).succeeds();
    let back = ids(&desk, &[]);
    assert_eq!(back.len(), 3);
    assert_eq!((&back[0], &back[2]), (&all[0], &all[2]), "it is where its time says");
    desk.run(["forget", "--unprotect", &all[0]]).succeeds();
    desk.run(["forget", &all[0]]).succeeds();
    assert!(desk.is_sound() && desk.restores_identical());

    desk.run(["forget"]).fails(2, &["--keep-daily"]);
    desk.run(["forget", "--keep-last", "1", &all[2]]).fails(2, &["not both"]);
    desk.run(["forget", "ffffffffffff"]).fails(1, &["there is no snapshot"]);
    desk.run(["undelete", "ffffffffffff"]).fails(1, &["no forgotten snapshot"]);
    desk.run(["prune", "--max-unused", "120%"]).fails(2, &["percentage"]);
}

#[test]
fn what_deleting_would_free_is_told() {
    let desk = desk_with_versions(3);
    let all = ids(&desk, &[]);
    let unique = || {
        let sums = json(&desk.run(["stats", "--json"]).succeeds());
        sums["bytes_unique"].as_u64().unwrap() + sums["bytes_metadata"].as_u64().unwrap()
    };
    let before = unique();
    let freed = json(&desk.run(["stats", "--json", "--delete", &all[0], &all[1]]).succeeds());
    let stored = pack_bytes(&desk);
    desk.run(["forget", "--prune", "--max-unused", "0%", &all[0], &all[1]]).succeeds();
    let really = stored - pack_bytes(&desk);
    let told = freed["bytes_stored"].as_u64().unwrap();
    assert!(told.abs_diff(really) < really / 20, "{told} were told, {really} are gone");
    assert_eq!(freed["bytes"].as_u64().unwrap(), before - unique(), "of the content each byte is counted");
}

/// Starts a backup and stops it with SIGSTOP before it has committed.
fn start_and_stop(desk: &Desk) -> Option<Child> {
    let count = |folder: &str| fs::read_dir(desk.repo().join(folder)).unwrap().count();
    let (sessions, snapshots) = (count("sessions"), count("snapshots"));
    let child = desk
        .command()
        .args(["backup", "--threads", "1"])
        .arg(desk.path("src"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while count("sessions") == sessions {
        assert!(begun.elapsed() < Duration::from_secs(30), "the backup never begins");
    }
    signal(&child, "-STOP");
    std::thread::sleep(Duration::from_millis(50));
    if count("snapshots") > snapshots {
        signal(&child, "-CONT");
        Run::of(child.wait_with_output().unwrap()).succeeds();
        return None;
    }
    Some(child)
}

/// I3, I5: stopped for longer than the timeout, a backup learns that it was ended, and begins again.
#[test]
fn i3_a_backup_that_slept_through_a_prune_harms_nothing() {
    for attempt in 0..10 {
        let desk = desk_with_versions(3);
        write_version(&desk, 7 + attempt);
        for n in 0..20 {
            fs::write(desk.src(&format!("more{n}")), noise(77 + n, 2_000_000)).unwrap();
        }
        let Some(child) = start_and_stop(&desk) else { continue };
        let pruned = json(
            &desk
                .run(["forget", "--keep-last", "1", "--prune", "--session-timeout", "1s", "--json"])
                .last_document(),
        );
        assert_eq!(pruned["sessions_fenced"], 1, "{pruned}");
        assert!(pruned["packs_removed"].as_u64().unwrap() > 0, "{pruned}");
        signal(&child, "-CONT");
        let run = Run::of(child.wait_with_output().unwrap()).succeeds();
        assert!(run.err.contains("restarting it"), "{run:?}");
        assert_eq!(ids(&desk, &[]).len(), 2);
        assert!(desk.is_sound() && desk.restores_identical());
        return;
    }
    panic!("no backup could be stopped before it had committed");
}

/// A stream can't be read twice.
#[test]
fn a_stream_that_slept_through_a_prune_fails_with_11() {
    let desk = desk_with_versions(2);
    let mut child = desk
        .command()
        .args(["backup", "--stdin", "--stdin-name", "s"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let sessions = || fs::read_dir(desk.repo().join("sessions")).unwrap().count();
    stdin.write_all(&noise(5, 3_000_000)).unwrap();
    while sessions() < 3 {
        std::thread::sleep(Duration::from_millis(10));
    }
    desk.run(["forget", "--keep-last", "1"]).succeeds();
    let pruned = desk.run(["prune", "--session-timeout", "1s"]).succeeds();
    assert!(pruned.out.contains("ended      1 backup that was"), "{pruned:?}");
    drop(stdin);
    Run::of(child.wait_with_output().unwrap()).fails(11, &["fenced", "run it again"]);
    assert!(desk.is_sound() && desk.restores_identical());
}

#[test]
fn two_prunes_at_once_and_a_backup_beside_them() {
    let desk = desk_with_versions(4);
    desk.run(["forget", "--keep-last", "2"]).succeeds();
    write_version(&desk, 9);
    let start = |arguments: &[&str]| {
        let mut command = desk.command();
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let source = desk.path("src");
    let prune = ["prune", "--max-unused", "0%"];
    let running = [start(&prune), start(&["backup", source.to_str().unwrap()]), start(&prune)];
    for child in running {
        Run::of(child.wait_with_output().unwrap()).succeeds();
    }
    assert_eq!(ids(&desk, &[]).len(), 3);
    assert!(desk.is_sound() && desk.restores_identical());
}

/// I4: killed at any moment, a prune leaves what the next one ends.
#[test]
fn i4_a_killed_prune_harms_nothing() {
    let desk = desk_with_versions(8);
    let mut killed = 0;
    for keep in (1..8).rev() {
        desk.run(["forget", "--keep-last", &keep.to_string()]).succeeds();
        for nap in [0, 20, 40, 60, 80] {
            let mut child = desk
                .command()
                .args(["prune", "--max-unused", "0%"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            std::thread::sleep(Duration::from_millis(120 + nap));
            let _ = child.kill();
            killed += u32::from(!child.wait().unwrap().success());
        }
        assert_eq!(desk.run(["check"]).succeeds().code, 0);
    }
    assert!(killed > 3, "only {killed} prunes were killed before they had ended");
    desk.run(["prune", "--max-unused", "0%", "--session-timeout", "0s"]).succeeds();
    assert_eq!(ids(&desk, &[]).len(), 1);
    assert!(desk.is_sound() && desk.restores_identical());
}

impl Run {
    /// As if only the last of several JSON documents had been printed.
    fn last_document(self) -> Self {
        let run = self.succeeds();
        let mut documents = serde_json::Deserializer::from_str(&run.out).into_iter::<serde_json::Value>();
        let last = documents.by_ref().last().expect("a document").expect("JSON");
        Self { out: last.to_string(), ..run }
    }
}

/// It ends its session itself.
#[test]
fn a_backup_that_gives_up_is_waited_for_by_no_one() {
    let desk = desk_with_versions(2);
    let failed = desk.run(["backup", "--stdin-name", "s", "--command", "--", "/bin/false"]);
    assert_eq!(failed.code, 1, "{failed:?}");
    desk.run(["forget", "--keep-last", "1"]).succeeds();
    let begun = Instant::now();
    let pruned = desk.run(["prune"]).succeeds();
    assert!(!pruned.err.contains("waiting"), "{pruned:?}");
    assert!(!pruned.out.contains("ended "), "{pruned:?}");
    assert!(begun.elapsed() < Duration::from_secs(60), "it waited");
    assert!(desk.is_sound());
}
