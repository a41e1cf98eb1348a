//! Values are read back as they were written, and only by the holders for which they are meant.

use keepfast_format::FormatError;
use keepfast_format::config::Config;
use keepfast_format::frame::FrameReader;
use keepfast_format::ids::{HolderId, ObjectHash, PackId, RepositoryId, SessionId, SlotId};
use keepfast_format::keyring::{Holder, Keyring};
use keepfast_format::keys::{ChunkKind, Role};
use keepfast_format::names::{self, AckName, DecisionName, EpochPart, ObjectName, PackName, SegmentName};
use keepfast_format::node::{self, Node};
use keepfast_format::numbers::{u32_of, usize_of};
use keepfast_format::pack::{PackCipher, PackHeader};
use keepfast_format::segment::{self, SegmentHead};
use keepfast_format::session::Session;
use keepfast_format::slot::KeySlot;
use keepfast_format::snapshot::{Register, Snapshot};
use keepfast_format::state::StateTree;
use keepfast_format::tree::{PageWriter, Tree, bundle_ends_after, decode_blob, encode_blob, page_ends_after};
use keepfast_format::{content::List, limits, links};
use serde_cbor::Value;
use zeroize::Zeroizing;

use crate::collected::{self, identity};
use crate::craft::{self, CONFIG, KEYRING, SESSION, blob, items, key, resign};
use crate::decoders::register;
use crate::fixtures::{self, PASSWORD, SEGMENT_N, owner, repository, secrets, session_id, writer};

#[test]
fn a_config_is_read_back_with_unknown_fields() {
    assert_eq!(
        Config::open(&fixtures::config_bytes(), repository(), 1, owner().owners()),
        Ok(fixtures::config())
    );
    let newer = resign(CONFIG, &fixtures::config_bytes(), |map| {
        map.insert(key(-1), Value::Text("kept".into()));
    });
    let config = Config::open(&newer, repository(), 1, owner().owners()).expect("key -1 is ignorable");
    assert_eq!(config.seal(&owner()).as_ref(), Ok(&newer));
}

#[test]
fn a_config_of_another_repository_is_refused() {
    let other = RepositoryId::new([1; 16]);
    let found = Config::open(&fixtures::config_bytes(), other, 1, owner().owners());
    assert_eq!(found, Err(FormatError::NotAuthentic { what: "config" }));
}

#[test]
fn a_slot_returns_the_identity_with_its_pinned_owners() {
    let slot = KeySlot::decode(&fixtures::slot_bytes()).expect("a slot");
    let (found, identity) = slot.unwrap(PASSWORD).expect("the password is right");
    assert_eq!(found, repository());
    assert_eq!(identity.role(), Role::Owner);
    assert_eq!(identity.verifying_key(), owner().verifying_key());
    assert_eq!(identity.agreement_key(), owner().agreement_key());
    assert_eq!(identity.owners(), owner().owners());
    assert!(matches!(slot.unwrap(b"incorrect horse"), Err(FormatError::WrongPassword)));
}

/// A keyring with an owner, a writer and a reader. Each has its own box.
fn keyring_of_three() -> Keyring {
    let bytes = resign(KEYRING, &fixtures::keyring_bytes(), |map| {
        let holders = items(map, 3);
        holders.push(craft::holder_entry("writer", 1));
        holders.push(craft::holder_entry("reader", 2));
        let Some(Value::Map(domain)) = items(map, 4).first_mut() else { panic!("a domain") };
        items(domain, 3).push(craft::keyring_box("writer", &craft::box_secrets(false)));
        items(domain, 3).push(craft::keyring_box("reader", &craft::box_secrets(true)));
    });
    Keyring::open(&bytes, repository(), 0, owner().owners()).expect("the owner signed it")
}

