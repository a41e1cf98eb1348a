//! Cases of packs and frames.

use crate::craft::{self, footer, frame_head, pack_with_directory, table};
use crate::fixtures;
use crate::refused::{Cases, flip, put};
use keepfast_format::numbers::{u32_of, u64_of, usize_of};

pub fn all() -> Vec<Cases> {
    vec![header(), place(), whole(), directory(), frame()]
}

fn header() -> Cases {
    let mut cases = Cases::of("pack_header");
    let valid = fixtures::pack_cipher().header().to_vec();
    cases.add("cut_short", "truncated", "it has 111 bytes", valid[..111].to_vec());
    cases.add("magic", "malformed", "it begins with other letters", flip(&valid, 0));
    cases.add("version_2", "unsupported", "its version is 2", put(&valid, 8, &[2]));
    cases.add("suite_2", "unsupported", "its cipher suite is 2", put(&valid, 9, &[2]));
    cases.add("kind_2", "malformed", "it holds neither data nor metadata", put(&valid, 10, &[2]));
    cases.add("reserved", "malformed", "the reserved byte is 1", put(&valid, 11, &[1]));
    cases
}

fn place() -> Cases {
    let mut cases = Cases::of("pack_footer");
    let valid = footer(400, 300);
    cases.add("cut_short", "truncated", "it has 23 bytes", valid[1..].to_vec());
    cases.add("magic", "malformed", "it ends with other letters", flip(&valid, 23));
    cases.add("reserved", "malformed", "a reserved byte is 1", put(&valid, 15, &[1]));
    cases.add("inside_the_header", "malformed", "the directory begins at byte 111", footer(111, 300));
    cases.add("into_the_footer", "malformed", "the directory ends at byte 977 of 1000", footer(400, 577));
    cases.add("beyond_64_bits", "malformed", "the directory's end is over 2^64", footer(u64::MAX, 1));
    cases
}

fn whole() -> Cases {
    let mut cases = Cases::of("pack");
    let (valid, table) = fixtures::pack();
    let frames_end = usize_of(table.frames[1].offset) + usize_of(table.frames[1].sealed_bytes);
    cases.add("inside_the_header", "truncated", "it has 100 bytes", valid[..100].to_vec());
    cases.add("without_a_footer", "malformed", "it ends after its frames", valid[..frames_end].to_vec());
    cases.add("last_byte_missing", "malformed", "its footer isn't whole", valid[..valid.len() - 1].to_vec());
    cases.add(
        "byte_behind_the_footer",
        "malformed",
        "it ends one byte late",
        [valid.as_slice(), &[0]].concat(),
    );
    cases.add("other_kind", "authentic", "it was sealed as data", put(&valid, 10, &[1]));
    cases.add("other_key_version", "authentic", "its key version is 2", put(&valid, 12, &[2]));
    cases.add("other_domain", "authentic", "its domain is another", flip(&valid, 16));
    cases.add("other_repository", "authentic", "its repository is another", flip(&valid, 32));
    cases.add("other_ephemeral", "authentic", "its ephemeral key is another", flip(&valid, 48));
    cases.add(
        "ephemeral_zero",
        "malformed",
        "its ephemeral key is of small order",
        put(&valid, 48, &[0; 32]),
    );
    cases.add("other_commitment", "authentic", "its key commitment is another", flip(&valid, 80));
    cases.add(
        "directory_changed",
        "authentic",
        "a bit of the directory is flipped",
        flip(&valid, frames_end),
    );
    let sealed_bytes = 16 + 8 + 16 * 2 + 36 * 5;
    let moved = footer(u64_of(frames_end) + 1, sealed_bytes - 1);
    cases.add("directory_moved", "authentic", "the footer points a byte behind the directory's begin", {
        put(&valid, valid.len() - 24, &moved)
    });

    let chunk = |label: &str| vec![fixtures::stream(label, 17)];
    let (mut swapped, table) = fixtures::pack_of(&[chunk("a"), chunk("b")], 4 << 20);
    let length = usize_of(table.frames[0].sealed_bytes);
    let (first, second) = swapped[112..112 + 2 * length].split_at_mut(length);
    first.swap_with_slice(second);
    cases.add("frames_swapped", "authentic", "its two frames have changed places", swapped);
    cases
}

