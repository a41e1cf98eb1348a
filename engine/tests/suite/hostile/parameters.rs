//! An attacker that may only create objects, at the repository's parameters: junk under the next names,
//! old objects under new numbers, key slots that keep a machine busy. And a store that shows less than
//! there is.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use keepfast_engine::EngineError;
use keepfast_engine::check::{CheckOptions, ReadData, check};
use keepfast_engine::error::Result;
use keepfast_engine::forget::forget;
use keepfast_engine::prune::{self, PruneOptions, UnusedLimit};
use keepfast_engine::repo::{
    Memory, Older, OpenOptions, Repository, SlotLimits, Snapshots, WriterOptions, accept, older, open_index,
    remember,
};
use keepfast_format::config::Config;
use keepfast_format::ids::{ObjectHash, SlotId};
use keepfast_format::keys::Role;
use keepfast_format::names::{self, EpochPart};
use keepfast_format::signed::{SignedKind, seal_envelope};
use keepfast_format::slot::{KeySlot, PasswordCost};
use keepfast_testkit::{Crafter, Ear, Lab, assert_same, quiet, store, tree};

/// What ends a backup, if anything does.
fn backup(lab: &Lab) -> Result<()> {
    lab.try_backup(&Ear::default()).map(drop)
}

/// What ends a prune, if anything does.
fn prune(lab: &Lab) -> Result<()> {
    lab.prune_with_cache(&lab.cache, &Ear::default(), |_| {}).map(drop)
}

/// It went well, or it was refused because of this object.
#[track_caller]
fn assert_blocked_by(result: Result<()>, object: Option<&str>) {
    match (result, object) {
        (Ok(()), None) => {}
        (Err(EngineError::Blocked { object: found, .. }), Some(expected)) => assert_eq!(found, expected),
        (result, object) => panic!("{result:?} where {object:?} was to be in the way"),
    }
}

/// A check runs to its end and names the object.
#[track_caller]
fn assert_check_names(lab: &Lab, object: &str) {
    let ear = Ear::default();
    let report = lab.try_check(&ear).expect("the check runs");
    assert!(report.findings > 0, "{object} isn't found");
    assert!(ear.findings().iter().any(|finding| finding.contains(object)), "{:?}", ear.findings());
}

/// A repository with two snapshots, one of them forgotten, and one epoch.
fn used() -> Lab {
    let lab = Lab::with(|source| drop(tree::write(source.join("first"), tree::noise(1, 200_000))));
    lab.backup();
    tree::write(lab.source().join("first"), tree::noise(2, 200_000));
    lab.backup();
    lab.forget(&["latest~1"]);
    lab.prune();
    tree::write(lab.source().join("second"), "more");
    lab.backup();
    lab
}

/// Junk at each name that a create-only attacker can take, and which of backup and prune it stops.
#[test]
fn junk_never_stops_a_restore_and_stops_writing_only_where_safety_needs_it() {
    let condemned_2 = names::epoch(2, EpochPart::Condemned);
    let done_2 = names::epoch(2, EpochPart::Done);
    let cases = [
        (names::config(1), false, false),
        (names::config(u32::MAX), false, false),
        (names::keyring(1), false, false),
        (names::keyring(u32::MAX), false, false),
        (names::slot(SlotId::new([7; 16])), false, false),
        (names::epoch(9, EpochPart::Done), false, false),
        (names::epoch(9, EpochPart::Condemned), false, false),
        (done_2, false, true),
        (condemned_2, true, true),
        (names::catalogue(0), true, true),
        (names::catalogue(u32::MAX), true, true),
    ];
    for (name, stops_backup, stops_prune) in cases {
        let (lab, name) = (used(), name.to_string());
        lab.backend.create(&name, &[b"junk"]).expect("anyone can");
        let named = |stops: bool| stops.then_some(name.as_str());
        assert_check_names(&lab, &name);
        assert_same(&lab.source(), &lab.restore("latest"));
        assert_blocked_by(backup(&lab), named(stops_backup));
        assert_blocked_by(prune(&lab), named(stops_prune));
        // Decisions rest on none of these.
        lab.forget(&["latest"]);
        lab.backend.remove(&name).expect("the owner can");
        lab.backup();
        lab.prune();
        lab.assert_sound();
    }
}