#[test]
fn every_role_gets_from_the_keyring_what_it_may_have_and_no_more() {
    let ring = keyring_of_three();
    let (writer, reader) = (identity("writer", 1), identity("reader", 2));
    for (identity, can_open, may_write) in
        [(owner(), true, true), (writer, false, true), (reader, true, false)]
    {
        let opened = ring.secrets(&identity).expect("its box opens");
        assert_eq!(opened.len(), 1, "{:?}", identity.role());
        assert_eq!(opened[0].can_open(), can_open, "{:?}", identity.role());
        assert_eq!(opened[0].gear(), secrets().gear());
        let id =
            |secrets: &keepfast_format::keys::DomainSecrets| secrets.chunk_ids().id(ChunkKind::Data, b"x");
        assert_eq!(id(&opened[0]), id(&secrets()));
        assert_eq!(ring.writer(identity.holder()).is_some(), may_write, "{:?}", identity.role());
    }
    let stranger = identity("stranger", 0);
    assert!(ring.secrets(&stranger).expect("no box is for it").is_empty());
    assert_eq!(ring.writer(stranger.holder()), None);
}

#[test]
fn a_writer_cannot_open_the_pack_that_it_could_write() {
    let mut opened = keyring_of_three().secrets(&identity("writer", 1)).expect("its box opens");
    let secrets = opened.remove(0);
    let (pack, _) = fixtures::pack();
    let header = PackHeader::decode(&pack).expect("a header");
    let found = PackCipher::open_pack(&header, repository(), &secrets);
    assert_eq!(found.err(), Some(FormatError::NoKey { what: "pack" }));
}

#[test]
fn a_session_is_read_back() {
    let key = owner().verifying_key();
    assert_eq!(Session::open(&fixtures::session_bytes(), repository(), &key), Ok(fixtures::session()));
}

#[test]
fn a_session_may_have_ignorable_fields() {
    let newer = resign(SESSION, &fixtures::session_bytes(), |map| drop(map.insert(key(-9), Value::Null)));
    assert_eq!(Session::open(&newer, repository(), &owner().verifying_key()), Ok(fixtures::session()));
}

#[test]
fn a_snapshot_is_read_back_from_its_register() {
    let Ok(Register::Snapshot(found)) = register(&fixtures::snapshot_bytes()) else { panic!("a snapshot") };
    assert_eq!(*found, fixtures::snapshot());
    assert_eq!(found.seal(repository(), &secrets(), &owner()), fixtures::snapshot_bytes());
}

#[test]
fn a_snapshot_keeps_unknown_sealed_fields() {
    let body = craft::edit(&craft::snapshot_body(), |map| drop(map.insert(key(-1), blob(b"kept"))));
    let newer = craft::snapshot_with_body(&body);
    let Ok(Register::Snapshot(found)) = register(&newer) else { panic!("a snapshot") };
    assert_eq!(found.body, fixtures::snapshot().body);
    assert_eq!(found.seal(repository(), &secrets(), &owner()), newer);
}

#[test]
fn a_snapshot_says_which_sessions_its_heads_are_and_what_it_brings_back() {
    let bytes = collected::snapshot_brought_back_bytes();
    let Ok(Register::Snapshot(found)) = register(&bytes) else { panic!("a snapshot") };
    let random = fixtures::bytes("session of another writer");
    let head = &found.head.heads[0];
    assert_eq!(head.session(), Some(SessionId { writer: head.writer, random }));
    let origin = found.body.origin.expect("it brings one back");
    assert_eq!(
        (origin.writer, origin.random),
        (identity("writer", 1).holder(), fixtures::bytes("writer session"))
    );
    assert_eq!(found.seal(repository(), &secrets(), &owner()), bytes);
    // A value of another form is one that this program doesn't know.
    let odd = resign(craft::SNAPSHOT, &fixtures::snapshot_bytes(), |map| {
        let Some(Value::Map(head)) = items(map, 8).first_mut() else { panic!("a head") };
        head.insert(key(-1), blob(&[7; 15]));
    });
    let Ok(Register::Snapshot(found)) = register(&odd) else { panic!("a snapshot") };
    assert_eq!(found.head.heads[0].session(), None);
}

