//! Groups of hard links: the paths of a snapshot that are one file.
//!
//! The snapshot refers to them, not the nodes. So a new link to a file doesn't rewrite the trees of its
//! other links.

use crate::numbers::{u32_of, usize_of};
use crate::wire::Reader;
use crate::{FormatError, limits};

const WHAT: &str = "hard-link groups";

/// The paths of one file, from the snapshot's root, without a leading slash.
pub type LinkGroup = Vec<Vec<u8>>;

/// Encodes groups as a blob's bytes: for each group the count of its paths, for each path its length and
/// bytes. Numbers have 32 bits, little-endian.
#[must_use]
pub fn encode(groups: &[LinkGroup]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for group in groups {
        bytes.extend_from_slice(&u32_of(group.len()).to_le_bytes());
        for path in group {
            bytes.extend_from_slice(&u32_of(path.len()).to_le_bytes());
            bytes.extend_from_slice(path);
        }
    }
    bytes
}

/// Reads a blob's bytes as groups.
pub fn decode(bytes: &[u8]) -> Result<Vec<LinkGroup>, FormatError> {
    let mut input = Reader::new(WHAT, bytes);
    let mut groups = Vec::new();
    while input.left() > 0 {
        let count = input.u32_at_most(limits::LINKS_PER_GROUP, "paths in a group")?;
        if count < 2 {
            return Err(FormatError::Malformed { what: WHAT, why: "a group has fewer than two paths" });
        }
        let mut group = LinkGroup::new();
        for _ in 0..count {
            let length = input.u32_at_most(limits::PATH_BYTES_MAX, "path length")?;
            group.push(input.bytes(usize_of(length))?.to_vec());
        }
        groups.push(group);
    }
    Ok(groups)
}
