//! Properties of all bytes and all values: no decoder panics, every value is read back, and every changed
//! byte of a sealed or signed object is noticed.

use keepfast_format::config::Config;
use keepfast_format::content::List;
use keepfast_format::frame::FrameReader;
use keepfast_format::ids::PackId;
use keepfast_format::keys::ChunkKind;
use keepfast_format::names::{self, ObjectName};
use keepfast_format::numbers::{u32_of, u64_of, usize_of};
use keepfast_format::pack::{DirectoryPlace, PackCipher, PackHeader};
use keepfast_format::segment::{self, PackRecord};
use keepfast_format::session::Session;
use keepfast_format::signed::Envelope;
use keepfast_format::slot::KeySlot;
use keepfast_format::snapshot::Register;
use keepfast_format::state::StateTree;
use keepfast_format::tree::Tree;
use keepfast_format::{FormatError, links, node};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any};
use proptest::sample::Index;
use proptest::test_runner::TestCaseResult;
use proptest::{prop_assert, prop_assert_eq, proptest};

use crate::{collected, craft, decoders, fixtures, strategies};

/// A change to some bytes: the place, the byte, and whether it replaces, inserts, removes or cuts.
type Edit = (Index, u8, u8);

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    vec(any::<Edit>(), 1..4)
}

fn mutate(mut bytes: Vec<u8>, edits: &[Edit]) -> Vec<u8> {
    for (place, byte, how) in edits {
        let at = place.index(bytes.len() + 1);
        match how % 4 {
            0 => bytes.insert(at, *byte),
            1 if at < bytes.len() => drop(bytes.remove(at)),
            2 if how % 16 == 2 => bytes.truncate(at),
            _ if at < bytes.len() => bytes[at] ^= (*byte).max(1),
            _ => bytes.push(*byte),
        }
    }
    bytes
}

/// Decodes with every decoder that is fast. A slot isn't opened, because that takes memory.
fn decode_with_all(bytes: &[u8]) {
    for (structure, decode, _) in decoders::ALL {
        if *structure != "slot" {
            let _ = decode(bytes);
        }
    }
    let _ = KeySlot::decode(bytes);
}

/// Puts a plaintext into each place where an attacker with all keys could put it, and decodes the object.
fn decode_inside(plain: &[u8]) {
    for kind in [craft::CONFIG, craft::KEYRING, craft::SESSION, craft::SNAPSHOT, craft::FENCE] {
        decode_with_all(&craft::sign("owner", kind, plain));
    }
    for kind in [craft::CONDEMNED, craft::VERDICT, craft::DECISION, craft::CATALOGUE] {
        decode_with_all(&craft::sign("owner", kind, plain));
    }
    for kind in [craft::ACK, craft::FENCE] {
        decode_with_all(&craft::sign("writer", kind, plain));
    }
    let segment = craft::sign("owner", craft::SEGMENT, plain);
    let inside = [
        ("snapshot", craft::snapshot_with_body(plain)),
        ("slot", craft::slot_with(plain)),
        ("pack", craft::pack_with_directory(plain)),
        ("segment", craft::segment_with_head(&segment, &[])),
        ("segment", craft::segment(&[plain.to_vec(), plain.to_vec()], 1, |_| {})),
        ("frame", craft::frame(plain, plain)),
        ("frame", craft::frame(&craft::frame_head([u32_of(plain.len()) + 16, 1, 9, 1]), plain)),
    ];
    for (structure, bytes) in inside {
        let _ = decoders::decoder(structure).expect("a decoder")(&bytes);
    }
}

/// Valid tables, bodies and payloads from which mutations begin.
fn plaintexts() -> Vec<Vec<u8>> {
    vec![
        craft::payload(&fixtures::config_bytes()),
        craft::payload(&fixtures::keyring_bytes()),
        craft::payload(&fixtures::session_bytes()),
        craft::payload(&fixtures::snapshot_bytes()),
        craft::snapshot_body(),
        craft::payload(&fixtures::session_with_begin_bytes()),
        craft::payload(&collected::condemned_bytes()),
        craft::payload(&collected::ack_bytes()),
        craft::payload(&collected::verdict_bytes()),
        craft::payload(&collected::decision_bytes()),
        craft::payload(&collected::catalogue_bytes()),
        craft::payload(&collected::fence_by_writer_bytes()),
        craft::fence_payload(&fixtures::session_id().to_bytes()),
        craft::slot_secrets("owner", 0, &[craft::verifying_key("owner")]),
        craft::table([1, 1], &[[112, 99, 7, 1]], &[("chunk", 7)]),
        segment_payload(),
    ]
}

