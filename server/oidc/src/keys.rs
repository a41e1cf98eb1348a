//! The issuer's keys, and signatures by them. Only signatures by a pair of keys count: with a shared secret, whoever checks
//! could also sign.

use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey,
};
use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;

/// Keys that are looked at, at most.
const KEYS_MAX: usize = 100;
/// Bytes of a coordinate of the curve P-256.
const P256_BYTES: usize = 32;

/// What an issuer publishes.
#[derive(Debug, Clone, Deserialize)]
pub struct KeySet {
    keys: Vec<serde_json::Value>,
}

/// A key that this program can use. Others are passed over.
#[derive(Debug, Clone, Deserialize)]
struct Key {
    kty: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default, rename = "use")]
    usage: Option<String>,
    #[serde(default)]
    alg: Option<String>,
    #[serde(default)]
    crv: Option<String>,
    #[serde(default)]
    n: Option<String>,
    #[serde(default)]
    e: Option<String>,
    #[serde(default)]
    x: Option<String>,
    #[serde(default)]
    y: Option<String>,
}

/// How a token is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA, the old padding.
    Rs256,
    /// RSA, the new padding.
    Ps256,
    /// The curve P-256.
    Es256,
}

impl Algorithm {
    /// The algorithm with this name. `none`, and those with a shared secret, are none of them.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "PS256" => Some(Self::Ps256),
            "ES256" => Some(Self::Es256),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
        }
    }
}

/// What came of looking for a key and comparing a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    /// It is a key's of the issuer.
    Yes,
    /// There is a key with the name, and the signature isn't its.
    No,
    /// There is no key with the name: the issuer may have changed its keys.
    NoKey,
}

impl KeySet {
    /// Whether a key of the issuer has signed `message`. A token that names no key can be of any.
    pub fn check(&self, algorithm: Algorithm, kid: Option<&str>, message: &[u8], signature: &[u8]) -> Signed {
        let keys = self.keys.iter().take(KEYS_MAX).filter_map(|key| Key::deserialize(key).ok());
        let mut fitting = keys.filter(|key| key.fits(algorithm, kid)).peekable();
        if fitting.peek().is_none() {
            return Signed::NoKey;
        }
        if fitting.any(|key| key.has_signed(algorithm, message, signature)) {
            Signed::Yes
        } else {
            Signed::No
        }
    }
}

impl Key {
    fn fits(&self, algorithm: Algorithm, kid: Option<&str>) -> bool {
        let is_named = kid.is_none() || self.kid.as_deref() == kid;
        let is_for_signatures = self.usage.as_deref().is_none_or(|usage| usage == "sig");
        let is_for_this = self.alg.as_deref().is_none_or(|alg| alg == algorithm.name());
        let is_kind = match algorithm {
            Algorithm::Rs256 | Algorithm::Ps256 => self.kty == "RSA",
            Algorithm::Es256 => self.kty == "EC" && self.crv.as_deref() == Some("P-256"),
        };
        is_named && is_for_signatures && is_for_this && is_kind
    }

    fn has_signed(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let bytes = |text: &Option<String>| BASE64URL_NOPAD.decode(text.as_deref()?.as_bytes()).ok();
        match algorithm {
            Algorithm::Rs256 | Algorithm::Ps256 => {
                let (Some(n), Some(e)) = (bytes(&self.n), bytes(&self.e)) else { return false };
                let parameters = match algorithm {
                    Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
                    _ => &RSA_PKCS1_2048_8192_SHA256,
                };
                PublicKeyComponents { n: &n, e: &e }.verify(parameters, message, signature).is_ok()
            }
            Algorithm::Es256 => {
                let (Some(x), Some(y)) = (bytes(&self.x), bytes(&self.y)) else { return false };
                if x.len() != P256_BYTES || y.len() != P256_BYTES {
                    return false;
                }
                // An uncompressed point.
                let point = [&[4][..], &x, &y].concat();
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature).is_ok()
            }
        }
    }
}
