//! Tokens: 256 random bits that are shown once. What is stored is a hash.
//!
//! A token is `kf_KIND_` and 58 letters of base32: the bits, and 32 bits of a checksum. So a scanner that looks for
//! secrets in source code finds it by `kf_(api|session|device|setup)_[a-z2-7]{58}`, and knows a true one without asking.

use data_encoding::{BASE32_NOPAD, BASE32_NOPAD_NOCASE};
use zeroize::Zeroizing;

/// Random bytes of a token.
pub const TOKEN_BYTES: usize = 32;
const CHECKSUM_BYTES: usize = 4;
const TEXT_BYTES_MAX: usize = 128;
const HASH_CONTEXT: &str = "keepfast 2026-11-29 token";
const CHECKSUM_CONTEXT: &str = "keepfast 2026-11-29 checksum of a token";

/// What a token is for. One of another kind is never accepted in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// The API, for programs.
    Api,
    /// A session of a person.
    Session,
    /// A browser from which a person has signed in before.
    Device,
    /// The first user.
    Setup,
}

impl TokenKind {
    const ALL: [Self; 4] = [Self::Api, Self::Session, Self::Device, Self::Setup];

    fn prefix(self) -> &'static str {
        match self {
            Self::Api => "kf_api_",
            Self::Session => "kf_session_",
            Self::Device => "kf_device_",
            Self::Setup => "kf_setup_",
        }
    }
}

/// A token.
pub struct Token {
    kind: TokenKind,
    bytes: Zeroizing<[u8; TOKEN_BYTES]>,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Token {
    /// A token of these random bytes.
    #[must_use]
    pub fn from_random(kind: TokenKind, bytes: [u8; TOKEN_BYTES]) -> Self {
        Self { kind, bytes: Zeroizing::new(bytes) }
    }

    /// A token of this kind from what someone has sent; `None` if it is none, is of another kind or was mistyped.
    #[must_use]
    pub fn parse(kind: TokenKind, text: &str) -> Option<Self> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let letters = text.strip_prefix(kind.prefix())?;
        let decoded = Zeroizing::new(BASE32_NOPAD_NOCASE.decode(letters.as_bytes()).ok()?);
        let (bytes, checksum) = decoded.split_at_checked(TOKEN_BYTES)?;
        let token = Self::from_random(kind, bytes.try_into().ok()?);
        (token.checksum() == checksum).then_some(token)
    }

    /// The kind that a text says it is of, whether or not it is a token.
    #[must_use]
    pub fn kind_of(text: &str) -> Option<TokenKind> {
        TokenKind::ALL.into_iter().find(|kind| text.starts_with(kind.prefix()))
    }

    /// What is shown, once.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        let mut all = Zeroizing::new([0; TOKEN_BYTES + CHECKSUM_BYTES]);
        all[..TOKEN_BYTES].copy_from_slice(&*self.bytes);
        all[TOKEN_BYTES..].copy_from_slice(&self.checksum());
        let letters = Zeroizing::new(BASE32_NOPAD.encode(&*all).to_ascii_lowercase());
        Zeroizing::new(format!("{}{}", self.kind.prefix(), *letters))
    }

    /// What is stored. It is another one for each kind.
    #[must_use]
    pub fn hash(&self) -> String {
        let hash = self.derived(HASH_CONTEXT);
        hash.to_hex().to_string()
    }

    /// What a scanner can check without a server; it protects from typing errors and nothing else.
    fn checksum(&self) -> [u8; CHECKSUM_BYTES] {
        let hash = self.derived(CHECKSUM_CONTEXT);
        let mut checksum = [0; CHECKSUM_BYTES];
        checksum.copy_from_slice(&hash.as_bytes()[..CHECKSUM_BYTES]);
        checksum
    }

    fn derived(&self, context: &str) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_derive_key(context);
        hasher.update(&*self.bytes);
        hasher.update(self.kind.prefix().as_bytes());
        hasher.finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::{Token, TokenKind};

    #[test]
    fn a_token_is_read_as_it_is_shown_and_of_no_other_kind() {
        for kind in TokenKind::ALL {
            let token = Token::from_random(kind, [7; 32]);
            let text = token.text();
            assert_eq!(text.len(), kind.prefix().len() + 58);
            assert!(
                text.rsplit('_')
                    .next()
                    .is_some_and(|end| end.bytes().all(|byte| byte.is_ascii_alphanumeric()))
            );
            let again = Token::parse(kind, &text).expect("it was shown");
            assert_eq!(again.hash(), token.hash());
            assert_eq!(Token::kind_of(&text), Some(kind));
            for other in TokenKind::ALL.into_iter().filter(|other| *other != kind) {
                assert!(Token::parse(other, &text).is_none());
                let moved = text.replace(kind.prefix(), other.prefix());
                assert!(Token::parse(other, &moved).is_none(), "the checksum covers the kind");
                assert_ne!(Token::from_random(other, [7; 32]).hash(), token.hash());
            }
            assert!(!format!("{token:?}").contains("7, 7"));
            assert!(!text.contains(&token.hash()));
        }
    }

    #[test]
    fn a_mistyped_token_is_none() {
        let text = Token::from_random(TokenKind::Api, *b"0123456789abcdef0123456789abcdef").text();
        for place in "kf_api_".len()..text.len() {
            let mut letters: Vec<u8> = text.bytes().collect();
            letters[place] = if letters[place] == b'a' { b'b' } else { b'a' };
            let mistyped = String::from_utf8(letters).expect("letters");
            assert!(Token::parse(TokenKind::Api, &mistyped).is_none(), "{mistyped}");
        }
        let cut = &text[..text.len() - 1];
        for none in ["", "kf_api_", cut, &format!("{}a", *text), "kf_api_é", &"kf_api_".repeat(100_000)] {
            assert!(Token::parse(TokenKind::Api, none).is_none());
        }
    }
}
