//! The objects of garbage collection are written, read back, limited, and encoded as SPEC says.

use keepfast_format::catalogue::Catalogue;
use keepfast_format::decision::{Decision, DecisionKind};
use keepfast_format::epoch::{Ack, Condemned, StoredVerdict, Verdict};
use keepfast_format::ids::{PackId, RepositoryId, SessionId};
use keepfast_format::names::PackName;
use keepfast_format::numbers::u64_of;
use keepfast_format::session::Session;
use keepfast_format::snapshot::Register;
use keepfast_format::{Category, FormatError, limits};
use proptest::collection::btree_set;
use proptest::prelude::{Just, Strategy, any};
use proptest::{prop_assert_eq, prop_oneof, proptest};
use serde_cbor::Value;

use crate::collected::{self, identity, writers_session_id};
use crate::craft::{self, SESSION, blob, cbor, key, resign};
use crate::decoders::writers_register;
use crate::fixtures::{self, owner, repository};

fn session_id() -> impl Strategy<Value = SessionId> {
    any::<[u8; 24]>().prop_map(|bytes| SessionId::from_bytes(&bytes))
}

fn sessions() -> impl Strategy<Value = Vec<SessionId>> {
    btree_set(any::<[u8; 24]>(), 0..9).prop_map(|ids| ids.iter().map(SessionId::from_bytes).collect())
}

/// Few ids, so that some packs have names with several sessions.
fn pack_names() -> impl Strategy<Value = Vec<PackName>> {
    btree_set((0..3_u8, any::<[u8; 24]>()), 0..9).prop_map(|names| {
        let name = |(id, session): (u8, [u8; 24])| PackName {
            id: PackId::new([id; 32]),
            session: SessionId::from_bytes(&session),
        };
        names.into_iter().map(name).collect()
    })
}

proptest! {
    #[test]
    fn every_condemned_is_read_back(epoch in any::<u32>(), packs in pack_names(), snapshots in sessions()) {
        let condemned = Condemned { epoch, packs, snapshots };
        let bytes = condemned.seal(repository(), &owner());
        prop_assert_eq!(Condemned::open(&bytes, repository(), epoch, owner().owners()), Ok(condemned));
    }

    #[test]
    fn every_ack_is_read_back(epoch in any::<u32>(), random in any::<[u8; 16]>(), objections in pack_names()) {
        let session = SessionId { writer: owner().holder(), random };
        let ack = Ack { epoch, session, objections };
        let bytes = ack.seal(repository(), &owner());
        let verifying_key = owner().verifying_key();
        let found = Ack::open(&bytes, repository(), epoch, session, fixtures::writer(&verifying_key));
        prop_assert_eq!(found, Ok(ack));
    }

    #[test]
    fn every_verdict_is_read_back(epoch in any::<u32>(), packs in pack_names()) {
        let verdict = Verdict { epoch, packs };
        let bytes = verdict.seal(repository(), &owner());
        let found = StoredVerdict::open(&bytes, repository(), epoch, owner().owners());
        prop_assert_eq!(found, Ok(StoredVerdict::Named(verdict)));
    }

    #[test]
    fn every_decision_is_read_back(
        snapshot in session_id(),
        n in any::<u32>(),
        kind in prop_oneof![
            Just(DecisionKind::Forgotten), Just(DecisionKind::Protected), Just(DecisionKind::Unprotected)
        ],
    ) {
        let decision = Decision { snapshot, n, kind };
        let bytes = decision.seal(repository(), &owner());
        prop_assert_eq!(Decision::open(&bytes, repository(), snapshot, n, owner().owners()), Ok(decision));
    }

    #[test]
    fn every_catalogue_is_read_back(n in any::<u32>(), sessions in sessions()) {
        let catalogue = Catalogue { n, sessions };
        let bytes = catalogue.seal(repository(), &owner());
        prop_assert_eq!(Catalogue::open(&bytes, repository(), n, owner().owners()), Ok(catalogue));
    }
}

