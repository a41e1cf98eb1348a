//! Each command when all goes well.

use std::fs;
use std::process::Command;

use crate::program::{Desk, Run, same};

#[test]
fn what_was_backed_up_comes_back_and_checks_clean() {
    let desk = Desk::new();
    let run = desk.backup();
    assert!(run.out.contains("files   2 new, 0 changed, 0 unchanged, 0 skipped"), "{run:?}");
    assert!(desk.restores_identical() && desk.is_sound());
}

#[test]
fn a_second_backup_says_what_changed() {
    let desk = Desk::new();
    // Files as old as those of a user; younger ones are read again for safety.
    let touched = Command::new("touch")
        .args(["-d", "2020-01-01"])
        .args([desk.src("a.txt"), desk.src("docs/b.txt")])
        .status();
    assert!(touched.unwrap().success());
    std::thread::sleep(std::time::Duration::from_millis(2100));
    desk.backup();
    fs::write(desk.src("a.txt"), "changed").unwrap();
    fs::write(desk.src("new.txt"), "new").unwrap();
    let run = desk.backup();
    assert!(run.out.contains("files   1 new, 1 changed, 1 unchanged, 0 skipped"), "{run:?}");
    assert!(desk.restores_identical());
}

#[test]
fn a_whole_restore_lands_at_full_paths() {
    let desk = Desk::new();
    desk.backup();
    let target = desk.path("out");
    desk.run(["restore", "--snapshot", "latest", "--target", target.to_str().unwrap()]).succeeds();
    let inside = target.join(desk.path("src").strip_prefix("/").unwrap());
    assert!(same(&desk.path("src"), &inside));
}

#[test]
fn a_folder_restored_into_a_new_directory_makes_it_what_the_folder_was() {
    let desk = Desk::new();
    let touched =
        Command::new("touch").args(["-d", "2020-01-01 12:34:56.789"]).arg(desk.src("docs")).status();
    assert!(touched.unwrap().success());
    desk.backup();
    let (target, docs) = (desk.path("out"), desk.src("docs"));
    let snapshot = format!("latest:{}", docs.display());
    desk.run(["restore", "--snapshot", &snapshot, "--target", target.to_str().unwrap()]).succeeds();
    let modified = |path: &std::path::Path| fs::metadata(path).unwrap().modified().unwrap();
    assert_eq!(modified(&target), modified(&docs));
}

#[test]
fn snapshots_are_listed_for_people_and_for_scripts() {
    let desk = Desk::new();
    assert!(desk.run(["snapshots"]).succeeds().out.contains("no snapshots"));
    let source = desk.path("src");
    desk.run(["backup", "--tag", "nightly", "--host", "web1", source.to_str().unwrap()]).succeeds();
    let list = desk.run(["snapshots", "--json"]).succeeds().out;
    for field in [
        "\"id\":\"",
        "\"time\":\"20",
        "\"host\":\"web1\"",
        "\"tags\":[\"nightly\"]",
        "\"tree\":\"",
        "\"parent\":null",
        "\"summary\":{",
        "\"user\":\"",
    ] {
        assert!(list.contains(field), "{field} isn't in {list}");
    }
    assert!(list.contains(&format!("\"paths\":[\"{}\"]", source.display())));
    assert!(desk.run(["snapshots", "--host", "web1"]).succeeds().out.contains("[nightly]"));
    assert!(desk.run(["snapshots", "--host", "web2"]).succeeds().out.contains("no snapshots"));
}

