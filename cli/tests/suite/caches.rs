//! The cache's folders and files: whose they are, who can see them, and where they are without a home.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use keepfast_testkit::Disk;

use crate::program::{Desk, Run};

/// A user who isn't the super-user, and whose home isn't there.
const OTHER_USER: u32 = 65_534;

fn is_root() -> bool {
    Command::new("id").arg("-u").output().unwrap().stdout == b"0\n"
}

fn all_below(folder: &Path, found: &mut Vec<PathBuf>) {
    found.push(folder.to_owned());
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all_below(&path, found) } else { found.push(path) }
    }
}

/// The folder of the cache's only repository.
fn repository_folder(desk: &Desk) -> PathBuf {
    let folders = fs::read_dir(desk.path("cache")).unwrap().map(|entry| entry.unwrap().path());
    folders.into_iter().find(|folder| !folder.ends_with("seen")).unwrap()
}

/// Whatever the user lets others see elsewhere.
#[test]
fn the_cache_is_for_its_user_alone() {
    let desk = Desk::new();
    let script = "umask 0; exec \"$0\" \"$@\"";
    let run = |arguments: &[&str]| {
        let mut shell = Command::new("/bin/sh");
        shell.env_clear().envs(desk.command().get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.arg("-c").arg(script).arg(desk.command().get_program()).args(arguments);
        Run::of(shell.output().unwrap()).succeeds()
    };
    let cache = desk.path("cache");
    fs::remove_dir_all(&cache).unwrap();
    run(&["backup", desk.path("src").to_str().unwrap()]);
    run(&["cache", "rebuild"]);
    run(&["snapshots"]);
    let mut found = Vec::new();
    all_below(&cache, &mut found);
    assert!(found.len() > 8, "{found:?}");
    for path in found {
        let metadata = path.symlink_metadata().unwrap();
        let expected = if metadata.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(metadata.mode() & 0o7777, expected, "{}", path.display());
    }
}

#[test]
fn a_cache_that_others_can_change_is_refused_and_another_is_the_way_on() {
    let desk = Desk::new();
    desk.backup();
    let cache = desk.path("cache");
    let inner = repository_folder(&desk);
    let refused = |said: &[&str]| {
        let unmade = desk.path("unmade");
        if !said.contains(&"inner") {
            let init = desk.run(["-r", unmade.to_str().unwrap(), "init"]);
            init.fails(
                1,
                said.iter().copied().filter(|word| !word.is_empty()).collect::<Vec<_>>().as_slice(),
            );
            assert!(!unmade.exists());
        }
        for arguments in [vec!["snapshots"], vec!["ls", "latest"], vec!["check"], vec!["cache", "clear"]] {
            // Those that need no index don't look below the cache's own folder.
            let run = desk.run(&arguments);
            let may_pass = arguments[0] == "snapshots" && run.code == 0 && said.contains(&"inner");
            let words: Vec<&str> = said.iter().copied().filter(|word| *word != "inner").collect();
            if !may_pass {
                run.fails(1, &[&words[..], &["--cache-dir", cache.to_str().unwrap()]].concat());
            }
        }
        let other = desk.path("other cache");
        desk.run(["ls", "latest", "--cache-dir", other.to_str().unwrap()]).succeeds();
    };
    for (folder, inner) in [(&cache, ""), (&inner, "inner")] {
        for mode in [0o770, 0o707, 0o1777] {
            fs::set_permissions(folder, Permissions::from_mode(mode)).unwrap();
            refused(&["other users may write", "chmod go-w", inner]);
        }
        fs::set_permissions(folder, Permissions::from_mode(0o700)).unwrap();
        if is_root() {
            chown(folder, Some(OTHER_USER), None).unwrap();
            refused(&["belongs to another user", "65534", inner]);
            chown(folder, Some(0), None).unwrap();
        }
        // A link leads to what someone else wants to have written or removed.
        let elsewhere = desk.path("elsewhere");
        fs::rename(folder, &elsewhere).unwrap();
        let mut before = Vec::new();
        all_below(&elsewhere, &mut before);
        symlink(&elsewhere, folder).unwrap();
        refused(&["symbolic link", inner]);
        let mut after = Vec::new();
        all_below(&elsewhere, &mut after);
        assert_eq!(before, after, "something was done behind the link");
        fs::remove_file(folder).unwrap();
        fs::rename(&elsewhere, folder).unwrap();
    }
    desk.backup();
    assert!(desk.is_sound());
}

/// The index itself is rebuilt, which takes a moment; what a link leads to stays.
#[test]
fn an_index_that_others_can_change_is_made_again() {
    let desk = Desk::new();
    desk.backup();
    let index = repository_folder(&desk).join("index-0");
    let elsewhere = desk.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("mine"), "mine").unwrap();
    fs::remove_dir_all(&index).unwrap();
    symlink(&elsewhere, &index).unwrap();
    assert!(desk.restores_identical());
    assert!(index.symlink_metadata().unwrap().is_dir());
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 1);
    fs::set_permissions(&index, Permissions::from_mode(0o777)).unwrap();
    fs::write(index.join("planted"), "theirs").unwrap();
    assert!(desk.restores_identical());
    assert!(!index.join("planted").exists());
    assert_eq!(index.metadata().unwrap().mode() & 0o777, 0o700);
}