#[test]
fn a_keyring_says_whose_history_a_holder_continues() {
    let holders_of = |bytes: &[u8]| {
        Keyring::open(bytes, repository(), 0, owner().owners()).expect("the owner signed it").holders
    };
    let bytes = collected::keyring_of_a_successor_bytes();
    let holders = holders_of(&bytes);
    assert_eq!(holders[0].continues, []);
    let others = ["another writer", "one more writer"].map(|label| HolderId::new(fixtures::bytes(label)));
    assert_eq!(holders[1].continues, others);
    // A value of another form counts as none, and so does one that is too long.
    for odd in [
        Value::Array(vec![blob(&[7; 7])]),
        Value::Array(vec![blob(&[7; 8]), Value::Integer(1)]),
        Value::Array(vec![blob(&[7; 8]); limits::CONTINUED_HOLDERS_MAX + 1]),
        blob(&[7; 8]),
        Value::Null,
    ] {
        let odd = resign(KEYRING, &bytes, |map| {
            let Some(Value::Map(holder)) = items(map, 3).last_mut() else { panic!("a holder") };
            holder.insert(key(-1), odd);
        });
        assert_eq!(holders_of(&odd)[1].continues, []);
    }
}

#[test]
fn the_keyring_decides_what_counts_of_a_writer_that_may_not_write_any_more() {
    let bytes = collected::keyring_of_a_retired_writer_bytes();
    let open =
        |bytes: &[u8]| Keyring::open(bytes, repository(), 0, owner().owners()).expect("the owner signed it");
    let ring = open(&bytes);
    let writer = identity("writer", 1);
    let key = writer.verifying_key();
    let (session, hash) = (collected::writers_session_id(), ObjectHash::of(b"kept"));
    assert_eq!(ring.writer(session.writer), None);
    assert_eq!(ring.writer_ever(session.writer), Some(&key));
    assert!(ring.secrets(&writer).expect("it has no box").is_empty());
    assert_eq!(ring.register_signer(session, hash), Some(&key));
    assert_eq!(ring.register_signer(session, ObjectHash::of(b"forged later")), None);
    assert_eq!(ring.register_signer(SessionId { random: [7; 16], ..session }, hash), None);
    assert_eq!((ring.segment_signer(session, 3), ring.segment_signer(session, 4)), (Some(&key), None));
    // A holder that may write doesn't need it, and a value of another form keeps nothing.
    let own = session_id();
    assert!(ring.register_signer(own, hash).is_some() && ring.segment_signer(own, 9).is_some());
    for odd in [blob(&[7; 104]), blob(&[7; 51]), Value::Null, Value::Array(Vec::new())] {
        let odd = resign(KEYRING, &bytes, |map| {
            let Some(Value::Map(holder)) = items(map, 3).last_mut() else { panic!("a holder") };
            holder.insert(craft::key(-2), odd);
        });
        assert_eq!(open(&odd).register_signer(session, hash), None);
    }
}

#[test]
fn a_holder_cannot_continue_more_holders_than_decoders_accept() {
    let holder = Holder {
        continues: vec![HolderId::new([7; 8]); limits::CONTINUED_HOLDERS_MAX + 1],
        ..Holder::of(&owner())
    };
    let ephemeral = || Zeroizing::new([7; 32]);
    let sealed = Keyring::seal(repository(), &owner(), None, vec![holder], &[&secrets()], ephemeral);
    assert_eq!(sealed, Err(FormatError::OverLimit { what: "keyring", field: "continued holders" }));
}

#[test]
fn a_fence_of_an_owner_is_read() {
    let fence = craft::sign("owner", craft::FENCE, &craft::fence_payload(&session_id().to_bytes()));
    assert!(matches!(register(&fence), Ok(Register::Fence(sid)) if sid == session_id()));
}

