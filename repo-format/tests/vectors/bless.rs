//! Writes vectors and golden values again, when asked to by `KEEPFAST_BLESS=1`.

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Whether this run is to write what it would otherwise compare.
pub fn wanted() -> bool {
    std::env::var_os("KEEPFAST_BLESS").is_some_and(|value| value == "1")
}

/// The folder of this test's sources.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

/// Writes a file, and the folder that it is in.
pub fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("a file in a folder")).expect("the folder can be made");
    std::fs::write(path, text).expect("the file can be written");
}

/// Hexadecimal in lines of 48 bytes.
pub fn hex_lines(bytes: &[u8]) -> String {
    let mut text = String::new();
    for line in bytes.chunks(48) {
        if !text.is_empty() {
            text.push('\n');
        }
        for byte in line {
            write!(text, "{byte:02x}").expect("text takes all");
        }
    }
    text
}

/// Reads hexadecimal, whatever white space is in it.
pub fn parse_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let pairs = digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    if digits.len().is_multiple_of(2) { pairs.collect() } else { None }
}