#[test]
fn a_snapshot_is_named_by_the_start_of_its_id_or_by_age() {
    let desk = Desk::new();
    desk.backup();
    fs::write(desk.src("a.txt"), "changed").unwrap();
    desk.backup();
    let path = desk.src("a.txt");
    let dump = |snapshot: &str| desk.run(["dump", snapshot, path.to_str().unwrap()]).succeeds().out;
    assert_eq!((dump("latest"), dump("latest~1")), ("changed".to_owned(), "one".to_owned()));
    let list = desk.run(["snapshots", "--json"]).succeeds().out;
    let id = list.split("\"id\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert_eq!(dump(&id[..10]), "one");
    desk.run(["dump", "latest~2", "a"]).fails(1, &["no snapshot \"latest~2\""]);
    desk.run(["dump", "zzz", "a"]).fails(1, &["no snapshot \"zzz\"", "keepfast snapshots"]);
}

#[test]
fn restore_at_a_point_in_time_takes_the_newest_before_it() {
    let desk = Desk::new();
    desk.backup();
    let target = desk.path("out");
    let at = |time: &str| desk.run(["restore", "--at", time, "--target", target.to_str().unwrap()]);
    at("2020-01-15 14:30").fails(1, &["no snapshot"]);
    at("yesterday").fails(2, &["isn't a time"]);
    at("2199-01-15 14:30").succeeds();
}

#[test]
fn ls_shows_a_folder_and_recursively_all_below_it() {
    let desk = Desk::new();
    desk.backup();
    let source = desk.path("src");
    let ls =
        |more: &[&str]| desk.run([&["ls", "latest", source.to_str().unwrap()], more].concat()).succeeds().out;
    assert!(ls(&[]).contains("src/docs\n") && !ls(&[]).contains("b.txt"));
    assert!(ls(&["-R"]).contains("src/docs/b.txt"));
    assert!(ls(&["-l"]).contains("link -> a.txt"));
    assert!(ls(&["--json", "-R"]).contains("\"size\":30000"));
}

#[test]
fn diff_says_how_the_second_snapshot_differs_from_the_first() {
    let desk = Desk::new();
    desk.backup();
    fs::write(desk.src("a.txt"), "changed").unwrap();
    fs::write(desk.src("new.txt"), "new").unwrap();
    fs::remove_file(desk.src("docs/b.txt")).unwrap();
    desk.backup();
    let out = desk.run(["diff", "latest~1", "latest"]).succeeds().out;
    let has = |sign: &str, name: &str| {
        let line = format!("{sign} {}", desk.src(name).display());
        assert!(out.lines().any(|found| found == line), "{line}: {out}");
    };
    has("M", "a.txt");
    has("+", "new.txt");
    has("-", "docs/b.txt");
    assert!(out.lines().last().unwrap().starts_with("1 added, 1 removed, 1 changed, "), "{out}");
    let docs = desk.src("docs");
    let below = desk.run(["diff", "--json", "latest~1", "latest", docs.to_str().unwrap()]).succeeds().out;
    assert!(below.contains("\"removed\":1,\"changed\":0") && !below.contains("new.txt"), "{below}");
    desk.run(["diff", "latest", "latest"]).succeeds();
    desk.run(["diff", "latest", "zzzz"]).fails(1, &["no snapshot"]);
}

#[test]
fn parts_of_a_snapshot_can_be_restored() {
    let desk = Desk::new();
    desk.backup();
    let target = desk.path("out");
    let docs = desk.src("docs");
    desk.run([
        "restore",
        "--snapshot",
        "latest",
        "--path",
        docs.to_str().unwrap(),
        "--target",
        target.to_str().unwrap(),
    ])
    .succeeds();
    let inside = target.join(desk.path("src").strip_prefix("/").unwrap());
    assert!(same(&docs, &inside.join("docs")) && !inside.join("a.txt").exists());
    let target = desk.path("out2");
    desk.run([
        "restore",
        "--snapshot",
        "latest",
        "--include",
        "*.txt",
        "--exclude",
        "a.*",
        "--target",
        target.to_str().unwrap(),
    ])
    .succeeds();
    let inside = target.join(desk.path("src").strip_prefix("/").unwrap());
    assert!(
        inside.join("docs/b.txt").exists() && !inside.join("a.txt").exists() && !inside.join("link").exists()
    );
}

#[test]
fn a_target_with_files_in_it_needs_to_be_told_what_to_do_with_them() {
    let desk = Desk::new();
    desk.backup();
    let snapshot = format!("latest:{}", desk.path("src").display());
    let target = desk.path("out");
    fs::create_dir(&target).unwrap();
    fs::write(target.join("a.txt"), "mine").unwrap();
    fs::write(target.join("other"), "mine").unwrap();
    let restore = |more: &[&str]| {
        desk.run([&["restore", "--snapshot", &snapshot, "--target", target.to_str().unwrap()], more].concat())
    };
    restore(&[]).fails(1, &["isn't empty", "--overwrite"]);
    restore(&["--overwrite", "never"]).succeeds();
    assert_eq!(fs::read_to_string(target.join("a.txt")).unwrap(), "mine");
    restore(&["--overwrite", "if-changed", "--verify"]).succeeds();
    assert_eq!(fs::read_to_string(target.join("a.txt")).unwrap(), "one");
    assert!(target.join("other").exists());
    restore(&["--overwrite", "always", "--delete"]).succeeds();
    assert!(same(&desk.path("src"), &target));
}

#[test]
fn dry_runs_change_nothing() {
    let desk = Desk::new();
    let source = desk.path("src");
    for dry_run in ["--dry-run", "-n"] {
        let run = desk.run(["backup", dry_run, source.to_str().unwrap()]).succeeds();
        assert!(run.out.contains("2 new") && run.out.contains("nothing was stored"), "{run:?}");
    }
    assert!(desk.run(["snapshots"]).out.contains("no snapshots"));
    desk.backup();
    let target = desk.path("out");
    for dry_run in ["--dry-run", "-n"] {
        desk.run(["restore", dry_run, "--snapshot", "latest", "--target", target.to_str().unwrap()])
            .succeeds();
        assert!(!target.exists());
    }
}

#[test]
fn exclusions_leave_out_what_they_name() {
    let desk = Desk::new();
    fs::create_dir(desk.src("cache")).unwrap();
    fs::write(desk.src("cache/CACHEDIR.TAG"), "Signature: 8a477f597d28d172789f06886806bc55\n").unwrap();
    fs::write(desk.src("cache/big"), "x").unwrap();
    fs::write(desk.path("list"), "# comment\n\n**/docs/*.txt\n").unwrap();
    let (source, list) = (desk.path("src"), desk.path("list"));
    desk.run([
        "backup",
        "--exclude",
        "a.*",
        "--exclude-from",
        list.to_str().unwrap(),
        "--exclude-caches",
        source.to_str().unwrap(),
    ])
    .succeeds();
    let found = desk.run(["ls", "-R", "latest", source.to_str().unwrap()]).succeeds().out;
    assert!(found.contains("CACHEDIR.TAG") && found.contains("/link") && found.contains("/docs"));
    assert!(!found.contains("a.txt") && !found.contains("b.txt") && !found.contains("/big"), "{found}");
}

#[test]
fn the_repository_isnt_backed_up_into_itself() {
    let desk = Desk::new();
    let folder = desk.folder.path().to_str().unwrap().to_owned();
    let run = desk.run(["backup", &folder]).succeeds();
    assert!(run.err.contains("left out, because it is the repository or its cache"), "{run:?}");
    let found = desk.run(["ls", "-R", "latest", &folder]).succeeds().out;
    assert!(found.contains("src/a.txt") && !found.contains("/repo"), "{found}");
}

#[test]
fn the_cache_can_go_between_any_two_commands() {
    let desk = Desk::new();
    let clear = || fs::remove_dir_all(desk.path("cache")).unwrap();
    desk.backup();
    clear();
    let again = desk.run(["backup", "--force", "--json", desk.path("src").to_str().unwrap()]).succeeds();
    assert!(again.out.contains("\"bytes_new\":0"), "{again:?}");
    clear();
    assert!(desk.restores_identical());
    clear();
    assert!(desk.is_sound());
    assert!(desk.run(["cache", "info"]).succeeds().out.contains("index-0"));
    desk.run(["cache", "clear"]).succeeds();
    assert!(desk.run(["cache", "info"]).succeeds().out.contains("nothing below"));
    desk.run(["cache", "rebuild"]).succeeds();
    assert!(desk.run(["stats", "--json"]).succeeds().out.contains("\"snapshots\":2"));
}

#[test]
fn the_password_comes_from_a_file_or_a_command() {
    let desk = Desk::new();
    fs::write(desk.path("pw"), "correct horse\nsecond line\n").unwrap();
    let run = |arguments: &[&str]| {
        Run::of(
            desk.command().env_remove("KEEPFAST_PASSWORD").arg("snapshots").args(arguments).output().unwrap(),
        )
    };
    run(&["--password-file", desk.path("pw").to_str().unwrap()]).succeeds();
    run(&["--password-command", "printf 'correct horse\\n'"]).succeeds();
    // The end of the line is no part of it, whichever system has written it; a space is.
    run(&["--password-command", "printf 'correct horse\\r\\n'"]).succeeds();
    run(&["--password-command", "printf 'correct horse'"]).succeeds();
    run(&["--password-command", "printf 'correct horse \\n'"]).fails(12, &["wrong password"]);
    run(&["--password-command", "false"]).fails(1, &["password command", "failed"]);
    run(&["--password-file", "/nowhere"]).fails(1, &["/nowhere"]);
    let output = desk
        .command()
        .env_remove("KEEPFAST_PASSWORD")
        .arg("snapshots")
        .stdin(std::process::Stdio::null())
        .output();
    Run::of(output.unwrap()).fails(2, &["no password given", "KEEPFAST_PASSWORD"]);
}

#[test]
fn many_backups_at_a_time_share_a_repository_and_a_cache() {
    let desk = Desk::new();
    let backups: Vec<_> = (0..6)
        .map(|n| {
            let folder = desk.path(&format!("tree{n}"));
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("own"), format!("{n}").repeat(100_000)).unwrap();
            fs::copy(desk.src("docs/b.txt"), folder.join("shared")).unwrap();
            desk.command().args(["backup", "--tag", &format!("t{n}")]).arg(&folder).spawn().unwrap()
        })
        .collect();
    for mut backup in backups {
        assert!(backup.wait().unwrap().success());
    }
    let list = desk.run(["snapshots", "--json"]).succeeds().out;
    assert_eq!(list.matches("\"id\":").count(), 6);
    for n in 0..6 {
        let folder = desk.path(&format!("tree{n}"));
        let tag = format!("t{n}");
        let dump = |name: &str| {
            let path = folder.join(name);
            desk.run(["dump", "latest", "--tag", &tag, path.to_str().unwrap()]).succeeds().out
        };
        assert_eq!(dump("own"), format!("{n}").repeat(100_000));
        assert_eq!(dump("shared"), "two".repeat(10_000));
    }
    assert!(desk.is_sound());
}