#[test]
fn the_pack_list_hash_depends_on_every_pack_and_their_order() {
    let [a, b] = [PackId::new([1; 32]), PackId::new([2; 32])];
    let hash = |packs: &[PackId]| Snapshot::pack_list_hash(packs);
    assert_eq!(hash(&[a, b]).as_bytes(), blake3::hash(&[[1; 32], [2; 32]].concat()).as_bytes());
    assert_ne!(hash(&[a, b]), hash(&[b, a]));
    assert_ne!(hash(&[a, b]), hash(&[a]));
}

#[test]
fn a_pack_returns_every_chunk_in_order() {
    let (pack, table) = fixtures::pack();
    let header = PackHeader::decode(&pack).expect("a header");
    assert_eq!(
        (header.kind, header.key, header.repository),
        (ChunkKind::Data, secrets().key(), repository())
    );
    let cipher = PackCipher::open_pack(&header, repository(), &secrets()).expect("the keys fit");
    assert_eq!(cipher.directory(&pack), Ok(table.clone()));
    let mut reader = FrameReader::default();
    let mut chunks = Vec::new();
    for (number, frame) in table.frames.iter().enumerate() {
        let start = usize_of(frame.offset);
        let sealed = &pack[start..start + usize_of(frame.sealed_bytes)];
        reader.open(&cipher, u32_of(number), sealed).expect("the frame opens");
        assert_eq!(reader.plain().len(), usize_of(frame.plain_bytes));
        chunks.extend(reader.chunks().map(<[u8]>::to_vec));
    }
    assert_eq!(chunks, fixtures::frames_plain().concat());
}

#[test]
fn frames_are_found_again_when_the_directory_is_lost() {
    let (mut pack, table) = fixtures::pack();
    let places: Vec<(usize, usize)> =
        table.frames.iter().map(|frame| (usize_of(frame.offset), usize_of(frame.sealed_bytes))).collect();
    let end = places[1].0 + places[1].1;
    pack[end..].fill(0xee);
    assert_eq!(fixtures::pack_cipher().scan(&pack), places);
    pack.truncate(end - 1);
    assert_eq!(fixtures::pack_cipher().scan(&pack), places[..1]);
    pack[112] ^= 1;
    assert_eq!(fixtures::pack_cipher().scan(&pack), []);
}

#[test]
fn a_segment_returns_its_packs_tables_and_hooks_by_range() {
    let bytes = fixtures::segment_bytes();
    let verifying = owner().verifying_key();
    let front = SegmentHead::head_bytes(&bytes[..segment::FRONT_BYTES]).expect("a front");
    let head = SegmentHead::open(&bytes[..front], repository(), session_id(), SEGMENT_N, writer(&verifying));
    let head = head.expect("the owner signed it");
    let records = fixtures::records();
    assert_eq!((head.session, head.n, head.key), (session_id(), SEGMENT_N, secrets().key()));
    assert_eq!(head.total_bytes(), bytes.len());

    let (at, length) = head.hooks_place();
    let hooks = head.open_hooks(repository(), &secrets(), &bytes[at..at + length]).expect("hooks");
    let expected: Vec<_> = (0..)
        .zip(&records)
        .flat_map(|(ordinal, record)| record.table.chunks.iter().map(move |chunk| (chunk.id, ordinal)))
        .filter(|(id, _)| id.as_bytes()[0].is_multiple_of(64))
        .collect();
    assert!(expected.len() >= 2);
    assert_eq!(hooks, expected);

    assert_eq!(head.packs.len(), records.len());
    for (ordinal, (pack, record)) in head.packs.iter().zip(&records).enumerate() {
        assert_eq!((pack.id, pack.kind, pack.stored_bytes), (record.id, record.kind, record.stored_bytes));
        assert_eq!(usize_of(pack.chunks), record.table.chunks.len());
        let (at, length) = head.table_place(ordinal).expect("a place");
        let table = head.open_table(repository(), &secrets(), ordinal, &bytes[at..at + length]);
        assert_eq!(table.as_ref(), Ok(&record.table));
    }
    assert_eq!(head.table_place(records.len()), None);
}

