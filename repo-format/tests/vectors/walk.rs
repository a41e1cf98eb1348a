//! The way from a password to a file's bytes in SPEC's worked example, by SPEC's text and the primitives
//! alone. It notes each value that a reader derives.

use std::collections::BTreeMap;

use chacha20poly1305::XChaCha20Poly1305;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use data_encoding::HEXLOWER;
use serde_cbor::Value;
use x25519_dalek::{PublicKey, StaticSecret};

use crate::bless;
use crate::craft::{self, Map, derive, key, nonce};

/// A value and its name.
pub type Named = (String, Vec<u8>);
type Objects = BTreeMap<String, Vec<u8>>;

const SECTION: &str = "\n## 24. ";

/// Notes values in the order in which a reader finds them.
#[derive(Default)]
struct Notes(Vec<Named>);

impl Notes {
    fn add<B: AsRef<[u8]>>(&mut self, name: &str, value: B) -> B {
        self.0.push((name.to_owned(), value.as_ref().to_vec()));
        value
    }
}

fn map(bytes: &[u8]) -> Map {
    match serde_cbor::from_slice(bytes) {
        Ok(Value::Map(map)) => map,
        other => panic!("a map, not {other:?}"),
    }
}

fn bytes_at(map: &Map, at: i128) -> Vec<u8> {
    match map.get(&key(at)) {
        Some(Value::Bytes(bytes)) => bytes.clone(),
        other => panic!("a byte string under {at}, not {other:?}"),
    }
}

fn array_at(map: &Map, at: i128) -> Vec<Value> {
    match map.get(&key(at)) {
        Some(Value::Array(items)) => items.clone(),
        other => panic!("an array under {at}, not {other:?}"),
    }
}

fn map_at(map: &Map, at: i128) -> Map {
    match map.get(&key(at)) {
        Some(Value::Map(inner)) => inner.clone(),
        other => panic!("a map under {at}, not {other:?}"),
    }
}

fn only_map(items: Vec<Value>) -> Map {
    match items.as_slice() {
        [Value::Map(one)] => one.clone(),
        other => panic!("one map, not {other:?}"),
    }
}

fn number_at(map: &Map, at: i128) -> u32 {
    match map.get(&key(at)) {
        Some(Value::Integer(number)) => u32::try_from(*number).expect("32 bits"),
        other => panic!("a number under {at}, not {other:?}"),
    }
}

fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("the right length")
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    usize::try_from(u32::from_le_bytes(fixed(&bytes[at..at + 4]))).expect("32 bits fit")
}

fn shared(secret: [u8; 32], public: [u8; 32]) -> [u8; 32] {
    StaticSecret::from(secret).diffie_hellman(&PublicKey::from(public)).to_bytes()
}

fn public_of(secret: [u8; 32]) -> [u8; 32] {
    PublicKey::from(&StaticSecret::from(secret)).to_bytes()
}

/// The only object whose name has this prefix.
fn only<'o>(objects: &'o Objects, prefix: &str) -> (&'o str, &'o [u8]) {
    let mut found = objects.iter().filter(|(name, _)| name.starts_with(prefix));
    let (name, bytes) = found.next().expect("there is one");
    assert!(found.next().is_none(), "several {prefix}");
    (name, bytes)
}

struct Keys {
    repository: [u8; 16],
    domain: [u8; 16],
    id: [u8; 32],
    index: [u8; 32],
    of_domain: [u8; 32],
    sealing: [u8; 32],
}

/// Step 1 and 2: the slot. Returns the repository, the agreement key and the owner.
fn open_slot(objects: &Objects, password: &[u8], notes: &mut Notes) -> ([u8; 16], [u8; 32], [u8; 32]) {
    let (name, stored) = only(objects, "keys/");
    let hash = blake3::hash(stored);
    let id = HEXLOWER.encode(&hash.as_bytes()[..16]);
    assert_eq!(name, format!("keys/{id}"));
    let mut slot = map(stored);
    let cost = map_at(&slot, 2);
    let params = argon2::Params::new(number_at(&cost, 0), number_at(&cost, 1), number_at(&cost, 2), Some(32));
    let mut stretched = [0; 32];
    argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params.expect("usable"))
        .hash_password_into(password, &bytes_at(&cost, 3), &mut stretched)
        .expect("usable");
    notes.add("stretched", stretched);
    let slot_key = notes.add("slot_key", derive("keepfast v1 key slot", &[&stretched]));
    let commitment = derive("keepfast v1 key slot commitment", &[&stretched]);
    assert_eq!(notes.add("commitment", commitment).to_vec(), bytes_at(&slot, 4));
    let (nonce, sealed) = (bytes_at(&slot, 3), bytes_at(&slot, 5));
    slot.remove(&key(5));
    let aad = notes.add("associated data", serde_cbor::to_vec(&Value::Map(slot)).expect("it encodes"));
    let plain = XChaCha20Poly1305::new((&slot_key).into())
        .decrypt(&fixed::<24>(&nonce).into(), Payload { msg: &sealed, aad: &aad })
        .expect("the slot opens");
    let secrets = map(&plain);
    let repository = notes.add("repository", fixed(&bytes_at(&secrets, 0)));
    let agreement = notes.add("agreement key a", fixed(&bytes_at(&secrets, 2)));
    let owners = array_at(&secrets, 4);
    let [Value::Bytes(owner)] = owners.as_slice() else { panic!("one owner, not {owners:?}") };
    (repository, agreement, notes.add("owner's public key", fixed(owner)))
}