/// A machine that has never seen the repository does all of that, too.
#[test]
fn junk_doesnt_stop_a_machine_without_a_cache() {
    for name in ["config/00000001", "keyring/00000001", "catalogue/00000000", "epochs/00000009/done"] {
        let mut lab = used();
        lab.backend.create(name, &[b"junk"]).expect("anyone can");
        lab.cache = lab.path("another machine");
        assert_same(&lab.source(), &lab.restore("latest"));
    }
}

/// A backup that is under way must not answer an epoch that it can't read, and says which object it is.
#[test]
fn a_running_backup_that_finds_an_unreadable_epoch_ends_and_names_it() {
    let lab = used();
    let backend = Arc::clone(&lab.backend);
    let name = names::epoch(2, EpochPart::Condemned).to_string();
    let (once, taken) = (std::sync::Once::new(), name.clone());
    let ear = Ear::with_hook(move |_| {
        once.call_once(|| {
            backend.create(&taken, &[b"junk"]).expect("anyone can");
        });
    });
    tree::write(lab.source().join("third"), tree::noise(3, 50_000));
    assert_blocked_by(lab.try_backup(&ear).map(drop), Some(&name));
    let mut acks = Vec::new();
    lab.backend.list(&names::acks_to(2), &mut |listed| acks.push(listed.name)).expect("it lists");
    assert!(acks.is_empty(), "{acks:?}");
}

/// An epoch that is really missing still stops a program that writes, and no reader.
#[test]
fn a_gap_between_epochs_stops_writers_and_no_reader() {
    let lab = used();
    tree::write(lab.source().join("first"), tree::noise(4, 200_000));
    lab.backup();
    lab.forget(&["latest~1", "latest~2"]);
    lab.prune();
    let gone = names::epoch(1, EpochPart::Condemned).to_string();
    lab.backend.remove(&gone).expect("it can be removed");
    assert_blocked_by(backup(&lab), Some(&gone));
    assert_blocked_by(prune(&lab), Some(&gone));
    assert_same(&lab.source(), &lab.restore("latest"));
    assert_check_names(&lab, &gone);
}

/// A config that an owner makes after the newest one.
fn next_config(crafter: &Crafter, change: impl FnOnce(&mut Config)) -> String {
    let newest = crafter.names(names::CONFIG).pop().expect("there is a config");
    let n = names::parse_numbered(names::CONFIG, &newest).expect("it has a number");
    let bytes = crafter.get(&newest);
    let mut config =
        Config::open(&bytes, crafter.repository, n, crafter.owner.owners()).expect("it is authentic");
    config.n = n + 1;
    config.previous = Some(ObjectHash::of(&bytes));
    change(&mut config);
    let name = names::config(n + 1).to_string();
    crafter.put(&name, &config.seal(&crafter.owner).expect("it can be sealed"));
    name
}

#[test]
fn an_old_config_under_a_new_number_takes_no_feature_away() {
    let lab = Lab::with(tree::small);
    lab.backup();
    let crafter = Crafter::of(&lab);
    next_config(&crafter, |config| config.features.write.push("of tomorrow".to_owned()));
    crafter.put("config/00000007", &crafter.get("config/00000000"));
    let error = backup(&lab).expect_err("the feature isn't known");
    assert!(matches!(error, EngineError::UnknownFeature { .. }), "{error}");
    assert_same(&lab.source(), &lab.restore("latest"));
    assert_check_names(&lab, "config/00000007");
}

#[test]
fn an_old_keyring_under_a_new_number_brings_no_revoked_writer_back() {
    let lab = Lab::with(tree::small);
    lab.backup();
    let crafter = Crafter::of(&lab);
    let writer = crafter.enrol(Role::Writer, b"writer");
    crafter.revoke(&writer);
    crafter.put("keyring/00000009", &crafter.get("keyring/00000001"));
    let opened = lab.open();
    assert_eq!(opened.repository.writer_key(writer.holder()), None);
    assert!(opened.repository.ignored().iter().any(|ignored| ignored.object == names::keyring(9)));
    assert_check_names(&lab, "keyring/00000009");
    lab.assert_round_trip();
    // The owner's next keyring goes above what counts, and not above what doesn't.
    crafter.enrol(Role::Reader, b"reader");
    assert!(crafter.names(names::KEYRING).contains(&"keyring/00000003".to_owned()));
    lab.assert_round_trip();
}

