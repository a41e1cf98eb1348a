//! What a stranger has put into the store, and a store that isn't what it was: messages and exit codes.

use std::fs;

use crate::program::{Desk, Run};

fn put(desk: &Desk, name: &str, bytes: &[u8]) {
    let path = desk.repo().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn restore(desk: &Desk) -> Run {
    let target = tempfile::tempdir_in(desk.folder.path()).unwrap();
    desk.run(["restore", "--snapshot", "latest", "--target", target.path().to_str().unwrap()])
}

#[test]
fn junk_under_the_names_of_parameters_stops_no_command_and_check_names_it() {
    let desk = Desk::new();
    desk.backup();
    let junk = ["config/00000001", "keyring/00000001", "epochs/00000009/done"];
    junk.iter().for_each(|name| put(&desk, name, b"junk"));
    desk.backup();
    assert!(desk.restores_identical());
    for arguments in [vec!["snapshots"], vec!["ls", "latest"], vec!["stats"], vec!["prune"]] {
        desk.run(arguments).succeeds();
    }
    desk.run(["check"]).fails(3, &junk);
    desk.run(["snapshots"]).fails(0, &["note: keepfast: config/00000001 counts for nothing"]);
    let doctor = desk.run(["doctor"]);
    assert_eq!(doctor.code, 3, "{doctor:?}");
    assert!(junk.iter().all(|name| doctor.out.contains(name)), "{doctor:?}");
}

#[test]
fn what_makes_writing_unsafe_stops_it_with_its_name_and_restores_go_on() {
    for name in ["catalogue/00000000", "epochs/00000001/condemned"] {
        let desk = Desk::new();
        desk.backup();
        put(&desk, name, b"junk");
        let source = desk.path("src");
        for arguments in [vec!["backup", source.to_str().unwrap()], vec!["prune"]] {
            desk.run(&arguments).fails(14, &[name, "Reading commands still work", "removed"]);
        }
        assert!(desk.restores_identical());
        desk.run(["check"]).fails(3, &[name]);
        fs::remove_file(desk.repo().join(name)).unwrap();
        desk.backup();
        assert!(desk.is_sound());
    }
}

#[test]
fn a_byte_under_the_id_of_a_needed_pack_stays_beside_it_and_is_named() {
    let desk = Desk::new();
    desk.backup();
    let packs = pack_names(&desk);
    fs::write(desk.path("src/later"), "later").unwrap();
    desk.backup();
    // The second backup's session has ended: packs under its name are the collector's to judge.
    let (_, later) = pack_names(&desk).into_iter().find(|name| !packs.contains(name)).unwrap();
    let doubles: Vec<String> =
        packs.iter().map(|(id, _)| format!("packs/{}/{id}.{later}", &id[..2])).collect();
    doubles.iter().for_each(|name| put(&desk, name, b"x"));
    for arguments in [vec!["prune", "--dry-run"], vec!["prune"]] {
        let run = desk.run(&arguments).succeeds();
        assert!(run.out.contains(&format!("doubles    {} objects", doubles.len())), "{run:?}");
    }
    assert!(doubles.iter().all(|name| desk.repo().join(name).exists()));
    assert!(desk.restores_identical());
    let names: Vec<&str> = doubles.iter().map(String::as_str).collect();
    desk.run(["check"]).fails(3, &names);
}

/// Ids and sessions of all packs that the repository stores.
fn pack_names(desk: &Desk) -> Vec<(String, String)> {
    let folders = fs::read_dir(desk.repo().join("packs")).unwrap().map(|entry| entry.unwrap().path());
    let names = folders.flat_map(|folder| fs::read_dir(folder).unwrap());
    names
        .map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let (id, session) = name.split_once('.').unwrap();
            (id.to_owned(), session.to_owned())
        })
        .collect()
}

