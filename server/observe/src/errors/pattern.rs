//! Which errors are the same one again.

use std::fmt;

use data_encoding::HEXLOWER;

use crate::errors::mask::masked;

/// No title of a pattern is longer, in characters.
const LONGEST_TITLE: usize = 200;
/// A new way to compute fingerprints needs a new context, so that old and new ones never meet.
const CONTEXT: &str = "keepfast error pattern 1";

/// What is known about an error.
#[derive(Debug, Clone, Copy)]
pub struct ErrorFacts<'e> {
    /// Its stable code.
    pub code: &'e str,
    /// Where in a run it happened, as a phase: `upload`, `hook before`.
    pub place: &'e str,
    /// What it happened with: `s3`, `directory`, `postgres`; empty if with nothing outside.
    pub backend: &'e str,
    /// Its text.
    pub text: &'e str,
    /// Names that the text may have: of the plan, repository, host, bucket, user, and paths with spaces.
    pub names: &'e [&'e str],
}

/// Names a pattern: errors with the same fingerprint are the same one again. It doesn't depend on the time,
/// the machine or the version of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 8]);

impl Fingerprint {
    /// Its bytes.
    #[must_use]
    pub const fn bytes(self) -> [u8; 8] {
        self.0
    }
}

/// As 16 hexadecimal digits.
impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&HEXLOWER.encode(&self.0))
    }
}

/// An error without what differs from one time to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// What names it.
    pub fingerprint: Fingerprint,
    /// Its wording, with marks as `<path>` where something differs; shortened if it is long.
    pub title: String,
}

impl Pattern {
    /// The pattern of an error.
    #[must_use]
    pub fn of(error: &ErrorFacts<'_>) -> Self {
        let wording = masked(error.text, error.names);
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        for part in [error.code, error.place, error.backend, &wording] {
            // With its length before it, no part runs into the next one.
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        let mut fingerprint = [0; 8];
        hasher.finalize_xof().fill(&mut fingerprint);
        let title = match wording.char_indices().nth(LONGEST_TITLE) {
            Some((end, _)) => format!("{}…", &wording[..end]),
            None => wording,
        };
        Self { fingerprint: Fingerprint(fingerprint), title }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{ErrorFacts, LONGEST_TITLE, Pattern};

    const FACTS: ErrorFacts<'static> = ErrorFacts {
        code: "store_unreachable",
        place: "upload",
        backend: "s3",
        text: "s3.example.org didn't answer for pack 3fa85f6457174562 of plan www",
        names: &["www"],
    };

    #[test]
    fn the_same_error_elsewhere_has_the_same_pattern() {
        let first = Pattern::of(&FACTS);
        let text = "minio.internal:9000 didn't answer for pack 99f0a1b2c3d4e5f6 of plan shop db";
        let again = Pattern::of(&ErrorFacts { text, names: &["shop db"], ..FACTS });
        assert_eq!(first, again);
        assert_eq!(first.title, "<name> didn't answer for pack <id> of plan <name>");
    }

    #[test]
    fn another_code_place_backend_or_wording_is_another_error() {
        let patterns = [
            FACTS,
            ErrorFacts { code: "denied", ..FACTS },
            ErrorFacts { place: "check", ..FACTS },
            ErrorFacts { backend: "directory", ..FACTS },
            ErrorFacts { text: "s3.example.org refused pack 3fa85f6457174562", ..FACTS },
            // Nothing runs from one part into the next.
            ErrorFacts { code: "store_unreachableu", place: "pload", ..FACTS },
        ];
        let different: BTreeSet<_> = patterns.iter().map(|facts| Pattern::of(facts).fingerprint).collect();
        assert_eq!(different.len(), patterns.len());
    }

    /// Databases of users have them.
    #[test]
    fn fingerprints_stay_as_they_are() {
        assert_eq!(Pattern::of(&FACTS).fingerprint.to_string(), "04cadc8ce8ba99e9");
    }

    #[test]
    fn a_long_title_is_cut_and_still_told_apart() {
        let long = |end: &str| format!("{} {end}", "é".repeat(300));
        let [one, other] = ["one", "other"].map(|end| Pattern::of(&ErrorFacts { text: &long(end), ..FACTS }));
        assert_eq!(one.title, other.title);
        assert_eq!(one.title.chars().count(), LONGEST_TITLE + 1);
        assert_ne!(one.fingerprint, other.fingerprint);
    }
}