/// Step 3: a signed object. Returns the payload.
fn verify(stored: &[u8], kind: u8, repository: &[u8; 16], owner: &[u8; 32]) -> (Vec<u8>, Vec<u8>) {
    let envelope = map(stored);
    assert_eq!((number_at(&envelope, 0), number_at(&envelope, 1)), (1, kind.into()));
    let payload = bytes_at(&envelope, 2);
    assert_eq!(bytes_at(&envelope, 3), derive("keepfast v1 holder id", &[owner])[..8]);
    let prefix = [b"keepfast v1 signed object\0".as_slice(), &[kind], repository].concat();
    let message = [prefix.as_slice(), &payload].concat();
    let signature = ed25519_dalek::Signature::from_bytes(&fixed(&bytes_at(&envelope, 4)));
    ed25519_dalek::VerifyingKey::from_bytes(owner)
        .and_then(|key| key.verify_strict(&message, &signature))
        .expect("the signature fits");
    (prefix, payload)
}

/// Step 4: the keyring.
fn open_keyring(payload: &[u8], repository: [u8; 16], agreement: [u8; 32], notes: &mut Notes) -> Keys {
    let domain = only_map(array_at(&map(payload), 4));
    let sealing_public: [u8; 32] = fixed(&bytes_at(&domain, 2));
    let sealed = only_map(array_at(&domain, 3));
    let ephemeral = notes.add("E of the box", fixed(&bytes_at(&sealed, 1)));
    let shared = notes.add("shared of the box", shared(agreement, ephemeral));
    let version = number_at(&domain, 1).to_le_bytes();
    let domain_id: [u8; 16] = fixed(&bytes_at(&domain, 0));
    let parts: [&[u8]; 8] = [
        &[1],
        &shared,
        &ephemeral,
        &public_of(agreement),
        &repository,
        &domain_id,
        &version,
        &sealing_public,
    ];
    let box_key = notes.add("box_key", derive("keepfast v1 keyring box", &parts));
    let plain = craft::open(&box_key, nonce(4, 0), &[], &bytes_at(&sealed, 2)).expect("the box opens");
    let secrets = map(&plain);
    let mut secret = |name: &str, at| notes.add(name, fixed(&bytes_at(&secrets, at)));
    let (id, index, of_domain) = (secret("K_id", 0), secret("K_index", 2), secret("K_domain", 3));
    let sealing = secret("sealing private key s", 4);
    assert_eq!(public_of(sealing), sealing_public);
    Keys { repository, domain: domain_id, id, index, of_domain, sealing }
}

/// Step 7 and 8: the only chunk of a pack.
fn read_chunk(keys: &Keys, pack: &[u8], table: &[u8], what: &str, notes: &mut Notes) -> Vec<u8> {
    let header = &pack[..112];
    let ephemeral: [u8; 32] = fixed(&header[48..80]);
    let shared = notes.add(&format!("shared of the {what} pack"), shared(keys.sealing, ephemeral));
    let parts: [&[u8]; 9] = [
        &header[9..10],
        &shared,
        &ephemeral,
        &public_of(keys.sealing),
        &header[32..48],
        &header[16..32],
        &header[12..16],
        &header[10..11],
        &keys.of_domain,
    ];
    assert_eq!((&header[32..48], &header[16..32]), (&keys.repository[..], &keys.domain[..]));
    let pack_key = notes.add(&format!("pack_key of the {what} pack"), derive("keepfast v1 pack key", &parts));
    assert_eq!(derive("keepfast v1 pack key commitment", &[&pack_key]), header[80..112]);
    let (offset, sealed) = (u32_at(table, 8), u32_at(table, 12));
    let frame = &pack[offset..offset + sealed];
    let aad = [header, &[0; 4]].concat();
    let head = craft::open(&pack_key, nonce(0, 0), &aad, &frame[..32]).expect("the head opens");
    notes.add(&format!("frame head of the {what} pack"), &head);
    let body = craft::open(&pack_key, nonce(1, 0), &[aad, head.clone()].concat(), &frame[32..]);
    let body = notes.add(&format!("frame body of the {what} pack"), body.expect("the body opens"));
    assert_eq!((u32_at(&head, 4), u32_at(&head, 12)), (1, 0), "one chunk, stored as it is");
    let chunk = body[4..].to_vec();
    assert_eq!(u32_at(&body, 0), chunk.len());
    let id_key = derive(&format!("keepfast v1 chunk id, {what}"), &[&keys.id]);
    notes.add(&format!("K_{what}"), id_key);
    let id = notes.add(&format!("id of the {what} chunk"), *blake3::keyed_hash(&id_key, &chunk).as_bytes());
    assert_eq!(id, table[24..56], "the table lists it");
    chunk
}

