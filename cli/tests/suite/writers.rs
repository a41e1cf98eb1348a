//! What people see of several writers: whose a snapshot is, and what is missing.

use std::fs;
use std::process::Command;

use keepfast_format::content::Content;
use keepfast_format::ids::{ObjectHash, SessionId};
use keepfast_format::keys::{ChunkKind, Identity, Role};
use keepfast_format::node::{Extents, Timestamp};
use keepfast_format::snapshot::Head;
use keepfast_testkit::{Crafted, Crafter, Lab, craft};

use crate::program::{Desk, Run};

/// A repository with a snapshot of its owner and a newer one of another writer.
struct Two {
    /// First, as it looks at the laboratory's repository when it is dropped.
    crafter: Crafter,
    lab: Lab,
    desk: Desk,
    other: Identity,
    newest: SessionId,
}

impl Two {
    /// The other writer's snapshot names these heads.
    fn naming(heads: Vec<Head>) -> Self {
        let lab = Lab::with(|source| fs::write(source.join("own"), "own").unwrap());
        lab.backup();
        let crafter = Crafter::of(&lab);
        let other = crafter.enrol(Role::Writer, b"other");
        let root = craft::page(vec![craft::file("other", 0, Content::empty(), Extents::Dense)]);
        let tree = crafter.chunk_id(ChunkKind::Metadata, &root);
        let made = Crafted { data: Vec::new(), metadata: vec![root] };
        let newest = crafter.commit(&other, &made, tree, |snapshot| {
            snapshot.head.heads = heads;
            // After the laboratory's clock.
            let time = Timestamp { seconds: 4_200_000_000, nanos: 0 };
            (snapshot.body.start, snapshot.body.end) = (time, time);
        });
        Self { crafter, lab, desk: Desk::bare(), other, newest }
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let mut command: Command = self.desk.command();
        command.env("KEEPFAST_REPOSITORY", self.lab.path("repository")).env("KEEPFAST_PASSWORD", "lab");
        Run::of(command.args(arguments).output().unwrap())
    }

    fn short(&self, writer: &Identity) -> String {
        writer.holder().to_string()[..8].to_owned()
    }
}

#[test]
fn writers_are_shown_where_there_are_several_and_one_can_be_chosen() {
    let two = Two::naming(Vec::new());
    let (own, other) = (two.short(&two.crafter.owner), two.short(&two.other));
    let table = two.run(&["snapshots"]).succeeds().out;
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].contains("  WRITER    HOST "), "{table}");
    assert!(lines[1].contains(&own) && lines[2].contains(&other), "{table}");
    let table = two.run(&["snapshots", "--writer", &own]).succeeds().out;
    assert!(!table.contains("WRITER") && table.lines().count() == 2, "{table}");
    let json = two.run(&["snapshots", "--json", "--writer", &other]).succeeds().out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["writer"], two.other.holder().to_string());
    assert_eq!(json.as_array().map(Vec::len), Some(1));
    two.run(&["snapshots", "--writer", "zz"]).fails(1, &["no snapshot is of a writer", "\"zz\""]);
}

#[test]
fn latest_among_several_writers_says_whose_it_is() {
    let two = Two::naming(Vec::new());
    let (own, other) = (two.short(&two.crafter.owner), two.short(&two.other));
    let target = two.desk.path("target");
    let target = target.to_str().unwrap();
    for arguments in [
        &["ls", "latest"][..],
        &["dump", "latest", "/other"],
        &["restore", "--snapshot", "latest", "--target", target, "--dry-run"],
        &["restore", "--at", "2200-01-01", "--target", target, "--dry-run"],
        &["forget", "latest", "--dry-run"],
        &["stats", "--delete", "latest"],
    ] {
        let run = two.run(arguments).succeeds();
        for words in [&own, &other, &two.newest.short()[..8], "2 writers", "--writer"] {
            assert!(run.err.contains(words), "{arguments:?}: {run:?}");
        }
    }
    let run = two.run(&["ls", "latest", "--writer", &other]).succeeds();
    assert!(!run.err.contains("writers") && run.out.contains("/other"), "{run:?}");
    let run = two.run(&["ls", "-R", "latest", "--writer", &own]).succeeds();
    assert!(!run.err.contains("writers") && run.out.contains("/own"), "{run:?}");
    let run = two.run(&["ls", "latest", "--host", "lab"]).succeeds();
    assert!(!run.err.contains("writers"), "{run:?}");
}

#[test]
fn a_policy_judges_writers_apart_and_names_them() {
    let two = Two::naming(Vec::new());
    let (own, other) = (two.short(&two.crafter.owner), two.short(&two.other));
    let run = two.run(&["forget", "--keep-last", "1", "--group-by", "writer", "--dry-run"]).succeeds();
    for writer in [own, other] {
        assert!(run.out.contains(&format!("writer {writer}\n")), "{run:?}");
    }
    assert!(!run.out.contains("forget:"), "{run:?}");
}

#[test]
fn prune_names_a_missing_snapshot_and_the_way_on() {
    let missing = SessionId { writer: keepfast_format::ids::HolderId::new([0xee; 8]), random: [0xab; 16] };
    let hash = ObjectHash::of(b"never");
    let head = Head { writer: missing.writer, sequence: 3, hash, random: Some(missing.random) };
    let two = Two::naming(vec![head]);
    let liar = two.other.holder().to_string();
    for arguments in [&["prune"][..], &["prune", "--dry-run"]] {
        two.run(arguments).fails(
            1,
            &[
                &missing.short(),
                &missing.writer.to_string(),
                &two.newest.short()[..8],
                &liar,
                "--accept-missing ID",
            ],
        );
    }
    let check = two.run(&["check"]);
    assert_eq!(check.code, 3, "{check:?}");
    assert!(
        check.err.contains(&missing.to_string()) || check.out.contains(&missing.to_string()),
        "{check:?}"
    );
    two.run(&["prune", "--dry-run", "--accept-missing", &missing.short()]).succeeds();
    two.run(&["prune"]).fails(1, &["--accept-missing"]);
    two.run(&["prune", "--accept-missing", &missing.short()]).succeeds();
    two.run(&["prune"]).succeeds();
    two.run(&["check"]).succeeds();
}
