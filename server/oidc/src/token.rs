//! ID tokens: read, and checked against what this login has asked for.

use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::OidcError;
use crate::keys::{Algorithm, KeySet, Signed};

/// Bytes of a token, at most.
const TOKEN_BYTES_MAX: usize = 64 << 10;
/// Clocks of two machines differ by this many seconds at most.
const LEEWAY_SECONDS: u64 = 60;
/// Bytes of the issuer's name of a person, at most.
const SUBJECT_BYTES_MAX: usize = 255;

/// What a token has to be.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The issuer, letter by letter.
    pub issuer: &'a str,
    /// This client.
    pub client: &'a str,
    /// The nonce of this login.
    pub nonce: &'a str,
    /// Seconds since the beginning of 1970.
    pub now: u64,
}

/// A token that is read and not checked.
pub struct Token<'a> {
    algorithm: Algorithm,
    kid: Option<String>,
    message: &'a str,
    signature: Vec<u8>,
    claims: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    /// Extensions that must be understood: none is.
    #[serde(default)]
    crit: Option<Value>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Value,
    #[serde(default)]
    azp: Option<String>,
    exp: f64,
    iat: f64,
    #[serde(default)]
    nonce: Option<String>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

fn wrong(problem: &'static str) -> OidcError {
    OidcError::Token { problem }
}

impl<'a> Token<'a> {
    /// Reads a token: three parts in base64.
    pub fn read(text: &'a str) -> Result<Self, OidcError> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(wrong("it is too long"));
        }
        let (message, signature) = text.rsplit_once('.').ok_or_else(|| wrong("it isn't one"))?;
        let (header, claims) = message.split_once('.').ok_or_else(|| wrong("it isn't one"))?;
        let decoded = |part: &str| BASE64URL_NOPAD.decode(part.as_bytes()).map_err(|_| wrong("it isn't one"));
        let header: Header = serde_json::from_slice(&decoded(header)?).map_err(|_| wrong("it isn't one"))?;
        if header.crit.is_some() {
            return Err(wrong("it has an extension that isn't known"));
        }
        let algorithm = Algorithm::parse(&header.alg);
        let algorithm = algorithm
            .ok_or_else(|| wrong("it isn't signed by RS, PS or ES with 256, 384 or 512, nor by EdDSA"))?;
        Ok(Self {
            algorithm,
            kid: header.kid,
            message,
            signature: decoded(signature)?,
            claims: decoded(claims)?,
        })
    }

    /// Whether a key of the issuer has signed it.
    pub fn signed_by(&self, keys: &KeySet) -> Signed {
        keys.check(self.algorithm, self.kid.as_deref(), self.message.as_bytes(), &self.signature)
    }

    /// Who it says someone is, and everything else that it says; its signature has to be checked before.
    pub fn claims(&self, expected: &Expected<'_>) -> Result<(String, Map<String, Value>), OidcError> {
        let claims: Claims =
            serde_json::from_slice(&self.claims).map_err(|_| wrong("it lacks what each ID token has"))?;
        if claims.iss != expected.issuer {
            return Err(wrong("it is of another issuer"));
        }
        let is_for = |audience: &Value| audience.as_str() == Some(expected.client);
        let (is_ours, is_shared) = match &claims.aud {
            Value::Array(all) => (all.iter().any(is_for), all.len() > 1),
            one => (is_for(one), false),
        };
        if !is_ours {
            return Err(wrong("it is for another client"));
        }
        let is_other_party = claims.azp.as_deref().is_some_and(|party| party != expected.client);
        if is_other_party || (is_shared && claims.azp.is_none()) {
            return Err(wrong("it was made for another client"));
        }
        if claims.nonce.as_deref() != Some(expected.nonce) {
            return Err(wrong("it is of another login"));
        }
        let now = expected.now as f64;
        let leeway = LEEWAY_SECONDS as f64;
        if claims.exp <= now - leeway {
            return Err(wrong("it has expired, or the clocks of the two machines differ"));
        }
        if claims.iat >= now + leeway {
            return Err(wrong("it is from the future: the clocks of the two machines differ"));
        }
        let subject = claims.sub;
        if subject.is_empty() || subject.len() > SUBJECT_BYTES_MAX || subject.chars().any(char::is_control) {
            return Err(wrong("it names no one"));
        }
        Ok((subject, claims.others))
    }
}