/// Services have no HOME, and some users have no home.
#[test]
fn without_a_home_there_is_a_way_on() {
    if !is_root() {
        eprintln!("not tested: being someone without a home needs root");
        return;
    }
    let desk = Desk::new();
    desk.backup();
    let opened = Command::new("chmod").args(["-R", "a+rwX"]).arg(desk.folder.path()).status().unwrap();
    assert!(opened.success());
    let (program, shared) = (desk.path("program"), desk.path("shared"));
    fs::copy(desk.command().get_program(), &program).unwrap();
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, Permissions::from_mode(0o1777)).unwrap();
    let run = || {
        let mut command = Command::new(&program);
        command.env_clear().envs(desk.command().get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env_remove("KEEPFAST_CACHE_DIR").env("TMPDIR", &shared).uid(OTHER_USER).gid(OTHER_USER);
        Run::of(command.args(["ls", "latest"]).current_dir("/").output().unwrap())
    };
    let cache = shared.join(format!("keepfast-{OTHER_USER}"));
    run().fails(0, &["without a home", cache.to_str().unwrap(), "--cache-dir"]);
    let metadata = cache.metadata().unwrap();
    assert_eq!((metadata.uid(), metadata.mode() & 0o7777), (OTHER_USER, 0o700));
    // What another user has put there is left alone.
    fs::remove_dir_all(&cache).unwrap();
    fs::create_dir(&cache).unwrap();
    run().fails(1, &["belongs to another user", "--cache-dir"]);
    assert_eq!(fs::read_dir(&cache).unwrap().count(), 0);
}

/// Whatever becomes of the cache, every command does its work, and says what it lacks.
#[track_caller]
fn works_without_a_cache(desk: &Desk, why: &str) {
    for arguments in [
        vec!["backup", desk.path("src").to_str().unwrap()],
        vec!["check", "--read-data"],
        vec!["ls", "latest"],
        vec!["forget", "--keep-last", "1"],
        vec!["prune"],
    ] {
        let run = desk.run(&arguments).fails(0, &[]);
        if arguments[0] != "forget" {
            assert!(run.err.contains(why) && run.err.contains("--cache-dir"), "{run:?}");
        }
    }
    assert!(desk.restores_identical());
}

#[test]
fn a_full_or_read_only_cache_costs_time_and_no_backup() {
    let desk = Desk::new();
    desk.backup();
    let kept = desk.path("kept");
    fs::rename(desk.path("cache"), &kept).unwrap();
    let Some(disk) = Disk::mount(desk.path("cache"), "size=1m,mode=700") else {
        eprintln!("not tested: mounting needs root");
        return;
    };
    works_without_a_cache(&desk, "is full");
    disk.remount("size=100m");
    let copied = Command::new("cp").arg("-a").arg(kept.join(".")).arg(disk.path()).status().unwrap();
    assert!(copied.success());
    disk.remount("ro");
    works_without_a_cache(&desk, "Read-only file system");
    drop(disk);
    // Where there was none, none can be made.
    fs::remove_dir(desk.path("cache")).unwrap();
    let Some(disk) = Disk::mount(desk.path("cache"), "mode=700,ro") else { panic!("it was mounted before") };
    works_without_a_cache(&desk, "Read-only file system");
    // A repository can be made, too.
    let other = desk.path("made without a cache");
    let run = desk.run(["-r", other.to_str().unwrap(), "init"]).succeeds();
    assert!(run.err.contains("can't be remembered"), "{run:?}");
    drop(disk);
}

