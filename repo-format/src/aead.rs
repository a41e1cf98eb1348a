//! ChaCha20-Poly1305 with counter nonces, and key derivation by BLAKE3.

use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, XChaCha20Poly1305};
use zeroize::Zeroizing;

use crate::FormatError;

/// Length of the tag that sealing appends.
pub const TAG_BYTES: usize = 16;

/// A 256-bit symmetric key.
pub type Key = Zeroizing<[u8; 32]>;

/// Separate number spaces for nonces under one key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum NonceSpace {
    /// Heads of frames, numbered by frame.
    FrameHead,
    /// Bodies of frames, numbered by frame.
    FrameBody,
    /// The directory of a pack, number 0.
    Directory,
    /// Sections of an index segment, numbered by section.
    Section,
    /// The only record under its key, number 0.
    Record,
}

impl NonceSpace {
    const fn code(self) -> u8 {
        match self {
            Self::FrameHead => 0,
            Self::FrameBody => 1,
            Self::Directory => 2,
            Self::Section => 3,
            Self::Record => 4,
        }
    }
}

/// An expanded key: seals and opens messages, each under its own nonce.
pub struct Cipher(ChaCha20Poly1305);

impl Cipher {
    pub fn new(key: &Key) -> Self {
        Self(ChaCha20Poly1305::new((&**key).into()))
    }

    /// Seals `buffer[from..]` in place and appends the tag.
    pub fn seal(&self, space: NonceSpace, number: u64, aad: &[u8], buffer: &mut Vec<u8>, from: usize) {
        let tag = self
            .0
            .encrypt_inout_detached(&nonce(space, number).into(), aad, (&mut buffer[from..]).into())
            .expect("messages are far below the cipher's limit of 256 GiB");
        buffer.extend_from_slice(&tag);
    }

    /// Opens `sealed` in place and returns its plaintext.
    pub fn open<'a>(
        &self,
        space: NonceSpace,
        number: u64,
        aad: &[u8],
        sealed: &'a mut [u8],
        what: &'static str,
    ) -> Result<&'a mut [u8], FormatError> {
        let split = sealed.len().checked_sub(TAG_BYTES).ok_or(FormatError::Truncated { what })?;
        let (message, tag) = sealed.split_at_mut(split);
        let tag: &[u8; TAG_BYTES] = (&*tag).try_into().map_err(|_| FormatError::Truncated { what })?;
        self.0
            .decrypt_inout_detached(&nonce(space, number).into(), aad, (&mut *message).into(), tag.into())
            .map_err(|_| FormatError::NotAuthentic { what })?;
        Ok(message)
    }

    /// Opens `sealed` and replaces the content of `plain` by its plaintext. After a failure `plain` is empty.
    pub fn open_into(
        &self,
        space: NonceSpace,
        number: u64,
        aad: &[u8],
        sealed: &[u8],
        plain: &mut Vec<u8>,
        what: &'static str,
    ) -> Result<(), FormatError> {
        let (message, tag) = sealed.split_last_chunk::<TAG_BYTES>().ok_or(FormatError::Truncated { what })?;
        plain.resize(message.len(), 0);
        let opened =
            InOutBuf::new(message, plain).map_err(|_| FormatError::Truncated { what }).and_then(|buffers| {
                self.0
                    .decrypt_inout_detached(&nonce(space, number).into(), aad, buffers, tag.into())
                    .map_err(|_| FormatError::NotAuthentic { what })
            });
        if opened.is_err() {
            plain.clear();
        }
        opened
    }
}

/// Seals under a long-lived key with a random 192-bit nonce (XChaCha20-Poly1305).
pub fn seal_random_nonce(key: &Key, nonce: &[u8; 24], aad: &[u8], message: &[u8]) -> Vec<u8> {
    let mut buffer = message.to_vec();
    let tag = XChaCha20Poly1305::new((&**key).into())
        .encrypt_inout_detached(nonce.into(), aad, buffer.as_mut_slice().into())
        .expect("messages are far below the cipher's limit of 256 GiB");
    buffer.extend_from_slice(&tag);
    buffer
}

/// Opens what [`seal_random_nonce`] sealed.
pub fn open_random_nonce(
    key: &Key,
    nonce: &[u8; 24],
    aad: &[u8],
    sealed: &[u8],
    what: &'static str,
) -> Result<Zeroizing<Vec<u8>>, FormatError> {
    let split = sealed.len().checked_sub(TAG_BYTES).ok_or(FormatError::Truncated { what })?;
    let (message, tag) = sealed.split_at(split);
    let tag: &[u8; TAG_BYTES] = tag.try_into().map_err(|_| FormatError::Truncated { what })?;
    let mut buffer = Zeroizing::new(message.to_vec());
    XChaCha20Poly1305::new((&**key).into())
        .decrypt_inout_detached(nonce.into(), aad, buffer.as_mut_slice().into(), tag.into())
        .map_err(|_| FormatError::NotAuthentic { what })?;
    Ok(buffer)
}

/// BLAKE3 derive-key. `context` names the purpose; `parts` have fixed lengths and are concatenated.
pub fn derive(context: &'static str, parts: &[&[u8]]) -> Key {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    for part in parts {
        hasher.update(part);
    }
    Zeroizing::new(*hasher.finalize().as_bytes())
}

fn nonce(space: NonceSpace, number: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[0] = space.code();
    nonce[4..].copy_from_slice(&number.to_le_bytes());
    nonce
}