#[test]
fn the_tables_of_two_packs_cannot_change_places() {
    let bytes = fixtures::segment_bytes();
    let key = owner().verifying_key();
    let head =
        SegmentHead::open(&bytes, repository(), session_id(), SEGMENT_N, writer(&key)).expect("a head");
    let (at, length) = head.table_place(1).expect("a place");
    let found = head.open_table(repository(), &secrets(), 0, &bytes[at..at + length]);
    assert_eq!(found, Err(FormatError::NotAuthentic { what: "index segment" }));
}

#[test]
fn a_writer_cannot_write_into_the_session_of_another() {
    let other = identity("writer", 1);
    let key = other.verifying_key();
    let lookup = |_| Some(&key);
    let bytes = segment::seal(repository(), &secrets(), &other, session_id(), 0, &[], [0; 16]);
    let found = SegmentHead::open(&bytes, repository(), session_id(), 0, lookup);
    assert_eq!(found.err(), Some(FormatError::NotAuthentic { what: "index segment" }));
    let bytes = fixtures::session().seal(repository(), &other);
    assert_eq!(Session::open(&bytes, repository(), &key), Err(FormatError::NotAuthentic { what: "session" }));
    let bytes = fixtures::snapshot().seal(repository(), &secrets(), &other);
    let found = Register::open(&bytes, repository(), session_id(), lookup, &[], |_| None);
    assert_eq!(found.err(), Some(FormatError::NotAuthentic { what: "snapshot" }));
}

#[test]
fn metadata_chunks_are_read_back() {
    for tree in [fixtures::tree(), fixtures::tree_index(), Tree::Page(Vec::new())] {
        assert_eq!(Tree::decode(&tree.encode()), Ok(tree));
    }
    for state in [fixtures::state(), fixtures::state_index(), StateTree::Page(Vec::new())] {
        assert_eq!(StateTree::decode(&state.encode()), Ok(state));
    }
    assert_eq!(List::decode(&fixtures::list().encode()), Ok(fixtures::list()));
    let piece = fixtures::stream("piece", limits::BLOB_PIECE_BYTES);
    assert_eq!(decode_blob(&encode_blob(&piece)), Ok(piece.as_slice()));
    assert_eq!(links::decode(&links::encode(&fixtures::links())), Ok(fixtures::links()));
    let extents = [(0, 4096), (4096, 5), (1 << 40, 1)];
    assert_eq!(node::extents_from_bytes(&node::extents_to_bytes(&extents)), Ok(extents.to_vec()));
}

#[test]
fn a_node_keeps_unknown_fields() {
    let plain = Tree::Page(vec![fixtures::nodes().remove(4)]).encode();
    // Two more pairs at the end of the node's map: key -1 with an integer, key -2 with text.
    let mut newer = plain.clone();
    let map = newer.iter().position(|byte| *byte == 0xa6).expect("a fifo has six fields");
    newer[map] = 0xa8;
    newer.extend_from_slice(&[0x20, 0x18, 200, 0x21, 0x61, b'x']);
    let tree = Tree::decode(&newer).expect("negative keys are ignorable");
    assert_eq!(tree.encode(), newer);
    let Tree::Page(nodes) = tree else { panic!("a page") };
    let known = Node { unknown: None, ..nodes[0].clone() };
    assert_eq!(Tree::Page(vec![known]).encode(), plain);
}

#[test]
fn an_attribute_may_have_a_mebibyte_and_no_byte_more() {
    let mut node = fixtures::nodes().remove(4);
    node.xattrs = vec![(b"user.big".to_vec(), vec![0; limits::XATTR_BYTES_MAX])];
    assert!(Tree::decode(&Tree::Page(vec![node.clone()]).encode()).is_ok());
    node.xattrs[0].1.push(0);
    let found = Tree::decode(&Tree::Page(vec![node]).encode());
    assert_eq!(found, Err(FormatError::OverLimit { what: "node", field: "extended attribute" }));
}

