//! Cases of key slots, keyrings, snapshots and FENCEs.

use serde_cbor::Value;

use crate::craft::{
    self, FENCE, KEYRING, SESSION, SNAPSHOT, blob, box_secrets, edit, fence_payload, inner, items, key,
    keyring_box, payload, resign, sign, slot_secrets, slot_with, snapshot_body, snapshot_with_body,
};
use crate::fixtures;
use crate::refused::{Cases, flip};

pub fn all() -> Vec<Cases> {
    vec![slot(), keyring(), snapshot(), snapshot_body_cases(), fence()]
}

fn slot() -> Cases {
    let mut cases = Cases::of("slot");
    let valid = fixtures::slot_bytes();
    let changed = |at: i128, value: Value| edit(&valid, |map| drop(map.insert(key(at), value.clone())));
    let kdf = |at: i128, value: i128| {
        edit(&valid, |map| drop(inner(map, 2).insert(key(at), Value::Integer(value))))
    };
    cases.add_ends(&valid);
    cases.add("version_2", "unsupported", "its version is 2", changed(0, Value::Integer(2)));
    cases.add("kind_2", "unsupported", "it isn't opened by a password", changed(1, Value::Integer(2)));
    cases.add("memory_over_4_gib", "limit", "Argon2id is to take over 4 GiB", kdf(0, (4 << 20) + 1));
    cases.add("passes_65", "limit", "Argon2id is to make 65 passes", kdf(1, 65));
    cases.add("lanes_65", "limit", "Argon2id is to use 65 lanes", kdf(2, 65));
    cases.add(
        "memory_below_lanes",
        "malformed",
        "8 lanes don't fit into 63 KiB",
        edit(&valid, |map| {
            inner(map, 2).insert(key(0), Value::Integer(63));
            inner(map, 2).insert(key(2), Value::Integer(8));
        }),
    );
    cases.add("passes_0", "malformed", "Argon2id makes one pass or more", kdf(1, 0));
    cases.add(
        "short_salt",
        "malformed",
        "the salt has 15 bytes",
        edit(&valid, |map| {
            inner(map, 2).insert(key(3), blob(&[0; 15]));
        }),
    );
    cases.add("kdf_critical_field", "unsupported", "the cost has key 4", kdf(4, 0));
    cases.add("short_nonce", "malformed", "the nonce has 12 bytes", changed(3, blob(&[0; 12])));
    cases.add(
        "other_nonce",
        "authentic",
        "the nonce isn't the one it was sealed with",
        changed(3, blob(&[0; 24])),
    );
    cases.add("other_commitment", "key", "the password leads to another key", changed(4, blob(&[0; 32])));
    cases.add(
        "sealed_cut_short",
        "truncated",
        "what is sealed is shorter than a tag",
        changed(5, blob(&[0; 15])),
    );
    cases.add(
        "sealed_changed",
        "authentic",
        "a bit of what is sealed is flipped",
        flip(&valid, valid.len() - 1),
    );
    cases.add(
        "no_sealed_part",
        "malformed",
        "key 5 is missing",
        edit(&valid, |map| drop(map.remove(&key(5)))),
    );
    cases.add(
        "critical_field",
        "unsupported",
        "key 6 is critical and unknown",
        changed(6, Value::Integer(0)),
    );

    let owners = [craft::verifying_key("owner")];
    let secrets = slot_secrets("owner", 0, &owners);
    cases.add("role_3", "malformed", "the sealed role is 3", slot_with(&slot_secrets("owner", 3, &owners)));
    cases.add("short_owner_key", "malformed", "an owner's sealed key has 31 bytes", {
        slot_with(&edit(&secrets, |map| items(map, 4).push(blob(&[0; 31]))))
    });
    cases.add("sealed_critical_field", "unsupported", "the sealed map has key 5", {
        slot_with(&edit(&secrets, |map| drop(map.insert(key(5), Value::Integer(0)))))
    });
    cases.add("sealed_trailing_byte", "trailing", "a byte follows the sealed map", {
        slot_with(&[secrets.as_slice(), &[0]].concat())
    });
    cases
}

