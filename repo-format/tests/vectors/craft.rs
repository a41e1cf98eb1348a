//! Makes objects that the crate's own encoders can't make: with the same keys, but with any payload,
//! plaintext or number. It uses the primitives directly, according to SPEC.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, XChaCha20Poly1305};
use ed25519_dalek::{Signer, SigningKey};
use keepfast_format::numbers::{u32_of, u64_of, usize_of};
use minicbor::Encoder;
use serde_cbor::Value;
use x25519_dalek::{PublicKey, StaticSecret};

use crate::fixtures::{self, bytes};

/// Kinds of signed objects.
pub const CONFIG: u8 = 1;
pub const KEYRING: u8 = 2;
pub const SESSION: u8 = 3;
pub const SNAPSHOT: u8 = 4;
pub const FENCE: u8 = 5;
pub const SEGMENT: u8 = 6;
pub const CONDEMNED: u8 = 7;
pub const ACK: u8 = 8;
pub const VERDICT: u8 = 9;
pub const DECISION: u8 = 10;
pub const CATALOGUE: u8 = 11;

pub fn derive(context: &str, parts: &[&[u8]]) -> [u8; 32] {
    blake3::derive_key(context, &parts.concat())
}

pub fn nonce(space: u8, number: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[0] = space;
    nonce[4..].copy_from_slice(&number.to_le_bytes());
    nonce
}

pub fn seal(key: &[u8; 32], nonce: [u8; 12], aad: &[u8], plain: &[u8]) -> Vec<u8> {
    ChaCha20Poly1305::new(key.into())
        .encrypt(&nonce.into(), Payload { msg: plain, aad })
        .expect("a short message")
}

pub fn open(key: &[u8; 32], nonce: [u8; 12], aad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    ChaCha20Poly1305::new(key.into()).decrypt(&nonce.into(), Payload { msg: sealed, aad }).ok()
}

/// The bytes that `encode` writes with minicbor, which checks nothing.
pub fn cbor(encode: impl FnOnce(&mut Encoder<&mut Vec<u8>>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&mut Encoder::new(&mut bytes));
    bytes
}

/// A map of CBOR with integer keys that is being changed.
pub type Map = std::collections::BTreeMap<Value, Value>;

pub fn key(key: i128) -> Value {
    Value::Integer(key)
}

pub fn blob(bytes: &[u8]) -> Value {
    Value::Bytes(bytes.to_vec())
}

/// Changes the map that `bytes` encode.
pub fn edit(bytes: &[u8], change: impl FnOnce(&mut Map)) -> Vec<u8> {
    let Ok(Value::Map(mut map)) = serde_cbor::from_slice(bytes) else { panic!("a map") };
    change(&mut map);
    serde_cbor::to_vec(&Value::Map(map)).expect("plain values encode")
}

/// The map in a field of a map.
pub fn inner(map: &mut Map, at: i128) -> &mut Map {
    match map.get_mut(&key(at)) {
        Some(Value::Map(inner)) => inner,
        _ => panic!("a map inside the map"),
    }
}

/// The array in a field of a map.
pub fn items(map: &mut Map, at: i128) -> &mut Vec<Value> {
    match map.get_mut(&key(at)) {
        Some(Value::Array(items)) => items,
        _ => panic!("an array inside the map"),
    }
}

/// The byte string in a field of a map.
pub fn byte_string(bytes: &[u8], at: i128) -> Vec<u8> {
    let Ok(Value::Map(map)) = serde_cbor::from_slice(bytes) else { panic!("a map") };
    match map.get(&key(at)) {
        Some(Value::Bytes(bytes)) => bytes.clone(),
        _ => panic!("a byte string inside the map"),
    }
}

/// The payload of an envelope.
pub fn payload(envelope: &[u8]) -> Vec<u8> {
    byte_string(envelope, 2)
}

fn signing_key(label: &str) -> SigningKey {
    let secret: [u8; 64] = bytes(label);
    let mut seed = [0; 32];
    seed.copy_from_slice(&secret[32..]);
    SigningKey::from_bytes(&seed)
}

/// The X25519 secret of the identity that is made from `bytes(label)`.
pub fn agreement_secret(label: &str) -> StaticSecret {
    let secret: [u8; 64] = bytes(label);
    let mut half = [0; 32];
    half.copy_from_slice(&secret[..32]);
    StaticSecret::from(half)
}

