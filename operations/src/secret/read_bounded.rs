//! Reads a secret from a file or a pipe.

use std::io::{self, Read};

use zeroize::Zeroizing;

use super::source::SECRET_BYTES_MAX;

/// Reads at most one byte more than a secret may have, into memory that never moves: what is left behind by a vector
/// that grows isn't wiped.
pub fn read_bounded(input: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; SECRET_BYTES_MAX + 1]);
    let mut input = input;
    let mut filled = 0;
    while filled < bytes.len() {
        match input.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