#[test]
fn another_repository_in_the_same_place_is_refused_until_it_is_accepted() {
    let desk = Desk::new();
    desk.backup();
    fs::rename(desk.repo(), desk.path("first")).unwrap();
    let elsewhere = desk.path("elsewhere");
    desk.run(["-r", elsewhere.to_str().unwrap(), "init"]).succeeds();
    desk.run(["-r", elsewhere.to_str().unwrap(), "backup", desk.path("src").to_str().unwrap()]).succeeds();
    fs::rename(&elsewhere, desk.repo()).unwrap();
    for arguments in [vec!["snapshots"], vec!["check"], vec!["prune"]] {
        desk.run(arguments).fails(13, &["holds repository", "held repository", "keepfast cache accept"]);
    }
    restore(&desk).fails(13, &["cache accept"]);
    let accepted = desk.run(["cache", "accept"]).succeeds();
    assert!(accepted.out.contains("from now on repository"), "{accepted:?}");
    desk.backup();
    assert!(desk.restores_identical());
    fs::rename(desk.repo(), desk.path("second")).unwrap();
    fs::rename(desk.path("first"), desk.repo()).unwrap();
    restore(&desk).fails(13, &["cache accept"]);
}

#[test]
fn init_replaces_what_was_seen_in_its_place() {
    let desk = Desk::new();
    desk.backup();
    fs::remove_dir_all(desk.repo()).unwrap();
    desk.run(["init"]).succeeds();
    let run = desk.backup();
    assert!(!run.err.contains("older state"), "{run:?}");
    assert!(desk.is_sound());
}

#[test]
fn an_older_state_is_said_and_never_pruned() {
    let desk = Desk::new();
    desk.backup();
    fs::write(desk.src("a.txt"), "newer").unwrap();
    let newer = desk.path("newer");
    let older = desk.path("older");
    copy(&desk.repo(), &older);
    desk.backup();
    fs::rename(desk.repo(), &newer).unwrap();
    fs::rename(&older, desk.repo()).unwrap();
    // The backup itself has remembered what it made: no other command has run since.
    restore(&desk).fails(0, &["older state", "snapshots/", "keepfast cache accept"]);
    desk.run(["check"]).fails(3, &["snapshots/", "now it is gone"]);
    desk.run(["prune"]).fails(13, &["older state", "nothing was removed", "keepfast cache accept"]);
    desk.run(["cache", "accept"]).succeeds();
    let run = desk.run(["prune"]).succeeds();
    assert!(!run.err.contains("older state"), "{run:?}");
    assert!(desk.is_sound());
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    let done = std::process::Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(done.success());
}

/// Several commands at once remember what each has seen: afterwards nothing is missed.
#[test]
fn commands_that_run_at_once_remember_together() {
    let desk = Desk::new();
    desk.backup();
    let mut running = Vec::new();
    for _ in 0..4 {
        let mut command = desk.command();
        running.push(command.arg("backup").arg(desk.path("src")).output_later());
    }
    for child in running {
        Run::of(child.wait_with_output().unwrap()).succeeds();
    }
    let run = desk.run(["snapshots"]).succeeds();
    assert!(!run.err.contains("older state") && !run.err.contains("warning"), "{run:?}");
    let files: Vec<String> = fs::read_dir(desk.path("cache/seen"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(files.len(), 2, "the memory and its lock: {files:?}");
}

trait Later {
    fn output_later(&mut self) -> std::process::Child;
}

impl Later for std::process::Command {
    fn output_later(&mut self) -> std::process::Child {
        use std::process::Stdio;
        self.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

#[test]
fn a_memory_that_makes_no_sense_is_said_and_nothing_else() {
    let desk = Desk::new();
    desk.backup();
    let seen = fs::read_dir(desk.path("cache/seen")).unwrap().map(|entry| entry.unwrap().path());
    let file = seen.into_iter().find(|path| path.extension().is_none()).unwrap();
    fs::write(&file, "junk").unwrap();
    desk.run(["snapshots"]).fails(0, &["warning", "is forgotten"]);
    let run = desk.run(["snapshots"]).succeeds();
    assert_eq!(run.err, "");
}