pub fn verifying_key(label: &str) -> [u8; 32] {
    signing_key(label).verifying_key().to_bytes()
}

pub fn holder_id(label: &str) -> Vec<u8> {
    derive("keepfast v1 holder id", &[&verifying_key(label)])[..8].to_vec()
}

/// An envelope around any payload, signed by the identity made from `bytes(label)`.
pub fn sign(label: &str, kind: u8, payload: &[u8]) -> Vec<u8> {
    sign_in(fixtures::repository().as_bytes(), label, kind, payload)
}

/// As [`sign`], for a repository of any id.
pub fn sign_in(repository: &[u8; 16], label: &str, kind: u8, payload: &[u8]) -> Vec<u8> {
    let message = [b"keepfast v1 signed object\0".as_slice(), &[kind], repository, payload].concat();
    let signature = signing_key(label).sign(&message).to_bytes();
    cbor(|out| {
        let written = out.map(5).and_then(|out| out.u8(0)?.u8(1)?.u8(1)?.u8(kind)?.u8(2)?.bytes(payload));
        written.and_then(|out| out.u8(3)?.bytes(&holder_id(label))).expect("memory");
        out.u8(4).and_then(|out| out.bytes(&signature)).expect("memory");
    })
}

/// A signed object of the owner whose payload was changed.
pub fn resign(kind: u8, envelope: &[u8], change: impl FnOnce(&mut Map)) -> Vec<u8> {
    sign("owner", kind, &edit(&payload(envelope), change))
}

/// The fixture's snapshot, its body replaced by any plaintext.
pub fn snapshot_with_body(plain: &[u8]) -> Vec<u8> {
    resign(SNAPSHOT, &fixtures::snapshot_bytes(), |map| {
        let repository = fixtures::repository();
        let sealed = seal(&snapshot_key(), nonce(4, 0), repository.as_bytes(), plain);
        map.insert(key(11), Value::Bytes(sealed));
    })
}

/// The plaintext of the fixture's snapshot's body.
pub fn snapshot_body() -> Vec<u8> {
    let sealed = byte_string(&payload(&fixtures::snapshot_bytes()), 11);
    open(&snapshot_key(), nonce(4, 0), fixtures::repository().as_bytes(), &sealed).expect("it opens")
}

fn snapshot_key() -> [u8; 32] {
    let sid = fixtures::session_id().to_bytes();
    derive("keepfast v1 snapshot", &[&domain_secret(2), fixtures::repository().as_bytes(), &sid])
}

/// Chunk-id, gear, index, domain and sealing secret, by number.
pub fn domain_secret(number: usize) -> [u8; 32] {
    let all: [u8; 160] = bytes("domain secrets");
    let mut part = [0; 32];
    part.copy_from_slice(&all[32 * number..32 * (number + 1)]);
    part
}

/// The key of a pack with this header, as a reader derives it, and its commitment.
pub fn pack_key(header: &[u8]) -> ([u8; 32], [u8; 32]) {
    let sealing = StaticSecret::from(domain_secret(4));
    let mut ephemeral = [0; 32];
    ephemeral.copy_from_slice(&header[48..80]);
    let shared = sealing.diffie_hellman(&PublicKey::from(ephemeral)).to_bytes();
    let sealing_public = PublicKey::from(&sealing).to_bytes();
    let pack_key = derive(
        "keepfast v1 pack key",
        &[
            &header[9..10],
            &shared,
            &ephemeral,
            &sealing_public,
            &header[32..48],
            &header[16..32],
            &header[12..16],
            &header[10..11],
            &domain_secret(3),
        ],
    );
    (pack_key, derive("keepfast v1 pack key commitment", &[&pack_key]))
}

/// Frame 0 of the fixture's pack with any head and any body.
pub fn frame(head: &[u8], body: &[u8]) -> Vec<u8> {
    let cipher = fixtures::pack_cipher();
    let (key, _) = pack_key(cipher.header());
    let number = 0_u32.to_le_bytes();
    let aad = [cipher.header().as_slice(), &number].concat();
    let sealed_head = seal(&key, nonce(0, 0), &aad, head);
    let sealed_body = seal(&key, nonce(1, 0), &[&aad, head].concat(), body);
    [sealed_head, sealed_body].concat()
}