/// If no one can tell what lay before the newest config, no one can tell whether it is the newest.
#[test]
fn a_config_that_doesnt_follow_the_one_below_stops_writing_and_is_named() {
    let lab = Lab::with(tree::small);
    lab.backup();
    let crafter = Crafter::of(&lab);
    next_config(&crafter, |_| {});
    let newest = next_config(&crafter, |_| {});
    lab.assert_round_trip();
    store::flip(&*lab.backend, "config/00000001", 60);
    assert_blocked_by(backup(&lab), Some(&newest));
    assert_blocked_by(prune(&lab), Some(&newest));
    let opened = lab.open();
    let id = opened.snapshots.all[0].snapshot.head.id;
    assert_blocked_by(forget(&opened.repository, &opened.snapshots, &[id], &Ear::default()), Some(&newest));
    assert_same(&lab.source(), &lab.restore("latest"));
    assert_check_names(&lab, "config/00000001");
    assert_check_names(&lab, &newest);
}

/// What an owner has signed isn't passed over because this program doesn't understand it.
#[test]
fn a_newer_config_that_an_owner_signed_is_never_ignored() {
    let lab = Lab::with(tree::small);
    lab.backup();
    let crafter = Crafter::of(&lab).compares_nothing();
    let bytes = seal_envelope(SignedKind::Config, crafter.repository, &crafter.owner, b"\xa0");
    crafter.put("config/00000001", &bytes);
    let error = lab.try_open(&Ear::default()).err().expect("it doesn't open");
    assert!(error.to_string().contains("config/00000001"), "{error}");
}

/// Opens with a memory, and compares.
fn look(lab: &Lab, memory: &Memory) -> Result<(Repository, Snapshots, Vec<Older>)> {
    let options = OpenOptions { memory: Some(memory), ..OpenOptions::default() };
    let repository = Repository::find(Arc::clone(&lab.backend))?.open_with(&lab.password, &options)?;
    let snapshots = Snapshots::load(&repository, quiet())?;
    let older = older(&repository, &snapshots)?;
    Ok((repository, snapshots, older))
}

/// Opens with a memory, finds nothing older, and remembers.
#[track_caller]
fn see(lab: &Lab, memory: &Memory) {
    let (repository, snapshots, older) = look(lab, memory).expect("it opens");
    assert_eq!(older, []);
    remember(&repository, &snapshots).expect("the store answers").written.expect("it is remembered");
}

/// The names of what isn't shown any more.
#[track_caller]
fn missed(lab: &Lab, memory: &Memory) -> Vec<String> {
    let (repository, snapshots, older) = look(lab, memory).expect("it opens");
    // To see less makes no memory smaller.
    remember(&repository, &snapshots).expect("the store answers").written.expect("it is remembered");
    older.iter().map(|older| older.object().to_string()).collect()
}

fn memory(lab: &Lab) -> Memory {
    Memory::at(&lab.path("seen"), "the place")
}

#[test]
fn another_repository_in_the_same_place_is_refused_until_it_is_accepted() {
    let (lab, other) = (Lab::new(), Lab::new());
    let memory = memory(&lab);
    see(&lab, &memory);
    let error = look(&other, &memory).err().expect("it is another repository");
    let (first, second) = (Crafter::of(&lab).repository, Crafter::of(&other).repository);
    assert!(
        matches!(&error, EngineError::Swapped { seen, shown, .. } if (*seen, *shown) == (first, second)),
        "{error}"
    );
    let text = error.to_string();
    assert!(text.contains(&first.to_string()) && text.contains(&second.to_string()), "{text}");
    see(&lab, &memory);
    let opened = other.open();
    accept(&opened.repository, &opened.snapshots, &memory).expect("it is remembered");
    see(&other, &memory);
    assert!(matches!(look(&lab, &memory), Err(EngineError::Swapped { .. })));
}