/// Goes the whole way and notes each value on it.
pub fn from_password_to_file(objects: &Objects, password: &[u8]) -> Vec<Named> {
    let mut notes = Notes::default();
    let (repository, agreement, owner) = open_slot(objects, password, &mut notes);
    let (prefix, _) = verify(only(objects, "config/").1, 1, &repository, &owner);
    notes.add("message of the config, up to its payload", prefix);
    let (_, keyring) = verify(only(objects, "keyring/").1, 2, &repository, &owner);
    let keys = open_keyring(&keyring, repository, agreement, &mut notes);

    let (name, stored) = only(objects, "snapshots/");
    let (_, payload) = verify(stored, 4, &repository, &owner);
    let head = map(&payload);
    let sid = notes.add("session id", bytes_at(&head, 1));
    let random = HEXLOWER.encode(&sid[8..]);
    assert!(name.ends_with(&random));
    let snapshot_key = derive("keepfast v1 snapshot", &[&keys.index, &repository, &sid]);
    notes.add("snapshot_key", snapshot_key);
    let body_nonce = notes.add("nonce of the body", nonce(4, 0));
    let body = craft::open(&snapshot_key, body_nonce, &repository, &bytes_at(&head, 11));
    let tree = notes.add("root tree", bytes_at(&map(&body.expect("the body opens")), 7));

    let (_, segment) = only(objects, "index/");
    let head_bytes = u32_at(segment, 8);
    let (_, head) = verify(&segment[12..12 + head_bytes], 6, &repository, &owner);
    let salt = &head[66..82];
    let parts: [&[u8]; 5] = [&keys.index, &repository, &sid, &[0; 4], salt];
    let segment_key = notes.add("segment_key", derive("keepfast v1 index segment", &parts));
    let mut at = 12 + head_bytes + u32_at(&head, 82);
    let mut tables = Vec::new();
    for (number, ordinal) in (1..).zip(0..u32_at(&head, 118)) {
        let entry = &head[122 + 81 * ordinal..][..81];
        let section = &segment[at..at + u32_at(entry, 45)];
        assert_eq!(*blake3::hash(section).as_bytes(), entry[49..81]);
        at += section.len();
        let table = craft::open(&segment_key, nonce(3, number), &[], section);
        let pack = HEXLOWER.encode(&entry[..32]);
        let (_, pack) = only(objects, &format!("packs/{}/{pack}.", &pack[..2]));
        assert_eq!(*blake3::hash(pack).as_bytes(), entry[..32]);
        tables.push((pack, table.expect("the section opens")));
    }
    assert_eq!(at, segment.len());
    let has = |id: &[u8]| {
        let found = tables.iter().find(|(_, table)| table[24..56] == *id);
        found.expect("a table lists the chunk")
    };
    let (pack, table) = has(&tree);
    notes.add("nonce of section 2", nonce(3, 2));
    notes.add("table in section 2", table);
    let page = map(&read_chunk(&keys, pack, table, "metadata", &mut notes));
    let node = only_map(array_at(&page, 1));
    let content = array_at(&node, 8);
    let [_, Value::Bytes(id), _] = content.as_slice() else { panic!("one inline reference") };
    let (pack, table) = has(id);
    read_chunk(&keys, pack, table, "data", &mut notes);
    notes.0
}

/// The file's bytes among what was noted.
pub fn file_of(notes: &[Named]) -> &[u8] {
    let (_, body) =
        notes.iter().find(|(name, _)| name == "frame body of the data pack").expect("it is noted");
    &body[4..]
}

/// A value as SPEC lists it, in one line or several.
pub fn line((name, value): &Named) -> String {
    let hex = bless::hex_lines(value).replace('\n', "\n        ");
    // Values up to the length of a key follow their names on the same line.
    let gap = if value.len() <= 32 { " " } else { "\n        " };
    format!("    {name} ={gap}{hex}\n")
}

/// The values that the section on the worked example lists.
pub fn listed_in(spec: &str) -> Vec<Named> {
    let section = spec.split_once(SECTION).expect("SPEC has the section").1;
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    let mut listed: Vec<(String, String)> = Vec::new();
    for line in section.lines().filter_map(|line| line.strip_prefix("    ")) {
        if let Some((name, rest)) = line.split_once(" =") {
            listed.push((name.to_owned(), rest.to_owned()));
        } else if let Some((_, value)) = listed.last_mut() {
            value.push_str(line);
        }
    }
    let parse = |(name, hex): (String, String)| {
        let value = bless::parse_hex(&hex).unwrap_or_else(|| panic!("{name} isn't hexadecimal"));
        (name, value)
    };
    listed.into_iter().map(parse).collect()
}
