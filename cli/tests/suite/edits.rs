//! `tag` and `rewrite`: what they print, what they refuse, and what is restored afterwards.

use std::fs;
use std::process::Command;

use keepfast_testkit::servers::Kind;
use keepfast_testkit::tree::noise;
use serde_json::Value;

use crate::program::{Desk, Run, same};
use crate::remote::Remote;

/// The ids of all snapshots, oldest first.
fn ids(desk: &Desk) -> Vec<String> {
    let list: Value = serde_json::from_str(&desk.run(["snapshots", "--json"]).succeeds().out).unwrap();
    list.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

fn json(run: Run) -> Value {
    serde_json::from_str(&run.succeeds().out).unwrap()
}

fn back_up_as(desk: &Desk, host: &str, tags: &str) {
    let source = desk.path("src");
    desk.run(["backup", "--host", host, "--tag", tags, source.to_str().unwrap()]).succeeds();
}

#[test]
fn labels_are_added_removed_and_set() {
    let desk = Desk::new();
    back_up_as(&desk, "web1", "nightly");
    back_up_as(&desk, "web2", "nightly");
    let old = ids(&desk);
    let run = desk.run(["tag", "--add", "kept, release", "--remove", "nightly", "latest~1"]).succeeds();
    let new = ids(&desk);
    assert_eq!(run.out, format!("snapshot {} is now {}  [kept, release]\n", &old[0][..8], &new[0][..8]));
    assert_eq!(new[1], old[1], "the newest is still the newest");
    let again = desk.run(["tag", "--add", "kept", &new[0]]).succeeds();
    assert_eq!(again.out, format!("snapshot {} has these labels already\n", &new[0][..8]));

    // By a filter, without ids.
    let told = json(desk.run(["tag", "--json", "--set", "a,b", "--host", "web2"]));
    assert_eq!(told.as_array().map(Vec::len), Some(1));
    assert_eq!(told[0]["id"], old[1].as_str());
    assert_eq!((&told[0]["changed"], &told[0]["forgotten"]), (&true.into(), &true.into()));
    assert_eq!(told[0]["snapshot"]["tags"], serde_json::json!(["a", "b"]));
    let run = desk.run(["tag", "--set", "", "--tag", "a"]).succeeds();
    assert!(run.out.ends_with(", without labels\n"), "{run:?}");
    // One that isn't there changes nothing.
    let told = json(desk.run(["tag", "--json", "--remove", "none", "latest"]));
    assert_eq!((&told[0]["changed"], &told[0]["snapshot"]), (&false.into(), &Value::Null));
    assert!(desk.run(["snapshots", "--tag", "release"]).succeeds().out.contains("web1"));
    assert!(desk.restores_identical() && desk.is_sound());
    desk.run(["prune"]).succeeds();
    assert!(desk.restores_identical() && desk.is_sound());
}

#[test]
fn what_is_to_be_edited_and_how_has_to_be_said() {
    let desk = Desk::new();
    desk.backup();
    desk.run(["tag", "--add", "x"]).fails(2, &["say which snapshots", "--host"]);
    desk.run(["tag", "latest"]).fails(2, &["--add"]);
    desk.run(["tag", "--add", "x", "--set", "y", "latest"]).fails(2, &["--set"]);
    desk.run(["tag", "--set", "a,,b", "latest"]).fails(2, &["a label can't be empty"]);
    desk.run(["tag", "--add", "x", "zzz"]).fails(1, &["no snapshot \"zzz\""]);
    desk.run(["rewrite", "latest"]).fails(2, &["--exclude"]);
    desk.run(["rewrite", "--exclude", "x"]).fails(2, &["say which snapshots"]);
    let list = desk.path("none");
    fs::write(&list, "# nothing\n").unwrap();
    desk.run(["rewrite", "--exclude-from", list.to_str().unwrap(), "latest"])
        .fails(2, &["there is no pattern"]);
    assert!(desk.run(["tag", "--add", "x", "--host", "nowhere"]).succeeds().err.contains("no snapshots"));
    let id = ids(&desk).remove(0);
    desk.run(["forget", "--protect", &id]).succeeds();
    desk.run(["tag", "--add", "x", &id]).fails(1, &["is protected", "--unprotect"]);
    desk.run(["rewrite", "--forget", "--exclude", "b.txt", &id]).fails(1, &["is protected"]);
    assert_eq!(ids(&desk), [id]);
}

#[test]
fn files_are_left_out_of_snapshots_that_are_there() {
    let desk = Desk::new();
    fs::create_dir_all(desk.src("app/cache/deep")).unwrap();
    fs::write(desk.src("app/cache/deep/big"), noise(1, 300_000)).unwrap();
    fs::write(desk.src("app/password"), "correct horse").unwrap();
    fs::write(desk.src("app/settings"), "colour = blue").unwrap();
    fs::hard_link(desk.src("a.txt"), desk.src("app/same")).unwrap();
    desk.backup();
    fs::write(desk.src("a.txt"), "changed").unwrap();
    desk.backup();
    let old = ids(&desk);
    let list = desk.path("list");
    fs::write(&list, "app/password\n").unwrap();
    let rewrite = |more: &[&str]| {
        let always = ["rewrite", "--exclude", "cache", "--exclude-from", list.to_str().unwrap()];
        desk.run([&always, more].concat())
    };
    let dry = rewrite(&["-n", "latest"]).succeeds();
    let expected = format!("snapshot {} would lose 2 files, 2 directories, 292.98 KiB\n", &old[1][..8]);
    assert_eq!(dry.out, expected);
    assert_eq!(ids(&desk), old, "nothing has changed");

    let told = json(rewrite(&["--json", "--forget", "latest", "latest~1"]));
    let removed = serde_json::json!({ "files": 2, "dirs": 2, "others": 0, "bytes": 300_013 });
    for (number, id) in old.iter().rev().enumerate() {
        let one = &told["snapshots"][number];
        assert_eq!((one["id"].as_str(), &one["removed"]), (Some(id.as_str()), &removed));
        assert_eq!((&one["changed"], &one["forgotten"]), (&true.into(), &true.into()));
    }
    let new = ids(&desk);
    assert!(new.len() == 2 && new[0] != old[0]);
    let again = rewrite(&["--forget", "latest"]).succeeds();
    assert!(again.out.contains("has nothing that matches, and stays as it is"), "{again:?}");
    assert_eq!(ids(&desk), new);

    let stored = || -> u64 {
        let sizes = Command::new("du").arg("-sb").arg(desk.repo().join("packs")).output().unwrap();
        String::from_utf8(sizes.stdout).unwrap().split_whitespace().next().unwrap().parse().unwrap()
    };
    let before = stored();
    desk.run(["prune", "--max-unused", "0"]).succeeds();
    assert!(stored() + 290_000 < before, "what was left out is still stored");
    fs::remove_dir_all(desk.src("app/cache")).unwrap();
    fs::remove_file(desk.src("app/password")).unwrap();
    let target = desk.path("out");
    let snapshot = format!("latest:{}", desk.path("src").display());
    desk.run(["restore", "--snapshot", &snapshot, "--target", target.to_str().unwrap()]).succeeds();
    // The directory that lost them has its time from before.
    let mut touch = Command::new("touch");
    assert!(touch.arg("-r").arg(target.join("app")).arg(desk.src("app")).status().unwrap().success());
    assert!(same(&desk.path("src"), &target) && desk.is_sound());
}

#[test]
fn both_snapshots_stay_unless_the_old_one_is_to_be_forgotten() {
    let desk = Desk::new();
    desk.backup();
    let old = ids(&desk);
    let run = desk.run(["rewrite", "--exclude", "b.txt", "latest"]).succeeds();
    assert!(run.err.contains("the old snapshots still have it"), "{run:?}");
    let both = ids(&desk);
    assert_eq!((both.len(), &both[0]), (2, &old[0]));
    let path = desk.src("docs/b.txt");
    desk.run(["dump", "latest", path.to_str().unwrap()]).fails(1, &["isn't in snapshot"]);
    desk.run(["dump", "latest~1", path.to_str().unwrap()]).succeeds();
    // What was named stays, empty if need be, and that is said.
    let all = desk.run(["rewrite", "--exclude", "*", "--forget", "latest"]).succeeds();
    assert!(all.err.contains("matches, and stays"), "{all:?}");
    let list = desk.run(["ls", "-R", "latest", desk.path("src").to_str().unwrap()]).succeeds();
    assert_eq!(list.out, "");
    let named = desk.run(["rewrite", "--exclude", "src", "latest"]).succeeds();
    assert!(
        named.err.contains("matches, and stays in snapshot") && named.err.contains("warning"),
        "{named:?}"
    );
    assert!(desk.is_sound());
}

#[test]
fn snapshots_are_edited_in_s3() {
    let remote = Remote::on(Kind::Moto);
    let source = remote.source();
    remote.run(&["init", "--pack-size", "4"]).succeeds();
    fs::write(remote.desk.src("secret"), noise(77, 100_000)).unwrap();
    remote.run(&["backup", &source]).succeeds();
    fs::remove_file(remote.desk.src("secret")).unwrap();
    let told = remote.json(&["rewrite", "--forget", "--exclude", "secret", "latest"]);
    assert_eq!(told["snapshots"][0]["removed"]["bytes"], 100_000);
    assert!(told["traffic"]["requests"].as_u64().unwrap() < 60, "{told}");
    let told = remote.json(&["tag", "--add", "clean", "latest"]);
    assert_eq!(told[0]["snapshot"]["tags"][0], "clean");
    remote.run(&["prune", "--max-unused", "0"]).succeeds();
    let touched = remote.run(&["ls", "latest", &source]).succeeds();
    assert!(!touched.out.contains("secret"), "{touched:?}");
    assert!(remote.is_sound());
}
