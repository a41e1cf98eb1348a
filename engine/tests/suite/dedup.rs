//! What the repository has is not stored again.

use std::sync::Arc;

use keepfast_testkit::{Lab, RecordingBackend, assert_same, store, tree};

const SIZE: usize = 6 << 20;

#[test]
fn the_same_file_twice_is_stored_once() {
    let lab = Lab::with(|root| {
        tree::write(root.join("one"), tree::noise(1, SIZE));
        tree::write(root.join("two"), tree::noise(1, SIZE));
    });
    let report = lab.backup();
    assert_eq!(report.statistics.bytes_new, SIZE as u64);
    let stored = store::stored_bytes(&*lab.backend, "packs/");
    assert!(stored < (SIZE + SIZE / 5) as u64, "{stored} bytes are stored");
    assert_same(&lab.source(), &lab.restore("latest"));
}

#[test]
fn a_renamed_file_stores_no_data() {
    let lab = Lab::with(|root| drop(tree::write(root.join("before"), tree::noise(1, SIZE))));
    lab.backup();
    std::fs::rename(lab.source().join("before"), lab.source().join("after")).expect("it can be renamed");
    assert_eq!(lab.backup().statistics.bytes_new, 0);
    assert_same(&lab.source(), &lab.restore("latest"));
}

#[test]
fn bytes_inserted_into_a_large_file_store_only_what_is_near() {
    let lab = Lab::with(|root| drop(tree::write(root.join("file"), tree::noise(1, SIZE))));
    lab.backup();
    let mut bytes = tree::noise(1, SIZE);
    bytes.splice(SIZE / 2..SIZE / 2, *b"inserted");
    tree::write(lab.source().join("file"), bytes);
    let new = lab.backup().statistics.bytes_new;
    assert!(new > 0 && new < 300_000, "{new} bytes are new");
    assert_same(&lab.source(), &lab.restore("latest"));
}

#[test]
fn text_is_stored_compressed_and_noise_as_it_is() {
    let lab = Lab::with(|root| {
        drop(tree::write(root.join("text"), (0..400_000).map(|n| format!("line {n}\n")).collect::<String>()))
    });
    let report = lab.backup();
    assert!(report.statistics.bytes_stored * 3 < report.statistics.bytes_new, "{:?}", report.statistics);
    let noise = Lab::with(|root| drop(tree::write(root.join("noise"), tree::noise(1, SIZE))));
    let report = noise.backup();
    // Packs are padded by up to an eighth, so that sizes tell little.
    assert!(
        report.statistics.bytes_stored < report.statistics.bytes_new + report.statistics.bytes_new / 5,
        "{:?}",
        report.statistics
    );
}

#[test]
fn an_unchanged_backup_asks_the_store_for_little() {
    let mut lab = Lab::with(tree::small);
    lab.backup();
    let recording = RecordingBackend::new(Arc::clone(&lab.backend));
    lab.backend = recording.clone();
    lab.backup();
    let calls = recording.take();
    assert!(calls.len() < 40, "{} calls: {calls:#?}", calls.len());
}