#[test]
fn pages_end_where_names_say_or_when_they_are_full() {
    let names: Vec<String> = (0..200_000).map(|n| n.to_string()).collect();
    let by_name = |name: &String| {
        let hash = blake3::hash(name.as_bytes());
        hash.as_bytes()[0] == 0 && hash.as_bytes()[1].is_multiple_of(2)
    };
    assert!(names.iter().all(|name| page_ends_after(name.as_bytes(), 1) == by_name(name)));
    let ends_bundle = |name: &String| blake3::hash(name.as_bytes()).as_bytes()[0].is_multiple_of(8);
    assert!(names.iter().all(|name| bundle_ends_after(name.as_bytes()) == ends_bundle(name)));
    let ends = names.iter().filter(|name| by_name(name)).count();
    assert!((300..500).contains(&ends), "{ends} ends where 391 are expected");
    assert!(!page_ends_after(b"0", limits::ENTRIES_PER_PAGE - 1));
    assert!(page_ends_after(b"0", limits::ENTRIES_PER_PAGE));
    let mut page = PageWriter::default();
    let mut node = fixtures::nodes().remove(4);
    node.xattrs = vec![(b"a".to_vec(), vec![0; limits::PAGE_BYTES - 100])];
    page.push(&node);
    assert!(!page.is_full());
    node.xattrs[0].1.resize(100, 0);
    page.push(&node);
    assert!(page.is_full());
    assert_eq!(Tree::decode(&page.finish()).map(drop).err().map(|e| e.category()), {
        Some(keepfast_format::Category::Malformed) // The same name twice. The page itself is complete.
    });
    assert!(page.is_empty());
}

#[test]
fn names_of_objects_are_read_back_and_near_misses_are_not() {
    let (sid, pack) = (session_id(), PackId::new(fixtures::bytes("a pack")));
    let slot = SlotId::of(b"slot");
    let names = [
        names::config(10),
        names::keyring(u32::MAX),
        names::slot(slot),
        names::pack(pack, sid),
        names::segment(sid, 10),
        names::session(sid),
        names::snapshot(sid),
        names::epoch(9, EpochPart::Condemned),
        names::epoch(u32::MAX, EpochPart::Done),
        names::ack(9, sid),
        names::ack_with_tail(9, sid, 7),
        names::decision(sid, 10),
        names::catalogue(10),
    ];
    for name in names {
        let text = name.to_string();
        assert_eq!(ObjectName::parse(&text), Some(name));
        let near_misses =
            [text.to_uppercase(), format!("{text}0"), format!("{text}.tmp"), text[1..].to_owned()];
        for near_miss in near_misses {
            assert_eq!(ObjectName::parse(&near_miss), None, "{near_miss}");
        }
    }
    assert_eq!(names::parse_numbered(names::KEYRING, &names::keyring(u32::MAX).to_string()), Some(u32::MAX));
    assert_eq!(names::parse_slot(&names::slot(slot).to_string()), Some(slot));
    let name = PackName { id: pack, session: sid };
    assert_eq!(names::parse_pack(&name.to_string()), Some(name));
    let name = SegmentName { session: sid, n: 10 };
    assert_eq!(names::parse_segment(&name.to_string()), Some(name));
    assert_eq!(names::parse_session(names::SESSIONS, &names::session(sid).to_string()), Some(sid));
    assert_eq!(names::parse_session(names::SNAPSHOTS, &names::snapshot(sid).to_string()), Some(sid));
    assert_eq!(names::parse_session(names::SESSIONS, &names::snapshot(sid).to_string()), None);
    let name = DecisionName { snapshot: sid, n: 9 };
    assert_eq!(names::parse_decision(&name.to_string()), Some(name));
    for tail in [None, Some(7)] {
        let name = AckName { epoch: 9, session: sid, tail };
        assert_eq!(names::parse_ack(&name.to_string()), Some(name));
        assert!(name.to_string().starts_with(&names::acks_to(9)));
    }
    assert!(names::decision(sid, 9).to_string().starts_with(&names::decisions_about(sid)));
    // Epochs are counted from 1. 0 is the time before the first one.
    assert_eq!(names::parse_epoch("epochs/00000000/condemned"), None);
    assert_eq!(names::parse_epoch("epochs/00000000/done"), None);
}