/// A frame's head: body length, chunks, plaintext length, compression.
pub fn frame_head(fields: [u32; 4]) -> Vec<u8> {
    fields.iter().flat_map(|field| field.to_le_bytes()).collect()
}

/// The fixture's pack, its directory replaced by any plaintext.
pub fn pack_with_directory(plain: &[u8]) -> Vec<u8> {
    let (pack, table) = fixtures::pack();
    let last = table.frames.last().expect("two frames");
    let frames_end = usize_of(last.offset) + usize_of(last.sealed_bytes);
    let header = &pack[..112];
    let aad = [header, &0_u32.to_le_bytes(), &u64_of(frames_end).to_le_bytes()].concat();
    let sealed = seal(&pack_key(header).0, nonce(2, 0), &aad, plain);
    let mut bytes = pack[..frames_end].to_vec();
    bytes.extend_from_slice(&sealed);
    bytes.extend(footer(u64_of(frames_end), u32_of(sealed.len())));
    bytes
}

pub fn footer(offset: u64, sealed_bytes: u32) -> Vec<u8> {
    [&offset.to_le_bytes()[..], &sealed_bytes.to_le_bytes(), &[0; 4], b"KEEPEND\0"].concat()
}

/// A pack table's plaintext from raw numbers.
pub fn table(counts: [u32; 2], frames: &[[u32; 4]], chunks: &[(&str, u32)]) -> Vec<u8> {
    let mut out: Vec<u8> = counts.iter().flat_map(|count| count.to_le_bytes()).collect();
    out.extend(frames.iter().flatten().flat_map(|field| field.to_le_bytes()));
    for (label, length) in chunks {
        out.extend_from_slice(&bytes::<32>(label));
        out.extend_from_slice(&length.to_le_bytes());
    }
    out
}

/// A segment of the fixture's session and key, with these plaintexts of sections (hooks
/// first) and this count of chunks for each pack; `change` gets the head's payload.
pub fn segment(sections: &[Vec<u8>], chunks: u32, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let repository = fixtures::repository();
    let sid = fixtures::session_id().to_bytes();
    let n = fixtures::SEGMENT_N.to_le_bytes();
    let salt: [u8; 16] = bytes("segment salt");
    let section_key =
        derive("keepfast v1 index segment", &[&domain_secret(2), repository.as_bytes(), &sid, &n, &salt]);
    let sealed: Vec<Vec<u8>> =
        (0..).zip(sections).map(|(number, plain)| seal(&section_key, nonce(3, number), &[], plain)).collect();
    let place = |sealed: &Vec<u8>| {
        [&u32_of(sealed.len()).to_le_bytes()[..], blake3::hash(sealed).as_bytes()].concat()
    };
    let domain: [u8; 16] = bytes("domain");
    let mut payload = [repository.as_bytes(), &sid[..], &n, &[1, 6], &domain, &1_u32.to_le_bytes()].concat();
    payload.extend_from_slice(&salt);
    payload.extend(place(&sealed[0]));
    payload.extend_from_slice(&(u32_of(sealed.len()) - 1).to_le_bytes());
    for table in &sealed[1..] {
        payload.extend_from_slice(&bytes::<32>("pack 0"));
        payload.push(0);
        payload.extend_from_slice(&4096_u64.to_le_bytes());
        payload.extend_from_slice(&chunks.to_le_bytes());
        payload.extend(place(table));
    }
    change(&mut payload);
    segment_with_head(&sign("owner", SEGMENT, &payload), &sealed.concat())
}

/// A segment with a hook for a chunk that the table of its pack doesn't have.
pub fn segment_with_a_stray_hook() -> Vec<u8> {
    let mut hook: [u8; 32] = bytes("hook 0");
    hook[0] = 0xc0;
    let hooks = [&hook[..], &0_u32.to_le_bytes()].concat();
    segment(&[hooks, table([1, 1], &[[112, 99, 7, 1]], &[("chunk", 7)])], 1, |_| {})
}

pub fn segment_with_head(head: &[u8], sections: &[u8]) -> Vec<u8> {
    [b"KEEPINDX".as_slice(), &u32_of(head.len()).to_le_bytes(), head, sections].concat()
}

