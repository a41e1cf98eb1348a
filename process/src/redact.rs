//! Secrets that a process has read, so that they are taken out of what its programs print.
//!
//! A hook that prints its password, a client of a database that quotes its address: what programs print is kept in logs
//! and messages. Of what is kept, each secret is replaced, as it is and as it is usually written: in Base64, in
//! hexadecimal, percent-encoded, and inside a text of JSON.

use std::fmt;
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, Encoding, HEXLOWER, HEXUPPER};
use zeroize::Zeroizing;

/// What stands in a text for a secret.
pub const IN_ITS_PLACE: &str = "[secret]";

/// A secret that is shorter isn't looked for: it would be found in words that have nothing to do with it.
const SECRET_BYTES_MIN: usize = 4;
/// Of a longer secret only its own bytes are looked for: it is a document, and no one writes it otherwise.
const ENCODED_BYTES_MAX: usize = 4 << 10;
/// No more secrets are remembered; the oldest goes first. A configuration has fewer.
const SECRETS_MAX: usize = 1024;
/// Base64 of a part of a text is looked for if this many letters of it follow from the secret alone.
const BASE64_LETTERS_MIN: usize = 6;

/// Secrets that were read by a process. Clones are one. They are wiped from memory with the last clone.
#[derive(Clone, Default)]
pub struct KnownSecrets(Arc<Mutex<Vec<Known>>>);

/// A secret as it may be written: its own bytes first.
struct Known(Vec<Zeroizing<Vec<u8>>>);

impl fmt::Debug for KnownSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KnownSecrets(…)")
    }
}

impl KnownSecrets {
    /// Remembers a secret that was read.
    pub fn learn(&self, secret: &[u8]) {
        if secret.len() < SECRET_BYTES_MIN {
            return;
        }
        let mut known = self.known();
        if known.iter().any(|known| known.0[0].as_slice() == secret) {
            return;
        }
        if known.len() >= SECRETS_MAX {
            known.remove(0);
        }
        known.push(Known::new(secret));
    }

    /// Reads all that a program prints, and keeps the last of it: this many bytes, at most, without any secret that is
    /// known at the end. A secret that comes in several parts is found, and so is one that is only half kept.
    pub fn last_of(&self, mut input: impl Read, bytes_max: usize) -> Vec<u8> {
        // No copy is left behind by a vector that grows, unless a longer secret is read meanwhile.
        let room = bytes_max.saturating_add(self.longest_bytes()).saturating_add(4096);
        let (mut kept, mut is_whole) = (Zeroizing::new(Vec::with_capacity(room)), true);
        let mut buffer = Zeroizing::new([0; 4096]);
        while let Ok(count @ 1..) = input.read(&mut *buffer) {
            kept.extend_from_slice(&buffer[..count]);
            let excess = kept.len().saturating_sub(bytes_max.saturating_add(self.longest_bytes()));
            if excess > 0 {
                is_whole = false;
                kept.drain(..excess);
            }
        }
        // A secret that begins before what is kept ends in these first bytes.
        let mut shown = self.without_secrets(&kept, if is_whole { 0 } else { self.longest_bytes() });
        let excess = shown.len().saturating_sub(bytes_max);
        shown.drain(..excess);
        shown
    }

    /// A text without the secrets, and without as much of its beginning, unless a secret reaches beyond that.
    fn without_secrets(&self, text: &[u8], left_out: usize) -> Vec<u8> {
        let known = self.known();
        let mut by_first: Vec<Vec<&[u8]>> = vec![Vec::new(); 256];
        for form in known.iter().flat_map(|known| &known.0) {
            by_first[usize::from(form[0])].push(form);
        }
        let mut shown = Vec::with_capacity(text.len());
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            let found = by_first[usize::from(rest[0])].iter().filter(|form| rest.starts_with(form));
            match found.map(|form| form.len()).max() {
                Some(length) => {
                    at += length;
                    if at > left_out {
                        shown.extend_from_slice(IN_ITS_PLACE.as_bytes());
                    }
                }
                None => {
                    if at >= left_out {
                        shown.push(rest[0]);
                    }
                    at += 1;
                }
            }
        }
        shown
    }

    /// The length of the longest form of a secret.
    fn longest_bytes(&self) -> usize {
        self.known().iter().flat_map(|known| &known.0).map(|form| form.len()).max().unwrap_or(0)
    }

    fn known(&self) -> MutexGuard<'_, Vec<Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn new(secret: &[u8]) -> Self {
        let mut forms = vec![Zeroizing::new(secret.to_owned())];
        if secret.len() <= ENCODED_BYTES_MAX {
            forms.push(text(HEXLOWER.encode(secret)));
            forms.push(text(HEXUPPER.encode(secret)));
            for alphabet in [&BASE64_NOPAD, &BASE64URL_NOPAD] {
                forms.extend((0..3).filter_map(|before| base64(alphabet, secret, before)));
            }
            for digits in [b"0123456789ABCDEF", b"0123456789abcdef"] {
                let percent = percent_encoded(secret, digits);
                forms.push(spaces_as_plus(&percent));
                forms.push(percent);
            }
            if let Some(json) =
                str::from_utf8(secret).ok().and_then(|secret| serde_json::to_string(secret).ok())
            {
                let json = text(json);
                forms.push(Zeroizing::new(json[1..json.len() - 1].to_owned()));
            }
        }
        forms[1..].sort_by(|one, other| one.as_slice().cmp(other));
        forms.dedup();
        Self(forms)
    }
}

fn text(text: String) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(text.into_bytes())
}