#[test]
fn without_a_cache_nothing_is_kept_on_the_machine() {
    let desk = Desk::new();
    fs::remove_dir_all(desk.path("cache")).unwrap();
    for arguments in [
        vec!["backup", desk.path("src").to_str().unwrap()],
        vec!["snapshots"],
        vec!["check"],
        vec!["forget", "--keep-last", "1", "--prune"],
        vec!["stats"],
    ] {
        let run = desk.run([&arguments[..], &["--no-cache"]].concat()).succeeds();
        assert!(!run.err.contains("warning"), "{run:?}");
        assert!(!desk.path("cache").exists(), "{arguments:?}");
    }
    let again = desk.run(["backup", "--no-cache", "--json", desk.path("src").to_str().unwrap()]).succeeds();
    let report: serde_json::Value = serde_json::from_str(&again.out).unwrap();
    assert_eq!(report["summary"]["bytes_new"], 0, "{again:?}");
    assert!(desk.restores_identical());
}

#[test]
fn a_cache_can_be_bounded() {
    let desk = Desk::new();
    desk.backup();
    let own = repository_folder(&desk);
    let mut others = Vec::new();
    for name in ["one", "two"] {
        let place = desk.path(name);
        let place = place.to_str().unwrap();
        desk.run(["-r", place, "init"]).succeeds();
        let before: Vec<PathBuf> =
            fs::read_dir(desk.path("cache")).unwrap().map(|e| e.unwrap().path()).collect();
        desk.run(["-r", place, "backup", desk.path("src").to_str().unwrap()]).succeeds();
        let after = fs::read_dir(desk.path("cache")).unwrap().map(|entry| entry.unwrap().path());
        others.push(after.into_iter().find(|path| !before.contains(path)).unwrap());
    }
    let index = |folder: &Path| folder.join("index-0");
    let bytes = |folder: &Path| -> u64 {
        fs::read_dir(index(folder)).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum()
    };
    desk.run(["ls", "latest", "--cache-size", "1G"]).succeeds();
    assert!(others.iter().all(|other| index(other).is_dir()));
    // Room for two of three: the one that was used first goes.
    Command::new("touch").args(["-d", "2020-01-01"]).arg(index(&others[1])).status().unwrap();
    let room = bytes(&own) + bytes(&others[0]) + 200;
    desk.run(["ls", "latest", "--cache-size", &format!("{room}")]).succeeds();
    assert!(index(&own).is_dir() && index(&others[0]).is_dir() && !index(&others[1]).exists());
    desk.run(["ls", "latest", "--cache-size", "1K"]).succeeds();
    assert!(index(&own).is_dir() && !index(&others[0]).exists());
    // One that a process uses stays.
    desk.run(["-r", desk.path("one").to_str().unwrap(), "ls", "latest"]).succeeds();
    let lock = fs::File::open(others[0].join("index-0.lock")).unwrap();
    lock.lock().unwrap();
    desk.run(["ls", "latest", "--cache-size", "1K"]).succeeds();
    assert!(index(&others[0]).is_dir());
    drop(lock);
    assert!(desk.is_sound());
}

#[test]
fn caches_of_other_repositories_are_named() {
    let desk = Desk::new();
    desk.backup();
    let own = repository_folder(&desk);
    let other = desk.path("other repo");
    let other = other.to_str().unwrap();
    desk.run(["-r", other, "init"]).succeeds();
    desk.run(["-r", other, "backup", desk.path("src").to_str().unwrap()]).succeeds();
    let id = own.file_name().unwrap().to_str().unwrap();
    let info = desk.run(["-r", other, "cache", "info"]).succeeds();
    let line = info.out.lines().find(|line| line.contains(&format!("of repository {id}"))).unwrap();
    assert!(line.starts_with(own.to_str().unwrap()) && line.contains("last used 20"), "{line}");
    assert_eq!(info.out.matches("of repository").count(), 1, "{info:?}");
    let json = desk.run(["-r", other, "cache", "info", "--json"]).succeeds().out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["others"][0]["repository"], id);
    assert!(json["others"][0]["bytes"].as_u64().unwrap() > 0);
    desk.run(["-r", other, "cache", "clear"]).succeeds();
    assert!(own.join("index-0").is_dir(), "another repository's cache was removed");
}
