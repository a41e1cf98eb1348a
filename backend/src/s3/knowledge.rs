//! What is found out about a store while it is used. All runs share it.
//!
//! Each value stands for itself and publishes no other data, so that relaxed access is enough: a thread that sees
//! an old value makes one request more.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// The checksum that uploads carry: the one that the store is found to check.
#[derive(Debug, Default)]
pub(super) struct Checksum(AtomicU8);

impl Checksum {
    pub(super) const UNTRIED: u8 = 0;
    pub(super) const CRC32: u8 = 1;
    pub(super) const MD5: u8 = 2;

    pub(super) fn is(&self, which: u8) -> bool {
        self.0.load(Ordering::Relaxed) == which
    }

    pub(super) fn set(&self, which: u8) {
        self.0.store(which, Ordering::Relaxed);
    }
}

/// What is known about a store's ETags.
#[derive(Debug, Default)]
pub(super) struct ETags {
    /// An ETag was seen that is its object's MD5.
    pub are_md5: AtomicBool,
    /// An ETag was seen that isn't, although the object is correct.
    pub are_others: AtomicBool,
}