fn keyring() -> Cases {
    let mut cases = Cases::of("keyring");
    let valid = fixtures::keyring_bytes();
    let plain = payload(&valid);
    let changed = |change: &dyn Fn(&mut craft::Map)| resign(KEYRING, &valid, |map| change(map));
    let boxed = |new: Value| changed(&|map| *items(first(map, 4), 3) = vec![new.clone()]);
    cases.add("signed_by_stranger", "authentic", "its signer is no owner", sign("stranger", KEYRING, &plain));
    cases.add(
        "signed_as_session",
        "authentic",
        "its kind is that of a session",
        sign("owner", SESSION, &plain),
    );
    cases.add(
        "other_repository",
        "authentic",
        "it names another repository",
        changed(&|map| {
            map.insert(key(0), blob(&[0; 16]));
        }),
    );
    cases.add(
        "holders_not_maps",
        "malformed",
        "a holder is a number",
        changed(&|map| {
            items(map, 3).push(Value::Integer(0));
        }),
    );
    cases.add(
        "role_3",
        "malformed",
        "a holder's role is 3",
        changed(&|map| {
            first(map, 3).insert(key(0), Value::Integer(3));
        }),
    );
    cases.add(
        "short_agreement_key",
        "malformed",
        "a holder's X25519 key has 31 bytes",
        changed(&|map| {
            first(map, 3).insert(key(1), blob(&[0; 31]));
        }),
    );
    cases.add(
        "holder_critical_field",
        "unsupported",
        "a holder has key 3",
        changed(&|map| {
            first(map, 3).insert(key(3), Value::Integer(0));
        }),
    );
    cases.add(
        "domain_version_over_32_bits",
        "malformed",
        "a key version is 2^32",
        changed(&|map| {
            first(map, 4).insert(key(1), Value::Integer(1 << 32));
        }),
    );
    cases.add(
        "other_domain_version",
        "authentic",
        "the box was sealed for key version 1",
        changed(&|map| {
            first(map, 4).insert(key(1), Value::Integer(2));
        }),
    );
    cases.add(
        "other_sealing_key",
        "authentic",
        "the box was sealed for another public key",
        changed(&|map| {
            first(map, 4).insert(key(2), blob(&craft::verifying_key("stranger")));
        }),
    );
    cases.add(
        "domain_critical_field",
        "unsupported",
        "a domain has key 4",
        changed(&|map| {
            first(map, 4).insert(key(4), Value::Integer(0));
        }),
    );
    cases.add(
        "critical_field",
        "unsupported",
        "key 5 is critical and unknown",
        changed(&|map| {
            map.insert(key(5), Value::Integer(0));
        }),
    );
    let own = keyring_box("owner", &box_secrets(true));
    let edited = |at: i128, value: Value| {
        let Value::Map(mut map) = own.clone() else { unreachable!("a box is a map") };
        map.insert(key(at), value);
        boxed(Value::Map(map))
    };
    cases.add(
        "box_ephemeral_zero",
        "malformed",
        "a box's public key is of small order",
        edited(1, blob(&[0; 32])),
    );
    cases.add("box_cut_short", "truncated", "a box is shorter than a tag", edited(2, blob(&[0; 15])));
    cases.add("box_changed", "authentic", "a box holds other bytes", edited(2, blob(&[0; 200])));
    cases.add("box_critical_field", "unsupported", "a box has key 3", edited(3, Value::Integer(0)));
    cases.add("box_without_index_key", "malformed", "the sealed map lacks key 2", {
        boxed(keyring_box("owner", &edit(&box_secrets(true), |map| drop(map.remove(&key(2))))))
    });
    cases.add("box_of_another_pair", "malformed", "the sealing keys aren't a pair", {
        boxed(keyring_box(
            "owner",
            &edit(&box_secrets(true), |map| {
                map.insert(key(4), blob(&[7; 32]));
            }),
        ))
    });
    cases.add("box_sealed_critical_field", "unsupported", "the sealed map has key 5", {
        boxed(keyring_box(
            "owner",
            &edit(&box_secrets(true), |map| {
                map.insert(key(5), Value::Integer(0));
            }),
        ))
    });
    cases.add("box_sealed_trailing_byte", "trailing", "a byte follows the sealed map", {
        boxed(keyring_box("owner", &[box_secrets(true), vec![0]].concat()))
    });
    cases
}

/// The first map of an array inside a map.
fn first(map: &mut craft::Map, at: i128) -> &mut craft::Map {
    match items(map, at).first_mut() {
        Some(Value::Map(first)) => first,
        _ => panic!("a map inside the array"),
    }
}

fn snapshot() -> Cases {
    let mut cases = Cases::of("snapshot");
    let valid = fixtures::snapshot_bytes();
    let plain = payload(&valid);
    let changed = |change: &dyn Fn(&mut craft::Map)| resign(SNAPSHOT, &valid, |map| change(map));
    cases.add(
        "signed_by_stranger",
        "authentic",
        "its signer may not write",
        sign("stranger", SNAPSHOT, &plain),
    );
    cases.add(
        "signed_as_session",
        "authentic",
        "its kind is that of a session",
        sign("owner", SESSION, &plain),
    );
    cases.add(
        "other_repository",
        "authentic",
        "it names another repository",
        changed(&|map| {
            map.insert(key(0), blob(&[0; 16]));
        }),
    );
    cases.add(
        "other_session",
        "authentic",
        "it names another session of the writer",
        changed(&|map| {
            map.insert(key(1), blob(&[&craft::holder_id("owner")[..], &[0; 16]].concat()));
        }),
    );
    cases.add(
        "short_pack_list",
        "malformed",
        "the hash of the packs has 31 bytes",
        changed(&|map| {
            map.insert(key(7), blob(&[0; 31]));
        }),
    );
    cases.add(
        "head_critical_field",
        "unsupported",
        "a seen head has key 3",
        changed(&|map| {
            first(map, 8).insert(key(3), Value::Integer(0));
        }),
    );
    cases.add(
        "unknown_key_version",
        "key",
        "nobody has its keys",
        changed(&|map| {
            map.insert(key(10), Value::Integer(2));
        }),
    );
    cases.add("no_body", "malformed", "key 11 is missing", changed(&|map| drop(map.remove(&key(11)))));
    cases.add(
        "critical_field",
        "unsupported",
        "key 12 is critical and unknown",
        changed(&|map| {
            map.insert(key(12), Value::Integer(0));
        }),
    );
    cases.add(
        "body_cut_short",
        "truncated",
        "the body is shorter than a tag",
        changed(&|map| {
            map.insert(key(11), blob(&[0; 15]));
        }),
    );
    cases.add(
        "body_changed",
        "authentic",
        "the body holds other bytes",
        changed(&|map| {
            map.insert(key(11), blob(&[0; 200]));
        }),
    );
    cases
}

