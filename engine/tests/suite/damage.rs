//! Damage of every kind to every kind of object: check names it, what isn't affected restores, and
//! the next backup works or says what is in its way (I7).

use std::collections::BTreeSet;
use std::sync::Arc;

use keepfast_backend::{Backend, MemoryBackend};
use keepfast_engine::EngineError;
use keepfast_testkit::store::{self, Damage};
use keepfast_testkit::{Ear, Lab, assert_same, describe, tree};

/// Names of one object of each kind, by what they are.
struct Objects {
    config: String,
    slot: String,
    keyring: String,
    session: String,
    segment: String,
    data_pack: String,
    metadata_pack: String,
    snapshot: String,
}

/// A repository in memory with one snapshot, and a later one of the same tree with more in it.
fn lab() -> (Lab, Objects) {
    let lab = Lab::on(Arc::new(MemoryBackend::default()));
    tree::small(&lab.source());
    lab.backup();
    let objects = objects(&lab);
    tree::write(lab.source().join("later.bin"), tree::noise(77, 30_000));
    lab.backup();
    (lab, objects)
}

/// The objects of a repository with one snapshot.
fn objects(lab: &Lab) -> Objects {
    let one = |prefix: &str| {
        let names = store::names(&*lab.backend, prefix);
        assert_eq!(names.len(), 1, "{names:?}");
        names[0].clone()
    };
    let mut packs = store::names(&*lab.backend, "packs/");
    assert_eq!(packs.len(), 2);
    // The data of the small tree don't compress: they are most of it.
    packs.sort_by_key(|name| store::bytes(&*lab.backend, name).len());
    Objects {
        config: one("config/"),
        slot: one("keys/"),
        keyring: one("keyring/"),
        session: one("sessions/"),
        segment: store::names(&*lab.backend, "index/")[0].clone(),
        data_pack: packs[1].clone(),
        metadata_pack: packs[0].clone(),
        snapshot: one("snapshots/"),
    }
}

fn every_damage() -> Vec<Damage> {
    let flips = [0, 1, 130, 333, 500, 750, 900, 985, 999, 1000];
    let flips = flips.map(|thousandths| Damage::Flip { thousandths });
    [Damage::Remove, Damage::Truncate].into_iter().chain(flips).collect()
}

/// Damages the object that `pick` picks in every way, and calls `judge` with each damaged
/// repository; the cache is of before the damage, and then there is none.
fn for_every_damage(pick: impl Fn(&Objects) -> String, judge: impl Fn(&Lab, Damage, &str)) {
    let (mut lab, objects) = lab();
    let name = pick(&objects);
    let whole = Arc::clone(&lab.backend);
    let warm = lab.cache.clone();
    for damage in every_damage() {
        for fresh in [false, true] {
            let copy: Arc<dyn Backend> = Arc::new(MemoryBackend::default());
            store::copy(&*whole, &*copy);
            store::damage(&*copy, &name, damage);
            lab.backend = copy;
            lab.cache = if fresh { lab.path(&format!("cache {damage:?}")) } else { warm.clone() };
            judge(&lab, damage, &name);
            // What the damaged repository has taught the index isn't to be carried over.
            let _ = std::fs::remove_dir_all(&warm);
        }
    }
}

/// The error that keeps a repository from opening, which must name an object.
#[track_caller]
fn assert_does_not_open(lab: &Lab, damage: Damage, named: &str) {
    let error =
        lab.try_open(&Ear::default()).err().unwrap_or_else(|| panic!("it opens in spite of {damage:?}"));
    assert!(error.to_string().contains(named), "{damage:?} of {named} is told as: {error}");
    assert!(!matches!(error, EngineError::WrongPassword { .. }), "{damage:?} is told as: {error}");
    let backup = lab.try_backup(&Ear::default()).expect_err("a backup can't work either");
    assert!(backup.to_string().contains(named), "{backup}");
}