#[test]
fn a_password_is_used_as_its_bytes_without_normalization() {
    let wrap = |password: &[u8]| {
        let (salt, nonce) = (fixtures::bytes("slot salt"), fixtures::bytes("slot nonce"));
        let slot = KeySlot::wrap(&owner(), repository(), password, fixtures::COST, salt, nonce);
        KeySlot::decode(&slot.expect("any bytes are a password")).expect("a slot")
    };
    let passwords: [&[u8]; 7] =
        ["é".as_bytes(), "e\u{301}".as_bytes(), b"\xe9", b"", b" ", b"correct horse", b"correct horse\n"];
    for (number, password) in passwords.iter().enumerate() {
        let slot = wrap(password);
        for (other, tried) in passwords.iter().enumerate() {
            assert_eq!(slot.unwrap(tried).is_ok(), number == other, "{password:?} and {tried:?}");
        }
    }
}

#[test]
fn the_signer_and_the_boxes_of_a_keyring_count_even_if_the_signer_is_not_a_holder() {
    let open =
        |bytes: &[u8]| Keyring::open(bytes, repository(), 0, owner().owners()).expect("an owner signed it");
    let ring = open(&craft::keyring_without_its_signer());
    assert_eq!(ring.secrets(&owner()).expect("its box opens").len(), 1);
    // An owner that isn't a holder signs as an owner, but has no sessions of its own.
    assert_eq!(ring.writer(owner().holder()), None);
    assert!(ring.writer(identity("writer", 1).holder()).is_some());
}

#[test]
fn the_first_of_several_holders_with_one_id_counts_and_the_first_of_its_boxes() {
    let twice = resign(KEYRING, &fixtures::keyring_bytes(), |map| {
        items(map, 3).insert(0, craft::holder_entry("owner", 2));
        let Some(Value::Map(domain)) = items(map, 4).first_mut() else { panic!("a domain") };
        items(domain, 3).push(craft::keyring_box("owner", b"rubbish"));
    });
    let ring = Keyring::open(&twice, repository(), 0, owner().owners()).expect("the owner signed it");
    assert_eq!(ring.writer(owner().holder()), None, "it is a reader first");
    assert_eq!(ring.secrets(&owner()).expect("the first box opens").len(), 1);
}

#[test]
fn a_keyring_returns_the_secrets_of_all_versions_newest_last() {
    let bytes = fixtures::keyring_of_two_versions();
    let ring = Keyring::open(&bytes, repository(), 0, owner().owners()).expect("the owner signed it");
    let versions: Vec<_> = ring.secrets(&owner()).expect("its boxes open");
    let versions: Vec<_> = versions.iter().map(|secrets| (secrets.key(), *secrets.gear())).collect();
    let expected = [secrets(), fixtures::newer_secrets()].map(|secrets| (secrets.key(), *secrets.gear()));
    assert_eq!(versions, expected);
}

#[test]
fn a_hook_that_no_table_has_is_read_like_any_other() {
    let bytes = craft::segment_with_a_stray_hook();
    let key = owner().verifying_key();
    let head =
        SegmentHead::open(&bytes, repository(), session_id(), SEGMENT_N, writer(&key)).expect("a head");
    let (at, length) = head.hooks_place();
    let hooks = head.open_hooks(repository(), &secrets(), &bytes[at..at + length]).expect("hooks");
    let (at, length) = head.table_place(0).expect("a place");
    let table = head.open_table(repository(), &secrets(), 0, &bytes[at..at + length]).expect("a table");
    assert!(hooks.len() == 1 && table.chunks.iter().all(|chunk| chunk.id != hooks[0].0));
}
