//! The issuer's keys, and signatures by them. Only signatures by a pair of keys count: with a shared secret, a program that
//! checks could also sign.

use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
    EcdsaVerificationAlgorithm, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    RsaParameters, UnparsedPublicKey,
};
use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;

/// Keys that are looked at, at most.
const KEYS_MAX: usize = 100;

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
    /// The same with SHA-384.
    Rs384,
    /// The same with SHA-512.
    Rs512,
    /// RSA, the new padding.
    Ps256,
    /// The same with SHA-384.
    Ps384,
    /// The same with SHA-512.
    Ps512,
    /// The curve P-256.
    Es256,
    /// The curve P-384.
    Es384,
    /// The curve P-521.
    Es512,
    /// The curve Ed25519.
    EdDsa,
}

/// What a signature is checked with.
enum Check {
    Rsa(&'static RsaParameters),
    /// The name of the curve, and the bytes of a coordinate.
    Curve(&'static str, usize, &'static EcdsaVerificationAlgorithm),
    Ed25519,
}

impl Algorithm {
    /// The algorithm with this name. `none`, and those with a shared secret, are none of them.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "RS384" => Some(Self::Rs384),
            "RS512" => Some(Self::Rs512),
            "PS256" => Some(Self::Ps256),
            "PS384" => Some(Self::Ps384),
            "PS512" => Some(Self::Ps512),
            "ES256" => Some(Self::Es256),
            "ES384" => Some(Self::Es384),
            "ES512" => Some(Self::Es512),
            // RFC 9864 gives it the second name.
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            _ => None,
        }
    }

    fn check(self) -> Check {
        match self {
            Self::Rs256 => Check::Rsa(&RSA_PKCS1_2048_8192_SHA256),
            Self::Rs384 => Check::Rsa(&RSA_PKCS1_2048_8192_SHA384),
            Self::Rs512 => Check::Rsa(&RSA_PKCS1_2048_8192_SHA512),
            Self::Ps256 => Check::Rsa(&RSA_PSS_2048_8192_SHA256),
            Self::Ps384 => Check::Rsa(&RSA_PSS_2048_8192_SHA384),
            Self::Ps512 => Check::Rsa(&RSA_PSS_2048_8192_SHA512),
            Self::Es256 => Check::Curve("P-256", 32, &ECDSA_P256_SHA256_FIXED),
            Self::Es384 => Check::Curve("P-384", 48, &ECDSA_P384_SHA384_FIXED),
            Self::Es512 => Check::Curve("P-521", 66, &ECDSA_P521_SHA512_FIXED),
            Self::EdDsa => Check::Ed25519,
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
        let is_for_this = self.alg.as_deref().is_none_or(|alg| Algorithm::parse(alg) == Some(algorithm));
        let is_kind = match algorithm.check() {
            Check::Rsa(_) => self.kty == "RSA",
            Check::Curve(curve, ..) => self.kty == "EC" && self.crv.as_deref() == Some(curve),
            Check::Ed25519 => self.kty == "OKP" && self.crv.as_deref() == Some("Ed25519"),
        };
        is_named && is_for_signatures && is_for_this && is_kind
    }

    fn has_signed(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let bytes = |text: &Option<String>| BASE64URL_NOPAD.decode(text.as_deref()?.as_bytes()).ok();
        match algorithm.check() {
            Check::Rsa(parameters) => {
                let (Some(n), Some(e)) = (bytes(&self.n), bytes(&self.e)) else { return false };
                PublicKeyComponents { n: &n, e: &e }.verify(parameters, message, signature).is_ok()
            }
            Check::Curve(_, length, curve) => {
                let (Some(x), Some(y)) = (bytes(&self.x), bytes(&self.y)) else { return false };
                if x.len() != length || y.len() != length {
                    return false;
                }
                // An uncompressed point.
                let point = [&[4][..], &x, &y].concat();
                UnparsedPublicKey::new(curve, point).verify(message, signature).is_ok()
            }
            Check::Ed25519 => {
                let Some(x) = bytes(&self.x) else { return false };
                UnparsedPublicKey::new(&ED25519, x).verify(message, signature).is_ok()
            }
        }
    }
}
