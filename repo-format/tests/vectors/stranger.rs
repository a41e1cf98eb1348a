//! A second implementation, from SPEC's text and the primitives alone. It must make and find the same as the
//! crate.

use keepfast_format::chunker::{ChunkerParams, PageBytes};
use keepfast_format::numbers::{u32_of, u64_of, usize_of};
use keepfast_format::pack::{FrameEntry, HEADER_BYTES, PackTable};
use proptest::prelude::{any, prop};
use proptest::{prop_assert_eq, proptest};

use crate::craft::{self, derive, nonce};
use crate::fixtures::{self, chunker, cut_all, secrets, stream};

/// SPEC's table of masks, by the average's logarithm.
const MASKS: [(u32, u64); 15] = [
    (9, 0x0000_0190_0035_3000),
    (10, 0x0000_5900_0353_0000),
    (11, 0x0000_d900_0353_0000),
    (12, 0x0000_d901_0353_0000),
    (13, 0x0000_d903_0353_0000),
    (14, 0x0000_d903_1353_0000),
    (15, 0x0000_d90f_0353_0000),
    (16, 0x0000_d903_0353_7000),
    (17, 0x0000_d907_0353_7000),
    (18, 0x0000_d907_0753_7000),
    (19, 0x0000_d917_0753_7000),
    (20, 0x0000_d917_4753_7000),
    (21, 0x0000_d917_6753_7000),
    (22, 0x0000_d937_6753_7000),
    (23, 0x0000_d937_7753_7000),
];

fn mask(logarithm: u32) -> u64 {
    MASKS.iter().find(|(bits, _)| *bits == logarithm).expect("a mask for every average").1
}

/// SPEC's "Chunking", one byte at a time.
fn cut(params: ChunkerParams, gear: &[u64; 256], bytes: &[u8]) -> usize {
    let (min, average, max) =
        (usize_of(params.min_bytes), usize_of(params.avg_bytes), usize_of(params.max_bytes));
    let window = bytes.len().min(max);
    if window <= min {
        return window;
    }
    let logarithm = params.avg_bytes.trailing_zeros();
    let mut hash = 0_u64;
    // An odd byte at the end of the window is never tested.
    for at in min..window - window % 2 {
        hash = (hash << 1).wrapping_add(gear[usize::from(bytes[at])]);
        let mask = if at < average { mask(logarithm + 1) } else { mask(logarithm - 1) };
        if hash & mask == 0 {
            return at;
        }
    }
    window
}

fn cut_by_spec(params: ChunkerParams, mut bytes: &[u8]) -> Vec<usize> {
    let mut xof = [0; 2048];
    blake3::Hasher::new_derive_key("keepfast v1 gear table")
        .update(&craft::domain_secret(1))
        .finalize_xof()
        .fill(&mut xof);
    let mut gear = [0; 256];
    for (entry, bytes) in gear.iter_mut().zip(xof.chunks_exact(8)) {
        *entry = u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    }
    let mut lengths = Vec::new();
    while !bytes.is_empty() {
        lengths.push(cut(params, &gear, bytes));
        bytes = &bytes[lengths[lengths.len() - 1]..];
    }
    lengths
}

#[test]
fn every_average_cuts_where_spec_says() {
    for logarithm in 10..=22 {
        let params = ChunkerParams::of_average(1 << logarithm);
        let bytes = stream("every average", (9 << logarithm) + 1);
        assert_eq!(cut_all(&chunker(params), &bytes), cut_by_spec(params, &bytes), "2^{logarithm}");
    }
}

/// SPEC's "Pages": of the powers of two from the smallest to the largest chunk, the one nearest to the page's.
fn page_chunk_by_spec(params: ChunkerParams, page: u32) -> u32 {
    let powers = (0..32).map(|logarithm| 1_u32 << logarithm);
    let within = powers.filter(|power| (params.min_bytes..=params.max_bytes).contains(power));
    within.min_by_key(|power| power.ilog2().abs_diff(page.ilog2())).expect("the average is one")
}