fn segment_payload() -> Vec<u8> {
    let mut found = Vec::new();
    craft::segment(&[Vec::new()], 0, |payload| found = payload.clone());
    found
}

fn no_decoder_panics_on(bytes: &[u8]) -> TestCaseResult {
    decode_with_all(bytes);
    // The encoder of plain chunks returns exactly the bytes that the decoder has accepted.
    if let Ok(tree) = Tree::decode(bytes) {
        prop_assert_eq!(tree.encode(), bytes);
    }
    if let Ok(state) = StateTree::decode(bytes) {
        prop_assert_eq!(state.encode(), bytes);
    }
    if let Ok(list) = List::decode(bytes) {
        prop_assert_eq!(list.encode(), bytes);
    }
    if let Ok(groups) = links::decode(bytes) {
        prop_assert_eq!(links::encode(&groups), bytes);
    }
    if let Ok(extents) = node::extents_from_bytes(bytes) {
        prop_assert_eq!(node::extents_to_bytes(&extents), bytes);
    }
    Ok(())
}

proptest! {
    #[test]
    fn arbitrary_bytes_make_no_decoder_panic(bytes in vec(any::<u8>(), 0..400)) {
        no_decoder_panics_on(&bytes)?;
    }

    #[test]
    fn arbitrary_plaintexts_make_no_decoder_panic(plain in vec(any::<u8>(), 0..200)) {
        decode_inside(&plain);
    }

    #[test]
    fn mutated_objects_make_no_decoder_panic(which in any::<Index>(), edits in edits()) {
        let (structure, decode, valid) = which.get(decoders::ALL);
        let bytes = mutate(valid(), &edits);
        no_decoder_panics_on(&bytes)?;
        if *structure != "slot" {
            let _ = decode(&bytes);
        }
    }

    #[test]
    fn mutated_plaintexts_make_no_decoder_panic(which in any::<Index>(), edits in edits()) {
        decode_inside(&mutate(which.get(&plaintexts()).clone(), &edits));
    }

    #[test]
    fn parsing_names_never_panics(name in "(config|keyring|keys|packs|index|sessions|snapshots|epochs|acks|states|catalogue)/([0-9a-f./-]{0,120}|[0-9a-f]{8}/(condemned|done))|.*") {
        let read = ObjectName::parse(&name);
        prop_assert!(read.is_none_or(|read| read.to_string() == name));
        prop_assert!(!matches!(read, Some(ObjectName::Epoch(0, _))));
        let numbered = [names::CONFIG, names::KEYRING, names::CATALOGUE]
            .into_iter()
            .find_map(|folder| names::parse_numbered(folder, &name));
        let is_numbered =
            matches!(read, Some(ObjectName::Config(_) | ObjectName::Keyring(_) | ObjectName::Catalogue(_)));
        prop_assert_eq!(numbered.is_some(), is_numbered);
    }

    #[test]
    fn every_tree_is_read_back(tree in strategies::tree()) {
        prop_assert_eq!(Tree::decode(&tree.encode()), Ok(tree));
    }

    #[test]
    fn every_state_is_read_back(state in strategies::state()) {
        prop_assert_eq!(StateTree::decode(&state.encode()), Ok(state));
    }

    #[test]
    fn every_list_is_read_back(list in strategies::list()) {
        prop_assert_eq!(List::decode(&list.encode()), Ok(list));
    }

    #[test]
    fn every_group_of_links_is_read_back(groups in strategies::link_groups()) {
        prop_assert_eq!(links::decode(&links::encode(&groups)), Ok(groups));
    }

    #[test]
    fn every_list_of_extents_is_read_back(extents in strategies::extent_list()) {
        prop_assert_eq!(node::extents_from_bytes(&node::extents_to_bytes(&extents)), Ok(extents));
    }

    #[test]
    fn every_config_is_read_back(config in strategies::config()) {
        let owner = fixtures::owner();
        let bytes = config.seal(&owner).expect("the sizes are valid");
        prop_assert_eq!(Config::open(&bytes, fixtures::repository(), config.n, owner.owners()), Ok(config));
    }

    #[test]
    fn every_session_is_read_back(config_n in any::<u32>(), program in ".{0,40}", begun_unix_s in any::<Option<i64>>(), is_collector in any::<bool>()) {
        let (owner, repository) = (fixtures::owner(), fixtures::repository());
        let session = Session { id: fixtures::session_id(), config_n, program, begun_unix_s, is_collector };
        let bytes = session.seal(repository, &owner);
        prop_assert_eq!(Session::open(&bytes, repository, &owner.verifying_key()), Ok(session));
    }

    #[test]
    fn every_snapshot_is_read_back(snapshot in strategies::snapshot()) {
        let bytes = snapshot.seal(fixtures::repository(), &fixtures::secrets(), &fixtures::owner());
        let Ok(Register::Snapshot(found)) = decoders::register(&bytes) else { panic!("a snapshot") };
        prop_assert_eq!(*found, snapshot);
    }

    #[test]
    fn every_pack_is_read_back(frames in strategies::frames()) {
        let (pack, table) = fixtures::pack_of(&frames, 4 << 20);
        let header = PackHeader::decode(&pack).expect("a header");
        let cipher = PackCipher::open_pack(&header, fixtures::repository(), &fixtures::secrets());
        let cipher = cipher.expect("the keys fit");
        prop_assert_eq!(&cipher.directory(&pack), &Ok(table.clone()));
        let mut reader = FrameReader::default();
        for (number, (frame, chunks)) in table.frames.iter().zip(&frames).enumerate() {
            let sealed = &pack[usize_of(frame.offset)..][..usize_of(frame.sealed_bytes)];
            prop_assert_eq!(reader.open(&cipher, u32_of(number), sealed), Ok(()));
            prop_assert_eq!(&reader.chunks().map(<[u8]>::to_vec).collect::<Vec<_>>(), chunks);
        }
        let place = DirectoryPlace::decode(&pack, u64_of(pack.len())).expect("a footer");
        let frames_end = table.frames.last().map_or(112, |frame| u64::from(frame.offset + frame.sealed_bytes));
        prop_assert_eq!(place.offset, frames_end);
    }

    #[test]
    fn every_segment_is_read_back(packs in vec(strategies::frames(), 0..4), n in any::<u32>()) {
        let (owner, repository, secrets) = (fixtures::owner(), fixtures::repository(), fixtures::secrets());
        let records: Vec<PackRecord> = packs.iter().map(|frames| {
            let (pack, table) = fixtures::pack_of(frames, 4 << 20);
            let kind = ChunkKind::Metadata;
            PackRecord { id: PackId::of(&pack), kind, stored_bytes: u64_of(pack.len()), table }
        }).collect();
        let sid = fixtures::session_id();
        let bytes = segment::seal(repository, &secrets, &owner, sid, n, &records, [n.to_le_bytes()[0]; 16]);
        let key = owner.verifying_key();
        let head = segment::SegmentHead::open(&bytes, repository, sid, n, fixtures::writer(&key));
        let head = head.expect("the owner signed it");
        prop_assert_eq!(head.total_bytes(), bytes.len());
        for (ordinal, record) in records.iter().enumerate() {
            let (at, length) = head.table_place(ordinal).expect("a place");
            let table = head.open_table(repository, &secrets, ordinal, &bytes[at..at + length]);
            prop_assert_eq!(table.as_ref(), Ok(&record.table));
        }
    }

    #[test]
    fn a_slot_opens_with_the_password_that_it_was_made_with(password in vec(any::<u8>(), 0..40)) {
        let (owner, repository) = (fixtures::owner(), fixtures::repository());
        let bytes = KeySlot::wrap(&owner, repository, &password, fixtures::COST, [1; 16], [2; 24]);
        let slot = KeySlot::decode(&bytes.expect("a usable cost")).expect("a slot");
        let (found, identity) = slot.unwrap(&password).expect("the password is right");
        prop_assert_eq!((found, identity.holder()), (repository, owner.holder()));
        let longer = [password.as_slice(), b"x"].concat();
        prop_assert_eq!(slot.unwrap(&longer).err(), Some(FormatError::WrongPassword));
    }
}

