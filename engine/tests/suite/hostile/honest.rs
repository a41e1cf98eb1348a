//! What the crafter makes is as good as what the engine makes, as long as it tells the truth: only so
//! does a test that sees something refused say why.

use keepfast_format::content::{ChunkRef, Content};
use keepfast_format::keys::{ChunkKind, Role};
use keepfast_format::node::Extents;
use keepfast_format::numbers::u32_of;
use keepfast_testkit::{Crafted, Crafter, Ear, Lab, craft};

/// A crafted snapshot of a new writer checks clean and restores, and the next backup goes on.
#[test]
fn a_crafted_snapshot_that_tells_the_truth_is_like_any_other() {
    let lab = Lab::with(|source| {
        keepfast_testkit::tree::write(source.join("own.txt"), "own");
    });
    lab.backup();
    let crafter = Crafter::of(&lab);
    let writer = crafter.enrol(Role::Writer, b"writer");
    let plain = b"what the writer has stored".to_vec();
    let id = crafter.chunk_id(ChunkKind::Data, &plain);
    let content = Content::Inline(vec![ChunkRef { id, len: u32_of(plain.len()) }]);
    let root = craft::page(vec![craft::file("file", plain.len() as u64, content, Extents::Dense)]);
    let tree = crafter.chunk_id(ChunkKind::Metadata, &root);
    let made = Crafted { data: vec![plain.clone()], metadata: vec![root] };
    // Older than what the laboratory makes, so that its own snapshots stay the latest.
    let session =
        crafter.commit(&writer, &made, tree, |snapshot| snapshot.body.start.seconds = 1_700_000_000);

    lab.assert_sound();
    let target = lab.fresh_target();
    let report = lab
        .try_restore(&session.to_string(), &Ear::default(), |options| options.target.clone_from(&target))
        .expect("it restores");
    assert_eq!((report.files, report.troubles.skipped), (1, 0));
    assert_eq!(std::fs::read(target.join("file")).expect("the file is there"), plain);
    lab.assert_round_trip();
}
