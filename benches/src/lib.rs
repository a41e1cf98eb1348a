//! Common parts of the benchmarks: data that is the same in every run, and a monitor.

#![warn(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_possible_wrap)]

use std::sync::atomic::AtomicBool;

use keepfast_engine::monitor::{Event, Monitor, Progress};

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

/// A monitor that ignores all events.
#[derive(Default)]
pub struct SilentMonitor {
    progress: Progress,
    stop: AtomicBool,
}

impl Monitor for SilentMonitor {
    fn event(&self, _: Event<'_>) {}

    fn progress(&self) -> &Progress {
        &self.progress
    }

    fn stop(&self) -> &AtomicBool {
        &self.stop
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