#[test]
fn each_thing_that_was_seen_and_is_gone_is_named() {
    let lab = used();
    let memory = memory(&lab);
    let crafter = Crafter::of(&lab);
    let config = next_config(&crafter, |_| {});
    crafter.enrol(Role::Reader, b"reader");
    see(&lab, &memory);
    let keyring = crafter.names(names::KEYRING).pop().expect("there is a keyring");
    let newest = lab.open().snapshots.all.last().expect("there is one").snapshot.head.id;
    let snapshot = names::snapshot(newest).to_string();
    let verdict = names::epoch(1, EpochPart::Done).to_string();
    for name in [config, keyring, snapshot, verdict.clone()] {
        let bytes = crafter.get(&name);
        lab.backend.remove(&name).expect("it can be removed");
        assert_eq!(missed(&lab, &memory), std::slice::from_ref(&name));
        if name != verdict {
            let ear = Ear::default();
            let (repository, snapshots, _) = look(&lab, &memory).expect("it opens");
            let index = open_index(&repository, &lab.cache, &snapshots, &ear).expect("the index opens");
            let options = CheckOptions { read: ReadData::No };
            let report = check(&repository, &index, &snapshots, &options, &ear);
            assert!(report.expect("the check runs").findings > 0);
            assert!(ear.findings().iter().any(|finding| finding.contains(&name)), "{:?}", ear.findings());
        }
        crafter.put(&name, &bytes);
        see(&lab, &memory);
    }
}

/// A snapshot that was compacted is gone for a good reason.
#[test]
fn a_snapshot_that_was_compacted_isnt_missed() {
    let lab = Lab::with(|source| drop(tree::write(source.join("first"), tree::noise(1, 200_000))));
    lab.backup();
    let memory = memory(&lab);
    see(&lab, &memory);
    tree::write(lab.source().join("first"), tree::noise(2, 200_000));
    lab.backup();
    lab.forget(&["latest~1"]);
    let compacted = lab.prune_with_cache(&lab.cache, &Ear::default(), |options| options.compact_from = 1);
    compacted.expect("the prune works");
    let (_, snapshots, older) = look(&lab, &memory).expect("it opens");
    assert_eq!((snapshots.all.len(), snapshots.forgotten.len(), snapshots.dead.len()), (1, 0, 1));
    assert_eq!(older, []);
}

/// A collector that is shown less than there is would remove what the rest needs.
#[test]
fn a_prune_that_is_shown_less_than_was_seen_removes_nothing() {
    let lab = used();
    let memory = memory(&lab);
    see(&lab, &memory);
    let newest = lab.open().snapshots.all.last().expect("there is one").snapshot.head.id;
    let bytes = store::bytes(&*lab.backend, names::snapshot(newest));
    lab.backend.remove(&names::snapshot(newest).to_string()).expect("it can be hidden");
    let packs = store::names(&*lab.backend, names::PACKS);
    let error = prune_with(&lab, &memory).expect_err("it is shown less");
    assert!(matches!(&error, EngineError::Older { what } if what.contains(&newest.to_string())), "{error}");
    assert_eq!(store::names(&*lab.backend, names::PACKS), packs);
    lab.backend.create(&names::snapshot(newest).to_string(), &[&bytes]).expect("it is shown again");
    prune_with(&lab, &memory).expect("all is there again");
    lab.assert_sound();
    // A user that accepts that it is gone can go on.
    lab.backend.remove(&names::snapshot(newest).to_string()).expect("it can be removed");
    let opened = lab.open();
    accept(&opened.repository, &opened.snapshots, &memory).expect("it is remembered");
    drop(opened);
    prune_with(&lab, &memory).expect("that was accepted");
}

fn prune_with(lab: &Lab, memory: &Memory) -> Result<()> {
    let (repository, snapshots, _) = look(lab, memory)?;
    let index = open_index(&repository, &lab.cache, &snapshots, &Ear::default())?;
    let options = PruneOptions {
        max_unused: UnusedLimit::Thousandths(0),
        max_rewrite_bytes: u64::MAX,
        session_timeout: Duration::ZERO,
        accept_missing: Vec::new(),
        compact_from: usize::MAX,
        step_back: false,
        writer: WriterOptions::default(),
        program: "test".to_owned(),
    };
    prune::prune(&repository, &index, &options, &lab.run(&Ear::default())).map(drop)
}

