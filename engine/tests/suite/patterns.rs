//! Patterns are matched name by name. The result is the same as if the whole path was matched.

use globset::{Candidate, GlobBuilder, GlobMatcher};
use keepfast_engine::fs::select::Patterns;
use proptest::collection::vec;
use proptest::prelude::{Strategy, prop_oneof};
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};

/// The parts that the test makes patterns of.
const PIECES: [&[u8]; 25] = [
    b"a",
    b"b",
    b"*",
    b"?",
    b"**",
    b"**/",
    b"/",
    b"/",
    b"/",
    b"/**/",
    b"[ab]",
    b"[!a]",
    b"[a-c_]",
    b"[.-a]",
    b"[]a]",
    b"{a,b}",
    b"{a/b,c}",
    b"{a,**}",
    b"{b*,}",
    b"\\*",
    b"\\/",
    b"\\a",
    "é".as_bytes(),
    b"\xe9",
    b".o",
];
/// Names that they may match.
const NAMES: [&[u8]; 12] =
    [b"a", b"b", b"c", b"ab", b"a.o", b".o", b"*", b"\n", b",", "é".as_bytes(), b"\xe9", b"a\xe9"];

/// Text with one letter for each byte.
fn each_byte(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// The definition of patterns: each is one glob, for the name or for the whole path, and the last one that
/// matches decides.
struct Defined(Vec<(GlobMatcher, bool, bool, bool)>);

impl Defined {
    fn new(patterns: &[Vec<u8>]) -> Option<Self> {
        let one = |pattern: &Vec<u8>| {
            let (plain, is_negated) = match pattern.strip_prefix(b"!") {
                Some(plain) => (plain, true),
                None => (pattern.as_slice(), false),
            };
            let (text, is_bytes) = match str::from_utf8(plain) {
                Ok(text) => (text.to_owned(), false),
                Err(_) => (each_byte(plain), true),
            };
            let text = text.strip_suffix('/').unwrap_or(&text);
            let is_path = text.contains('/');
            let text = if is_path && !text.starts_with('/') { format!("**/{text}") } else { text.to_owned() };
            let glob = GlobBuilder::new(&text).literal_separator(true).backslash_escape(true).build().ok()?;
            (!text.is_empty()).then(|| (glob.compile_matcher(), is_path, is_bytes, is_negated))
        };
        patterns.iter().map(one).collect::<Option<_>>().map(Self)
    }

    fn matches(&self, path: &[u8]) -> bool {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let last = self.0.iter().rev().find(|(glob, is_path, is_bytes, _)| {
            let text = if *is_path { path } else { name };
            let by_byte = each_byte(text);
            let text = if *is_bytes { by_byte.as_bytes() } else { text };
            glob.is_match_candidate(&Candidate::from_bytes(text))
        });
        last.is_some_and(|(_, _, _, is_negated)| !is_negated)
    }
}

#[test]
fn a_match_name_by_name_equals_a_match_of_the_whole_path() {
    let text = || vec(select(PIECES.to_vec()), 1..8).prop_map(|pieces| pieces.concat());
    let pattern = prop_oneof![5 => text(), 1 => text().prop_map(|text| [b"!".to_vec(), text].concat())];
    let paths = vec(vec(select(NAMES.to_vec()), 1..6), 12);
    let config = Config {
        cases: 20_000,
        failure_persistence: None,
        max_global_rejects: 1_000_000,
        ..Config::default()
    };
    let (compared, matched) = (std::cell::Cell::new(0_u32), std::cell::Cell::new(0_u32));
    TestRunner::new(config)
        .run(&(vec(pattern, 1..5), paths), |(patterns, paths)| {
            let compiled = Patterns::new(&patterns).ok();
            let Some(defined) = Defined::new(&patterns) else {
                assert!(compiled.is_none(), "what is no glob isn't taken for one: {patterns:?}");
                return Ok(());
            };
            let compiled = compiled.expect("what are globs are taken");
            for names in paths {
                let (mut directory, mut path) = (compiled.top(), Vec::new());
                for name in names {
                    path = [&path, b"/".as_slice(), name].concat();
                    let expected = defined.matches(&path);
                    let shown = (String::from_utf8_lossy(&path), &patterns);
                    assert_eq!(compiled.matches_in(&directory, name, || &path), expected, "{shown:?}");
                    assert_eq!(compiled.matches(&path), expected, "{shown:?}");
                    directory = compiled.below(&directory, name);
                    compared.set(compared.get() + 1);
                    matched.set(matched.get() + u32::from(expected));
                }
            }
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    let (compared, matched) = (compared.get(), matched.get());
    assert!(matched > compared / 20 && matched < compared / 2, "{matched} of {compared} match");
}
