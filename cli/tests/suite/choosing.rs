//! Which snapshots are meant: by labels, by times, and when a clock was wrong.

use std::process::Command;

use keepfast_testkit::Lab;

use crate::program::{Desk, Run};

fn count(desk: &Desk, arguments: &[&str]) -> usize {
    let run = desk.run([&["snapshots", "--json"], arguments].concat()).succeeds();
    run.out.matches("\"id\":").count()
}

/// The rule of `--keep-tag` is the rule everywhere, so that what was labelled is what is kept.
#[test]
fn commas_separate_labels_wherever_labels_are_given() {
    let desk = Desk::new();
    let source = desk.path("src");
    let source = source.to_str().unwrap();
    desk.run(["backup", "--tag", "db,weekly", source]).succeeds();
    desk.run(["backup", "--tag", "db", "--tag", "daily", source]).succeeds();
    desk.run(["backup", source]).succeeds();
    let listed = desk.run(["snapshots", "--json"]).succeeds().out;
    assert!(listed.contains("\"tags\":[\"db\",\"weekly\"]"), "{listed}");
    for (arguments, found) in [
        (&["--tag", "db"][..], 2),
        (&["--tag", "weekly"], 1),
        (&["--tag", "weekly,db"], 1),
        (&["--tag", "db", "--tag", "weekly"], 1),
        (&["--tag", "daily,weekly"], 0),
    ] {
        assert_eq!(count(&desk, arguments), found, "{arguments:?}");
    }
    for command in
        [&["ls", "latest"][..], &["restore", "--snapshot", "latest", "--target", "/nowhere/at/all"]]
    {
        desk.run([command, &["--tag", "daily,weekly"]].concat()).fails(1, &["no snapshot"]);
    }
    desk.run(["forget", "--keep-tag", "db,weekly"]).succeeds();
    assert_eq!(count(&desk, &["--tag", "db,weekly"]), 1);
    assert_eq!(count(&desk, &[]), 2, "that and the newest one");
}

#[test]
fn an_empty_label_is_refused() {
    let desk = Desk::new();
    let source = desk.path("src");
    let source = source.to_str().unwrap();
    for tag in ["", " ", "a,,b", "a,", ","] {
        for command in [
            &["backup", source][..],
            &["snapshots"],
            &["ls", "latest"],
            &["dump", "latest", "x"],
            &["restore", "--snapshot", "latest", "--target", "/nowhere"],
            &["forget", "--keep-last", "1"],
        ] {
            let tag = format!("--tag={tag}");
            let run = desk.run([command, &[&tag]].concat());
            assert!(run.code == 2 && run.err.contains("--tag"), "{command:?}: {run:?}");
        }
    }
    assert_eq!(count(&desk, &[]), 0);
}

/// A time as the table of snapshots shows it finds the snapshot in whose line it stands.
#[test]
fn a_time_copied_from_the_list_finds_that_snapshot() {
    let desk = Desk::new();
    desk.backup();
    let table = desk.run(["snapshots"]).succeeds().out;
    let line: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    let (date, time) = (line[1], line[2]);
    let exact = desk.run(["snapshots", "--json"]).succeeds().out;
    let exact = exact.split("\"time\":\"").nth(1).unwrap().split('"').next().unwrap();
    let minute = format!("{date} {}", &time[..5]);
    for (number, at) in
        [format!("{date} {time}"), format!("{date}T{time}Z"), minute, date.to_owned(), exact.to_owned()]
            .iter()
            .enumerate()
    {
        let target = desk.path(&format!("out{number}"));
        let run = desk.run(["restore", "--at", at, "--target", target.to_str().unwrap()]).succeeds();
        assert!(run.out.contains(&format!("snapshot {}", line[0])), "{at}: {run:?}");
        assert!(target.join(desk.src("a.txt").strip_prefix("/").unwrap()).exists(), "{at}");
    }
    let before = format!("{date} {time}.000000000");
    let target = desk.path("none");
    desk.run(["restore", "--at", &before, "--target", target.to_str().unwrap()]).fails(1, &["no snapshot"]);
}

/// Laboratories live in the year 2100, and this machine doesn't.
#[test]
fn a_snapshot_from_the_future_is_used_and_told_of() {
    let lab = Lab::with(|source| std::fs::write(source.join("file"), "future").unwrap());
    lab.backup();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keepfast"));
        command.env_clear().env("TZ", "UTC").env("KEEPFAST_PASSWORD", "lab");
        command.env("KEEPFAST_REPOSITORY", lab.path("repository"));
        command.env("KEEPFAST_CACHE_DIR", lab.path("cache"));
        Run::of(command.args(arguments).output().unwrap())
    };
    let listed = run(&["snapshots", "--json"]).succeeds().out;
    let id = &listed.split("\"id\":\"").nth(1).unwrap()[..8].to_owned();
    let table = run(&["snapshots"]).succeeds();
    assert!(table.out.contains("in the future"), "{table:?}");
    let told = [id.as_str(), "of lab", "2100-01-01", "in the future", "clock", "wrong"];
    let (source, target) = (lab.source(), lab.path("out"));
    let source = source.to_str().unwrap();
    run(&["ls", "latest"]).fails(0, &told);
    run(&["ls", id]).fails(0, &[]);
    run(&["restore", "--snapshot", "latest", "--target", target.to_str().unwrap()]).fails(0, &told);
    let run_2 = run(&["backup", "--host", "lab", source]).fails(0, &told);
    assert!(run_2.out.contains(&format!("compared with {id}")), "{run_2:?}");
    // The new one doesn't become the latest before that time has come, and a policy takes neither.
    run(&["ls", "latest"]).fails(0, &told);
    let forgotten = run(&["forget", "--keep-last", "1", "--dry-run"]).succeeds();
    assert!(forgotten.out.contains("keep: its time is in the future"), "{forgotten:?}");
    assert!(forgotten.out.contains("2 kept, 0 forgotten"), "{forgotten:?}");
    let quiet = run(&["ls", "latest~1"]).succeeds();
    assert_eq!(quiet.err, "", "that one is of the present");
}
