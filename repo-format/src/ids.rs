//! Identifiers: one type for each kind, so that mixing them up doesn't compile.

use std::fmt;

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
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
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
    /// A chunk's name: keyed BLAKE3-256 of its plaintext.
    ChunkId, 32
);
id!(
    /// A pack's name: BLAKE3-256 of its stored bytes, which anyone can verify.
    PackId, 32
);
id!(
    /// The hash of another object's stored bytes (chains of configs, keyrings, snapshots).
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
    /// A key slot's name: the first half of BLAKE3-256 of its stored bytes.
    SlotId, 16
);
id!(
    /// A holder of keys (owner, writer or reader): derived from its Ed25519 public key.
    HolderId, 8
);

/// One writing run, and the snapshot that it commits: the writer's id, then a random
/// number, so that a bucket policy can confine each writer to its own names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId {
    /// Who writes.
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

    /// The short text form that people use: the random number alone.
    #[must_use]
    pub fn short(&self) -> String {
        self.random.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.writer, self.short())
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
    /// The name of a pack with these stored bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::new(*blake3::hash(bytes).as_bytes())
    }
}

impl SlotId {
    /// The name of a key slot with these stored bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut half = [0; Self::SIZE];
        half.copy_from_slice(&blake3::hash(bytes).as_bytes()[..Self::SIZE]);
        Self::new(half)
    }
}

fn decode_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let text = text.as_bytes();
    if text.len() != 2 * N {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{ChunkId, HolderId, SessionId};

    #[test]
    fn session_ids_survive_their_text_and_binary_forms() {
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
