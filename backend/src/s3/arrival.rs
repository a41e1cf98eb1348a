//! Checks that an object arrived as it was sent. Stores should do that with the checksum of the upload, but
//! not all do, and a damaged pack would be noticed only when it is read.
//!
//! A store that answers with the CRC-32 of the upload has computed it. Otherwise the ETag is compared: in
//! nearly all stores the ETag of an object that was sent whole is its MD5. If it is something else, reading the
//! object back once shows that, and ETags aren't compared any more. Such a store is trusted, because the
//! protocol obliges it to check the checksum that it was sent.

use std::sync::atomic::Ordering;

use data_encoding::HEXLOWER_PERMISSIVE;

use super::backoff::Backoff;
use super::digest::{is_same, md5_of};
use super::failure::{Class, Failure};
use super::requests::Requests;
use crate::{BackendErrorKind as Kind, Unusable};

/// A store's answer about an object that it has stored.
#[derive(Debug, Default)]
pub(super) struct Stored {
    /// Its CRC-32, in Base64.
    pub crc32: Option<String>,
    /// Its ETag.
    pub e_tag: Option<String>,
}

/// The MD5 that an ETag looks like.
fn md5_in(e_tag: &str) -> Option<[u8; 16]> {
    let hex = e_tag.trim_start_matches("W/").trim_matches('"');
    HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok()?.try_into().ok()
}

impl Requests {
    /// Compares the store's answer with what was sent. `crc32` is the checksum that was sent, if it was a
    /// CRC-32. If they differ, the stored object itself decides.
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
                // It is larger than what was sent.
                Err(failure) if failure.class == Class::Final(Kind::Unusable(Unusable::TooLarge)) => break,
                Err(failure) => backoff.wait(failure).await?,
            }
        }
        if is_same(&there, parts) {
            self.connection.e_tags.are_others.store(true, Ordering::Relaxed);
            return Ok(());
        }
        Err(Failure::new(Class::StoredDamaged, "the store has stored other bytes than it was sent"))
    }

    /// Checks that a part of an upload arrived as it was sent, as far as that is possible.
    pub(super) fn check_part(&self, e_tag: Option<&str>, parts: &[&[u8]]) -> Result<(), Failure> {
        // Parts can't be read back, so that only ETags that are known to be MD5s mean anything.
        let is_known = self.connection.e_tags.are_md5.load(Ordering::Relaxed);
        if is_known && self.fits_e_tag(e_tag, parts) == Some(false) {
            return Err(Failure::new(Class::Damaged, "a part of an upload didn't arrive as it was sent"));
        }
        Ok(())
    }

    /// Whether an ETag is the MD5 of these bytes. `None` if the store's ETags aren't MD5s.
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
