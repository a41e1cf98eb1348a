//! Where the program speaks: the one place from which lines go to standard output and standard error.
//!
//! Names, hosts, tags and messages may come from a stranger. In lines for people their control characters
//! are escaped, so that none of them moves the cursor, hides text or forges a line; JSON has its own escapes.
//! And nothing here fails: a command goes on when no one can read what it says, and its exit code says how
//! it ended. That a result was lost is an error only where nothing worse happened.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, ErrorKind, Write};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::colour::{Colour, Stream, paint};

/// Why standard output takes nothing any more.
static LOST: Mutex<Option<io::Error>> = Mutex::new(None);

/// A line of a result, for people.
pub fn result(text: &str) {
    write_result(|out| writeln!(out, "{}", visible(text)));
}

/// A result for scripts.
pub fn document(value: &impl Serialize) {
    write_result(|out| {
        let text = serde_json::to_string(value).map_err(io::Error::from)?;
        writeln!(out, "{text}")
    });
}

/// A result that is another program's text, such as a script for a shell.
pub fn raw(bytes: &[u8]) {
    write_result(|out| out.write_all(bytes));
}

/// A line on standard error, for people.
pub fn message(text: &str) {
    // Who has closed it, or filled its disk, doesn't hear of that either.
    let _ = writeln!(io::stderr(), "{}", visible(text));
}

/// Text on standard error that another part has made safe to print.
pub fn raw_message(bytes: &[u8]) {
    let _ = io::stderr().write_all(bytes);
}

/// A question on standard error, after which its answer is typed.
pub fn prompt(text: &str) {
    let mut out = io::stderr();
    let _ = write!(out, "{}", visible(text)).and_then(|()| out.flush());
}

/// A line of a result, of which the word at the start has a colour.
pub fn result_marked(colour: Colour, word: &str, rest: &str) {
    let word = paint(Stream::Out, colour, &visible(word));
    write_result(|out| writeln!(out, "{word}{}", visible(rest)));
}

/// A line on standard error, of which the word at the start has a colour.
pub fn message_marked(colour: Colour, word: &str, rest: &str) {
    let word = paint(Stream::Err, colour, &visible(word));
    let _ = writeln!(io::stderr(), "{word}{}", visible(rest));
}

/// A message for scripts.
pub fn message_document(value: &impl Serialize) {
    // Each line goes out whole, whatever other threads write.
    if let Ok(line) = serde_json::to_string(value) {
        let _ = writeln!(io::stderr(), "{line}");
    }
}

/// Whether standard output takes nothing any more, so that there is no one to list anything for.
pub fn is_lost() -> bool {
    LOST.lock().unwrap_or_else(PoisonError::into_inner).is_some()
}

/// Why results were lost, if that is worth an error: a reader that closes a pipe has seen enough.
pub fn loss() -> Option<io::Error> {
    write_result(|out| out.flush());
    let lost = LOST.lock().unwrap_or_else(PoisonError::into_inner).take();
    lost.filter(|error| error.kind() != ErrorKind::BrokenPipe)
}

fn write_result(write: impl FnOnce(&mut io::StdoutLock<'_>) -> io::Result<()>) {
    let mut lost = LOST.lock().unwrap_or_else(PoisonError::into_inner);
    if lost.is_none() {
        let mut out = io::stdout().lock();
        *lost = write(&mut out).and_then(|()| out.flush()).err();
    }
}

/// A text in one line, in which each control character and each one that changes the direction of
/// writing is escaped. What is escaped already stays as it is.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_control) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        // Writing to a string can't fail.
        let _ = match letter {
            '\n' => shown.write_str("\\n"),
            '\r' => shown.write_str("\\r"),
            '\t' => shown.write_str("\\t"),
            control if is_control(control) && control.is_ascii() => {
                write!(shown, "\\x{:02x}", u32::from(control))
            }
            control if is_control(control) => write!(shown, "\\u{{{:x}}}", u32::from(control)),
            letter => shown.write_char(letter),
        };
    }
    Cow::Owned(shown)
}

fn is_control(letter: char) -> bool {
    // C0, DEL and C1; separators of lines and paragraphs; embeddings, overrides and isolates.
    letter.is_control() || matches!(letter, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::visible;

    #[test]
    fn controls_are_escaped_and_all_other_letters_stay() {
        for (text, shown) in [
            ("plain ünïcödé 日本 \\n", "plain ünïcödé 日本 \\n"),
            ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("\u{1b}[2Jx\u{7}\u{0}", "\\x1b[2Jx\\x07\\x00"),
            ("\u{7f}\u{9b}31m\u{85}", "\\x7f\\u{9b}31m\\u{85}"),
            ("gpj.\u{202e}exe\u{2066}\u{2069}", "gpj.\\u{202e}exe\\u{2066}\\u{2069}"),
            ("one\u{2028}two\u{2029}", "one\\u{2028}two\\u{2029}"),
        ] {
            assert_eq!(visible(text), shown);
            assert_eq!(visible(shown), shown, "escaping twice changes nothing");
        }
    }
}