/// Flips every bit of `valid`, one at a time. `refuses` must return whether the bytes are refused.
fn refuses_every_flipped_bit(what: &str, valid: &[u8], refuses: impl Fn(&[u8]) -> bool) {
    assert!(!refuses(valid), "{what} is refused unchanged");
    for at in 0..valid.len() {
        for bit in 0..8 {
            let mut bytes = valid.to_vec();
            bytes[at] ^= 1 << bit;
            assert!(refuses(&bytes), "{what}: bit {bit} of byte {at} can be flipped");
        }
    }
}

#[test]
fn every_flipped_bit_of_a_frame_is_noticed() {
    let (pack, table) = fixtures::pack();
    let cipher = fixtures::pack_cipher();
    for (number, frame) in table.frames.iter().enumerate() {
        let sealed = &pack[usize_of(frame.offset)..][..usize_of(frame.sealed_bytes)];
        refuses_every_flipped_bit("a frame", sealed, |bytes| {
            FrameReader::default().open(&cipher, u32_of(number), bytes).is_err()
        });
    }
}

/// Padding isn't sealed. The pack's id covers it, as it covers every byte.
#[test]
fn every_flipped_bit_of_a_pack_is_noticed() {
    let (pack, table) = fixtures::pack();
    let frames_end = usize_of(table.frames[1].offset + table.frames[1].sealed_bytes);
    let place = DirectoryPlace::decode(&pack, u64_of(pack.len())).expect("a footer");
    let padding = frames_end + usize_of(place.sealed_bytes)..pack.len() - 24;
    assert!(!padding.is_empty());
    let decode = decoders::decoder("pack").expect("a decoder");
    let mut bare = pack.clone();
    bare.drain(padding.clone());
    refuses_every_flipped_bit("a pack without padding", &bare, |bytes| decode(bytes).is_err());
    for at in padding {
        let mut bytes = pack.clone();
        bytes[at] ^= 1;
        assert_ne!(PackId::of(&bytes), PackId::of(&pack));
    }
}