#[test]
fn a_repository_may_be_named_by_a_relative_path() {
    let desk = Desk::bare();
    fs::write(desk.src("a.txt"), "one").unwrap();
    for command in [&["-r", "here", "init"][..], &["-r", "here", "backup", "src"], &["-r", "here", "doctor"]]
    {
        let output = desk.command().current_dir(desk.folder.path()).args(command).output().unwrap();
        Run::of(output).succeeds();
    }
    assert!(desk.path("here/config").is_dir() && !desk.path("here/probe").exists());
}

#[test]
fn a_doctor_leaves_nothing_where_no_repository_is() {
    let desk = Desk::bare();
    let run = desk.run(["doctor"]).succeeds();
    assert!(run.out.contains("promises    all kept") && run.out.contains("none yet"), "{run:?}");
    assert!(!desk.repo().exists());
}

/// The program is built with an engine that can't be told to break a rule. It is if it is built without the
/// engine's tests, as `make build` does; a build of the whole workspace takes the engine of these.
#[test]
fn the_program_has_no_planted_faults() {
    let can_be_broken = keepfast_engine::repo::RULES_CAN_BE_BROKEN;
    assert!(!can_be_broken, "build and test it as `make build` and `make test` do");
}

#[test]
fn a_restore_without_privileges_drops_setuid_and_says_so() {
    use std::os::unix::fs::PermissionsExt;
    let desk = Desk::new();
    fs::set_permissions(desk.src("a.txt"), fs::Permissions::from_mode(0o4755)).unwrap();
    desk.backup();
    let restore = |name: &str, more: &[&str]| {
        let target = desk.path(name);
        let snapshot = format!("latest:{}", desk.path("src").display());
        let arguments = ["restore", "--snapshot", &snapshot, "--target", target.to_str().unwrap()];
        let run = desk.run([&arguments, more].concat()).succeeds();
        (run.out, fs::metadata(target.join("a.txt")).unwrap().permissions().mode() & 0o7777)
    };
    let (out, mode) = restore("all", &[]);
    assert!(mode == 0o4755 && !out.contains("privileges"), "{mode:o} {out}");
    let (out, mode) = restore("less", &["--no-privileges"]);
    assert!(mode == 0o755 && out.contains("dropped privileges of 1 entry, left out 0 devices"), "{out}");
    let (out, _) = restore("as json", &["--no-privileges", "--json"]);
    assert!(out.contains("\"privileges_dropped\":1") && out.contains("\"devices_left_out\":0"), "{out}");
}

