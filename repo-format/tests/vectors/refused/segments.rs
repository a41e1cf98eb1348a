//! Cases of index segments.

use crate::craft::{self, SEGMENT, segment, segment_with_head, sign, table};
use crate::fixtures::bytes;
use crate::refused::{Cases, flip, put};
use keepfast_format::numbers::usize_of;

pub fn all() -> Vec<Cases> {
    vec![heads(), sections()]
}

/// Places of fields in the head's payload, up to the first pack.
const SESSION: usize = 16;
const NUMBER: usize = 40;
const SUITE: usize = 44;
const HOOK_BITS: usize = 45;
const HOOKS: usize = 82;
const COUNT: usize = 118;
const PACK_KIND: usize = 122 + 32;
const PACK_CHUNKS: usize = PACK_KIND + 9;
const PACK_SECTION: usize = PACK_CHUNKS + 4;

/// The plaintexts of a segment of one pack with one chunk.
fn plain() -> Vec<Vec<u8>> {
    vec![Vec::new(), table([1, 1], &[[112, 99, 7, 1]], &[("chunk", 7)])]
}

/// The same with some bytes of the head replaced.
fn with(at: usize, new: &[u8]) -> Vec<u8> {
    segment(&plain(), 1, |payload| *payload = put(payload, at, new))
}

fn heads() -> Cases {
    let mut cases = Cases::of("segment");
    let valid = segment(&plain(), 1, |_| {});
    let head_bytes = usize_of(u32::from_le_bytes([valid[8], valid[9], valid[10], valid[11]]));
    let (head, rest) = valid[12..].split_at(head_bytes);
    cases.add("magic", "malformed", "it begins with other letters", flip(&valid, 0));
    cases.add("front_cut_short", "truncated", "it has 11 bytes", valid[..11].to_vec());
    cases.add("head_over_limit", "limit", "its head is over 4 MiB", put(&valid, 8, &[1, 0, 64, 0]));
    cases.add(
        "head_cut_short",
        "truncated",
        "it ends inside of its head",
        valid[..12 + head_bytes - 1].to_vec(),
    );
    cases.add("signed_by_stranger", "authentic", "its signer may not write", {
        segment_with_head(&sign("stranger", SEGMENT, &craft::payload(head)), rest)
    });
    cases.add("signed_as_session", "authentic", "its head's kind is that of a session", {
        segment_with_head(&sign("owner", craft::SESSION, &craft::payload(head)), rest)
    });
    cases.add("other_repository", "authentic", "it names another repository", with(0, &[0; 16]));
    cases.add("other_session", "authentic", "it names another session", with(SESSION + 8, &[0; 16]));
    cases.add("other_number", "authentic", "it is number 4 and named as number 3", with(NUMBER, &[4]));
    cases.add("suite_2", "unsupported", "its cipher suite is 2", with(SUITE, &[2]));
    cases.add("hook_bits_5", "malformed", "its hooks are denser than one in 64", with(HOOK_BITS, &[5]));
    cases.add("packs_over_limit", "limit", "it lists 4097 packs", with(COUNT, &[1, 16]));
    cases.add("pack_missing", "truncated", "it lists two packs and has one", with(COUNT, &[2]));
    cases.add("pack_too_many", "trailing", "it lists no pack and has one", with(COUNT, &[0]));
    cases.add("pack_kind_2", "malformed", "a pack holds neither data nor metadata", with(PACK_KIND, &[2]));
    cases.add("chunks_over_limit", "limit", "a pack has 2^20 + 1 chunks", with(PACK_CHUNKS, &[1, 0, 16, 0]));
    cases.add("section_over_limit", "limit", "a section is over 1 GiB", with(PACK_SECTION, &[1, 0, 0, 64]));
    cases.add("section_below_a_tag", "truncated", "the hooks have 15 bytes", with(HOOKS, &[15]));
    cases
}

fn sections() -> Cases {
    let mut cases = Cases::of("segment");
    let valid = segment(&plain(), 1, |_| {});
    cases.add_ends(&valid);
    cases.add("section_changed", "authentic", "a bit of a section is flipped", flip(&valid, valid.len() - 1));
    cases.add("section_hash", "authentic", "a section's hash is another", with(PACK_SECTION + 4, &[0; 32]));
    cases.add("other_salt", "authentic", "its salt isn't the one of its key", with(HOOKS - 16, &[0; 16]));
    let hooks = |id: [u8; 32], ordinal: u32| {
        let hook = [&id[..], &ordinal.to_le_bytes()].concat();
        segment(&[hook, plain()[1].clone()], 1, |_| {})
    };
    let mut hook: [u8; 32] = bytes("hook 0");
    hook[0] = 0x60;
    cases.add("hook_of_five_bits", "malformed", "a hook's id has five low zero bits", hooks(hook, 0));
    hook[0] = 0x40;
    cases.add("hook_of_no_pack", "malformed", "a hook is in pack 1 of one pack", hooks(hook, 1));
    cases.add("hook_cut_short", "truncated", "the last hook has no pack", {
        segment(&[hook.to_vec(), plain()[1].clone()], 1, |_| {})
    });
    cases.add("chunk_count", "malformed", "the head says two chunks, the table has one", {
        segment(&plain(), 2, |_| {})
    });
    cases.add("table_trailing_byte", "trailing", "a byte follows a table", {
        segment(&[Vec::new(), [plain()[1].as_slice(), &[0]].concat()], 1, |_| {})
    });
    cases.add("table_cut_short", "truncated", "a table's last byte is missing", {
        let table = &plain()[1];
        segment(&[Vec::new(), table[..table.len() - 1].to_vec()], 1, |_| {})
    });
    cases.add("table_frame_offset", "malformed", "a table's frame begins inside of the header", {
        segment(&[Vec::new(), table([1, 1], &[[111, 99, 7, 1]], &[("chunk", 7)])], 1, |_| {})
    });
    cases
}