fn snapshot_body_cases() -> Cases {
    let mut cases = Cases::of("snapshot");
    let body = snapshot_body();
    let changed = |at: i128, value: Value| {
        snapshot_with_body(&edit(&body, |map| drop(map.insert(key(at), value.clone()))))
    };
    let ints = |numbers: &[i128]| Value::Array(numbers.iter().copied().map(Value::Integer).collect());
    cases.add("body_trailing_byte", "trailing", "a byte follows the sealed map", {
        snapshot_with_body(&[body.as_slice(), &[0]].concat())
    });
    cases.add("body_not_canonical", "canonical", "the sealed map has no length", {
        snapshot_with_body(&[&[0xbf], &body[1..], &[0xff]].concat())
    });
    cases.add("time_of_one_number", "malformed", "the start isn't a pair", changed(0, ints(&[1])));
    cases.add(
        "time_nanoseconds",
        "malformed",
        "the end has 10^9 nanoseconds",
        changed(1, ints(&[1, 1_000_000_000])),
    );
    cases.add("host_is_bytes", "malformed", "the host is a byte string", changed(2, blob(b"host")));
    cases.add("path_is_text", "malformed", "a path is text", {
        changed(4, Value::Array(vec![Value::Text("/home".into())]))
    });
    cases.add(
        "tag_is_bytes",
        "malformed",
        "a tag is a byte string",
        changed(5, Value::Array(vec![blob(b"t")])),
    );
    cases.add("short_parent", "malformed", "the parent's id has 23 bytes", changed(6, blob(&[0; 23])));
    cases.add("no_tree", "malformed", "key 7 is missing", {
        snapshot_with_body(&edit(&body, |map| drop(map.remove(&key(7)))))
    });
    cases.add("short_state", "malformed", "the state's id has 31 bytes", changed(8, blob(&[0; 31])));
    cases.add(
        "hard_links_trailing",
        "trailing",
        "a byte follows the blob's content",
        changed(9, blob(&[0x81, 0, 0])),
    );
    cases.add(
        "hard_links_not_canonical",
        "canonical",
        "a level takes two bytes",
        changed(9, blob(&[0x81, 0x18, 0])),
    );
    cases.add("hard_links_too_deep", "limit", "the blob's list is of level 13", {
        changed(9, blob(&[&[0x82, 13, 0x58, 32][..], &[0; 32]].concat()))
    });
    cases.add("user_without_name", "malformed", "a user has no name", changed(10, ints(&[0])));
    cases.add("group_over_32_bits", "malformed", "a group's number is 2^32", {
        changed(11, Value::Array(vec![Value::Integer(1 << 32), blob(b"g")]))
    });
    cases.add("statistics_critical_field", "unsupported", "the statistics have key 9", {
        snapshot_with_body(&edit(&body, |map| drop(inner(map, 12).insert(key(9), Value::Integer(0)))))
    });
    cases.add(
        "body_critical_field",
        "unsupported",
        "the sealed map has key 14",
        changed(14, Value::Integer(0)),
    );
    cases
}

fn fence() -> Cases {
    let mut cases = Cases::of("snapshot");
    let sid = fixtures::session_id().to_bytes();
    let plain = fence_payload(&sid);
    cases.add(
        "fence_by_stranger",
        "authentic",
        "the FENCE's signer is no owner",
        sign("stranger", FENCE, &plain),
    );
    cases.add("fence_of_another_session", "authentic", "the FENCE names another session", {
        sign("owner", FENCE, &fence_payload(&[0; 24]))
    });
    cases.add("fence_of_another_repository", "authentic", "the FENCE names another repository", {
        sign("owner", FENCE, &edit(&plain, |map| drop(map.insert(key(0), blob(&[0; 16])))))
    });
    cases.add("fence_critical_field", "unsupported", "the FENCE has key 2", {
        sign("owner", FENCE, &edit(&plain, |map| drop(map.insert(key(2), Value::Integer(0)))))
    });
    cases
}
