//! Names that a target may not distinguish: those that differ in upper and lower case only.

use std::collections::HashSet;

use xxhash_rust::xxh3::xxh3_64;

/// The names of one directory, without regard to case.
#[derive(Debug, Default)]
pub struct Spellings {
    found: HashSet<u64>,
    room: Vec<u8>,
}

impl Spellings {
    /// Adds a name. Returns whether there was one that differs from it in case only.
    pub fn add(&mut self, name: &[u8]) -> bool {
        !self.found.insert(folded(name, &mut self.room))
    }

    /// Whether there is one that differs from this one in case at most.
    pub fn has(&self, name: &[u8]) -> bool {
        self.found.contains(&folded(name, &mut Vec::new()))
    }

    /// Whether two names differ in case at most.
    pub fn are_one(one: &[u8], other: &[u8]) -> bool {
        folded(one, &mut Vec::new()) == folded(other, &mut Vec::new())
    }
}

/// A hash of a name in lower case.
fn folded(name: &[u8], room: &mut Vec<u8>) -> u64 {
    room.clear();
    if name.is_ascii() {
        room.extend(name.iter().map(u8::to_ascii_lowercase));
    } else {
        // To upper case first: some letters have two lower-case forms.
        let lower = String::from_utf8_lossy(name).to_uppercase().to_lowercase();
        room.extend_from_slice(lower.as_bytes());
    }
    xxh3_64(room)
}

#[cfg(test)]
mod tests {
    use super::Spellings;

    #[test]
    fn names_are_one_whatever_their_case() {
        let mut spellings = Spellings::default();
        let added = ["readme", "README", "Straße", "a", "STRASSE", "Ärger", "äRGER", "b"]
            .map(|name| spellings.add(name.as_bytes()));
        assert_eq!(added, [false, true, false, false, true, false, true, false]);
        assert!(spellings.has(b"ReadMe") && !spellings.has(b"readme2"));
        assert!(!spellings.add(b"\xff") && spellings.has(b"\xff"));
    }
}
