//! Tags on the index's entries: what a lookup says is what this program has written there, for this
//! repository and in this index, or it is damage.
//!
//! An index is a file like any other: it may be put back from a backup, come from another machine, or be
//! made by someone who wants chunks to be taken for stored that aren't. So each entry carries a keyed hash
//! of itself, of 8 bytes: BLAKE3, under a key that follows from the repository's secrets and from a random
//! number that the index got when it was made. Entries of another index, where the same number may be
//! another pack, are refused like made-up ones.

use keepfast_format::keys::DomainSecrets;
use keepfast_format::numbers::u64_of;
use zeroize::Zeroizing;

/// Bytes of a tag.
pub const TAG_BYTES: usize = 8;
/// Bytes of the random number of an index.
pub const GENERATION_BYTES: usize = 16;

/// What BLAKE3 hashes at once.
const BLOCK_BYTES: usize = 64;

/// Which index of a repository it is.
pub type Generation = [u8; GENERATION_BYTES];

/// What the tags of a repository's indexes follow from.
pub struct IndexSecret(Zeroizing<[u8; 32]>);

impl IndexSecret {
    /// The one of these keys.
    pub fn of(secrets: &DomainSecrets) -> Self {
        Self(secrets.local_index_key())
    }

    /// What makes the tags of an index.
    pub fn seal(&self, generation: &Generation) -> Seal {
        Seal(Zeroizing::new(*blake3::keyed_hash(&self.0, generation).as_bytes()))
    }
}

/// Makes and compares an index's tags.
pub struct Seal(Zeroizing<[u8; 32]>);

impl Seal {
    /// The tag of an entry.
    pub fn tag(&self, key: &[u8], value: &[u8]) -> [u8; TAG_BYTES] {
        // With the key's length, no other key and value are hashed the same.
        let length = (u64_of(key.len())).to_le_bytes();
        let bytes = length.len() + key.len() + value.len();
        let mut block = [0; BLOCK_BYTES];
        // A chunk's places, of which there are very many, are one block: a hasher takes longer to be made
        // than that takes to be hashed.
        let hash = if let Some(input) = block.get_mut(..bytes) {
            let (first, rest) = input.split_at_mut(length.len());
            let (second, third) = rest.split_at_mut(key.len());
            first.copy_from_slice(&length);
            second.copy_from_slice(key);
            third.copy_from_slice(value);
            blake3::keyed_hash(&self.0, input)
        } else {
            blake3::Hasher::new_keyed(&self.0).update(&length).update(key).update(value).finalize()
        };
        let [a, b, c, d, e, f, g, h, ..] = *hash.as_bytes();
        [a, b, c, d, e, f, g, h]
    }

    /// A value with its tag.
    pub fn close(&self, key: &[u8], mut value: Vec<u8>) -> Vec<u8> {
        value.extend_from_slice(&self.tag(key, &value));
        value
    }

    /// The value of an entry; none if its tag is another one's.
    pub fn open<'v>(&self, key: &[u8], value: &'v [u8]) -> Option<&'v [u8]> {
        let (value, tag) = value.split_last_chunk::<TAG_BYTES>()?;
        (self.tag(key, value) == *tag).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use keepfast_format::ids::DomainId;
    use keepfast_format::keys::DomainSecrets;
    use zeroize::Zeroizing;

    use super::IndexSecret;

    #[test]
    fn what_was_written_elsewhere_or_changed_isnt_opened() {
        let secrets = |byte| DomainSecrets::new(DomainId::new([1; 16]), &Zeroizing::new([byte; 160]));
        let secret = IndexSecret::of(&secrets(1));
        let seal = secret.seal(&[1; 16]);
        let closed = seal.close(b"key", b"value".to_vec());
        assert_eq!(seal.open(b"key", &closed), Some(b"value".as_slice()));
        for place in 0..closed.len() {
            let mut changed = closed.clone();
            changed[place] ^= 1;
            assert_eq!(seal.open(b"key", &changed), None);
        }
        assert_eq!(seal.open(b"keyv", &closed[1..]), None);
        assert_eq!(seal.open(b"another", &closed), None);
        assert_eq!(seal.open(b"key", b"short"), None);
        for bytes in [0, 40, 53, 54, 500] {
            let closed = seal.close(b"key", vec![7; bytes]);
            assert_eq!(seal.open(b"key", &closed), Some([7; 500][..bytes].as_ref()));
        }
        assert_eq!(secret.seal(&[2; 16]).open(b"key", &closed), None, "another index");
        let others = IndexSecret::of(&secrets(2)).seal(&[1; 16]);
        assert_eq!(others.open(b"key", &closed), None, "another repository");
    }
}
