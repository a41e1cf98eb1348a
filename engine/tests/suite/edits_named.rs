//! Edits of snapshots that were made of different paths, and decisions that other runs make meanwhile.

use keepfast_engine::archive::Source;
use keepfast_engine::edit::{EditOptions, Editor, Exclusion};
use keepfast_engine::forget::{forget, protect};
use keepfast_engine::fs::select::Patterns;
use keepfast_engine::repo::{Snapshots, WriterOptions};
use keepfast_format::ids::SessionId;
use keepfast_testkit::{Ear, Lab, Opened, tree};

fn ids(snapshots: &Snapshots) -> Vec<SessionId> {
    snapshots.all.iter().map(|stored| stored.snapshot.head.id).collect()
}

/// What was named stays in the snapshot of the backup that named it, and goes from others with the same tree.
#[test]
fn what_was_named_for_one_snapshot_goes_from_another() {
    let lab = Lab::with(|root| {
        tree::write(root.join("cache/secret"), "secret");
        tree::write(root.join("file"), "content");
    });
    tree::settle(&lab.source());
    let both = [lab.source(), lab.source().join("cache")];
    for paths in [&both[..], &both[..1]] {
        lab.archive(Source::paths(paths), &Ear::default(), |_| {}).expect("the backup works");
    }
    let Opened { repository, mut snapshots, index } = lab.open();
    let ear = Ear::default();
    let run = lab.run(&ear);
    let options = EditOptions { program: "testkit".to_owned(), writer: WriterOptions::default() };
    let editor = Editor::new(&repository, &index, options, &run);
    let patterns = Patterns::new(&["cache"]).expect("it compiles");
    let mut exclusion = Exclusion::new(&patterns);
    let ids = ids(&snapshots);
    let removals = [0, 1].map(|at| {
        let found = editor.find_matches(&snapshots.all[at], &mut exclusion);
        found.expect("they can be read")
    });
    assert!(removals[0].is_nothing() && removals[0].named.len() == 1, "{:?}", removals[0]);
    assert_eq!((removals[1].files, removals[1].dirs), (1, 1));
    editor.rewrite(&mut snapshots, ids[1], &exclusion, &removals[1], true).expect("it can be rewritten");
    assert!(!lab.restore("latest").join("cache").exists());
    assert!(lab.restore("latest~1").join("cache/secret").exists());
}

/// A run that has protected a snapshot reports that. Another run that read the list earlier must not undo it.
#[test]
fn protection_that_comes_meanwhile_holds() {
    let lab = Lab::with(tree::small);
    lab.backup();
    lab.backup();
    let early = lab.open();
    let id = ids(&early.snapshots)[0];
    let late = lab.open();
    protect(&late.repository, &[id], true, &Ear::default()).expect("it can be protected");
    let error =
        forget(&early.repository, &early.snapshots, &[id], &Ear::default()).expect_err("it is protected");
    assert!(error.to_string().contains("protected"), "{error}");
    let now = lab.open().snapshots;
    assert!(ids(&now).contains(&id) && now.protected.contains(&id));
}
