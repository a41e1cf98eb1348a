//! Packs: what they cost beyond what is in them, and their limits.

use keepfast_engine::repo::{InitOptions, Session, SessionOptions, WriterOptions, write_packs};
use keepfast_format::keys::ChunkKind;
use keepfast_format::limits;
use keepfast_testkit::lab::init_options;
use keepfast_testkit::{Ear, Lab, assert_same, store, tree};

/// The least that a pack may have: with it frames are largest by comparison.
#[test]
fn bytes_that_do_not_compress_take_little_more_than_they_are() {
    const SIZE: usize = 40 << 20;
    let lab = Lab::with(|root| drop(tree::write(root.join("noise"), tree::noise(1, SIZE))));
    lab.backup();
    let stored = store::stored_bytes(&*lab.backend, "packs/");
    assert!(stored < (SIZE + SIZE / 50) as u64, "{stored} bytes are stored");
    assert_same(&lab.source(), &lab.restore("latest"));
}

#[test]
fn the_largest_packs_of_the_smallest_chunks_can_be_read() {
    const CHUNKS: u32 = 3 << 19;
    let lab = Lab::made_with(&InitOptions { pack_bytes: limits::PACK_BYTES_MAX, ..init_options() });
    let opened = lab.open();
    let (ear, options) = (Ear::default(), WriterOptions::default());
    let session = SessionOptions { program: "testkit", parent: None, ended: None };
    let session =
        Session::begin(&opened.repository, &opened.index, &session, &ear).expect("a session begins");
    let (ids, _) = write_packs(&session, options, |writer| {
        let mut frames = writer.frames();
        let store = |number: u32| frames.store(ChunkKind::Data, &number.to_le_bytes()).map(|(id, _)| id);
        let ids: Vec<_> = (0..CHUNKS).map(store).collect::<Result<_, _>>()?;
        frames.finish()?;
        Ok(ids)
    })
    .expect("all are stored");
    drop(opened);
    assert_eq!(lab.assert_sound().packs, 2);
    let opened = lab.open();
    assert!(ids.iter().all(|id| opened.index.contains(id)));
}
