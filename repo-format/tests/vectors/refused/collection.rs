//! Cases of the objects of garbage collection: condemned, ack, verdict, decision, catalogue, and the FENCE of
//! a session's own writer.

use serde_cbor::Value;

use crate::craft::{
    self, ACK, CATALOGUE, CONDEMNED, DECISION, FENCE, Map, VERDICT, blob, byte_string, edit, key, payload,
    sign, sign_in,
};
use crate::refused::{Cases, flip};
use crate::{collected, fixtures};

/// A valid signed object, and its signer.
struct Signed {
    cases: Cases,
    signer: &'static str,
    kind: u8,
    valid: Vec<u8>,
}

pub fn all() -> Vec<Cases> {
    vec![condemned(), ack(), verdict(), verdict_by_ids(), decision(), catalogue(), fence_by_writer()]
}

impl Signed {
    /// An object, with the cases that all signed objects have. `other` is another kind.
    fn of(structure: &'static str, signer: &'static str, kind: u8, other: u8, valid: Vec<u8>) -> Self {
        let mut signed = Self { cases: Cases::of(structure), signer, kind, valid };
        signed.cases.add_ends(&signed.valid);
        let plain = payload(&signed.valid);
        signed.by("stranger", "signed_by_stranger", "its signer is no holder of keys");
        let as_other = sign(signer, other, &plain);
        signed.cases.add("signed_as_another_kind", "authentic", "its kind is another one", as_other);
        let elsewhere = sign_in(&[0; 16], signer, kind, &plain);
        let why = "it was signed for another repository, though it names this one";
        signed.cases.add("signed_in_another_repository", "authentic", why, elsewhere);
        let flipped = flip(&signed.valid, signed.valid.len() - 1);
        signed.cases.add("signature_changed", "authentic", "a bit of the signature is flipped", flipped);
        signed.put(0, blob(&[0; 16]), "other_repository", "authentic", "it names another repository");
        signed.put(0, blob(&[0; 15]), "short_repository", "malformed", "the repository's id has 15 bytes");
        let inside = |plain: &[u8]| sign(signer, kind, plain);
        let cut = inside(&plain[..plain.len() - 1]);
        signed.cases.add("payload_cut_short", "truncated", "the payload's last byte is missing", cut);
        let longer = inside(&[plain.as_slice(), &[0]].concat());
        signed.cases.add(
            "payload_trailing_byte",
            "trailing",
            "a byte follows the map in the payload",
            longer,
        );
        let indefinite = inside(&[&[0xbf], &plain[1..], &[0xff]].concat());
        signed.cases.add("payload_not_canonical", "canonical", "the payload's map has no length", indefinite);
        let array = inside(&[0x80]);
        signed.cases.add("payload_is_an_array", "malformed", "the payload is an array", array);
        signed
    }

    fn by(&mut self, label: &str, name: &'static str, why: &'static str) {
        let bytes = sign(label, self.kind, &payload(&self.valid));
        self.cases.add(name, "authentic", why, bytes);
    }

    /// Cases of signers that hold keys, but not those of a trusted owner.
    fn by_others_than_the_owner(&mut self) {
        self.by("writer", "signed_by_writer", "its signer is a writer and no owner");
        self.by("another owner", "signed_by_another_owner", "its signer is an owner whom no slot pins");
    }

    fn change(&self, change: impl FnOnce(&mut Map)) -> Vec<u8> {
        sign(self.signer, self.kind, &edit(&payload(&self.valid), change))
    }

    fn put(&mut self, at: i128, value: Value, name: &'static str, expect: &'static str, why: &'static str) {
        let bytes = self.change(|map| drop(map.insert(key(at), value)));
        self.cases.add(name, expect, why, bytes);
    }

    /// Cases of a number of 32 bits that the object's name repeats.
    fn number(&mut self, at: i128, other: u32) {
        let other = Value::Integer(other.into());
        self.put(at, other, "other_number", "authentic", "its number isn't its name's");
        let over = Value::Integer(1 << 32);
        self.put(at, over, "number_over_32_bits", "malformed", "its number is 2^32");
        self.put(at, Value::Integer(-1), "number_negative", "malformed", "its number is negative");
        let missing = self.change(|map| drop(map.remove(&key(at))));
        self.cases.add("no_number", "malformed", "its number is missing", missing);
    }

    /// Cases of the session that an object is about.
    fn session(&mut self, at: i128) {
        let sid = fixtures::session_id().to_bytes();
        self.put(at, blob(&sid), "other_session", "authentic", "it is about another session");
        self.put(at, blob(&[0; 23]), "short_session", "malformed", "the session's id has 23 bytes");
    }

