//! Every file under `data/<structure>/` is refused for the reason that it gives.

use std::collections::BTreeMap;
use std::path::Path;

use keepfast_format::Category;

use crate::{bless, decoders, refused};

/// A rejection vector, as read from its file.
struct Vector {
    why: String,
    expect: String,
    bytes: Vec<u8>,
}

fn category(word: &str) -> Category {
    match word {
        "truncated" => Category::Truncated,
        "trailing" => Category::Trailing,
        "limit" => Category::Limit,
        "malformed" => Category::Malformed,
        "canonical" => Category::Canonical,
        "unsupported" => Category::Unsupported,
        "authentic" => Category::Authentic,
        "key" => Category::Key,
        _ => panic!("{word} isn't a category"),
    }
}

fn read(path: &Path) -> Vector {
    let text = std::fs::read_to_string(path).expect("a readable vector");
    let parts = text.strip_prefix("why: ").and_then(|rest| rest.split_once("\nexpect: "));
    let parts = parts.and_then(|(why, rest)| Some((why, rest.split_once("\nhex:")?)));
    let (why, (expect, hex)) = parts.unwrap_or_else(|| panic!("{path:?} isn't why, expect, hex"));
    let bytes = bless::parse_hex(hex).unwrap_or_else(|| panic!("{path:?} has no good hexadecimal"));
    Vector { why: why.to_owned(), expect: expect.to_owned(), bytes }
}

/// All vectors by structure and case.
fn vectors() -> BTreeMap<(String, String), Vector> {
    let name = |path: &Path| path.file_stem().expect("a name").to_string_lossy().into_owned();
    let list = |folder: &Path| {
        let entries = std::fs::read_dir(folder).expect("a folder of vectors");
        entries.map(|entry| entry.expect("a readable entry").path()).collect::<Vec<_>>()
    };
    let mut found = BTreeMap::new();
    for folder in list(&bless::folder().join("data")) {
        for file in list(&folder) {
            assert!(file.extension().is_some_and(|ending| ending == "txt"), "{file:?} isn't a vector");
            found.insert((name(&folder), name(&file)), read(&file));
        }
    }
    found
}

/// This is one test, so that vectors are never read while they are written.
#[test]
fn every_vector_is_refused_for_its_reason() {
    if bless::wanted() {
        for case in refused::all() {
            let path = bless::folder().join("data").join(case.structure).join(format!("{}.txt", case.name));
            let hex = bless::hex_lines(&case.bytes);
            bless::write(&path, &format!("why: {}\nexpect: {}\nhex:\n{hex}\n", case.why, case.expect));
        }
    }
    let vectors = vectors();
    let mut wrong = Vec::new();
    for ((structure, name), vector) in &vectors {
        let decode = decoders::decoder(structure)
            .unwrap_or_else(|| panic!("there is no decoder for the vectors of {structure}"));
        let wanted = category(&vector.expect);
        match decode(&vector.bytes) {
            Err(error) if error.category() == wanted => {}
            other => wrong.push(format!("{structure}/{name} ({}): {other:?}, not {wanted:?}", vector.why)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The generator and the files have the same cases, so that none gets lost unnoticed.
#[test]
fn every_generated_case_has_its_file() {
    if bless::wanted() {
        return; // The test above is writing the files.
    }
    let vectors = vectors();
    let mut names = Vec::new();
    for case in refused::all() {
        let name = (case.structure.to_owned(), case.name.to_owned());
        let vector = vectors.get(&name).unwrap_or_else(|| panic!("{name:?} has no file"));
        assert_eq!((vector.why.as_str(), vector.expect.as_str()), (case.why, case.expect), "{name:?}");
        assert!(!names.contains(&name), "{name:?} is made twice");
        names.push(name);
    }
    for (structure, ..) in decoders::ALL {
        assert!(names.iter().any(|(name, _)| name == structure), "{structure} has no rejection vectors");
    }
}

/// Otherwise a vector could be refused because its fixture isn't valid.
#[test]
fn every_decoder_accepts_its_valid_example() {
    for (structure, decode, valid) in decoders::ALL {
        assert_eq!(decode(&valid()), Ok(()), "{structure}");
    }
}
