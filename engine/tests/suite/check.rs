//! What check counts, and how it names what damage affects: with many threads as with one.

use std::sync::Arc;

use keepfast_backend::MemoryBackend;
use keepfast_engine::check::{CheckOptions, CheckReport, ReadData, check};
use keepfast_format::epoch::{Condemned, Verdict};
use keepfast_format::names::{self, EpochPart};
use keepfast_testkit::store::{self, Damage};
use keepfast_testkit::{Ear, Lab, tree};

const FOLDERS: u64 = 30;

/// Two snapshots that share thirty folders; the second has one more. Returns the packs of the
/// first: that with its trees, and that with its data.
fn two_snapshots() -> (Lab, [String; 2]) {
    let lab = Lab::on(Arc::new(MemoryBackend::default()));
    for number in 0..FOLDERS {
        tree::write(lab.source().join(format!("{number}/below/data.bin")), tree::noise(number, 3000));
    }
    lab.backup();
    let mut packs = store::names(&*lab.backend, "packs/");
    packs.sort_by_key(|name| store::bytes(&*lab.backend, name).len());
    let packs = packs.try_into().expect("a pack of trees and one of data");
    tree::write(lab.source().join("later/data.bin"), tree::noise(FOLDERS, 3000));
    lab.backup();
    (lab, packs)
}

fn check_with(lab: &Lab, read: ReadData, threads: usize) -> (CheckReport, Vec<String>) {
    let (ear, opened) = (Ear::default(), lab.open());
    let options = CheckOptions { read };
    let report = check(
        &opened.repository,
        &opened.index,
        &opened.snapshots,
        &options,
        &ear.run().with_threads(threads),
    );
    (report.expect("the check runs"), ear.findings())
}

#[test]
fn what_snapshots_share_is_counted_once() {
    let (lab, _) = two_snapshots();
    let report = lab.assert_sound();
    assert_eq!(report.files, FOLDERS + 1);
    for threads in [1, 7] {
        let (other, findings) = check_with(&lab, ReadData::All, threads);
        assert_eq!(other, report, "with {threads} threads");
        assert_eq!(findings, [""; 0], "with {threads} threads");
    }
}

/// What a verdict has named is removed by the next prune: a snapshot that needs it is hit already.
#[test]
fn what_a_wrong_verdict_has_named_is_lost() {
    let (lab, [_, data_pack]) = two_snapshots();
    let pack = names::parse_pack(&data_pack).expect("it is a pack's name");
    let opened = lab.open();
    let (repository, owner) = (opened.repository.id(), opened.repository.identity());
    let packs = vec![pack];
    let condemned =
        Condemned { epoch: 1, packs: packs.clone(), snapshots: Vec::new() }.seal(repository, owner);
    let verdict = Verdict { epoch: 1, packs: packs.clone() }.seal(repository, owner);
    for (part, bytes) in [(EpochPart::Condemned, condemned), (EpochPart::Done, verdict)] {
        lab.backend.create(&names::epoch(1, part).to_string(), &[&bytes]).expect("it is new");
    }
    drop(opened);
    let (report, findings) = check_with(&lab, ReadData::No, 1);
    assert_eq!(report.files_hit, 2 * FOLDERS, "{findings:#?}");
}

/// Damage that many snapshots share is found once, and named for each of them.
#[test]
fn every_file_that_damage_hits_is_named_for_every_snapshot_in_the_same_order() {
    let (lab, [_, data_pack]) = two_snapshots();
    store::damage(&*lab.backend, &data_pack, Damage::Remove);
    let (report, findings) = check_with(&lab, ReadData::No, 1);
    assert_eq!((report.files, report.files_hit), (FOLDERS + 1, 2 * FOLDERS));
    let opened = lab.open();
    for stored in &opened.snapshots.all {
        let snapshot = stored.snapshot.head.id.short();
        for number in 0..FOLDERS {
            let file = format!("/{number}/below/data.bin: ");
            let names_it = |finding: &&String| {
                finding.starts_with(&format!("snapshot {snapshot}: ")) && finding.contains(&file)
            };
            assert_eq!(findings.iter().filter(names_it).count(), 1, "{file} of {snapshot}: {findings:#?}");
        }
    }
    drop(opened);
    assert!(!findings.iter().any(|finding| finding.contains("later")), "{findings:#?}");
    for _ in 0..5 {
        assert_eq!(check_with(&lab, ReadData::No, 7), (report.clone(), findings.clone()));
    }
}

/// The first snapshot's root is lost; the second has new folders on the way to the lost ones.
#[test]
fn directories_that_are_lost_are_named_for_every_snapshot() {
    let (lab, [tree_pack, _]) = two_snapshots();
    store::damage(&*lab.backend, &tree_pack, Damage::Remove);
    let (report, findings) = check_with(&lab, ReadData::No, 7);
    assert_eq!((report.files, report.files_hit), (1, 1 + FOLDERS));
    let lost = findings.iter().filter(|finding| finding.contains("the directory can't be read"));
    assert_eq!(lost.count() as u64, 1 + FOLDERS, "{findings:#?}");
    for _ in 0..5 {
        assert_eq!(check_with(&lab, ReadData::No, 2), (report.clone(), findings.clone()));
    }
}
