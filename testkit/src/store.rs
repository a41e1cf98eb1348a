//! Looking into a store and damaging it, through nothing but the backend's own calls.

use keepfast_backend::{Backend, Listed};

/// A way to damage an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// It is gone.
    Remove,
    /// Its second half is gone.
    Truncate,
    /// One bit is another, at this many thousandths of its length.
    Flip {
        /// Where.
        thousandths: usize,
    },
}

/// The names of all objects below `prefix`, sorted. `""` is everything.
#[must_use]
pub fn names(backend: &dyn Backend, prefix: &str) -> Vec<String> {
    let folders = ["config/", "keys/", "keyring/", "packs/", "index/", "sessions/", "snapshots/"];
    let mut found = Vec::new();
    for folder in folders.iter().filter(|folder| prefix.is_empty() || prefix.starts_with(**folder)) {
        let folder = if prefix.is_empty() { folder } else { prefix };
        backend.list(folder, &mut |Listed { name, .. }| found.push(name)).expect("the store lists");
    }
    found.sort_unstable();
    found
}

/// The bytes of an object.
#[must_use]
pub fn bytes(backend: &dyn Backend, name: &str) -> Vec<u8> {
    backend.read(name, u64::MAX).expect("the object is there")
}

/// All bytes stored below `prefix`.
#[must_use]
pub fn stored_bytes(backend: &dyn Backend, prefix: &str) -> u64 {
    let mut sum = 0;
    backend.list(prefix, &mut |Listed { bytes, .. }| sum += bytes).expect("the store lists");
    sum
}

/// Puts other bytes in an object's place.
pub fn replace(backend: &dyn Backend, name: &str, bytes: &[u8]) {
    backend.remove(name).expect("the object can be removed");
    backend.create(name, &[bytes]).expect("the object can be made again");
}

/// Flips one bit.
pub fn flip(backend: &dyn Backend, name: &str, position: usize) {
    let mut bytes = bytes(backend, name);
    bytes[position] ^= 0x10;
    replace(backend, name, &bytes);
}

/// Damages an object.
pub fn damage(backend: &dyn Backend, name: &str, damage: Damage) {
    let whole = bytes(backend, name);
    match damage {
        Damage::Remove => backend.remove(name).expect("the object can be removed"),
        Damage::Truncate => replace(backend, name, &whole[..whole.len() / 2]),
        Damage::Flip { thousandths } => {
            flip(backend, name, (whole.len() * thousandths / 1000).min(whole.len() - 1));
        }
    }
}

/// Copies every object that `to` doesn't have.
pub fn copy(from: &dyn Backend, to: &dyn Backend) {
    for name in names(from, "") {
        to.create(&name, &[&bytes(from, &name)]).expect("the copy can be written");
    }
}