#[test]
fn every_flipped_bit_of_a_segment_is_noticed() {
    let decode = decoders::decoder("segment").expect("a decoder");
    refuses_every_flipped_bit("a segment", &fixtures::segment_bytes(), |bytes| decode(bytes).is_err());
}

#[test]
fn every_flipped_bit_of_a_signed_object_is_noticed() {
    for (structure, valid) in [
        ("config", fixtures::config_bytes()),
        ("keyring", fixtures::keyring_bytes()),
        ("session", fixtures::session_bytes()),
        ("session", fixtures::session_with_begin_bytes()),
        ("condemned", collected::condemned_bytes()),
        ("ack", collected::ack_bytes()),
        ("verdict", collected::verdict_bytes()),
        ("decision", collected::decision_bytes()),
        ("catalogue", collected::catalogue_bytes()),
        ("fence_by_writer", collected::fence_by_writer_bytes()),
        ("snapshot", fixtures::snapshot_bytes()),
        (
            "snapshot",
            craft::sign("owner", craft::FENCE, &craft::fence_payload(&fixtures::session_id().to_bytes())),
        ),
    ] {
        let decode = decoders::decoder(structure).expect("a decoder");
        refuses_every_flipped_bit(structure, &valid, |bytes| decode(bytes).is_err());
    }
}

#[test]
fn every_flipped_bit_of_a_key_slot_is_noticed() {
    let decode = decoders::decoder("slot").expect("a decoder");
    refuses_every_flipped_bit("a slot", &fixtures::slot_bytes(), |bytes| decode(bytes).is_err());
}

#[test]
fn the_signer_of_an_envelope_is_the_holder_that_it_names() {
    let bytes = fixtures::session_bytes();
    let envelope = Envelope::decode(&bytes).expect("an envelope");
    assert_eq!(envelope.signer(), fixtures::owner().holder());
}
