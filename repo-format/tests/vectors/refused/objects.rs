//! Cases of envelopes, configs and sessions.

use serde_cbor::Value;

use crate::craft::{self, CONFIG, SESSION, blob, cbor, edit, inner, items, key, payload, resign, sign};
use crate::fixtures;
use crate::refused::{Cases, flip};

pub fn all() -> Vec<Cases> {
    vec![envelope(), config(), session()]
}

/// An envelope written by hand from five fields of raw CBOR, in this order.
fn raw_envelope(head: &[u8], fields: [&[u8]; 5]) -> Vec<u8> {
    [head, &fields.concat()].concat()
}

fn envelope() -> Cases {
    let mut cases = Cases::of("envelope");
    let valid = fixtures::session_bytes();
    cases.add("empty", "truncated", "there is nothing", Vec::new());
    cases.add_ends(&valid);
    cases.add("not_a_map", "malformed", "it is an array", cbor(|out| drop(out.array(0))));
    cases.add(
        "version_2",
        "unsupported",
        "its version is 2",
        edit(&valid, |map| {
            map.insert(key(0), Value::Integer(2));
        }),
    );
    cases.add(
        "kind_12",
        "malformed",
        "its kind is none of 1 to 11",
        edit(&valid, |map| {
            map.insert(key(1), Value::Integer(12));
        }),
    );
    cases.add(
        "ignorable_field",
        "malformed",
        "key -1 isn't covered by the signature",
        edit(&valid, |map| {
            map.insert(key(-1), Value::Integer(0));
        }),
    );
    cases.add(
        "critical_field",
        "unsupported",
        "key 5 is critical and unknown",
        edit(&valid, |map| {
            map.insert(key(5), Value::Integer(0));
        }),
    );
    cases.add(
        "text_key",
        "malformed",
        "a key is text",
        edit(&valid, |map| {
            map.insert(Value::Text("a".into()), Value::Integer(0));
        }),
    );
    cases.add(
        "no_signature",
        "malformed",
        "key 4 is missing",
        edit(&valid, |map| {
            map.remove(&key(4));
        }),
    );
    cases.add(
        "short_signer",
        "malformed",
        "the signer's id has 7 bytes",
        edit(&valid, |map| {
            map.insert(key(3), blob(&[0; 7]));
        }),
    );
    cases.add(
        "payload_is_text",
        "malformed",
        "the payload is text",
        edit(&valid, |map| {
            map.insert(key(2), Value::Text("payload".into()));
        }),
    );

    let signer = [&[3, 0x48], fixtures::bytes::<8>("signer").as_slice()].concat();
    let signature = [&[4, 0x58, 64], [7; 64].as_slice()].concat();
    let (version, kind, payload): (&[u8], &[u8], &[u8]) = (&[0, 1], &[1, 3], &[2, 0x41, 9]);
    cases.add(
        "keys_out_of_order",
        "canonical",
        "key 1 stands before key 0",
        raw_envelope(&[0xa5], [kind, version, payload, &signer, &signature]),
    );
    cases.add(
        "key_twice",
        "canonical",
        "key 1 stands there twice",
        [raw_envelope(&[0xa6], [version, kind, kind, payload, &signer]), signature.clone()].concat(),
    );
    cases.add(
        "long_integer",
        "canonical",
        "the version takes two bytes where one would do",
        raw_envelope(&[0xa5], [&[0, 0x18, 1], kind, payload, &signer, &signature]),
    );
    cases.add(
        "indefinite_map",
        "canonical",
        "the map has no length",
        [raw_envelope(&[0xbf], [version, kind, payload, &signer, &signature]), vec![0xff]].concat(),
    );
    cases.add(
        "tagged_payload",
        "canonical",
        "the payload has a tag",
        raw_envelope(&[0xa5], [version, kind, &[2, 0xc0, 0x41, 9], &signer, &signature]),
    );
    cases.add(
        "unassigned_code",
        "malformed",
        "the version begins with the unassigned byte 1c",
        raw_envelope(&[0xa5], [&[0, 0x1c], kind, payload, &signer, &signature]),
    );
    let deep = [&[2][..], &[0x81; 200], &[0]].concat();
    cases.add(
        "too_deep",
        "malformed",
        "200 arrays stand inside one another",
        raw_envelope(&[0xa5], [version, kind, &deep, &signer, &signature]),
    );
    cases
}

