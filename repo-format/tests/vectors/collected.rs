//! Fixtures of garbage collection: one valid object of each kind, and the session of a writer that isn't an
//! owner.

use keepfast_format::catalogue::Catalogue;
use keepfast_format::decision::{Decision, DecisionKind};
use keepfast_format::epoch::{Ack, Condemned, Verdict};
use keepfast_format::ids::{HolderId, ObjectHash, PackId, SessionId};
use keepfast_format::keyring::{Holder, KeptRegister, Keyring};
use keepfast_format::keys::{Identity, Role};
use keepfast_format::names::PackName;
use keepfast_format::slot::KeySlot;
use keepfast_format::snapshot::{Register, Snapshot};
use zeroize::Zeroizing;

use crate::craft;
use crate::fixtures::{self, PASSWORD, bytes, owner, repository, session_id};

/// The fixture's epoch.
pub const EPOCH: u32 = 5;
/// The number of the fixture's decision about a snapshot.
pub const DECISION_N: u32 = 2;
/// The number of the fixture's catalogue.
pub const CATALOGUE_N: u32 = 1;

/// The identity in a slot that is made by hand: it has any role and trusts the owner.
pub fn identity(label: &str, role: u8) -> Identity {
    let slot = craft::slot_with(&craft::slot_secrets(label, role, &[owner().verifying_key()]));
    KeySlot::decode(&slot).and_then(|slot| slot.unwrap(PASSWORD)).expect("the slot opens").1
}

/// A session of a writer that isn't an owner.
pub fn writers_session_id() -> SessionId {
    SessionId { writer: identity("writer", 1).holder(), random: bytes("writer session") }
}

/// A snapshot that an owner has brought back, with a head that has the random part of its session id.
pub fn snapshot_brought_back_bytes() -> Vec<u8> {
    let Snapshot { mut head, mut body, .. } = fixtures::snapshot();
    head.heads[0].random = Some(bytes("session of another writer"));
    body.origin = Some(writers_session_id());
    Snapshot::new(head, body).seal(repository(), &fixtures::secrets(), &owner())
}

/// A keyring with a writer that continues two others.
pub fn keyring_of_a_successor_bytes() -> Vec<u8> {
    let writer = identity("writer", 1);
    let continues = vec![HolderId::new(bytes("another writer")), HolderId::new(bytes("one more writer"))];
    let holders = vec![Holder::of(&owner()), Holder { continues, ..Holder::of(&writer) }];
    let ephemeral = || Zeroizing::new(bytes("keyring ephemeral"));
    Keyring::seal(repository(), &owner(), None, holders, &[&fixtures::secrets()], ephemeral)
        .expect("the holders' keys are good ones")
}

/// A keyring with a writer that may not write any more. One snapshot and one FENCE of it still count.
pub fn keyring_of_a_retired_writer_bytes() -> Vec<u8> {
    let kept =
        |label, segments| KeptRegister { random: bytes(label), segments, hash: ObjectHash::of(b"kept") };
    let retired = Holder {
        role: Role::Reader,
        kept: sorted([kept("writer session", 4), kept("another session", 0)]),
        ..Holder::of(&identity("writer", 1))
    };
    let ephemeral = || Zeroizing::new(bytes("keyring ephemeral"));
    let holders = vec![Holder::of(&owner()), retired];
    Keyring::seal(repository(), &owner(), None, holders, &[&fixtures::secrets()], ephemeral)
        .expect("the holders' keys are good ones")
}

/// The FENCE by which a writer that isn't an owner ends its own session.
pub fn fence_by_writer_bytes() -> Vec<u8> {
    Register::seal_fence(repository(), writers_session_id(), &identity("writer", 1))
}

fn sorted<T: Ord>(items: impl Into<Vec<T>>) -> Vec<T> {
    let mut items = items.into();
    items.sort_unstable();
    items
}

fn name(label: &str, session: SessionId) -> PackName {
    PackName { id: PackId::new(bytes(label)), session }
}

/// The packs of the objections and of the verdict. Of the two names with the same id, it has one.
pub fn packs() -> Vec<PackName> {
    sorted([name("pack 0", session_id()), name("pack 1", writers_session_id())])
}

/// Two of the names have the same pack id: the whole names ascend, not the ids.
pub fn condemned() -> Condemned {
    let (own, writers) = (session_id(), writers_session_id());
    Condemned {
        epoch: EPOCH,
        packs: sorted([name("pack 0", own), name("pack 1", own), name("pack 1", writers)]),
        snapshots: sorted([own, writers]),
    }
}

pub fn condemned_bytes() -> Vec<u8> {
    condemned().seal(repository(), &owner())
}

pub fn ack() -> Ack {
    Ack { epoch: EPOCH, session: writers_session_id(), objections: packs() }
}

pub fn ack_bytes() -> Vec<u8> {
    ack().seal(repository(), &identity("writer", 1))
}

pub fn verdict() -> Verdict {
    Verdict { epoch: EPOCH, packs: packs() }
}

/// The verdict of an older program: field 2 has pack ids instead of names.
pub fn verdict_by_ids_bytes() -> Vec<u8> {
    let ids: Vec<u8> = sorted([bytes("pack 0"), bytes::<32>("pack 1")]).concat();
    let payload = craft::cbor(|out| {
        let out = out.map(3).and_then(|out| out.u8(0)?.bytes(repository().as_bytes()));
        out.and_then(|out| out.u8(1)?.u32(EPOCH)?.u8(2)?.bytes(&ids)).expect("memory");
    });
    craft::sign("owner", craft::VERDICT, &payload)
}

pub fn verdict_bytes() -> Vec<u8> {
    verdict().seal(repository(), &owner())
}

pub fn decision(kind: DecisionKind) -> Decision {
    Decision { snapshot: writers_session_id(), n: DECISION_N, kind }
}

pub fn decision_bytes() -> Vec<u8> {
    decision(DecisionKind::Forgotten).seal(repository(), &owner())
}

pub fn catalogue() -> Catalogue {
    Catalogue { n: CATALOGUE_N, sessions: sorted([session_id(), writers_session_id()]) }
}

pub fn catalogue_bytes() -> Vec<u8> {
    catalogue().seal(repository(), &owner())
}
