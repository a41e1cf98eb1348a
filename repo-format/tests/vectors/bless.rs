//! Writes vectors and golden values again, when asked to by `KEEPFAST_BLESS=1`.

use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;

/// Whether this run writes the files that it would otherwise compare.
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
    bytes.chunks(48).map(|line| HEXLOWER.encode(line)).collect::<Vec<_>>().join("\n")
}

/// Reads hexadecimal and ignores white space.
pub fn parse_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    HEXLOWER.decode(&digits).ok()
}
