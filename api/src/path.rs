//! Paths of files in documents and queries. They are bytes: whatever isn't text stands as `%` and two hexadecimal digits, and
//! so do `%` itself and control characters. Everything else stands as it is.

use std::fmt::Write;

/// A path as text from which its bytes follow.
#[must_use]
pub fn exact(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        for letter in chunk.valid().chars() {
            if letter == '%' || letter.is_control() {
                let mut bytes = [0; 4];
                letter.encode_utf8(&mut bytes).bytes().for_each(|byte| escape(byte, &mut text));
            } else {
                text.push(letter);
            }
        }
        chunk.invalid().iter().for_each(|byte| escape(*byte, &mut text));
    }
    text
}

fn escape(byte: u8, text: &mut String) {
    // Writing into a string never fails.
    let _ = write!(text, "%{byte:02X}");
}

/// The bytes of a path; nothing if a `%` stands without two hexadecimal digits behind it.
#[must_use]
pub fn bytes(text: &str) -> Option<Vec<u8>> {
    let mut path = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            path.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        let [high, low] = [digits[0], digits[1]].map(|digit| char::from(digit).to_digit(16));
        path.push(u8::try_from(high? * 16 + low?).ok()?);
        rest = after;
    }
    Some(path)
}

/// A name as people read it: what isn't text, and what would confuse, is the replacement character.
#[must_use]
pub fn shown(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    text.chars()
        .map(|letter| if is_confusing(letter) { char::REPLACEMENT_CHARACTER } else { letter })
        .collect()
}

/// Control characters, and those that change the direction of what follows.
fn is_confusing(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::{bytes, exact, shown};

    #[test]
    fn all_bytes_come_back() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(bytes(&exact(&all)), Some(all));
        assert_eq!(exact("/srv/caf\u{e9} <b>".as_bytes()), "/srv/caf\u{e9} <b>");
        assert_eq!(exact(b"/a%20\n\xff"), "/a%2520%0A%FF");
        assert_eq!(bytes("/a%2520%0a%fF"), Some(b"/a%20\n\xff".to_vec()));
        for wrong in ["%", "/a%2", "%zz", "%+1", "%\u{e9}"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_shown_is_text_without_tricks() {
        assert_eq!(shown(b"a\xff\x1b[2J"), "a\u{fffd}\u{fffd}[2J");
        assert_eq!(shown("invoice\u{202e}fdp.exe".as_bytes()), "invoice\u{fffd}fdp.exe");
    }
}