/// If something has written over the memory, nothing is remembered, and nothing worse happens.
#[test]
fn a_memory_that_makes_no_sense_is_said_and_forgotten() {
    let lab = used();
    let memory = memory(&lab);
    for junk in [&b""[..], b"junk", &[0xff; 3000]] {
        see(&lab, &memory);
        std::fs::write(memory.path(), junk).expect("it can be written");
        let (repository, _, older) = look(&lab, &memory).expect("it opens");
        assert!(repository.memory_flaw().is_some());
        assert_eq!(older, []);
    }
    see(&lab, &memory);
    assert_eq!(mode(memory.path()), 0o600);
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

/// A slot of the lab's kind that asks for 4 GiB: no one has signed what it asks for.
fn huge_slot(crafter: &Crafter) -> Vec<u8> {
    let slot = slot(crafter, b"no one's", 8);
    let at = slot.windows(6).position(|bytes| bytes == [0x02, 0xa4, 0x00, 0x08, 0x01, 0x01]);
    let at = at.expect("it asks for 8 KiB");
    let mut huge = slot[..at + 3].to_vec();
    huge.extend_from_slice(&[0x1a, 0x00, 0x40, 0x00, 0x00]);
    huge.extend_from_slice(&slot[at + 4..]);
    assert_eq!(KeySlot::decode(&huge).expect("it decodes").cost().memory_kib, 4 << 20);
    huge
}

fn slot(crafter: &Crafter, password: &[u8], memory_kib: u32) -> Vec<u8> {
    let cost = PasswordCost { memory_kib, passes: 1, lanes: 1 };
    let (salt, nonce) = (*crafter.random(), *crafter.random());
    KeySlot::wrap(&crafter.owner, crafter.repository, password, cost, salt, nonce).expect("it can be made")
}

fn put_slot(crafter: &Crafter, slot: &[u8]) {
    crafter.put(names::slot(SlotId::of(slot)), slot);
}

/// Slots that ask for more than is allowed aren't tried, whatever their names: this would take 40 GiB
/// of memory otherwise.
#[test]
fn slots_that_ask_for_much_memory_are_left_and_counted() {
    let lab = Lab::with(tree::small);
    let crafter = Crafter::of(&lab);
    (0..10).for_each(|_| put_slot(&crafter, &huge_slot(&crafter)));
    lab.assert_round_trip();
    let error = Repository::open(Arc::clone(&lab.backend), b"wrong").err().expect("it doesn't open");
    let EngineError::WrongPassword { left, .. } = &error else { panic!("{error}") };
    assert_eq!((left.too_large, left.too_many), (10, 0));
    assert!(error.to_string().contains("10 were not tried"), "{error}");
}

/// A flood of cheap slots comes to an end; a user that has more patience, or remembers the slot, gets in.
#[test]
fn a_flood_of_cheap_slots_ends_and_can_be_outlasted() {
    let lab = Lab::new();
    let crafter = Crafter::of(&lab);
    put_slot(&crafter, &slot(&crafter, b"dear", 64));
    let find = || Repository::find(Arc::clone(&lab.backend)).expect("it is there");
    let memory = memory(&lab);
    let options = OpenOptions { memory: Some(&memory), ..OpenOptions::default() };
    let repository = find().open_with(b"dear", &options).expect("it opens");
    remember(&repository, &Snapshots::default()).expect("it answers").written.expect("it is remembered");
    (0..100).for_each(|_| put_slot(&crafter, &slot(&crafter, b"no one's", 8)));

    let error = find().open(b"dear", None).err().expect("others came first");
    assert!(matches!(&error, EngineError::WrongPassword { left, .. } if left.too_many == 38), "{error}");
    let patient = OpenOptions { slots: SlotLimits::of_memory(1 << 30), ..OpenOptions::default() };
    drop(find().open_with(b"dear", &patient).expect("all are tried"));
    drop(find().open_with(b"dear", &options).expect("the slot of last time comes first"));
    // The memory is no more than a hint.
    let error = find().open_with(b"wrong", &options).err().expect("it doesn't open");
    assert!(matches!(error, EngineError::WrongPassword { .. }), "{error}");
}

/// What isn't a key slot doesn't make a wrong password look like damage.
#[test]
fn junk_among_the_slots_is_named_by_check_alone() {
    let lab = Lab::with(tree::small);
    lab.backup();
    let name = names::slot(SlotId::new([0; 16]));
    lab.backend.create(&name.to_string(), &[&vec![1; 100_000]]).expect("anyone can");
    lab.assert_round_trip();
    assert_check_names(&lab, &name.to_string());
    let error = Repository::open(Arc::clone(&lab.backend), b"wrong").err().expect("it doesn't open");
    assert!(matches!(error, EngineError::WrongPassword { .. }), "{error}");
}
