//! The log of a history: one line for each thing that happened, the proof that a seed replays.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

/// What happened, with long names in short: `p3` is the fourth pack that came up, `s0` the
/// first session, `x0` anything else that is long.
#[derive(Debug, Default)]
pub(super) struct Log {
    text: String,
    asides: String,
    aliases: BTreeMap<String, String>,
    counts: BTreeMap<char, u32>,
}

const PACK_ID_DIGITS: usize = 64;
const SESSION_ID_DIGITS: usize = 49;
const LONG_DIGITS: usize = 24;

impl Log {
    /// Writes a line.
    pub fn line(&mut self, step: u64, process: &str, what: fmt::Arguments<'_>) {
        // Writing into a string can't fail.
        let _ = writeln!(self.text, "{step:6} {process:>10} {what}");
    }

    /// Writes a line for a person who examines a failure. It may differ from run to run.
    pub fn aside(&mut self, step: u64, process: &str, what: &str) {
        let _ = writeln!(self.asides, "{step:6} {process:>10} {what}");
    }

    /// An object's name or a prefix, in short.
    pub fn short(&mut self, name: &str) -> String {
        let mut short = String::with_capacity(24);
        for part in name.split_inclusive(['/', '.']) {
            let word = part.trim_end_matches(['/', '.']);
            // The folder of a pack is a part of its id.
            if word.len() == 2 && short == "packs/" {
                continue;
            }
            match word.len() {
                PACK_ID_DIGITS => short += self.alias('p', word),
                SESSION_ID_DIGITS => short += self.alias('s', word),
                LONG_DIGITS.. => short += self.alias('x', word),
                _ => short += word,
            }
            short += &part[word.len()..];
        }
        short
    }

    fn alias(&mut self, kind: char, word: &str) -> &str {
        if !self.aliases.contains_key(word) {
            let count = self.counts.entry(kind).or_default();
            self.aliases.insert(word.to_owned(), format!("{kind}{count}"));
            *count += 1;
        }
        &self.aliases[word]
    }

    /// All lines, and all asides.
    pub fn into_texts(self) -> (String, String) {
        (self.text, self.asides)
    }
}

#[cfg(test)]
mod tests {
    use super::Log;

    #[test]
    fn names_are_short_and_the_same_thing_has_the_same_name() {
        let mut log = Log::default();
        let session = format!("{}-{}", "ab".repeat(8), "cd".repeat(16));
        let pack = "ef".repeat(32);
        assert_eq!(log.short(&format!("sessions/{session}")), "sessions/s0");
        assert_eq!(log.short(&format!("packs/ef/{pack}.{session}")), "packs/p0.s0");
        assert_eq!(log.short(&format!("index/{session}.00000001")), "index/s0.00000001");
        assert_eq!(log.short("packs/"), "packs/");
        assert_eq!(log.short(&format!("packs/ee/{}.{session}", "ee".repeat(32))), "packs/p1.s0");
    }
}
