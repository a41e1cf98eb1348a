//! What is different between two snapshots, and folders page by page.

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;

use keepfast_engine::diff::{Change, ChangeKind, Part, diff};
use keepfast_engine::list::list_directory;
use keepfast_testkit::{Lab, Opened, quiet, tree};

fn build(root: &std::path::Path) {
    for number in 0..400 {
        tree::write(root.join(format!("same/{number:03}")), format!("same {number}"));
    }
    for name in ["a/content", "a/mode", "a/touched", "b/removed/x", "b/removed/y", "kind", "z"] {
        tree::write(root.join(name), format!("first {name}"));
    }
}

/// Changes between the only two snapshots, below the source.
fn changes(lab: &Lab, part: Part<'_>) -> Vec<Change> {
    let Opened { repository, index, snapshots } = lab.open();
    let [before, after] = [&snapshots.all[0].snapshot, &snapshots.all[1].snapshot];
    let mut found = Vec::new();
    diff(&repository, &index, before, after, part, quiet(), &mut |change| {
        found.push(change);
        Ok(())
    })
    .expect("they can be compared");
    found
}

fn told(lab: &Lab, changes: &[Change]) -> Vec<(ChangeKind, String)> {
    let source = lab.source().into_os_string().into_encoded_bytes();
    let below = changes.iter().filter_map(|change| {
        let path = change.path.strip_prefix(source.as_slice())?.to_vec();
        (!path.is_empty()).then(|| (change.kind, String::from_utf8(path).expect("plain names")))
    });
    below.collect()
}

#[test]
fn what_differs_is_found_in_order_and_from_any_place_on() {
    let lab = Lab::with(build);
    lab.backup();
    let source = lab.source();
    fs::write(source.join("a/content"), "other a/content").expect("it can be written");
    fs::set_permissions(source.join("a/mode"), fs::Permissions::from_mode(0o600)).expect("a mode");
    // The same bytes, stored with other neighbours.
    fs::write(source.join("a/touched"), "first a/touched").expect("it can be written");
    fs::remove_dir_all(source.join("b/removed")).expect("it can be removed");
    fs::remove_file(source.join("kind")).expect("it can be removed");
    fs::create_dir(source.join("kind")).expect("a folder");
    tree::write(source.join("kind/new"), "new");
    tree::write(source.join("same/123a"), "new");
    lab.backup();
    let all = changes(&lab, Part::default());
    let without_times: Vec<(ChangeKind, String)> =
        told(&lab, &all).into_iter().filter(|(_, path)| !["/a", "/b", "/same"].contains(&&**path)).collect();
    let expected = [
        (ChangeKind::Content, "/a/content"),
        (ChangeKind::Metadata, "/a/mode"),
        (ChangeKind::Metadata, "/a/touched"),
        (ChangeKind::Removed, "/b/removed"),
        (ChangeKind::Removed, "/b/removed/x"),
        (ChangeKind::Removed, "/b/removed/y"),
        (ChangeKind::Kind, "/kind"),
        (ChangeKind::Added, "/kind/new"),
        (ChangeKind::Added, "/same/123a"),
    ];
    assert_eq!(without_times, expected.map(|(kind, path)| (kind, path.to_owned())));
    for (number, change) in all.iter().enumerate() {
        let rest = changes(&lab, Part { path: b"/", after: Some(&change.path) });
        let paths = |changes: &[Change]| changes.iter().map(|one| one.path.clone()).collect::<Vec<_>>();
        assert_eq!(paths(&rest), paths(&all[number + 1..]));
    }
    let below = changes(&lab, Part { path: &lab.in_snapshot("b"), after: None });
    assert!(told(&lab, &below).iter().all(|(_, path)| path.starts_with("/b")) && below.len() >= 3);
}

#[test]
fn a_folder_is_listed_page_by_page() {
    let lab = Lab::with(build);
    lab.backup();
    let Opened { repository, index, snapshots } = lab.open();
    let folder = lab.in_snapshot("same");
    let (mut names, mut after): (Vec<Vec<u8>>, Option<Vec<u8>>) = (Vec::new(), None);
    loop {
        let mut page = Vec::new();
        list_directory(
            &repository,
            &index,
            &snapshots.all[0].snapshot,
            &folder,
            after.as_deref(),
            quiet(),
            &mut |node| {
                page.push(node.name);
                if page.len() < 7 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            },
        )
        .expect("it can be listed");
        let Some(last) = page.last() else { break };
        after = Some(last.clone());
        names.extend(page);
    }
    let expected: Vec<Vec<u8>> = (0..400).map(|number| format!("{number:03}").into_bytes()).collect();
    assert_eq!(names, expected);
}
