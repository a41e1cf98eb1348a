//! The log of a drill: its lines, and a digest that evidence keeps, by which anyone can tell whether a log is the one.

use std::sync::{Mutex, PoisonError};

/// A longer log is cut: the digest is of what is kept.
const BYTES_MAX: usize = 1 << 20;

/// Lines that are kept, from several threads.
#[derive(Debug, Default)]
pub struct Log(Mutex<String>);

impl Log {
    /// Adds a line. What is longer than any log should be is left out.
    pub fn line(&self, line: &str) {
        let mut text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if text.len() + line.len() < BYTES_MAX {
            text.push_str(&line.replace('\n', " "));
            text.push('\n');
        }
    }

    /// All lines.
    #[must_use]
    pub fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The BLAKE3 digest of a log, as hexadecimal digits.
#[must_use]
pub fn digest(log: &str) -> String {
    blake3::hash(log.as_bytes()).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::{BYTES_MAX, Log, digest};

    #[test]
    fn a_log_keeps_its_lines_and_is_told_by_its_digest() {
        let log = Log::default();
        log.line("restoring");
        log.line("two\nlines");
        assert_eq!(log.text(), "restoring\ntwo lines\n");
        assert_ne!(digest(&log.text()), digest("restoring\n"));
        log.line(&"x".repeat(BYTES_MAX));
        assert_eq!(log.text().lines().count(), 2);
    }
}
