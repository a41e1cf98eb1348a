//! The cases that decoders must refuse. Each has exactly one fault.

mod collection;
mod objects;
mod packs;
mod sealed;
mod segments;
mod trees;

/// One case: a file `data/<structure>/<name>.txt`.
pub struct Case {
    pub structure: &'static str,
    pub name: &'static str,
    /// What is wrong with it.
    pub why: &'static str,
    /// The category of the error, chosen by hand.
    pub expect: &'static str,
    pub bytes: Vec<u8>,
}

/// Collects the cases of one structure.
pub struct Cases {
    structure: &'static str,
    all: Vec<Case>,
}

impl Cases {
    pub fn of(structure: &'static str) -> Self {
        Self { structure, all: Vec::new() }
    }

    pub fn add(&mut self, name: &'static str, expect: &'static str, why: &'static str, bytes: Vec<u8>) {
        self.all.push(Case { structure: self.structure, name, why, expect, bytes });
    }

    /// The two cases at the end of every structure with a known length.
    pub fn add_ends(&mut self, valid: &[u8]) {
        self.add("cut_short", "truncated", "the last byte is missing", valid[..valid.len() - 1].to_vec());
        self.add("trailing_byte", "trailing", "a byte follows", [valid, &[0]].concat());
    }
}

/// All cases, in a fixed order.
pub fn all() -> Vec<Case> {
    let groups =
        [objects::all(), sealed::all(), packs::all(), segments::all(), trees::all(), collection::all()];
    groups.into_iter().flatten().flat_map(|cases: Cases| cases.all).collect()
}

/// `bytes` with one of them changed.
pub fn flip(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1;
    bytes
}

/// `bytes` with some of them replaced.
pub fn put(bytes: &[u8], at: usize, new: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at..at + new.len()].copy_from_slice(new);
    bytes
}
