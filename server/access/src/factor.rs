//! The second factor: codes of six digits that change each half minute (TOTP, RFC 6238), and recovery codes for the day on
//! which the device is lost.

use data_encoding::BASE32_NOPAD;
use totp_rs::{Algorithm, Builder, Totp};
use zeroize::Zeroizing;

/// Random bytes of a secret: what RFC 4226 recommends.
pub const SECRET_BYTES: usize = 20;
/// Recovery codes that a user gets.
pub const RECOVERY_CODES: usize = 10;
/// Random bytes of a recovery code.
pub const RECOVERY_BYTES: usize = 10;
/// Digits of a code.
const DIGITS: u8 = 6;
/// Seconds of a step.
const STEP_SECONDS: u64 = 30;
/// Steps before and after the present one whose codes are right too: clocks of devices are wrong by that much.
const STEPS_AROUND: u16 = 1;
/// What hashes of recovery codes are made for.
const RECOVERY_CONTEXT: &str = "keepfast 2026-11-29 recovery code";

/// A stored secret isn't one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stored secret of a second factor can't be used")]
pub struct SecretFault;

/// The secret of a user's codes.
pub struct CodeSecret(Zeroizing<Vec<u8>>);

impl std::fmt::Debug for CodeSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CodeSecret(…)")
    }
}

impl CodeSecret {
    /// A secret of these random bytes.
    #[must_use]
    pub fn from_random(bytes: [u8; SECRET_BYTES]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }

    /// A secret from what is stored.
    pub fn from_stored(text: &str) -> Result<Self, SecretFault> {
        let bytes = BASE32_NOPAD.decode(text.as_bytes()).map_err(|_| SecretFault)?;
        if bytes.len() == SECRET_BYTES { Ok(Self(Zeroizing::new(bytes))) } else { Err(SecretFault) }
    }

    /// What is stored; a person can also type it into a device.
    #[must_use]
    pub fn to_stored(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE32_NOPAD.encode(&self.0))
    }

    /// What a device reads as a picture: `otpauth://totp/…`.
    #[must_use]
    pub fn address(&self, issuer: &str, user: &str) -> Zeroizing<String> {
        let (issuer, user) = (percent(issuer), percent(user));
        Zeroizing::new(format!(
            "otpauth://totp/{issuer}:{user}?secret={}&issuer={issuer}&algorithm=SHA1&digits={DIGITS}&period={STEP_SECONDS}",
            *self.to_stored()
        ))
    }

    /// The step whose code this is, if it is one of those around `seconds` after the beginning of 1970. The caller has to use
    /// the step up, so that no code is accepted twice.
    #[must_use]
    pub fn step_of(&self, code: &str, seconds: u64) -> Option<u64> {
        let digits: Zeroizing<String> =
            Zeroizing::new(code.chars().filter(|letter| !letter.is_whitespace()).take(16).collect());
        let is_code = digits.len() == usize::from(DIGITS) && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_code.then(|| self.codes().check(&digits, seconds)).flatten()
    }

    fn codes(&self) -> Totp {
        // SHA-1, because widespread devices read another algorithm's name and compute with SHA-1 all the same.
        Builder::new()
            .with_algorithm(Algorithm::SHA1)
            .with_digits(DIGITS)
            .with_skew(STEPS_AROUND)
            .with_step_duration(STEP_SECONDS)
            .with_secret(self.0.to_vec())
            .build_noncompliant()
    }
}

/// A text as part of an address.
fn percent(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// A recovery code as a person writes it down, from random bytes: `abcd-efgh-ijkl-mnop`.
#[must_use]
pub fn recovery_code(bytes: [u8; RECOVERY_BYTES]) -> Zeroizing<String> {
    let letters = Zeroizing::new(BASE32_NOPAD.encode(&bytes).to_ascii_lowercase());
    let mut code = Zeroizing::new(String::with_capacity(20));
    for (place, letter) in letters.chars().enumerate() {
        if place > 0 && place % 4 == 0 {
            code.push('-');
        }
        code.push(letter);
    }
    code
}

/// The hash of what a person typed as a recovery code; `None` if it can't be one. It is another one for another user.
#[must_use]
pub fn recovery_hash(user: &str, typed: &str) -> Option<String> {
    let letters = typed.chars().filter(|letter| !letter.is_whitespace() && *letter != '-').take(64);
    let letters: Zeroizing<String> = Zeroizing::new(letters.collect::<String>().to_ascii_uppercase());
    let bytes = Zeroizing::new(BASE32_NOPAD.decode(letters.as_bytes()).ok()?);
    if bytes.len() != RECOVERY_BYTES {
        return None;
    }
    let mut hasher = blake3::Hasher::new_derive_key(RECOVERY_CONTEXT);
    // Of a fixed length, so that no user's name runs into a code.
    hasher.update(&bytes);
    hasher.update(user.as_bytes());
    Some(hasher.finalize().to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use super::{CodeSecret, recovery_code, recovery_hash};

    /// The vectors of RFC 6238, appendix B, for SHA-1: their last six digits.
    #[test]
    fn codes_are_those_of_the_standard() {
        let secret = CodeSecret::from_random(*b"12345678901234567890");
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(secret.step_of(code, seconds), Some(seconds / 30), "{seconds}");
        }
    }

    #[test]
    fn a_code_is_right_one_step_around_and_no_further() {
        let secret = CodeSecret::from_random(*b"12345678901234567890");
        let step: u64 = 1_234_567_890 / 30;
        let at = |offset: i64| (step * 30).checked_add_signed(offset).expect("a time");
        for (offset, is_right) in [(-31, false), (-30, true), (0, true), (29, true), (59, true), (60, false)]
        {
            assert_eq!(secret.step_of("005 924", at(offset)), is_right.then_some(step), "{offset}");
        }
        for wrong in ["", "05924", "0059241", "00592a", "-05924", "００５９２４", &"0".repeat(100_000)]
        {
            assert_eq!(secret.step_of(wrong, at(0)), None);
        }
    }

    #[test]
    fn a_secret_is_stored_shown_and_read_again() {
        let secret = CodeSecret::from_random(*b"12345678901234567890");
        let stored = secret.to_stored();
        assert_eq!(*stored, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        let again = CodeSecret::from_stored(&stored).expect("it was stored");
        assert_eq!(*again.to_stored(), *stored);
        assert_eq!(
            *secret.address("keepfast at büro", "ann"),
            "otpauth://totp/keepfast%20at%20b%C3%BCro:ann?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
             &issuer=keepfast%20at%20b%C3%BCro&algorithm=SHA1&digits=6&period=30"
        );
        assert!(CodeSecret::from_stored("GEZDGNBV").is_err() && CodeSecret::from_stored("?").is_err());
        assert_eq!(format!("{secret:?}"), "CodeSecret(…)");
    }

    #[test]
    fn recovery_codes_are_read_as_people_type_them_and_belong_to_a_user() {
        let code = recovery_code([0xa5; 10]);
        assert_eq!(*code, "uws2-ljnf-uws2-ljnf");
        let hash = recovery_hash("ann", &code);
        assert!(hash.is_some());
        assert_eq!(recovery_hash("ann", " UWS2 ljnf-uws2LJNF "), hash);
        assert_ne!(recovery_hash("bob", &code), hash);
        for none in ["", "uws2-ljnf-uws2", "uws2-ljnf-uws2-ljnf-uws2", "uws2-ljnf-uws2-ljn1"] {
            assert_eq!(recovery_hash("ann", none), None, "{none}");
        }
    }
}
