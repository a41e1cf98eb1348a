//! Golden values: the results of fixed secrets and fixed bytes, which never change.
//!
//! `golden.txt` has a line `name = value` for each; `valid/` has an object of each
//! structure in hexadecimal. A change in either is a change of the format.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use keepfast_format::chunker::{ChunkerParams, PageBytes};
use keepfast_format::config::Features;
use keepfast_format::decision::DecisionKind;
use keepfast_format::epoch::{Ack, Condemned, Verdict};
use keepfast_format::ids::{ObjectHash, PackId, SlotId};
use keepfast_format::keys::ChunkKind;
use keepfast_format::names::{self, EpochPart};
use keepfast_format::snapshot::Register;

use crate::fixtures::{self, bytes, chunker, cut_all, owner, secrets, session_id, stream};
use crate::{bless, collected, craft, decoders};

/// A golden value and its name.
type Value = (String, String);

fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

fn value(name: &str, value: impl ToString) -> Value {
    (name.to_owned(), value.to_string())
}

fn golden_file() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(bless::folder().join("golden.txt")).expect("golden.txt");
    let lines = text.lines().map(|line| line.split_once(" = ").expect("name = value"));
    lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn compare(values: &[Value]) {
    if bless::wanted() {
        return; // One test writes all values.
    }
    let golden = golden_file();
    for (name, value) in values {
        assert_eq!(Some(value), golden.get(name), "{name}");
    }
}

fn cut_points() -> Vec<Value> {
    let random = stream("stream", 1 << 20);
    let cuts = |average: u32, bytes: &[u8]| {
        let lengths = cut_all(&chunker(ChunkerParams::of_average(average)), bytes);
        lengths.iter().map(usize::to_string).collect::<Vec<_>>().join(" ")
    };
    let uneven = ChunkerParams { min_bytes: 64, avg_bytes: 4096, max_bytes: 4098 };
    let uneven = cut_all(&chunker(uneven), &random[..30_001]);
    vec![
        value("stream.hash", blake3::hash(&random)),
        value("cuts.average-1-kib", cuts(1 << 10, &random[..65_535])),
        value("cuts.average-4-kib", cuts(4 << 10, &random[..100_001])),
        value("cuts.average-16-kib", cuts(16 << 10, &random)),
        value("cuts.average-64-kib", cuts(64 << 10, &random)),
        value("cuts.average-1-mib", cuts(1 << 20, &stream("stream", 12 << 20))),
        value("cuts.average-4-mib", cuts(4 << 20, &stream("stream", 40 << 20))),
        value("cuts.zeros", cuts(16 << 10, &[0; 200_000])),
        value("cuts.text", cuts(1 << 10, &b"All work and no play makes Jack a dull boy. ".repeat(500))),
        value("cuts.uneven", format!("{uneven:?}")),
        value("cuts.pages.average-1-kib", page_chunks(1 << 10)),
        value("cuts.pages.average-16-kib", page_chunks(16 << 10)),
        value("cuts.pages.average-64-kib", page_chunks(64 << 10)),
    ]
}

/// The lengths of chunks for pages from 512 bytes to 64 KiB.
fn page_chunks(average: u32) -> String {
    let params = ChunkerParams::of_average(average);
    let pages = (9..=16).filter_map(|logarithm| PageBytes::new(1 << logarithm));
    pages.map(|page| params.page_chunk_bytes(page).to_string()).collect::<Vec<_>>().join(" ")
}

fn ids() -> Vec<Value> {
    let ids = secrets().chunk_ids();
    let slot = fixtures::slot_bytes();
    vec![
        value("repository", fixtures::repository()),
        value("owner.holder", owner().holder()),
        value("owner.verifying-key", hex(&owner().verifying_key())),
        value("owner.agreement-key", hex(&owner().agreement_key())),
        value("session", session_id()),
        value("chunk.data.empty", ids.id(ChunkKind::Data, b"")),
        value("chunk.data.keepfast", ids.id(ChunkKind::Data, b"keepfast")),
        value("chunk.metadata.keepfast", ids.id(ChunkKind::Metadata, b"keepfast")),
        value("slot.name", names::slot(SlotId::of(&slot))),
        value("config.hash", ObjectHash::of(&fixtures::config_bytes())),
    ]
}

fn gear() -> Vec<Value> {
    let gear = secrets().gear();
    let bytes: Vec<u8> = gear.iter().flat_map(|entry| entry.to_le_bytes()).collect();
    vec![
        value("gear.0", format!("{:016x}", gear[0])),
        value("gear.1", format!("{:016x}", gear[1])),
        value("gear.255", format!("{:016x}", gear[255])),
        value("gear.hash", blake3::hash(&bytes)),
    ]
}

fn packs() -> Vec<Value> {
    let cipher = fixtures::pack_cipher();
    let (key, commitment) = craft::pack_key(cipher.header());
    let (pack, table) = fixtures::stored_pack();
    vec![
        value("pack.ephemeral-secret", hex(&bytes::<32>("pack ephemeral"))),
        value("pack.header", hex(cipher.header())),
        value("pack.key", hex(&key)),
        value("pack.commitment", hex(&commitment)),
        value("pack.frame-0", blake3::hash(&fixtures::frame())),
        value("pack.stored-frames.length", pack.len()),
        value("pack.stored-frames.id", PackId::of(&pack)),
        value("pack.stored-frames.name", names::pack(PackId::of(&pack), session_id())),
        value("pack.stored-frames.table", format!("{:?}", table.frames[0])),
    ]
}

fn all() -> Vec<Value> {
    [cut_points(), ids(), gear(), packs(), collection()].concat()
}