/// The longest list that is allowed, and one item more. As a vector it would take 50 MB.
#[test]
fn lists_have_a_limit() {
    let open = |items: usize| {
        let list: Vec<u8> =
            (0..u64_of(items)).flat_map(|n| [[0; 48].as_slice(), &n.to_be_bytes()].concat()).collect();
        let map =
            [(key(0), blob(repository().as_bytes())), (key(1), Value::Integer(1)), (key(3), blob(&list))];
        let payload = serde_cbor::to_vec(&Value::Map(map.into())).expect("plain values encode");
        let bytes = craft::sign("owner", craft::VERDICT, &payload);
        assert!(u64_of(bytes.len()) <= limits::EPOCH_OBJECT_BYTES_MAX);
        match StoredVerdict::open(&bytes, repository(), 1, owner().owners())? {
            StoredVerdict::Named(verdict) => Ok(verdict.packs.len()),
            StoredVerdict::ByIds(_) => panic!("it names packs"),
        }
    };
    assert_eq!(open(limits::EPOCH_ITEMS_MAX), Ok(limits::EPOCH_ITEMS_MAX));
    assert_eq!(
        open(limits::EPOCH_ITEMS_MAX + 1).map_err(|error: FormatError| error.category()),
        Err(Category::Limit)
    );
}

/// A verdict with ids names each pack that its epoch condemns and that has one of the ids.
#[test]
fn a_verdict_by_ids_names_the_condemned_packs_of_these_ids() {
    let stored = StoredVerdict::open(
        &collected::verdict_by_ids_bytes(),
        repository(),
        collected::EPOCH,
        owner().owners(),
    );
    let verdict = stored.expect("it is authentic").among(&collected::condemned());
    assert_eq!(verdict.packs, collected::condemned().packs);
    let named = StoredVerdict::Named(collected::verdict());
    assert_eq!(named.among(&collected::condemned()), collected::verdict());
}

/// The longest `condemned` that decoders accept isn't longer than a reader reads.
#[test]
fn the_longest_object_of_an_epoch_is_within_its_limit() {
    let items = u64_of(limits::EPOCH_ITEMS_MAX);
    assert!(items * (56 + 24) + 1024 <= limits::EPOCH_OBJECT_BYTES_MAX);
}

#[test]
fn the_register_of_a_session_takes_the_fence_of_its_writer_and_of_an_owner() {
    let sid = writers_session_id();
    for signer in [identity("writer", 1), owner()] {
        let fence = Register::seal_fence(repository(), sid, &signer);
        assert!(matches!(writers_register(&fence), Ok(Register::Fence(found)) if found == sid));
    }
    let by_hand = craft::sign("writer", craft::FENCE, &craft::fence_payload(&sid.to_bytes()));
    assert_eq!(by_hand, collected::fence_by_writer_bytes());
}

/// A holder that was removed from the keyring can't answer or give up any more.
#[test]
fn a_holder_that_may_not_write_any_more_neither_acks_nor_fences() {
    let (sid, epoch) = (writers_session_id(), collected::EPOCH);
    let found = Ack::open(&collected::ack_bytes(), repository(), epoch, sid, |_| None);
    assert_eq!(found.map_err(|error| error.category()), Err(Category::Authentic));
    let fence = collected::fence_by_writer_bytes();
    let found = Register::open(&fence, repository(), sid, |_| None, owner().owners(), |_| None);
    assert_eq!(found.map(drop).map_err(|error| error.category()), Err(Category::Authentic));
}

/// An object of one repository counts for nothing in another, even under the same name.
#[test]
fn objects_of_another_repository_are_refused() {
    let other = RepositoryId::new([1; 16]);
    let owners = owner();
    let owners = owners.owners();
    let epoch = collected::EPOCH;
    let sid = writers_session_id();
    assert!(Condemned::open(&collected::condemned_bytes(), other, epoch, owners).is_err());
    assert!(StoredVerdict::open(&collected::verdict_bytes(), other, epoch, owners).is_err());
    assert!(Decision::open(&collected::decision_bytes(), other, sid, collected::DECISION_N, owners).is_err());
    assert!(Catalogue::open(&collected::catalogue_bytes(), other, collected::CATALOGUE_N, owners).is_err());
    let key = craft::verifying_key("writer");
    assert!(Ack::open(&collected::ack_bytes(), other, epoch, sid, |_| Some(&key)).is_err());
}

/// The time when a session began is a hint: a nonsensical value counts as none.
#[test]
fn a_session_may_say_when_it_began() {
    let open = |bytes: &[u8]| Session::open(bytes, repository(), &owner().verifying_key());
    let bytes = fixtures::session_with_begin_bytes();
    let begun = Session { begun_unix_s: Some(1_700_000_000), ..fixtures::session() };
    assert_eq!(open(&bytes), Ok(begun));
    for nonsense in [Value::Text("now".into()), Value::Integer(1 << 63), Value::Null] {
        let bytes = resign(SESSION, &bytes, |map| drop(map.insert(key(-1), nonsense)));
        assert_eq!(open(&bytes), Ok(fixtures::session()));
    }
}