/// What check says, which must name the object.
#[track_caller]
fn assert_check_names(lab: &Lab, damage: Damage, name: &str) -> Vec<String> {
    let ear = Ear::default();
    let report =
        lab.try_check(&ear).unwrap_or_else(|error| panic!("{damage:?} of {name} ends check: {error}"));
    let findings = ear.findings();
    assert!(report.findings > 0, "{damage:?} of {name} isn't found");
    assert!(
        findings.iter().any(|finding| finding.contains(name)),
        "{damage:?} of {name} isn't named: {findings:#?}"
    );
    findings
}

/// Restores a snapshot as far as possible. Every file that is there must be right, and every
/// one that isn't must have been named.
#[track_caller]
fn assert_restores_what_is_left(lab: &Lab, which: &str) -> usize {
    let ear = Ear::default();
    let target = lab.fresh_target();
    match lab.try_restore(which, &ear, |options| options.target.clone_from(&target)) {
        Ok(_) => {}
        Err(error) => {
            assert!(error.to_string().contains("packs/") || error.to_string().contains("chunk"), "{error}");
            return 0;
        }
    }
    let restored = lab.restored_source(&target);
    let found = if restored.exists() { describe(&restored) } else { Default::default() };
    let expected = describe(&lab.source());
    let skipped = ear.skipped().join("\n");
    let mut whole = 0;
    for (path, described) in &expected {
        let text = String::from_utf8_lossy(path).into_owned();
        match found.get(path) {
            Some(found) if found.content == described.content => whole += 1,
            Some(_) => panic!("{text} was restored wrong"),
            None if skipped.contains(&text) || text == "later.bin" => {}
            None => assert!(!skipped.is_empty(), "{text} is missing and no one said so"),
        }
    }
    whole
}

#[test]
fn i7_a_damaged_config_is_named() {
    for_every_damage(
        |objects| objects.config.clone(),
        |lab, damage, name| assert_does_not_open(lab, damage, name),
    );
}

#[test]
fn i7_a_damaged_key_slot_is_named_and_not_called_a_wrong_password() {
    for_every_damage(
        |objects| objects.slot.clone(),
        |lab, damage, name| {
            let named = if damage == Damage::Remove { "keys/" } else { name };
            assert_does_not_open(lab, damage, named);
        },
    );
}

#[test]
fn i7_a_damaged_keyring_is_named() {
    for_every_damage(
        |objects| objects.keyring.clone(),
        |lab, damage, name| assert_does_not_open(lab, damage, name),
    );
}

#[test]
fn i7_a_damaged_session_is_named_and_hits_nothing_else() {
    for_every_damage(
        |objects| objects.session.clone(),
        |lab, damage, name| {
            assert_check_names(lab, damage, name);
            assert_same(&lab.source(), &lab.restore("latest"));
            lab.backup();
            assert_same(&lab.source(), &lab.restore("latest"));
        },
    );
}

#[test]
fn i7_a_damaged_index_segment_is_named_and_made_up_for() {
    for_every_damage(
        |objects| objects.segment.clone(),
        |lab, damage, name| {
            assert_check_names(lab, damage, name);
            for which in ["latest", "latest~1"] {
                let target = lab.fresh_target();
                lab.try_restore(which, &Ear::default(), |options| options.target.clone_from(&target))
                    .unwrap_or_else(|error| panic!("after {damage:?} {which} isn't restored: {error}"));
                if which == "latest" {
                    assert_same(&lab.source(), &lab.restored_source(&target));
                }
            }
            // Only what a signed segment lists is referred to by a new snapshot: the next backup
            // lists again what the damaged one did, and with that the repository is whole.
            let report = lab.try_backup(&Ear::default()).expect("the next backup works");
            assert!(report.statistics.bytes_new > 0, "the chunks are stored again");
            let again = lab.try_backup(&Ear::default()).expect("the backup after it works");
            assert_eq!(again.statistics.bytes_new, 0, "and only once");
            let target = lab.fresh_target();
            lab.try_restore("latest", &Ear::default(), |options| options.target.clone_from(&target))
                .unwrap_or_else(|error| panic!("after {damage:?} the newest isn't restored: {error}"));
            assert_same(&lab.source(), &lab.restored_source(&target));
        },
    );
}

