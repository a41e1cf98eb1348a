//! Looking into a store and damaging it, through nothing but the backend's own calls.

use std::fmt;

use keepfast_backend::{Backend, Listed};
use keepfast_format::names;

/// A way to damage an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// It is gone.
    Remove,
    /// Its second half is gone.
    Truncate,
    /// One bit is flipped, at this many thousandths of its length.
    Flip {
        /// Where.
        thousandths: usize,
    },
}

/// The objects below `prefix`, sorted by name. `""` is all folders of a repository, and nothing outside of
/// them.
#[must_use]
pub fn listed(backend: &dyn Backend, prefix: &str) -> Vec<Listed> {
    let mut found = Vec::new();
    let prefixes = if prefix.is_empty() { &names::FOLDERS[..] } else { &[prefix] };
    for prefix in prefixes {
        backend.list(prefix, &mut |listed| found.push(listed)).expect("the store lists");
    }
    found.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    found
}

/// The names of the objects below `prefix`, sorted. `""` is as in [`listed`].
#[must_use]
pub fn names(backend: &dyn Backend, prefix: &str) -> Vec<String> {
    listed(backend, prefix).into_iter().map(|listed| listed.name).collect()
}

/// How many objects there are below `prefix`. `""` is as in [`listed`].
#[must_use]
pub fn count(backend: &dyn Backend, prefix: &str) -> usize {
    listed(backend, prefix).len()
}

/// The bytes of an object.
#[must_use]
pub fn bytes(backend: &dyn Backend, name: impl fmt::Display) -> Vec<u8> {
    backend.read(&name.to_string(), u64::MAX).expect("the object is there")
}

/// All bytes stored below `prefix`.
#[must_use]
pub fn stored_bytes(backend: &dyn Backend, prefix: &str) -> u64 {
    listed(backend, prefix).iter().map(|listed| listed.bytes).sum()
}

/// Puts other bytes in an object's place.
pub fn replace(backend: &dyn Backend, name: impl fmt::Display, bytes: &[u8]) {
    let name = name.to_string();
    backend.remove(&name).expect("the object can be removed");
    backend.create(&name, &[bytes]).expect("the object can be made again");
}

/// Flips one bit.
pub fn flip(backend: &dyn Backend, name: impl fmt::Display, position: usize) {
    let mut bytes = bytes(backend, &name);
    bytes[position] ^= 0x10;
    replace(backend, name, &bytes);
}

/// Damages an object.
pub fn damage(backend: &dyn Backend, name: impl fmt::Display, damage: Damage) {
    let whole = bytes(backend, &name);
    match damage {
        Damage::Remove => backend.remove(&name.to_string()).expect("the object can be removed"),
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
