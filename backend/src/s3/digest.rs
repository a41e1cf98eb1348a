//! Computes checksums of objects that are in several parts, and compares such objects.

use data_encoding::BASE64;
use md5::{Digest, Md5};

/// The CRC-32 of parts, as S3 writes it.
pub(super) fn crc32_of(parts: &[&[u8]]) -> String {
    let mut hasher = crc32fast::Hasher::new();
    parts.iter().for_each(|part| hasher.update(part));
    BASE64.encode(&hasher.finalize().to_be_bytes())
}

/// The MD5 of parts.
pub(super) fn md5_of(parts: &[&[u8]]) -> [u8; 16] {
    let mut hasher = Md5::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().into()
}

/// The value of Content-MD5 for parts.
pub(super) fn content_md5(parts: &[&[u8]]) -> String {
    BASE64.encode(&md5_of(parts))
}

/// Whether `bytes` equals the concatenation of the parts.
pub(super) fn is_same(bytes: &[u8], parts: &[&[u8]]) -> bool {
    let mut rest = bytes;
    for part in parts {
        let Some(behind) = rest.strip_prefix(*part) else { return false };
        rest = behind;
    }
    rest.is_empty()
}
