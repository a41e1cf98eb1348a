//! Whether what arrived is what was sent. Stores should check that by the checksum that goes with
//! an upload, but not all do, and a spoilt pack would be noticed only when it is read.
//!
//! A store that answers with our CRC-32 has it for its own. Otherwise the ETag is compared, which
//! for an object sent in one piece is nearly everywhere its MD5. Where it is something else,
//! reading the object back once tells that, and it isn't compared any more: such a store is
//! believed, as it was given a checksum that it must check by the protocol.

use std::sync::atomic::{AtomicBool, Ordering};

use data_encoding::HEXLOWER_PERMISSIVE;

use super::backoff::Backoff;
use super::digest::{is_same, md5_of};
use super::failure::{Class, Failure};
use super::requests::Requests;
use crate::{BackendErrorKind as Kind, Unusable};

/// What a store says of an object that it has stored.
#[derive(Debug, Default)]
pub(super) struct Stored {
    /// Its CRC-32, in Base64.
    pub crc32: Option<String>,
    /// Its ETag.
    pub e_tag: Option<String>,
}

/// What is known of a store's ETags.
#[derive(Debug, Default)]
pub(super) struct ETags {
    /// One was seen that is its object's MD5.
    are_md5: AtomicBool,
    /// One was seen that isn't, though the object is right.
    are_others: AtomicBool,
}

/// The MD5 that an ETag looks like.
fn md5_in(e_tag: &str) -> Option<[u8; 16]> {
    let hex = e_tag.trim_start_matches("W/").trim_matches('"');
    HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok()?.try_into().ok()
}

impl Requests {
    /// Compares what the store says that it has stored with what was sent; `crc32` is the checksum
    /// that went with it, if it was that one. Where they differ, the object itself decides.
    pub(super) async fn check_arrival(
        &self,
        key: &str,
        parts: &[&[u8]],
        stored: &Stored,
        crc32: Option<&str>,
    ) -> Result<(), Failure> {
        if stored.crc32.is_some() && stored.crc32.as_deref() == crc32 {
            return Ok(());
        }
        if self.fits_e_tag(stored.e_tag.as_deref(), parts) != Some(false) {
            return Ok(());
        }
        let bytes = parts.iter().map(|part| part.len() as u64).sum();
        let mut backoff = Backoff::new(self);
        let mut there = Vec::new();
        loop {
            there.clear();
            match self.get_once(key, bytes, &mut there).await {
                Ok(()) => break,
                // Larger than what was sent.
                Err(failure) if failure.class == Class::Final(Kind::Unusable(Unusable::TooLarge)) => break,
                Err(failure) => backoff.wait(failure).await?,
            }
        }
        if is_same(&there, parts) {
            self.connection.e_tags.are_others.store(true, Ordering::Relaxed);
            return Ok(());
        }
        Err(Failure::new(Class::StoredDamaged, "what the store has stored isn't what was sent to it"))
    }

    /// Whether a part of an upload arrived as it was sent, as far as that can be told.
    pub(super) fn check_part(&self, e_tag: Option<&str>, parts: &[&[u8]]) -> Result<(), Failure> {
        // Parts can't be read back: only ETags that are known to be right say anything.
        let is_known = self.connection.e_tags.are_md5.load(Ordering::Relaxed);
        if is_known && self.fits_e_tag(e_tag, parts) == Some(false) {
            return Err(Failure::new(Class::Damaged, "a part of an upload didn't arrive as it was sent"));
        }
        Ok(())
    }

    /// Whether an ETag is the MD5 of these bytes; `None` if it isn't any MD5.
    fn fits_e_tag(&self, e_tag: Option<&str>, parts: &[&[u8]]) -> Option<bool> {
        if self.connection.e_tags.are_others.load(Ordering::Relaxed) {
            return None;
        }
        let fits = md5_in(e_tag?)? == md5_of(parts);
        if fits {
            self.connection.e_tags.are_md5.store(true, Ordering::Relaxed);
        }
        Some(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::{md5_in, md5_of};

    #[test]
    fn only_what_looks_like_an_md5_is_compared() {
        let hex = "900150983cd24fb0d6963f7d28e17f72";
        let md5 = Some(md5_of(&[b"abc"]));
        assert_eq!(md5_in(&format!("\"{hex}\"")), md5);
        assert_eq!(md5_in(&hex.to_ascii_uppercase()), md5);
        for other in
            ["", "\"\"", "900150983cd24fb0d6963f7d28e17f7", "900150983cd24fb0d6963f7d28e17f72-2", "x"]
        {
            assert_eq!(md5_in(other), None, "{other}");
        }
    }
}
