//! Identifiers: one type for each kind, so that mixing them up doesn't compile.

use std::fmt;

use data_encoding::HEXLOWER;

/// Defines a fixed-size identifier with hexadecimal text.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $size:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $size]);

        impl $name {
            /// Length in bytes.
            pub const SIZE: usize = $size;

            /// Wraps raw bytes.
            #[must_use]
            pub const fn new(bytes: [u8; $size]) -> Self {
                Self(bytes)
            }

            /// The raw bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $size] {
                &self.0
            }

            /// Reads lower-case hexadecimal of the full length; `None` for anything else.
            #[must_use]
            pub fn from_hex(text: &str) -> Option<Self> {
                decode_hex(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                HEXLOWER.encode_display(&self.0).fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

id!(
    /// A chunk's id: keyed BLAKE3-256 of its plaintext.
    ChunkId, 32
);
id!(
    /// A pack's id: BLAKE3-256 of its stored bytes, which anyone can verify.
    PackId, 32
);
id!(
    /// The hash of another object's stored bytes: configs, keyrings and snapshots form chains.
    ObjectHash, 32
);
id!(
    /// A repository's random number.
    RepositoryId, 16
);
id!(
    /// A trust domain's random number.
    DomainId, 16
);
id!(
    /// A key slot's id: the first half of BLAKE3-256 of its stored bytes.
    SlotId, 16
);
id!(
    /// A holder of keys (owner, writer or reader): derived from its Ed25519 public key.
    HolderId, 8
);

/// One writing run, and the snapshot that it commits. The writer's id comes first, so that a bucket policy
/// can confine each writer to its own names; a random number follows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId {
    /// The writer.
    pub writer: HolderId,
    /// A number drawn for this run.
    pub random: [u8; 16],
}

impl SessionId {
    /// Length of the binary form: writer, then random number.
    pub const SIZE: usize = 24;

    /// The binary form.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..8].copy_from_slice(self.writer.as_bytes());
        bytes[8..].copy_from_slice(&self.random);
        bytes
    }

    /// Reads the binary form.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::SIZE]) -> Self {
        let (writer, random) = bytes.split_at(8);
        Self {
            writer: HolderId::new(writer.try_into().unwrap_or_default()),
            random: random.try_into().unwrap_or_default(),
        }
    }

    /// Reads the text form of object names: `<writer>-<random>`, lower-case hexadecimal.
    #[must_use]
    pub fn from_name(text: &str) -> Option<Self> {
        let (writer, random) = text.split_once('-')?;
        Some(Self { writer: HolderId::from_hex(writer)?, random: decode_hex(random)? })
    }

    /// The short text form for people: the random number alone.
    #[must_use]
    pub fn short(&self) -> String {
        HEXLOWER.encode(&self.random)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.writer, HEXLOWER.encode_display(&self.random))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

impl ObjectHash {
    /// The hash of an object's stored bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::new(*blake3::hash(bytes).as_bytes())
    }
}

impl PackId {
    /// The id of a pack with these stored bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::new(*blake3::hash(bytes).as_bytes())
    }
}

impl SlotId {
    /// The id of a key slot with these stored bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut half = [0; Self::SIZE];
        half.copy_from_slice(&blake3::hash(bytes).as_bytes()[..Self::SIZE]);
        Self::new(half)
    }
}

/// Reads lower-case hexadecimal of exactly `N` bytes; `None` for anything else.
pub(crate) fn decode_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    HEXLOWER.decode_mut(text.as_bytes(), &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{ChunkId, HolderId, SessionId};

    #[test]
    fn session_ids_are_read_back_from_their_text_and_binary_forms() {
        let sid = SessionId { writer: HolderId::new([0xab; 8]), random: [7; 16] };
        assert_eq!(SessionId::from_name(&sid.to_string()), Some(sid));
        assert_eq!(SessionId::from_bytes(&sid.to_bytes()), sid);
    }

    #[test]
    fn hexadecimal_of_the_wrong_length_or_case_is_no_id() {
        let text = ChunkId::new([0xcd; 32]).to_string();
        assert!(ChunkId::from_hex(&text).is_some());
        assert!(ChunkId::from_hex(&text.to_uppercase()).is_none());
        assert!(ChunkId::from_hex(&text[1..]).is_none());
    }
}