#[test]
fn i7_a_damaged_snapshot_is_named_and_hides_no_other() {
    for_every_damage(
        |objects| objects.snapshot.clone(),
        |lab, damage, name| {
            if damage == Damage::Remove {
                // It has no name any more that anyone could give; but it is missed.
                let ear = Ear::default();
                let report = lab.try_check(&ear).expect("check runs");
                assert!(report.findings > 0, "a snapshot is gone, and check doesn't miss it");
                assert!(
                    ear.findings().iter().any(|finding| finding.contains("snapshots/")),
                    "{:?}",
                    ear.findings()
                );
            } else {
                assert_check_names(lab, damage, name);
            }
            assert_same(&lab.source(), &lab.restore("latest"));
            lab.backup();
            assert_same(&lab.source(), &lab.restore("latest"));
        },
    );
}

#[test]
fn i7_a_damaged_data_pack_is_named_with_the_files_that_it_hits() {
    for_every_damage(
        |objects| objects.data_pack.clone(),
        |lab, damage, name| {
            let findings = assert_check_names(lab, damage, name);
            let whole = assert_restores_what_is_left(lab, "latest");
            if matches!(damage, Damage::Remove | Damage::Truncate) {
                assert!(findings.iter().any(|finding| finding.contains("b.bin")), "{findings:#?}");
            }
            assert!(whole >= 5, "directories, links and later files aren't in that pack: {whole}");
            match lab.try_backup(&Ear::default()) {
                Ok(_) => assert!(assert_restores_what_is_left(lab, "latest") >= 5),
                Err(error) => assert!(error.to_string().contains(name), "{error}"),
            }
        },
    );
}

#[test]
fn i7_a_damaged_metadata_pack_is_named() {
    for_every_damage(
        |objects| objects.metadata_pack.clone(),
        |lab, damage, name| {
            assert_check_names(lab, damage, name);
            assert_restores_what_is_left(lab, "latest");
            match lab.try_backup(&Ear::default()) {
                Ok(_) => drop(assert_restores_what_is_left(lab, "latest")),
                Err(error) => assert!(error.to_string().contains(name), "{error}"),
            }
        },
    );
}

/// I7: any single changed byte in any stored object is reported.
#[test]
fn i7_every_flip_in_every_object_is_found() {
    let (mut lab, _) = lab();
    let whole = Arc::clone(&lab.backend);
    let mut missed = Vec::new();
    for name in store::names(&*whole, "") {
        let length = store::bytes(&*whole, &name).len();
        // Bytes at either end, where the structure is, and some between.
        let step = (length / 8).max(1);
        let positions: BTreeSet<usize> = (0..10)
            .chain((0..length).step_by(step))
            .chain(length.saturating_sub(14)..length)
            .filter(|at| *at < length)
            .collect();
        for position in positions {
            let copy: Arc<dyn Backend> = Arc::new(MemoryBackend::default());
            store::copy(&*whole, &*copy);
            store::flip(&*copy, &name, position);
            lab.backend = copy;
            let ear = Ear::default();
            let named = match lab.try_check(&ear) {
                Ok(_) => ear.findings().iter().any(|finding| finding.contains(&name)),
                Err(error) => error.to_string().contains(&name),
            };
            if !named {
                missed.push(format!("{name} at {position}"));
            }
        }
    }
    assert!(
        missed.is_empty(),
        "{} flips weren't named, among them {:#?}",
        missed.len(),
        &missed[..missed.len().min(10)]
    );
}

#[test]
fn a_file_that_lies_in_the_storage_without_being_an_object_is_no_reason_to_fail() {
    let lab = Lab::with(tree::small);
    lab.backup();
    for name in
        ["snapshots/README", "index/.DS_Store", "packs/ab/notes", "keys/lost+found", "config/old", "stray"]
    {
        tree::write(lab.path("repository").join(name), "a stranger's");
    }
    lab.backup();
    assert_same(&lab.source(), &lab.restore("latest"));
}