fn directory() -> Cases {
    let mut cases = Cases::of("pack");
    let (_, valid) = fixtures::pack();
    let [one, two] = [valid.frames[0], valid.frames[1]];
    let (first, second) = ([112, one.sealed_bytes, 317, 3], [two.offset, two.sealed_bytes, 1400, 2]);
    let chunks = [("a", 300), ("b", 17), ("c", 0), ("d", 900), ("e", 500)];
    let whole = table([2, 5], &[first, second], &chunks);
    let with = |frames: &[[u32; 4]]| pack_with_directory(&table([u32_of(frames.len()), 5], frames, &chunks));
    cases.add("directory_trailing_byte", "trailing", "a byte follows the last chunk", {
        pack_with_directory(&[whole.as_slice(), &[0]].concat())
    });
    cases.add("directory_cut_short", "truncated", "the last chunk's last byte is missing", {
        pack_with_directory(&whole[..whole.len() - 1])
    });
    cases.add("directory_of_three_bytes", "truncated", "there is no count of chunks", {
        pack_with_directory(&whole[..3])
    });
    cases.add(
        "frames_over_limit",
        "limit",
        "it lists 65537 frames",
        pack_with_directory(&put(&whole, 0, &[1, 0, 1, 0])),
    );
    cases.add("chunks_over_limit", "limit", "it lists 2^20 + 1 chunks", {
        pack_with_directory(&put(&whole, 4, &[1, 0, 16, 0]))
    });
    cases.add("frame_offset", "malformed", "the second frame begins a byte late", {
        with(&[first, [two.offset + 1, two.sealed_bytes, 1400, 2]])
    });
    cases.add("frame_of_47_bytes", "malformed", "a frame is shorter than its two tags and its head", {
        with(&[[112, 47, 317, 3], second])
    });
    cases.add("frame_plaintext", "malformed", "a frame's chunks are a byte shorter than it says", {
        with(&[[112, one.sealed_bytes, 318, 3], second])
    });
    cases.add("too_few_chunks", "malformed", "the frames have one chunk fewer than is listed", {
        let mut listed = chunks.to_vec();
        listed.push(("f", 0));
        pack_with_directory(&table([2, 6], &[first, second], &listed))
    });
    cases.add("too_many_chunks", "malformed", "the frames have one chunk more than is listed", {
        with(&[first, [two.offset, two.sealed_bytes, 1400, 3]])
    });
    cases.add("frame_plaintext_over_limit", "malformed", "a frame's plaintext is over 32 MiB", {
        let big = [("a", 16 << 20), ("b", 16 << 20), ("c", 1)];
        let frame = [112, two.offset + two.sealed_bytes - 112, (32 << 20) + 1, 3];
        pack_with_directory(&table([1, 3], &[frame], &big))
    });
    cases.add("frames_end_early", "malformed", "the directory doesn't begin where the listed frames end", {
        pack_with_directory(&table([1, 3], &[first], &chunks[..3]))
    });
    cases.add("pack_over_limit", "malformed", "its frames end over 192 MiB", {
        pack_with_directory(&table([1, 0], &[[112, 192 << 20, 0, 0]], &[]))
    });
    cases
}

