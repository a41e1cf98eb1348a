//! What users of other programs ask for most, as a user sees it.

use std::fs;
use std::os::unix::fs::symlink;

use crate::program::Desk;

fn json(out: &str) -> serde_json::Value {
    serde_json::from_str(out).unwrap()
}

#[test]
fn what_a_directory_says_of_itself_is_left_out_and_counted() {
    let desk = Desk::new();
    let source = desk.path("src");
    let source = source.to_str().unwrap();
    fs::write(desk.src(".keepfastignore"), "docs\n/a.txt\n").unwrap();
    let run = desk.run(["backup", source]).succeeds();
    assert!(run.out.contains("ignored 2 entries, by .keepfastignore"), "{run:?}");
    let listed = desk.run(["ls", "-R", "latest", source]).succeeds().out;
    assert!(
        listed.contains(".keepfastignore") && !listed.contains("docs") && !listed.contains("a.txt"),
        "{listed}"
    );
    assert_eq!(json(&desk.run(["backup", "--json", source]).succeeds().out)["ignored"], 2);
    let all = desk.run(["backup", "--no-ignore-files", source]).succeeds();
    assert!(!all.out.contains("ignored"), "{all:?}");
    assert!(desk.restores_identical());
    fs::write(desk.src("docs/.keepfastignore"), "[").unwrap();
    fs::write(desk.src(".keepfastignore"), "").unwrap();
    let run = desk.run(["backup", source]).succeeds();
    assert!(run.err.contains("docs/.keepfastignore") && run.err.contains("nothing is left out"), "{run:?}");
}

#[test]
fn a_snapshot_of_a_file_system_is_backed_up_under_its_real_path() {
    let desk = Desk::new();
    let night = desk.path("tonight");
    symlink(desk.path("src"), &night).unwrap();
    let night = night.to_str().unwrap();
    for _ in 0..2 {
        desk.run(["backup", "--as", "/srv/real/place", night]).succeeds();
    }
    let listed = json(&desk.run(["snapshots", "--json"]).succeeds().out);
    let snapshots = listed.as_array().unwrap();
    assert_eq!(snapshots.len(), 2);
    assert!(snapshots.iter().all(|snapshot| snapshot["paths"] == serde_json::json!(["/srv/real/place"])));
    let target = desk.path("out");
    let snapshot = "latest:/srv/real/place";
    desk.run(["restore", "--snapshot", snapshot, "--target", target.to_str().unwrap()]).succeeds();
    assert!(crate::program::same(&desk.path("src"), &target));
    for path in ["place", ".", "/a/../b"] {
        desk.run(["backup", "--as", path, night]).fails(2, &["--as", path, "absolute path"]);
    }
    desk.run(["backup", "--as", "/x", night, night]).fails(2, &["--as /x", "one directory"]);
    let repository = desk.repo();
    desk.run(["backup", "--as", "/x", repository.to_str().unwrap()]).fails(1, &["is the repository"]);
    let file = desk.src("a.txt");
    desk.run(["backup", "--as", "/x", file.to_str().unwrap()]).fails(1, &["a.txt", "Not a directory"]);
}

#[test]
fn what_has_not_changed_makes_no_snapshot_if_none_is_wanted() {
    let desk = Desk::new();
    let source = desk.path("src");
    let source = source.to_str().unwrap();
    let run = |arguments: &[&str]| desk.run([&["backup", "--skip-if-unchanged"], arguments].concat());
    assert!(run(&[source]).succeeds().out.contains("saved"));
    // Files as young as the snapshot are read again, and are the same.
    let second = run(&[source]).succeeds();
    assert!(second.out.contains("nothing has changed: no snapshot was made"), "{second:?}");
    let third = json(&run(&["--json", source]).succeeds().out);
    assert!(third["snapshot"].is_null() && third["unchanged"] == true, "{third}");
    fs::write(desk.src("a.txt"), "other").unwrap();
    assert!(run(&[source]).succeeds().out.contains("saved"));
    run(&["--dry-run", source]).fails(2, &["--dry-run"]);
    run(&["--force", source]).fails(2, &["--force"]);
    assert!(desk.is_sound());
}

#[test]
fn links_are_followed_where_that_is_asked_for() {
    let desk = Desk::new();
    let outside = desk.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "from outside").unwrap();
    symlink(&outside, desk.src("to outside")).unwrap();
    symlink("..", desk.src("docs/back")).unwrap();
    let source = desk.path("src");
    let source = source.to_str().unwrap();
    let run = desk.run(["backup", "--follow", source]).succeeds();
    assert!(run.err.contains("docs/back") && run.err.contains("leads back"), "{run:?}");
    let at = desk.src("to outside/file");
    assert_eq!(desk.run(["dump", "latest", at.to_str().unwrap()]).succeeds().out, "from outside");
    // Named, and without a note that says how to follow it.
    let link = desk.src("link");
    for option in ["--follow", "--follow-sources"] {
        let run = desk.run(["backup", option, link.to_str().unwrap()]).succeeds();
        assert!(!run.err.contains("symbolic link"), "{run:?}");
        assert_eq!(desk.run(["dump", "latest", link.to_str().unwrap()]).succeeds().out, "one");
    }
}