/// The plaintext of a slot's sealed part, made by hand, with the role as any number.
pub fn slot_secrets(label: &str, role: u8, owners: &[[u8; 32]]) -> Vec<u8> {
    let secret: [u8; 64] = bytes(label);
    let owners = owners.iter().map(|owner| blob(owner)).collect();
    let fields = [
        blob(fixtures::repository().as_bytes()),
        Value::Integer(role.into()),
        blob(&secret[..32]),
        blob(&secret[32..]),
        Value::Array(owners),
    ];
    let map = (0..).map(key).zip(fields).collect();
    serde_cbor::to_vec(&Value::Map(map)).expect("plain values encode")
}

/// The fixture's slot with any plaintext.
pub fn slot_with(plain: &[u8]) -> Vec<u8> {
    edit(&fixtures::slot_bytes(), |map| {
        map.remove(&key(5));
        let aad = serde_cbor::to_vec(&Value::Map(map.clone())).expect("plain values encode");
        let mut stretched = [0; 32];
        let params = argon2::Params::new(64, 1, 1, Some(32)).expect("usable");
        argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params)
            .hash_password_into(fixtures::PASSWORD, &bytes::<16>("slot salt"), &mut stretched)
            .expect("usable");
        let wrapping = derive("keepfast v1 key slot", &[&stretched]);
        let sealed = XChaCha20Poly1305::new((&wrapping).into())
            .encrypt(&bytes::<24>("slot nonce").into(), Payload { msg: plain, aad: &aad })
            .expect("a short message");
        map.insert(key(5), Value::Bytes(sealed));
    })
}

/// A box of the fixture's keyring: any plaintext, sealed to the holder of this label.
pub fn keyring_box(holder: &str, plain: &[u8]) -> Value {
    let ephemeral = StaticSecret::from(bytes::<32>("box ephemeral"));
    let public = PublicKey::from(&ephemeral).to_bytes();
    let agreement = PublicKey::from(&agreement_secret(holder));
    let shared = ephemeral.diffie_hellman(&agreement).to_bytes();
    let box_key = derive(
        "keepfast v1 keyring box",
        &[
            &[1],
            &shared,
            &public,
            agreement.as_bytes(),
            fixtures::repository().as_bytes(),
            &bytes::<16>("domain"),
            &1_u32.to_le_bytes(),
            &sealing_public(),
        ],
    );
    let sealed = seal(&box_key, nonce(4, 0), &[], plain);
    Value::Map(
        [(key(0), blob(&holder_id(holder))), (key(1), blob(&public)), (key(2), Value::Bytes(sealed))].into(),
    )
}

pub fn sealing_public() -> [u8; 32] {
    PublicKey::from(&StaticSecret::from(domain_secret(4))).to_bytes()
}

/// The plaintext of a box: the four symmetric keys, and the sealing key for a role that reads data.
pub fn box_secrets(reads_data: bool) -> Vec<u8> {
    let count = if reads_data { 5 } else { 4 };
    let map = (0..).zip(0..count).map(|(n, number)| (key(n), blob(&domain_secret(number)))).collect();
    serde_cbor::to_vec(&Value::Map(map)).expect("plain values encode")
}

/// The public side of a holder, as a keyring lists it.
pub fn holder_entry(label: &str, role: u8) -> Value {
    let agreement = PublicKey::from(&agreement_secret(label)).to_bytes();
    Value::Map(
        [
            (key(0), Value::Integer(role.into())),
            (key(1), blob(&agreement)),
            (key(2), blob(&verifying_key(label))),
        ]
        .into(),
    )
}

/// A keyring whose only holder is a writer. The owner signs it and has a box in it nevertheless.
pub fn keyring_without_its_signer() -> Vec<u8> {
    resign(KEYRING, &fixtures::keyring_bytes(), |map| {
        *items(map, 3) = vec![holder_entry("writer", 1)];
    })
}

/// The payload of a FENCE for this session.
pub fn fence_payload(session: &[u8; 24]) -> Vec<u8> {
    let map = [(key(0), blob(fixtures::repository().as_bytes())), (key(1), blob(session))].into();
    serde_cbor::to_vec(&Value::Map(map)).expect("plain values encode")
}
