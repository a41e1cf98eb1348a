//! What benchmarks share: data that is the same in every run, and a run that no one listens to.

use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use keepfast_backend::Cancel;
use keepfast_engine::run::{Host, RunContext, Unheard};
use keepfast_format::node::Timestamp;

/// Bytes that don't compress.
#[must_use]
pub fn random(label: &str, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(label.as_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// Words and lines that compress about as well as a program's source.
#[must_use]
pub fn text(label: &str, length: usize) -> Vec<u8> {
    const WORDS: [&str; 32] = [
        "let", "self", "return", "index", "offset", "length", "if", "else", "match", "struct", "impl", "pub",
        "fn", "frame", "pack", "chunk", "(", ")", "{", "}", ";", "=", "+", "-", "->", "0", "1", "u32",
        "usize", "&mut", "error", "Result",
    ];
    let mut bytes = Vec::with_capacity(length + 32);
    for (number, choice) in random(label, length).iter().enumerate() {
        // Small numbers are more frequent than large ones, like words in a text.
        let word = WORDS[usize::from(choice & 31).min(usize::from(choice >> 3))];
        bytes.extend_from_slice(word.as_bytes());
        // Sometimes a name that is almost unique.
        if number % 7 == 0 {
            bytes.extend_from_slice(format!("_{choice}").as_bytes());
        }
        bytes.push(if number % 11 == 0 { b'\n' } else { b' ' });
        if bytes.len() >= length {
            break;
        }
    }
    bytes.truncate(length);
    bytes
}

/// A run with all threads of this machine.
#[must_use]
pub fn run() -> RunContext {
    let threads = available_parallelism().map_or(2, usize::from);
    RunContext::new(Arc::new(Timeless), Arc::new(Unheard)).with_threads(threads)
}

/// A machine without a clock and without users.
struct Timeless;

impl Host for Timeless {
    fn now(&self) -> Timestamp {
        Timestamp::default()
    }

    fn sleep(&self, _: Duration, _: &Cancel) {}

    fn user_name(&self, _: u32) -> Option<Vec<u8>> {
        None
    }

    fn group_name(&self, _: u32) -> Option<Vec<u8>> {
        None
    }

    fn user_id(&self, _: &[u8]) -> Option<u32> {
        None
    }

    fn group_id(&self, _: &[u8]) -> Option<u32> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{random, text};

    #[test]
    fn data_has_the_wanted_length_and_is_always_the_same() {
        assert_eq!(text("a", 100_000).len(), 100_000);
        assert_eq!(text("a", 1000), text("a", 1000));
        assert_ne!(random("a", 1000), random("b", 1000));
    }
}