/// The letters that are the same in the Base64 of every text that has the secret behind this many bytes, of three.
fn base64(alphabet: &Encoding, secret: &[u8], before: usize) -> Option<Zeroizing<Vec<u8>>> {
    let mut padded = Zeroizing::new(vec![0; before]);
    padded.extend_from_slice(secret);
    let encoded = text(alphabet.encode(&padded));
    // The first letters also have bits of what is before, and the last one may have bits of what comes behind.
    let begin = [0, 2, 3][before];
    let end = padded.len() * 8 / 6;
    let own = encoded.get(begin..end)?;
    (own.len() >= BASE64_LETTERS_MIN).then(|| Zeroizing::new(own.to_owned()))
}

fn percent_encoded(secret: &[u8], digits: &[u8; 16]) -> Zeroizing<Vec<u8>> {
    // No more than this, so that no copy is left behind by a vector that grows.
    let mut encoded = Zeroizing::new(Vec::with_capacity(3 * secret.len()));
    for byte in secret {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(*byte),
            _ => encoded.extend_from_slice(&[
                b'%',
                digits[usize::from(byte >> 4)],
                digits[usize::from(byte & 15)],
            ]),
        }
    }
    encoded
}

/// As forms of pages write it.
fn spaces_as_plus(percent_encoded: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut encoded = Zeroizing::new(Vec::with_capacity(percent_encoded.len()));
    let mut rest = percent_encoded;
    while let Some((first, more)) = rest.split_first() {
        match rest.strip_prefix(b"%20") {
            Some(behind) => {
                encoded.push(b'+');
                rest = behind;
            }
            None => {
                encoded.push(*first);
                rest = more;
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use data_encoding::{BASE64, BASE64URL, HEXUPPER};

    use super::KnownSecrets;

    const SECRET: &str = "correct horse/+\"ä";

    fn shown(text: &[u8], bytes_max: usize) -> String {
        let known = KnownSecrets::default();
        known.learn(SECRET.as_bytes());
        known.learn(b"abc");
        String::from_utf8_lossy(&known.last_of(text, bytes_max)).into_owned()
    }

    #[test]
    fn a_secret_is_taken_out_however_it_is_written() {
        let basic = |text: &str| BASE64.encode(text.as_bytes());
        for (text, is) in [
            (format!("it is {SECRET}!"), "it is [secret]!".to_owned()),
            (format!("{SECRET}{SECRET}"), "[secret][secret]".to_owned()),
            (HEXUPPER.encode(SECRET.as_bytes()), "[secret]".to_owned()),
            ("https://u:correct%20horse%2F%2B%22%C3%A4@x".to_owned(), "https://u:[secret]@x".to_owned()),
            ("p=correct+horse%2f%2b%22%c3%a4&x".to_owned(), "p=[secret]&x".to_owned()),
            (r#"{"p":"correct horse/+\"ä"}"#.to_owned(), r#"{"p":"[secret]"}"#.to_owned()),
            ("abc is too short".to_owned(), "abc is too short".to_owned()),
            ("correct horse".to_owned(), "correct horse".to_owned()),
        ] {
            assert_eq!(shown(text.as_bytes(), 1000), is, "{text}");
        }
        for before in ["", "u", "us", "usr:", "user:"] {
            for behind in ["", "\n", ":x", "and more"] {
                for encoded in [
                    basic(&format!("{before}{SECRET}{behind}")),
                    BASE64URL.encode(format!("{before}{SECRET}{behind}").as_bytes()),
                ] {
                    let shown = shown(encoded.as_bytes(), 1000);
                    assert!(shown.contains("[secret]"), "{before:?} {behind:?}: {shown}");
                    // What is left of it are letters at its edges.
                    assert!(!shown.contains(&encoded[8..14]), "{before:?} {behind:?}: {shown}");
                }
            }
        }
    }

    /// A reader that gives a byte at a time, as slow programs print.
    struct Drops<'t>(&'t [u8]);

    impl Read for Drops<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0.read(&mut buffer[..1])
        }
    }

    #[test]
    fn a_secret_that_comes_in_parts_or_is_half_kept_is_not_shown() {
        let known = KnownSecrets::default();
        known.learn(SECRET.as_bytes());
        let of_drops = known.last_of(Drops(format!("a {SECRET} b").as_bytes()), 1000);
        assert_eq!(String::from_utf8_lossy(&of_drops), "a [secret] b");
        let long = format!("{}{SECRET}{}", "x".repeat(5000), "y".repeat(40));
        for bytes_max in 0..200 {
            let shown = shown(long.as_bytes(), bytes_max);
            assert!(shown.len() <= bytes_max, "{bytes_max}: {shown}");
            for part in ["horse", "cor", "/+", "\"ä"] {
                assert!(!shown.contains(part), "{bytes_max}: {shown}");
            }
            let ys = shown.chars().rev().take_while(|letter| *letter == 'y').count();
            assert_eq!(ys, bytes_max.min(40), "{shown}");
        }
    }

    #[test]
    fn the_last_of_a_long_text_is_kept_and_secrets_are_in_no_debug_output() {
        let text: Vec<u8> = (0..100_000_u32).flat_map(|number| number.to_string().into_bytes()).collect();
        let known = KnownSecrets::default();
        assert_eq!(known.last_of(text.as_slice(), 5), text[text.len() - 5..]);
        known.learn(SECRET.as_bytes());
        assert_eq!(known.last_of(text.as_slice(), 5), text[text.len() - 5..]);
        assert_eq!(format!("{known:?}"), "KnownSecrets(…)");
    }
}
