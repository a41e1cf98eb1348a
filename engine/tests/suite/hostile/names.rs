//! Objects under the id of another pack: what is said of one name is said of no other.

use keepfast_engine::repo::list_packs;
use keepfast_format::epoch::Condemned;
use keepfast_format::ids::SessionId;
use keepfast_format::keys::{ChunkKind, Role};
use keepfast_format::names::{self, EpochPart, PackName};
use keepfast_testkit::{Crafter, Lab, assert_same, tree};

/// Two snapshots, of which the older is forgotten: what only it needs is waste, so prunes have work.
fn lab_with_waste() -> Lab {
    let lab = Lab::with(|source| {
        tree::write(source.join("kept"), tree::noise(1, 200_000));
        tree::write(source.join("gone"), tree::noise(2, 200_000));
    });
    lab.backup();
    std::fs::remove_file(lab.source().join("gone")).expect("it can be removed");
    lab.backup();
    lab
}

/// The packs in the store.
fn packs(lab: &Lab) -> Vec<PackName> {
    let mut packs: Vec<PackName> =
        list_packs(&lab.open().repository).expect("packs are listed").into_keys().collect();
    packs.sort_unstable();
    packs
}

/// For each pack, one under the same id and the session of another one, or of a fenced session: a byte each.
fn put_doubles(lab: &Lab, crafter: &Crafter) -> Vec<PackName> {
    let stored = packs(lab);
    let sessions: Vec<SessionId> = crafter
        .names(names::SNAPSHOTS)
        .iter()
        .filter_map(|name| names::parse_session(names::SNAPSHOTS, name))
        .collect();
    let mut doubles = Vec::new();
    for pack in &stored {
        for session in sessions.iter().filter(|session| **session != pack.session) {
            let double = PackName { id: pack.id, session: *session };
            crafter.put(double, &[0]);
            doubles.push(double);
        }
    }
    assert!(!doubles.is_empty(), "every session is another pack's double");
    doubles
}

/// One byte next to each live pack doesn't make a prune remove any of them, now or later.
#[test]
fn a_byte_under_the_id_of_a_live_pack_costs_no_more_than_itself() {
    let lab = lab_with_waste();
    let crafter = Crafter::of(&lab);
    put_doubles(&lab, &crafter);
    for _ in 0..2 {
        lab.prune();
        assert_same(&lab.source(), &lab.restore("latest"));
        lab.backup();
    }
    lab.forget(&["latest~2"]);
    lab.prune();
    assert_same(&lab.source(), &lab.restore("latest"));
    let another = lab.open_with(&lab.path("another machine"));
    assert_eq!(another.snapshots.all.len(), 3, "a machine that comes new sees the same");
    drop(another);
    tree::write(lab.source().join("new"), tree::noise(3, 50_000));
    lab.assert_round_trip();
}

/// When nothing needs the pack any more, it goes, and its doubles go after it.
#[test]
fn doubles_go_when_the_pack_is_gone() {
    let lab = lab_with_waste();
    let crafter = Crafter::of(&lab);
    let doubles = put_doubles(&lab, &crafter);
    lab.forget(&["latest~1", "latest"]);
    for _ in 0..2 {
        lab.prune();
    }
    let left = packs(&lab);
    assert!(doubles.iter().all(|double| !left.contains(double)), "{left:?}");
    lab.assert_round_trip();
}

/// A verdict from before names counted speaks of what its own epoch condemns, and of no other pack
/// of the id: here of a double, which is dead, while the pack lives.
#[test]
fn a_verdict_by_ids_buries_what_its_epoch_condemns_and_nothing_else() {
    let lab = lab_with_waste();
    let crafter = Crafter::of(&lab);
    let doubles = put_doubles(&lab, &crafter);
    let condemned = Condemned { epoch: 1, packs: doubles.clone(), snapshots: Vec::new() };
    crafter.put(names::epoch(1, EpochPart::Condemned), &condemned.seal(crafter.repository, &crafter.owner));
    let ids = doubles.iter().map(|double| double.id);
    crafter.put(names::epoch(1, EpochPart::Done), &crafter.verdict_by_ids(1, ids));
    lab.prune();
    assert_same(&lab.source(), &lab.restore("latest"));
    let left = packs(&lab);
    assert!(doubles.iter().all(|double| !left.contains(double)), "the dead are swept");
    lab.assert_sound();
}

/// A pack that an open session is about to commit isn't lost to a double under a decided session.
#[test]
fn a_double_of_a_pack_whose_session_is_open_condemns_nothing() {
    let lab = lab_with_waste();
    let crafter = Crafter::of(&lab);
    let writer = crafter.enrol(Role::Writer, b"writer");
    let decided = packs(&lab)[0].session;
    let plain = tree::noise(9, 10_000);
    let session = crafter.begin(&writer);
    let pack = crafter.pack(ChunkKind::Data, &[vec![plain.clone()]]);
    crafter.put_pack(session, &pack);
    crafter.put(names::pack(pack.id(), decided), &[0]);
    // Its session is ended, because no one answers; what it has stored may go. Its double may too.
    lab.prune();
    assert_same(&lab.source(), &lab.restore("latest"));
    lab.assert_round_trip();
}