fn collection() -> Vec<Value> {
    let (sid, epoch) = (collected::writers_session_id(), collected::EPOCH);
    let hash = |bytes: Vec<u8>| ObjectHash::of(&bytes);
    vec![
        value("writer.holder", collected::identity("writer", 1).holder()),
        value("writer.session", sid),
        value("condemned.name", names::epoch(epoch, EpochPart::Condemned)),
        value("condemned.hash", hash(collected::condemned_bytes())),
        value("ack.name", names::ack(epoch, sid)),
        value("ack.name beside", names::ack_with_tail(epoch, sid, 0x0123_4567_89ab_cdef)),
        value("ack.hash", hash(collected::ack_bytes())),
        value("verdict.name", names::epoch(epoch, EpochPart::Done)),
        value("verdict.hash", hash(collected::verdict_bytes())),
        value("decision.name", names::decision(sid, collected::DECISION_N)),
        value("decision.hash", hash(collected::decision_bytes())),
        value("catalogue.name", names::catalogue(collected::CATALOGUE_N)),
        value("catalogue.hash", hash(collected::catalogue_bytes())),
    ]
}

#[test]
fn cut_points_are_unchanged() {
    compare(&cut_points());
}

#[test]
fn ids_of_fixed_bytes_are_unchanged() {
    compare(&ids());
}

#[test]
fn the_gear_table_is_unchanged() {
    compare(&gear());
}

#[test]
fn packs_of_fixed_chunks_are_unchanged() {
    compare(&packs());
}

#[test]
fn names_and_bytes_of_the_objects_of_garbage_collection_are_unchanged() {
    compare(&collection());
}

#[test]
fn golden_values_without_a_test_are_noticed() {
    let values = all();
    if bless::wanted() {
        let lines: Vec<String> = values.iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
        bless::write(&bless::folder().join("golden.txt"), &lines.concat());
    }
    let known: BTreeMap<String, String> = values.into_iter().collect();
    assert_eq!(golden_file().into_keys().collect::<Vec<_>>(), known.into_keys().collect::<Vec<_>>());
}

/// A valid object: the name of its file, the name of its decoder, its bytes.
type Valid = (&'static str, &'static str, Vec<u8>);

fn valid_objects() -> Vec<Valid> {
    let mut objects: Vec<Valid> =
        decoders::ALL.iter().map(|(name, _, valid)| (*name, *name, valid())).collect();
    let sid = session_id().to_bytes();
    objects.push(("fence", "snapshot", craft::sign("owner", craft::FENCE, &craft::fence_payload(&sid))));
    let repository = fixtures::repository();
    let fence = Register::seal_fence(repository, collected::writers_session_id(), &owner());
    objects.push(("fence_of_a_writers_session_by_an_owner", "fence_by_writer", fence));
    objects.push(("session_with_begin", "session", fixtures::session_with_begin_bytes()));
    objects.push(("keyring_of_a_successor", "keyring", collected::keyring_of_a_successor_bytes()));
    let retired = collected::keyring_of_a_retired_writer_bytes();
    objects.push(("keyring_of_a_retired_writer", "keyring", retired));
    objects.push(("snapshot_brought_back", "snapshot", collected::snapshot_brought_back_bytes()));
    let nothing = Condemned { packs: Vec::new(), snapshots: Vec::new(), ..collected::condemned() };
    objects.push(("condemned_of_nothing", "condemned", nothing.seal(repository, &owner())));
    let agrees = Ack { objections: Vec::new(), ..collected::ack() };
    objects.push((
        "ack_without_objections",
        "ack",
        agrees.seal(repository, &collected::identity("writer", 1)),
    ));
    let spares = Verdict { packs: Vec::new(), ..collected::verdict() };
    objects.push(("verdict_that_spares_all", "verdict", spares.seal(repository, &owner())));
    for (name, kind) in
        [("decision_protected", DecisionKind::Protected), ("decision_unprotected", DecisionKind::Unprotected)]
    {
        objects.push((name, "decision", collected::decision(kind).seal(repository, &owner())));
    }
    objects.push(("state_index", "state", fixtures::state_index().encode()));
    objects.push(("tree_index", "tree", fixtures::tree_index().encode()));
    let mut config = fixtures::config();
    config.declare_single_writer();
    objects.push((
        "config_of_a_single_writer",
        "config",
        config.seal(&fixtures::owner()).expect("valid sizes"),
    ));
    let owners = [craft::verifying_key("owner")];
    let mut plain = fixtures::config();
    plain.features = Features::default();
    objects.push(("config_without_features", "config", plain.seal(&owner()).expect("valid sizes")));
    objects.push(("keyring_without_its_signer", "keyring", craft::keyring_without_its_signer()));
    objects.push(("keyring_of_two_versions", "keyring", fixtures::keyring_of_two_versions()));
    objects.push(("segment_with_a_stray_hook", "segment", craft::segment_with_a_stray_hook()));
    objects.push(("slot_of_a_writer", "slot", craft::slot_with(&craft::slot_secrets("writer", 1, &owners))));
    objects
}

/// Objects that older programs stored stay readable, and encoders still make the same bytes.
#[test]
fn valid_objects_are_read_and_encoded_to_the_same_bytes() {
    for (name, structure, made) in valid_objects() {
        let path = bless::folder().join("valid").join(format!("{name}.txt"));
        if bless::wanted() {
            bless::write(&path, &format!("{}\n", bless::hex_lines(&made)));
        }
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let stored = bless::parse_hex(&text).expect("hexadecimal");
        let decode = decoders::decoder(structure).expect("a decoder");
        assert_eq!(decode(&stored), Ok(()), "{name}");
        // The next release of zstd may compress differently. Older packs stay readable.
        assert!(name == "pack" || stored == made, "{name} has another encoding now");
    }
}