/// That a session is a collector's is a hint: a nonsensical value counts as none.
#[test]
fn a_session_may_say_that_it_belongs_to_a_collector() {
    let open = |bytes: &[u8]| Session::open(bytes, repository(), &owner().verifying_key());
    let collector = Session { is_collector: true, ..fixtures::session() };
    let bytes = collector.seal(repository(), &owner());
    assert_eq!(open(&bytes), Ok(collector));
    for nonsense in [Value::Bool(false), Value::Integer(1), Value::Null] {
        let bytes = resign(SESSION, &bytes, |map| drop(map.insert(key(-2), nonsense)));
        assert_eq!(open(&bytes), Ok(fixtures::session()));
    }
}

#[test]
fn ignorable_fields_are_ignored() {
    let newer = |label, kind, bytes: &[u8]| {
        craft::sign(
            label,
            kind,
            &craft::edit(&craft::payload(bytes), |map| drop(map.insert(key(-1), Value::Null))),
        )
    };
    let decode = |structure, bytes: Vec<u8>| crate::decoders::decoder(structure).expect("a decoder")(&bytes);
    let owners = [
        ("condemned", craft::CONDEMNED, collected::condemned_bytes()),
        ("verdict", craft::VERDICT, collected::verdict_bytes()),
        ("decision", craft::DECISION, collected::decision_bytes()),
        ("catalogue", craft::CATALOGUE, collected::catalogue_bytes()),
    ];
    for (structure, kind, bytes) in owners {
        assert_eq!(decode(structure, newer("owner", kind, &bytes)), Ok(()), "{structure}");
    }
    let writers = [
        ("ack", craft::ACK, collected::ack_bytes()),
        ("fence_by_writer", craft::FENCE, collected::fence_by_writer_bytes()),
    ];
    for (structure, kind, bytes) in writers {
        assert_eq!(decode(structure, newer("writer", kind, &bytes)), Ok(()), "{structure}");
    }
}

/// Makes each object by SPEC's tables, with the primitives alone.
#[test]
fn objects_are_encoded_as_spec_says() {
    let repository = repository();
    let id = repository.as_bytes().as_slice();
    let sid = writers_session_id().to_bytes();
    let joined = |packs: &[PackName]| -> Vec<u8> {
        packs.iter().flat_map(|pack| [&pack.id.as_bytes()[..], &pack.session.to_bytes()].concat()).collect()
    };
    let condemned = collected::condemned();
    let (names, some) = (joined(&condemned.packs), joined(&collected::packs()));
    let snapshots: Vec<u8> = condemned.snapshots.iter().flat_map(SessionId::to_bytes).collect();
    let epoch = collected::EPOCH;
    let payload = cbor(|out| {
        let out = out.map(4).and_then(|out| out.u8(0)?.bytes(id)?.u8(1)?.u32(epoch)?.u8(2)?.bytes(&names));
        out.and_then(|out| out.u8(3)?.bytes(&snapshots)).expect("memory");
    });
    assert_eq!(craft::sign("owner", craft::CONDEMNED, &payload), collected::condemned_bytes());
    let payload = cbor(|out| {
        let out = out.map(4).and_then(|out| out.u8(0)?.bytes(id)?.u8(1)?.u32(epoch)?.u8(2)?.bytes(&sid));
        out.and_then(|out| out.u8(4)?.bytes(&some)).expect("memory");
    });
    assert_eq!(craft::sign("writer", craft::ACK, &payload), collected::ack_bytes());
    let payload = cbor(|out| {
        let out = out.map(3).and_then(|out| out.u8(0)?.bytes(id)?.u8(1)?.u32(epoch)?.u8(3)?.bytes(&some));
        out.expect("memory");
    });
    assert_eq!(craft::sign("owner", craft::VERDICT, &payload), collected::verdict_bytes());
    let payload = cbor(|out| {
        let out = out.map(4).and_then(|out| out.u8(0)?.bytes(id)?.u8(1)?.bytes(&sid));
        out.and_then(|out| out.u8(2)?.u32(collected::DECISION_N)?.u8(3)?.u8(0)).expect("memory");
    });
    assert_eq!(craft::sign("owner", craft::DECISION, &payload), collected::decision_bytes());
    let sessions: Vec<u8> = collected::catalogue().sessions.iter().flat_map(SessionId::to_bytes).collect();
    let payload = cbor(|out| {
        let out = out.map(3).and_then(|out| out.u8(0)?.bytes(id)?.u8(1)?.u32(collected::CATALOGUE_N));
        out.and_then(|out| out.u8(2)?.bytes(&sessions)).expect("memory");
    });
    assert_eq!(craft::sign("owner", craft::CATALOGUE, &payload), collected::catalogue_bytes());
}
