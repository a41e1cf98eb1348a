//! The short form of fuzzing, part of every test run: every decoder gets the vectors and some thousand
//! changed copies of them, which are the same in every run.
//!
//! `KEEPFAST_FUZZ_MUTATIONS` is the number of changed copies for each decoder.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use data_encoding::HEXLOWER;
use keepfast_format::numbers::u64_of;
use keepfast_fuzz::{Target, targets};

const MUTATIONS: u64 = 2000;

/// SplitMix64, which is random enough to choose changes.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        let number = self.next() % u64_of(limit.max(1));
        usize::try_from(number).expect("it is below a length")
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

/// Makes one change: a torn, shifted or overwritten part, or a wrong length.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(bytes.len());
    let end = (at + 1 + random.below(16)).min(bytes.len());
    match random.below(8) {
        0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
        1 if !bytes.is_empty() => bytes[at] = random.byte(),
        2 => bytes.truncate(at),
        3 => bytes.insert(at, random.byte()),
        4 => drop(bytes.drain(at.min(end)..end)),
        5 => {
            let copy = bytes[at.min(end)..end].to_vec();
            let to = random.below(bytes.len());
            bytes.splice(to..to, copy);
        }
        6 => bytes.extend(std::iter::repeat_n(random.byte(), random.below(40))),
        // Numbers with which lengths and counts may overflow.
        _ => {
            let number = [0, 1, u64::MAX, 1 << 31, 1 << 32, 1 << 63, 0x7fff_ffff][random.below(7)];
            for (byte, new) in bytes[at.min(end)..end].iter_mut().zip(number.to_le_bytes()) {
                *byte = new;
            }
        }
    }
}

/// The valid example, and the vectors of the same name.
fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let mut seeds = vec![(target.valid)()];
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../repo-format/tests/vectors/data");
    for entry in std::fs::read_dir(vectors.join(target.name)).into_iter().flatten() {
        let text = std::fs::read_to_string(entry.expect("a readable entry").path()).expect("a vector");
        let (_, hex) = text.split_once("\nhex:").expect("a vector has hexadecimal");
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        seeds.push(HEXLOWER.decode(&digits).expect("pairs of digits"));
    }
    seeds.sort();
    seeds
}

#[test]
fn no_decoder_panics() {
    let wanted = std::env::var("KEEPFAST_FUZZ_MUTATIONS").ok().and_then(|text| text.parse().ok());
    let mutations = wanted.unwrap_or(MUTATIONS);
    for target in targets() {
        let run = |bytes: &[u8]| {
            let decoded = catch_unwind(AssertUnwindSafe(|| (target.decode)(bytes)));
            assert!(decoded.is_ok(), "{} panics on {}", target.name, HEXLOWER.encode(bytes));
        };
        let seeds = seeds(&target);
        seeds.iter().for_each(|seed| run(seed));
        for number in 0..mutations {
            let mut random = Random(number);
            let mut bytes = seeds[random.below(seeds.len())].clone();
            for _ in 0..=random.below(4) {
                mutate(&mut bytes, &mut random);
            }
            run(&bytes);
        }
    }
}

/// Otherwise a target could be fuzzed from an example that its first check refuses.
#[test]
fn examples_are_valid() {
    for target in targets() {
        let found = (target.decode)(&(target.valid)());
        // The content of these doesn't match the rest of the object, so the object is refused later.
        let part =
            matches!(target.name, "segment-head" | "segment-hooks" | "segment-table" | "pack-directory");
        assert!(part || found.is_ok(), "{}: {found:?}", target.name);
    }
}

#[test]
fn all_runs_every_decoder() {
    keepfast_fuzz::all(b"");
    keepfast_fuzz::all(&[0; 200]);
}