/// A file that someone names and that is then left out must not pass for backed up.
#[test]
fn a_named_file_that_is_too_large_is_reported() {
    let desk = Desk::new();
    let (large, folder) = (desk.src("docs/b.txt"), desk.path("src"));
    let backup =
        |path: &std::path::Path| desk.run(["backup", "--exclude-larger-than", "1k", path.to_str().unwrap()]);
    let run = backup(&large).fails(3, &["skipped", "b.txt", "30,000 bytes", "more than 1,024"]);
    assert!(run.out.contains("1 skipped"), "{run:?}");
    let run = backup(&folder).succeeds();
    assert!(run.out.contains("0 skipped") && !run.err.contains("b.txt"), "{run:?}");
}

/// Both of `latest` and a policy are among the snapshots that a filter lets through.
#[test]
fn latest_of_a_machine_is_what_is_forgotten_of_it() {
    let desk = Desk::new();
    let source = desk.path("src");
    for host in ["one", "two"] {
        desk.run(["backup", "--host", host, source.to_str().unwrap()]).succeeds();
    }
    desk.run(["forget", "latest", "--host", "one"]).succeeds();
    let left = desk.run(["snapshots"]).succeeds().out;
    assert!(left.contains("two") && !left.contains("one"), "{left}");
    desk.run(["forget", "latest", "--host", "one"]).fails(1, &["no snapshot \"latest\" that fits"]);
}