proptest! {
    #[test]
    fn any_pages_are_cut_where_spec_says(
        min in 32_u32..=2048, average in 12_u32..=22, max in 0_u32..=4 << 20, page in 9_u32..=16,
    ) {
        let avg_bytes = 1 << average;
        let params = ChunkerParams { min_bytes: 2 * min, avg_bytes, max_bytes: avg_bytes + 2 * max };
        params.validate().expect("valid");
        let bytes = PageBytes::new(1 << page).expect("a page's");
        prop_assert_eq!(params.page_chunk_bytes(bytes), page_chunk_by_spec(params, 1 << page));
    }

    #[test]
    fn any_bytes_are_cut_where_spec_says(
        bytes in prop::collection::vec(any::<u8>(), 0..6000),
        repeat in 1_usize..4,
        min in 32_u32..=512,
        max in 512_u32..=2048,
    ) {
        let params = ChunkerParams { min_bytes: 2 * min, avg_bytes: 1024, max_bytes: 2 * max };
        let bytes = bytes.repeat(repeat);
        prop_assert_eq!(cut_all(&chunker(params), &bytes), cut_by_spec(params, &bytes));
    }
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    usize_of(u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")))
}

/// Opens the frame at `offset` by SPEC: its chunks, and its length.
fn open_frame(key: &[u8; 32], header: &[u8], pack: &[u8], number: u32) -> (Vec<Vec<u8>>, usize) {
    let aad = [header, &number.to_le_bytes()].concat();
    let head = craft::open(key, nonce(0, number.into()), &aad, &pack[..32]).expect("the head opens");
    let [body_bytes, chunks, plain_bytes, compression] = [0, 4, 8, 12].map(|at| u32_at(&head, at));
    let aad = [aad, head].concat();
    let body = craft::open(key, nonce(1, number.into()), &aad, &pack[32..32 + body_bytes]);
    let body = body.expect("the body opens");
    let (lengths, payload) = body.split_at(4 * chunks);
    let plain = match compression {
        0 => payload.to_vec(),
        _ => zstd::bulk::decompress(payload, plain_bytes).expect("one zstd frame"),
    };
    let mut rest = plain.as_slice();
    let mut found = Vec::new();
    for length in lengths.chunks(4).map(|length| u32_at(length, 0)) {
        let (chunk, after) = rest.split_at(length);
        found.push(chunk.to_vec());
        rest = after;
    }
    assert!(rest.is_empty());
    (found, 32 + body_bytes)
}

#[test]
fn a_pack_is_read_with_the_primitives_alone() {
    let (pack, table) = fixtures::pack();
    let header = &pack[..112];
    let (key, commitment) = craft::pack_key(header);
    assert_eq!(commitment, header[80..112]);
    assert_eq!(&pack[pack.len() - 8..], b"KEEPEND\0");

    let footer = &pack[pack.len() - 24..];
    let (frames_end, directory_bytes) = (u32_at(footer, 0), u32_at(footer, 8));
    let aad = [header, &0_u32.to_le_bytes(), &footer[..8]].concat();
    let sealed = &pack[frames_end..frames_end + directory_bytes];
    let directory = craft::open(&key, nonce(2, 0), &aad, sealed).expect("the directory opens");
    assert_eq!((u32_at(&directory, 0), u32_at(&directory, 4)), (2, 5));
    assert!(pack[frames_end + directory_bytes..pack.len() - 24].iter().all(|byte| *byte == 0));

    let id_key = derive("keepfast v1 chunk id, data", &[&craft::domain_secret(0)]);
    let mut offset = 112;
    let mut listed = directory[8 + 2 * 16..].chunks(36);
    for (number, chunks) in (0..).zip(fixtures::frames_plain()) {
        let (found, length) = open_frame(&key, header, &pack[offset..], number);
        assert_eq!(found, chunks);
        assert_eq!(u32_at(&directory, 8 + 16 * usize_of(number)), offset);
        assert_eq!(usize_of(table.frames[usize_of(number)].sealed_bytes), length);
        for chunk in &chunks {
            let entry = listed.next().expect("an entry for every chunk");
            assert_eq!(&entry[..32], blake3::keyed_hash(&id_key, chunk).as_bytes());
            assert_eq!(u32_at(entry, 32), chunk.len());
        }
        offset += length;
    }
    assert_eq!(offset, frames_end);
}

/// PADMÉ, computed in another way: keep the leading bit and as many bits after it as the exponent has.
fn padme_by_spec(length: u64) -> u64 {
    let exponent = 63 - length.leading_zeros();
    let kept_after_first = 32 - exponent.leading_zeros();
    let unit = 1_u64 << (exponent - kept_after_first.min(exponent));
    length.div_ceil(unit) * unit
}

fn padded_length(frame_bytes: u32, pack_bytes: u32) -> u64 {
    let frames = vec![FrameEntry {
        offset: u32_of(HEADER_BYTES),
        sealed_bytes: frame_bytes,
        plain_bytes: 0,
        chunks: 0,
    }];
    let table = PackTable { frames, chunks: Vec::new() };
    let tail = fixtures::pack_cipher().tail(&table, pack_bytes);
    112 + u64::from(frame_bytes) + u64_of(tail.len())
}

#[test]
fn packs_that_are_not_full_have_the_padded_length_of_the_table() {
    // Header 112, sealed directory of one frame 8 + 16 + 16, footer 24: 176 bytes and the frame.
    let table = [
        (1000, 1024),
        (1024, 1024),
        (1025, 1088),
        (4097, 4352),
        (65_535, 65_536),
        (65_537, 67_584),
        (1_000_000, 1_015_808),
        (4_194_303, 4_194_304),
        (4_194_305, 4_325_376),
        (33_554_433, 34_603_008),
        (100_000_000, 100_663_296),
    ];
    for (bare, padded) in table {
        assert_eq!(padme_by_spec(bare), padded, "{bare} by SPEC");
        assert_eq!(
            padded_length(u32::try_from(bare).expect("a length below 4 GiB") - 176, 128 << 20),
            padded,
            "{bare}"
        );
    }
}

#[test]
fn full_packs_have_multiples_of_64_kib() {
    let full = 4 << 20;
    assert_eq!(padded_length(full - 177, full), padme_by_spec((4 << 20) - 1));
    assert_eq!(padded_length(full - 176, full), 4 << 20);
    assert_eq!(padded_length(full - 175, full), (4 << 20) + 65_536);
    assert_eq!(padded_length(full - 176 + 65_537, full), (4 << 20) + 2 * 65_536);
}

#[test]
fn both_chunk_id_keys_are_derived_as_spec_says() {
    use keepfast_format::keys::ChunkKind::{Data, Metadata};
    for (kind, context) in
        [(Data, "keepfast v1 chunk id, data"), (Metadata, "keepfast v1 chunk id, metadata")]
    {
        let key = derive(context, &[&craft::domain_secret(0)]);
        assert_eq!(
            secrets().chunk_ids().id(kind, b"x").as_bytes(),
            blake3::keyed_hash(&key, b"x").as_bytes()
        );
    }
}

/// The length of a pack of one frame with these chunks, without padding and with it.
fn pack_lengths(chunks: &[Vec<u8>]) -> (u32, usize) {
    let (pack, table) = fixtures::pack_of(&[chunks.to_vec()], 4 << 20);
    let frame = table.frames[0];
    let directory = 16 + 8 + 16 + 36 * frame.chunks;
    (frame.offset + frame.sealed_bytes + directory + 24, pack.len())
}

/// SPEC states this weakness: a guess that is compressed together with a secret is confirmed by the length,
/// and padding hides that only until an attacker adds noise.
#[test]
fn a_right_guess_next_to_a_secret_makes_a_shorter_pack() {
    let secret = b"[client]\nuser = backup\npassword = Tr0ub4dor&3-9f81c2d7a4\nhost = db.example.org\n";
    let right = b"password = Tr0ub4dor&3-9f81c2d7a4\n".to_vec();
    let wrong: Vec<Vec<u8>> = (0..200)
        .map(|number| {
            let letters = stream(&format!("guess {number}"), 22);
            let letters = letters.iter().map(|byte| char::from(b'A' + byte % 26)).collect::<String>();
            format!("password = {letters}\n").into_bytes()
        })
        .collect();
    let log: String =
        (0..500).map(|line| format!("{line}: {} requests served\n", line * line % 97)).collect();
    let lengths = |guess: &[u8], noise: usize| {
        let others = [log.clone().into_bytes(), stream("noise", noise)];
        pack_lengths(&[&[secret.to_vec(), guess.to_vec()][..], &others].concat())
    };
    let alone = pack_lengths(&[secret.to_vec(), right.clone()]);
    let alone_wrong: Vec<_> =
        wrong.iter().map(|guess| pack_lengths(&[secret.to_vec(), guess.clone()])).collect();
    assert!(alone_wrong.iter().all(|(bare, padded)| *bare > alone.0 && *padded > alone.1), "{alone:?}");
    // Some amount of noise puts the right guess just below a step of the padding, and the wrong ones above.
    let tells = |noise: &usize| {
        let right = lengths(&right, *noise).1;
        wrong[..20].iter().all(|guess| lengths(guess, *noise).1 > right)
    };
    assert!((0..600).any(|noise| tells(&noise)));
}
