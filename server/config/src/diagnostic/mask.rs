//! Which bytes of a source line are shown: never those of a secret, nor of what may be one under a wrong name.
//!
//! Values that the decoder knows as secrets are hidden by their place. A file that is no TOML has no values, so there all
//! strings of the line are hidden, unless the key in front of them is known to take none that is secret.

use std::ops::Range;

/// What is shown instead of what is hidden, however long that is.
const HIDDEN: &str = "•••";

/// The contents of all strings in a text, also of one that has no end.
pub(super) fn strings(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'#' => at = line_end(bytes, at),
            quote @ (b'"' | b'\'') => {
                let triple = [quote; 3];
                let (start, end, after) = if bytes[at..].starts_with(&triple) {
                    let start = at + 3;
                    let end = string_end(bytes, start, &triple);
                    (start, end, (end + 3).min(bytes.len()))
                } else {
                    let start = at + 1;
                    let end = string_end(bytes, start, &[quote]);
                    (start, end, (end + 1).min(bytes.len()))
                };
                found.push(start..end);
                at = after.max(at + 1);
            }
            _ => at += 1,
        }
    }
    found
}

fn line_end(bytes: &[u8], from: usize) -> usize {
    bytes[from..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |length| from + length)
}

/// Where a string ends that is closed by these quotation marks; one that has a single mark ends with its line.
fn string_end(bytes: &[u8], from: usize, close: &[u8]) -> usize {
    let mut at = from;
    while at < bytes.len() {
        if bytes[at..].starts_with(close) || (close.len() == 1 && bytes[at] == b'\n') {
            return at;
        }
        at += if bytes[at] == b'\\' && close[0] == b'"' { 2 } else { 1 };
    }
    bytes.len()
}

/// The key of an assignment that ends before this byte: the last bare word before the last `=` of the line.
pub(super) fn key_before(text: &str, at: usize) -> Option<&str> {
    let line = text.get(..at)?;
    let line = &line[line.rfind('\n').map_or(0, |end| end + 1)..];
    let key = line.rsplit_once('=')?.0.trim_end();
    let is_part = |sign: char| sign.is_ascii_alphanumeric() || sign == '_' || sign == '-';
    let start = key.rfind(|sign| !is_part(sign)).map_or(0, |end| end + 1);
    key.get(start..).filter(|key| !key.is_empty())
}

/// A part of a text, in which what is hidden is replaced. Positions change with that, so they are asked for as well.
pub(super) struct Shown {
    /// What can be shown.
    pub(super) text: String,
    /// For each byte of the part, and its end, the byte in `text`.
    bytes: Vec<usize>,
}

impl Shown {
    pub(super) fn new(text: &str, part: Range<usize>, hidden: &[Range<usize>]) -> Self {
        let mut shown = String::new();
        let mut bytes = Vec::new();
        let mut was_hidden = false;
        let content = text.get(part.clone()).unwrap_or_default();
        for (at, sign) in content.char_indices() {
            let is_hidden = hidden.iter().any(|range| range.contains(&(part.start + at)));
            // All of a hidden run is at its beginning.
            let here = if is_hidden && was_hidden { shown.len() - HIDDEN.len() } else { shown.len() };
            bytes.extend(std::iter::repeat_n(here, sign.len_utf8()));
            match (is_hidden, was_hidden) {
                (false, _) => shown.push(sign),
                (true, false) => shown.push_str(HIDDEN),
                (true, true) => {}
            }
            was_hidden = is_hidden;
        }
        bytes.push(shown.len());
        Self { text: shown, bytes }
    }

    /// The bytes in what is shown of a range of the part.
    pub(super) fn range(&self, range: Range<usize>) -> Range<usize> {
        let byte = |at: usize| self.bytes.get(at).or(self.bytes.last()).copied().unwrap_or(0);
        byte(range.start)..byte(range.end).max(byte(range.start))
    }
}

#[cfg(test)]
mod tests {
    use super::{Shown, key_before, strings};

    fn contents(text: &str) -> Vec<&str> {
        strings(text).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn strings_are_found_also_without_an_end() {
        assert_eq!(contents(r#"a = "x\"y" # "no""#), [r#"x\"y"#]);
        assert_eq!(contents("a = 'x\\'\nb = \"y\nc = 1"), ["x\\", "y"]);
        assert_eq!(contents("a = \"\"\"x\ny\"\"\" b = '''z"), ["x\ny", "z"]);
        assert_eq!(contents("a = \""), [""]);
        assert_eq!(contents("a = \"\\"), ["\\"]);
    }

    #[test]
    fn the_key_is_the_word_before_the_sign() {
        let of = |text: &str| key_before(text, text.len()).map(str::to_owned);
        assert_eq!(of("x = 1\npassword = \""), Some("password".to_owned()));
        assert_eq!(of("smtp = { host = \"mx\", password = \""), Some("password".to_owned()));
        assert_eq!(of("[\""), None);
    }

    #[test]
    fn what_is_hidden_is_replaced_whatever_its_length() {
        let text = "a = 'é€xyz' b";
        let shown = Shown::new(text, 0..text.len(), std::slice::from_ref(&(5..13)));
        assert_eq!(shown.text, "a = '•••' b");
        assert_eq!(&shown.text[shown.range(5..13)], "•••");
        assert_eq!(&shown.text[shown.range(15..16)], "b");
        assert_eq!(Shown::new("ab", 0..2, &[]).text, "ab");
    }
}