    /// Cases of a list of items of `size` bytes, of which the valid object has two or more.
    fn list(&mut self, at: i128, size: usize, names: [&'static str; 5]) {
        let [within, descends, twice, text, missing] = names;
        let list = byte_string(&payload(&self.valid), at);
        assert!(list.len() >= 2 * size && list.len().is_multiple_of(size), "a list of two or more");
        let (first, rest) = list.split_at(size);
        let short = blob(&list[..list.len() - 1]);
        self.put(at, short, within, "malformed", "a list ends within an item");
        let turned = [&rest[..size], first, &rest[size..]].concat();
        self.put(at, blob(&turned), descends, "malformed", "a list doesn't ascend");
        let again = [first, first, rest].concat();
        self.put(at, blob(&again), twice, "malformed", "an item stands in a list twice");
        self.put(at, Value::Text("a".into()), text, "malformed", "a list is text");
        let without = self.change(|map| drop(map.remove(&key(at))));
        self.cases.add(missing, "malformed", "a list is missing", without);
    }

    /// The case of the first key that has no meaning.
    fn critical(mut self, at: i128) -> Cases {
        let name = "critical_field";
        self.put(at, Value::Integer(0), name, "unsupported", "it has a critical field that is unknown");
        self.cases
    }
}

fn condemned() -> Cases {
    let mut signed = Signed::of("condemned", "owner", CONDEMNED, VERDICT, collected::condemned_bytes());
    signed.by_others_than_the_owner();
    signed.number(1, collected::EPOCH + 1);
    signed.list(2, 56, ["packs_within_an_item", "packs_descend", "pack_twice", "packs_are_text", "no_packs"]);
    signed.list(
        3,
        24,
        [
            "snapshots_within_an_item",
            "snapshots_descend",
            "snapshot_twice",
            "snapshots_are_text",
            "no_snapshots",
        ],
    );
    signed.critical(4)
}

fn ack() -> Cases {
    let mut signed = Signed::of("ack", "writer", ACK, VERDICT, collected::ack_bytes());
    signed.by("another writer", "signed_by_another_writer", "its signer isn't the session's writer");
    signed.by("owner", "signed_by_owner", "its signer is an owner, but not the session's writer");
    signed.number(1, collected::EPOCH + 1);
    signed.session(2);
    let by_ids = signed.change(|map| {
        map.remove(&key(4));
        map.insert(key(3), blob(&[7; 32]));
    });
    signed.cases.add("objections_by_ids", "malformed", "it objects to ids and names no pack", by_ids);
    signed.list(
        4,
        56,
        [
            "objections_within_an_item",
            "objections_descend",
            "objection_twice",
            "objections_are_text",
            "no_objections",
        ],
    );
    signed.critical(5)
}

fn verdict() -> Cases {
    let mut signed = Signed::of("verdict", "owner", VERDICT, CONDEMNED, collected::verdict_bytes());
    signed.by_others_than_the_owner();
    signed.number(1, collected::EPOCH + 1);
    signed.list(3, 56, ["packs_within_an_item", "packs_descend", "pack_twice", "packs_are_text", "no_packs"]);
    signed.put(2, blob(&[7; 32]), "names_and_ids", "unsupported", "it has names and ids of packs");
    signed.critical(4)
}

/// The verdict of an older program.
fn verdict_by_ids() -> Cases {
    let valid = collected::verdict_by_ids_bytes();
    let mut signed = Signed::of("verdict_by_ids", "owner", VERDICT, CONDEMNED, valid);
    signed.list(2, 32, ["ids_within_an_item", "ids_descend", "id_twice", "ids_are_text", "no_ids"]);
    signed.cases
}

fn decision() -> Cases {
    let mut signed = Signed::of("decision", "owner", DECISION, CATALOGUE, collected::decision_bytes());
    signed.by_others_than_the_owner();
    signed.session(1);
    signed.number(2, collected::DECISION_N + 1);
    signed.put(3, Value::Integer(3), "unknown_decision", "malformed", "it decides nothing known");
    signed.put(3, Value::Text("forgotten".into()), "decision_is_text", "malformed", "its decision is text");
    let without = signed.change(|map| drop(map.remove(&key(3))));
    signed.cases.add("no_decision", "malformed", "its decision is missing", without);
    signed.critical(4)
}

fn catalogue() -> Cases {
    let mut signed = Signed::of("catalogue", "owner", CATALOGUE, DECISION, collected::catalogue_bytes());
    signed.by_others_than_the_owner();
    signed.number(1, collected::CATALOGUE_N + 1);
    signed.list(
        2,
        24,
        ["sessions_within_an_item", "sessions_descend", "session_twice", "sessions_are_text", "no_sessions"],
    );
    signed.critical(3)
}

/// A FENCE in the register of a session whose writer isn't an owner.
fn fence_by_writer() -> Cases {
    let valid = collected::fence_by_writer_bytes();
    let mut signed = Signed::of("fence_by_writer", "writer", FENCE, craft::SESSION, valid);
    signed.by("another writer", "signed_by_another_writer", "its signer isn't the session's writer");
    signed.by("another owner", "signed_by_another_owner", "its signer is an owner whom no slot pins");
    signed.session(1);
    signed.critical(2)
}
