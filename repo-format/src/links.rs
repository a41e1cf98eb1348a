//! Groups of hard links: which paths of a snapshot are one file.
//!
//! They hang off the snapshot and not off the nodes, so that linking a file elsewhere
//! rewrites no tree.

use crate::wire::Reader;
use crate::{FormatError, limits};

const WHAT: &str = "hard-link groups";

/// The paths of one file, from the snapshot's root, without a leading slash.
pub type LinkGroup = Vec<Vec<u8>>;

/// Writes groups as a blob's bytes: for each its count of paths, for each path its length
/// and bytes; numbers are 32 bits, little-endian.
#[must_use]
pub fn encode(groups: &[LinkGroup]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for group in groups {
        bytes.extend_from_slice(&(group.len() as u32).to_le_bytes());
        for path in group {
            bytes.extend_from_slice(&(path.len() as u32).to_le_bytes());
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
            group.push(input.bytes(length as usize)?.to_vec());
        }
        groups.push(group);
    }
    Ok(groups)
}
