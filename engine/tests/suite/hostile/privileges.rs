//! What a restored snapshot of another may set, and the restore that refuses it.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use keepfast_engine::restore::RestoreReport;
use keepfast_format::content::{ChunkRef, Content};
use keepfast_format::keys::{ChunkKind, Role};
use keepfast_format::links;
use keepfast_format::node::{Extents, Node, NodeKind};
use keepfast_format::numbers::u32_of;
use keepfast_format::tree::encode_blob;
use keepfast_testkit::{Crafted, Crafter, Ear, Lab, craft};

const PLAIN: &[u8] = b"#!/bin/sh\nid\n";

/// A snapshot that a writer has made to take a machine over that restores it: a setuid program with
/// capabilities, a memory device with two names, and a label on a directory of many rights.
fn crafted(lab: &Lab) -> String {
    // The system refuses some of its attributes.
    let crafter = Crafter::of(lab).compares_nothing();
    let writer = crafter.enrol(Role::Writer, b"writer");
    let id = crafter.chunk_id(ChunkKind::Data, PLAIN);
    let content = Content::Inline(vec![ChunkRef { id, len: u32_of(PLAIN.len()) }]);
    let inner = craft::page(vec![]);
    let device = |name| craft::node(name, NodeKind::CharDevice { major: 1, minor: 1 });
    let label = |name: &[u8]| (name.to_vec(), vec![1]);
    let root = craft::page(vec![
        Node {
            mode: 0o2777,
            xattrs: vec![label(b"security.selinux"), label(b"trusted.overlay.opaque")],
            ..craft::directory("a directory", crafter.chunk_id(ChunkKind::Metadata, &inner))
        },
        device("b device"),
        device("c same device"),
        Node {
            mode: 0o6755,
            xattrs: vec![label(b"security.capability")],
            ..craft::file("d program", PLAIN.len() as u64, content, Extents::Dense)
        },
        Node { mode: 0o4711, ..craft::node("e fifo", NodeKind::Fifo) },
    ]);
    let groups = encode_blob(&links::encode(&[vec![b"b device".to_vec(), b"c same device".to_vec()]]));
    let blob = ChunkRef { id: crafter.chunk_id(ChunkKind::Metadata, &groups), len: u32_of(groups.len()) };
    let tree = crafter.chunk_id(ChunkKind::Metadata, &root);
    let made = Crafted { data: vec![PLAIN.to_vec()], metadata: vec![inner, root, groups] };
    crafter
        .commit(&writer, &made, tree, |snapshot| snapshot.body.hard_links = Content::Inline(vec![blob]))
        .to_string()
}

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().expect("it is there").permissions().mode() & 0o7777
}

fn restore(lab: &Lab, which: &str, target: &Path, no_privileges: bool) -> (RestoreReport, Ear) {
    let ear = Ear::default();
    let report = lab.try_restore(which, &ear, |options| {
        options.target = target.to_owned();
        options.no_privileges = no_privileges;
    });
    (report.expect("it restores"), ear)
}

/// With `no_privileges`, nothing that is restored gives anyone rights, the report says how often,
/// and nothing is an error.
#[test]
fn a_restore_without_privileges_sets_no_bit_makes_no_device_and_gives_no_label() {
    let lab = Lab::with(keepfast_testkit::tree::small);
    let session = crafted(&lab);
    let target = lab.fresh_target();
    let (report, ear) = restore(&lab, &session, &target, true);
    ear.assert_content();
    assert_eq!((report.files, report.dirs, report.others, report.hard_links), (1, 1, 1, 0));
    assert_eq!((report.privileges_dropped, report.devices_left_out, report.troubles.skipped), (3, 2, 0));

    assert_eq!(mode(&target.join("d program")), 0o755);
    assert_eq!(mode(&target.join("e fifo")), 0o711);
    assert_eq!(mode(&target.join("a directory")), 0o2777);
    assert!(!target.join("b device").exists() && !target.join("c same device").exists());
    for name in ["a directory", "d program"] {
        let mut names = vec![0; 4096];
        let length = rustix::fs::llistxattr(target.join(name), &mut names).unwrap_or(0);
        let names = String::from_utf8_lossy(&names[..length]).into_owned();
        assert!(!names.contains("trusted.") && !names.contains("security.capability"), "{names}");
    }
    assert_eq!(std::fs::read(target.join("d program")).expect("it is there"), PLAIN);
}

/// Without the option a restore gives what the snapshot says, as far as the user may: a backup of
/// the user's own machine needs that.
#[test]
fn a_restore_gives_all_bits_unless_told_otherwise() {
    let lab = Lab::with(keepfast_testkit::tree::small);
    let session = crafted(&lab);
    let target = lab.fresh_target();
    let (report, _) = restore(&lab, &session, &target, false);
    assert_eq!((report.privileges_dropped, report.devices_left_out), (0, 0));
    assert_eq!(mode(&target.join("d program")), 0o6755);
    if let Ok(device) = target.join("b device").symlink_metadata() {
        assert_eq!(device.rdev(), rustix::fs::makedev(1, 1));
    }
}