fn frame() -> Cases {
    let mut cases = Cases::of("frame");
    let valid = fixtures::frame();
    let plain = fixtures::stream("frame body", 40);
    let body = [&20_u32.to_le_bytes()[..], &20_u32.to_le_bytes(), &plain].concat();
    let sealed = u32_of(body.len()) + 16;
    let with_head = |fields: [u32; 4]| craft::frame(&frame_head(fields), &body);
    cases.add("cut_in_its_head", "truncated", "it has 31 bytes", valid[..31].to_vec());
    cases.add("cut_in_its_body", "malformed", "its last byte is missing", valid[..valid.len() - 1].to_vec());
    cases.add(
        "trailing_byte",
        "malformed",
        "it is longer than its head says",
        [valid.as_slice(), &[0]].concat(),
    );
    cases.add("head_changed", "authentic", "a bit of its head is flipped", flip(&valid, 5));
    cases.add("body_changed", "authentic", "a bit of its body is flipped", flip(&valid, 40));
    let chunks = &fixtures::frames_plain()[0];
    cases.add("other_number", "authentic", "it was sealed as frame 1 and is read as frame 0", {
        fixtures::closed_frame(chunks).seal(&fixtures::pack_cipher(), 1)
    });
    cases.add("other_head", "authentic", "its body was sealed under another head", {
        let other = with_head([sealed, 1, 40, 0]);
        [&other[..32], &with_head([sealed, 2, 40, 0])[32..]].concat()
    });
    cases.add("body_below_a_tag", "truncated", "its body has 15 bytes", {
        [&craft::frame(&frame_head([15, 0, 0, 0]), &[])[..32], &[0; 15]].concat()
    });
    cases.add(
        "body_over_limit",
        "limit",
        "its head says a body of 2^31 bytes",
        with_head([1 << 31, 2, 40, 0]),
    );
    cases.add("chunks_over_limit", "limit", "its head says 65537 chunks", with_head([sealed, 65537, 40, 0]));
    cases.add(
        "plaintext_over_limit",
        "limit",
        "its head says over 32 MiB",
        with_head([sealed, 2, (32 << 20) + 1, 0]),
    );
    cases.add("compression_2", "malformed", "its compression is 2", with_head([sealed, 2, 40, 2]));
    cases.add("lengths_cut_short", "truncated", "its body ends inside of the chunks' lengths", {
        craft::frame(&frame_head([4 + 16, 2, 40, 0]), &20_u32.to_le_bytes())
    });
    cases.add("chunk_over_limit", "limit", "a chunk is over 16 MiB", {
        let body = put(&body, 0, &[1, 0, 0, 1]);
        craft::frame(&frame_head([sealed, 2, 40, 0]), &body)
    });
    cases.add(
        "lengths_do_not_add_up",
        "malformed",
        "its chunks have a byte less than it",
        with_head([sealed, 2, 41, 0]),
    );
    cases.add("stored_payload_short", "malformed", "its payload lacks a byte", {
        craft::frame(&frame_head([sealed - 1, 2, 40, 0]), &body[..body.len() - 1])
    });
    cases.add("stored_payload_long", "malformed", "its payload has a byte more", {
        craft::frame(&frame_head([sealed + 1, 2, 40, 0]), &[body.as_slice(), &[0]].concat())
    });
    cases.add("not_zstd", "malformed", "its payload doesn't decompress", with_head([sealed, 2, 40, 1]));
    let zstd = |plain: &[u8]| {
        let payload = zstd::bulk::compress(plain, 3).expect("a short input");
        let body = [&body[..8], &payload].concat();
        craft::frame(&frame_head([u32_of(body.len()) + 16, 2, 40, 1]), &body)
    };
    cases.add("zstd_payload_short", "malformed", "its payload decompresses to 39 bytes", zstd(&[7; 39]));
    cases.add("zstd_payload_long", "malformed", "its payload decompresses to 41 bytes", zstd(&[7; 41]));
    let payload = |payload: &[u8]| {
        let body = [&body[..8], payload].concat();
        craft::frame(&frame_head([u32_of(body.len()) + 16, 2, 40, 1]), &body)
    };
    let compress = |plain: &[u8]| zstd::bulk::compress(plain, 3).expect("a short input");
    cases.add("zstd_two_frames", "malformed", "its payload is two zstd frames, of 40 bytes together", {
        payload(&[compress(&[7; 20]), compress(&[7; 20])].concat())
    });
    // A skippable frame of four bytes.
    let skipped = [&0x184d_2a50_u32.to_le_bytes()[..], &4_u32.to_le_bytes(), b"skip"].concat();
    cases.add("zstd_skippable_frame", "malformed", "a frame that zstd skips follows its zstd frame", {
        payload(&[compress(&[7; 40]), skipped].concat())
    });
    cases.add("zstd_byte_behind", "malformed", "a byte follows its zstd frame", {
        payload(&[compress(&[7; 40]), vec![0]].concat())
    });
    cases
}