fn config() -> Cases {
    let mut cases = Cases::of("config");
    let valid = fixtures::config_bytes();
    let plain = payload(&valid);
    let changed = |change: &dyn Fn(&mut craft::Map)| resign(CONFIG, &valid, |map| change(map));
    let number = |at: i128, value: i128| changed(&|map| drop(map.insert(key(at), Value::Integer(value))));
    let chunker =
        |at: i128, value: i128| changed(&|map| drop(inner(map, 3).insert(key(at), Value::Integer(value))));
    let frames =
        |at: i128, value: i128| changed(&|map| drop(inner(map, 4).insert(key(at), Value::Integer(value))));
    cases.add("signed_by_stranger", "authentic", "its signer is no owner", sign("stranger", CONFIG, &plain));
    cases.add(
        "signed_as_session",
        "authentic",
        "its kind is that of a session",
        sign("owner", SESSION, &plain),
    );
    cases.add(
        "payload_changed",
        "authentic",
        "the signature is over another payload",
        edit(&valid, |map| {
            map.insert(key(2), Value::Bytes(edit(&plain, |map| drop(map.insert(key(1), Value::Integer(2))))));
        }),
    );
    cases.add(
        "signature_changed",
        "authentic",
        "a bit of the signature is flipped",
        flip(&valid, valid.len() - 1),
    );
    cases.add(
        "other_repository",
        "authentic",
        "it names another repository",
        changed(&|map| {
            map.insert(key(0), blob(&[0; 16]));
        }),
    );
    cases.add("payload_cut_short", "truncated", "the payload's last byte is missing", {
        sign("owner", CONFIG, &plain[..plain.len() - 1])
    });
    cases.add("payload_trailing_byte", "trailing", "a byte follows the map in the payload", {
        sign("owner", CONFIG, &[plain.as_slice(), &[0]].concat())
    });
    cases.add("payload_not_canonical", "canonical", "the payload's map has no length", {
        sign("owner", CONFIG, &[&[0xbf], &plain[1..], &[0xff]].concat())
    });
    cases.add("number_over_32_bits", "malformed", "its number is 2^32", number(1, 1 << 32));
    cases.add(
        "short_previous",
        "malformed",
        "the hash of the config before has 31 bytes",
        changed(&|map| {
            map.insert(key(2), blob(&[0; 31]));
        }),
    );
    cases.add("chunker_2", "unsupported", "its chunking algorithm is 2", chunker(0, 2));
    cases.add("minimum_62", "malformed", "the smallest chunk is below 64 bytes", chunker(1, 62));
    cases.add("minimum_odd", "malformed", "the smallest chunk is odd", chunker(1, 4097));
    cases.add(
        "minimum_over_average",
        "malformed",
        "the smallest chunk is over the average",
        chunker(1, 16386),
    );
    cases.add(
        "average_no_power_of_two",
        "malformed",
        "the average isn't a power of two",
        chunker(2, 16384 + 2),
    );
    cases.add(
        "average_512",
        "malformed",
        "the average is below 1 KiB",
        changed(&|map| {
            inner(map, 3).insert(key(1), Value::Integer(128));
            inner(map, 3).insert(key(2), Value::Integer(512));
        }),
    );
    cases.add(
        "average_8_mib",
        "malformed",
        "the average is over 4 MiB",
        changed(&|map| {
            inner(map, 3).insert(key(2), Value::Integer(8 << 20));
            inner(map, 3).insert(key(3), Value::Integer(16 << 20));
        }),
    );
    cases.add(
        "maximum_below_average",
        "malformed",
        "the largest chunk is below the average",
        chunker(3, 16382),
    );
    cases.add("maximum_odd", "malformed", "the largest chunk is odd", chunker(3, 65537));
    cases.add(
        "maximum_over_16_mib",
        "malformed",
        "the largest chunk is over 16 MiB",
        chunker(3, (16 << 20) + 2),
    );
    cases.add("chunker_critical_field", "unsupported", "the chunker has key 4", chunker(4, 0));
    cases.add("data_frame_4095", "limit", "a data frame is below 4 KiB", frames(0, 4095));
    cases.add("metadata_frame_over_16_mib", "limit", "a metadata frame is over 16 MiB", {
        frames(1, (16 << 20) + 1)
    });
    cases.add("frames_critical_field", "unsupported", "the frame sizes have key 2", frames(2, 0));
    cases.add("pack_below_4_mib", "limit", "a pack is below 4 MiB", number(5, (4 << 20) - 1));
    cases.add("pack_over_128_mib", "limit", "a pack is over 128 MiB", number(5, (128 << 20) + 1));
    cases.add(
        "feature_not_text",
        "malformed",
        "a feature's name is a number",
        changed(&|map| {
            items(inner(map, 6), 0).push(Value::Integer(1));
        }),
    );
    cases.add(
        "feature_class_3",
        "unsupported",
        "there is a fourth class of features",
        changed(&|map| {
            inner(map, 6).insert(key(3), Value::Array(Vec::new()));
        }),
    );
    cases.add("no_time", "malformed", "key 7 is missing", changed(&|map| drop(map.remove(&key(7)))));
    cases.add("critical_field", "unsupported", "key 8 is critical and unknown", number(8, 0));
    cases
}

fn session() -> Cases {
    let mut cases = Cases::of("session");
    let valid = fixtures::session_bytes();
    let plain = payload(&valid);
    let changed = |change: &dyn Fn(&mut craft::Map)| resign(SESSION, &valid, |map| change(map));
    cases.add("signed_by_stranger", "authentic", "another key signed it", sign("stranger", SESSION, &plain));
    cases.add("signed_as_config", "authentic", "its kind is that of a config", sign("owner", CONFIG, &plain));
    cases.add(
        "other_repository",
        "authentic",
        "it names another repository",
        changed(&|map| {
            map.insert(key(0), blob(&[0; 16]));
        }),
    );
    cases.add(
        "other_writer",
        "authentic",
        "its id begins with another writer's",
        changed(&|map| {
            map.insert(key(1), blob(&[0; 24]));
        }),
    );
    cases.add(
        "short_id",
        "malformed",
        "its id has 23 bytes",
        changed(&|map| {
            map.insert(key(1), blob(&[0; 23]));
        }),
    );
    cases.add(
        "negative_config",
        "malformed",
        "its config's number is negative",
        changed(&|map| {
            map.insert(key(2), Value::Integer(-1));
        }),
    );
    cases.add(
        "program_is_bytes",
        "malformed",
        "its program is a byte string",
        changed(&|map| {
            map.insert(key(3), blob(b"keepfast"));
        }),
    );
    cases.add("program_not_utf8", "malformed", "its program isn't UTF-8", {
        let mut plain = plain.clone();
        let last = plain.len() - 1;
        plain[last] = 0xff;
        sign("owner", SESSION, &plain)
    });
    cases.add(
        "critical_field",
        "unsupported",
        "key 4 is critical and unknown",
        changed(&|map| {
            map.insert(key(4), Value::Integer(0));
        }),
    );
    cases
}
