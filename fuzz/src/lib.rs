//! Every decoder of the format as a target for fuzzing.
//!
//! Some targets take an object as it is stored. Few random changes get past its seal or signature. So the
//! other targets take the content, and seal or sign it themselves, as a faulty writer would.

// The decoders with their keys, and the tools that seal nonsense, are those of the format's own tests. So
// each decoder that has vectors is fuzzed. Not all of the tools are needed here.
#[allow(dead_code)]
#[path = "../../repo-format/tests/vectors/collected.rs"]
mod collected;
#[allow(dead_code)]
#[path = "../../repo-format/tests/vectors/craft.rs"]
mod craft;
#[path = "../../repo-format/tests/vectors/decoders.rs"]
#[allow(dead_code, clippy::type_complexity)]
mod decoders;
#[path = "../../repo-format/tests/vectors/fixtures.rs"]
#[allow(dead_code)]
mod fixtures;

use keepfast_format::FormatError;
use keepfast_format::numbers::u32_of;
use keepfast_format::slot::KeySlot;

/// Decodes bytes. It must neither panic nor take long, whatever the bytes are.
pub type Decode = fn(&[u8]) -> Result<(), FormatError>;

/// A decoder to fuzz.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name. If it takes whole objects, that is the name of a folder of vectors.
    pub name: &'static str,
    /// The decoder.
    pub decode: Decode,
    /// An input that it accepts.
    pub valid: fn() -> Vec<u8>,
}

/// All decoders.
#[must_use]
pub fn targets() -> Vec<Target> {
    let whole = decoders::ALL.iter().filter(|(name, ..)| *name != "slot");
    let whole = whole.map(|(name, decode, valid)| Target { name, decode: *decode, valid: *valid });
    whole.chain(INSIDE.iter().copied()).collect()
}

/// The decoder of this name.
#[must_use]
pub fn target(name: &str) -> Option<Target> {
    targets().into_iter().find(|target| target.name == name)
}

/// Runs every decoder on the same bytes.
pub fn all(data: &[u8]) {
    for target in targets() {
        let _ = (target.decode)(data);
    }
}

/// Decoders of the content of sealed and signed objects.
const INSIDE: &[Target] = &[
    // It tries no password: a changed cost may take minutes and gigabytes.
    Target { name: "slot", decode: |data| KeySlot::decode(data).map(drop), valid: fixtures::slot_bytes },
    Target {
        name: "slot-secrets",
        decode: |data| decode("slot", &craft::slot_with(data)),
        valid: || craft::slot_secrets("owner", 0, &[craft::verifying_key("owner")]),
    },
    Target {
        name: "config-payload",
        decode: |data| decode("config", &craft::sign("owner", craft::CONFIG, data)),
        valid: || craft::payload(&fixtures::config_bytes()),
    },
    Target {
        name: "keyring-payload",
        decode: |data| decode("keyring", &craft::sign("owner", craft::KEYRING, data)),
        valid: || craft::payload(&fixtures::keyring_bytes()),
    },
    Target {
        name: "session-payload",
        decode: |data| decode("session", &craft::sign("owner", craft::SESSION, data)),
        valid: || craft::payload(&fixtures::session_bytes()),
    },
    Target {
        name: "snapshot-payload",
        decode: |data| decode("snapshot", &craft::sign("owner", craft::SNAPSHOT, data)),
        valid: || craft::payload(&fixtures::snapshot_bytes()),
    },
    Target {
        name: "snapshot-body",
        decode: |data| decode("snapshot", &craft::snapshot_with_body(data)),
        valid: craft::snapshot_body,
    },
    Target {
        name: "fence-payload",
        decode: |data| decode("snapshot", &craft::sign("owner", craft::FENCE, data)),
        valid: || craft::fence_payload(&fixtures::session_id().to_bytes()),
    },
    Target {
        name: "condemned-payload",
        decode: |data| decode("condemned", &craft::sign("owner", craft::CONDEMNED, data)),
        valid: || craft::payload(&collected::condemned_bytes()),
    },
    Target {
        name: "ack-payload",
        decode: |data| decode("ack", &craft::sign("writer", craft::ACK, data)),
        valid: || craft::payload(&collected::ack_bytes()),
    },
    Target {
        name: "verdict-payload",
        decode: |data| decode("verdict", &craft::sign("owner", craft::VERDICT, data)),
        valid: || craft::payload(&collected::verdict_bytes()),
    },
    Target {
        name: "decision-payload",
        decode: |data| decode("decision", &craft::sign("owner", craft::DECISION, data)),
        valid: || craft::payload(&collected::decision_bytes()),
    },
    Target {
        name: "catalogue-payload",
        decode: |data| decode("catalogue", &craft::sign("owner", craft::CATALOGUE, data)),
        valid: || craft::payload(&collected::catalogue_bytes()),
    },
    Target {
        name: "fence_by_writer-payload",
        decode: |data| decode("fence_by_writer", &craft::sign("writer", craft::FENCE, data)),
        valid: || craft::payload(&collected::fence_by_writer_bytes()),
    },
    Target { name: "frame-inside", decode: frame_inside, valid: frame_inside_valid },
    Target {
        name: "pack-directory",
        decode: |data| decode("pack", &craft::pack_with_directory(data)),
        valid: || craft::table([1, 1], &[[112, 64, 1, 1]], &[("chunk a", 1)]),
    },
    Target {
        name: "segment-head",
        decode: |data| {
            let segment = craft::segment(&[Vec::new()], 0, |payload| *payload = data.to_vec());
            decode("segment", &segment)
        },
        valid: segment_head_valid,
    },
    Target {
        name: "segment-hooks",
        decode: |data| decode("segment", &craft::segment(&[data.to_vec()], 0, |_| {})),
        valid: || craft::table([0, 0], &[], &[]),
    },
    Target {
        name: "segment-table",
        decode: |data| decode("segment", &craft::segment(&[Vec::new(), data.to_vec()], 1, |_| {})),
        valid: || craft::table([1, 1], &[[112, 64, 1, 1]], &[("chunk a", 1)]),
    },
];

/// Decodes a whole object of this structure.
fn decode(structure: &str, bytes: &[u8]) -> Result<(), FormatError> {
    decoders::decoder(structure).expect("the vectors know this structure")(bytes)
}

/// Takes the numbers of a frame's head except the length of the body, then the body.
fn frame_inside(data: &[u8]) -> Result<(), FormatError> {
    const TAG_BYTES: u32 = 16;
    let Some((numbers, body)) = data.split_first_chunk::<12>() else { return Ok(()) };
    let body_bytes = u32_of(body.len()) + TAG_BYTES;
    let head = [body_bytes.to_le_bytes().as_slice(), numbers].concat();
    decode("frame", &craft::frame(&head, body))
}

fn frame_inside_valid() -> Vec<u8> {
    // Two chunks of 3 and 1 bytes, uncompressed.
    let numbers = [2_u32, 4, 0, 3, 1];
    let mut bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    bytes.extend_from_slice(b"abcd");
    bytes
}

fn segment_head_valid() -> Vec<u8> {
    let mut head = Vec::new();
    craft::segment(&[Vec::new(), craft::table([0, 0], &[], &[])], 0, |payload| head.clone_from(payload));
    head
}
