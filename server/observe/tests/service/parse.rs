//! Reads units as systemd does: lines, words with quotes, escapes and specifiers. Written from its manual
//! (systemd.syntax(7), systemd.service(5)), so that a test needs no running systemd.

/// Keys and values of a section, in their order.
pub fn section(text: &str, wanted: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut inside = false;
    let mut lines = text.split('\n');
    while let Some(line) = lines.next() {
        let mut line = line.to_owned();
        assert!(!line.starts_with('#') || !line.ends_with('\\'), "a comment goes on: {line}");
        while line.ends_with('\\') {
            line.pop();
            line.push(' ');
            line.push_str(lines.next().unwrap_or_default());
        }
        let line = line.trim();
        if line.starts_with('[') {
            inside = line == format!("[{wanted}]");
        } else if inside && !line.is_empty() && !line.starts_with('#') {
            let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("no key: {line}"));
            found.push((key.to_owned(), value.trim().to_owned()));
        }
    }
    found
}

/// Whether backslashes mean anything in a list of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escapes {
    Read,
    Kept,
}

/// Words of a value: separated by space, perhaps in quotes.
pub fn words(value: &str, escapes: Escapes) -> Vec<String> {
    let bytes = value.as_bytes();
    let mut words = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at].is_ascii_whitespace() {
            at += 1;
            continue;
        }
        let mut word = Vec::new();
        let mut quote = None;
        while at < bytes.len() && (quote.is_some() || !bytes[at].is_ascii_whitespace()) {
            let byte = bytes[at];
            at += 1;
            match (quote, byte) {
                (Some(open), _) if byte == open => quote = None,
                (None, b'"' | b'\'') => quote = Some(byte),
                (_, b'\\') if escapes == Escapes::Read => {
                    let escaped = bytes[at];
                    at += 1;
                    word.push(match escaped {
                        b'n' => b'\n',
                        b't' => b'\t',
                        b'"' | b'\\' => escaped,
                        b'x' => {
                            let digits = std::str::from_utf8(&bytes[at..at + 2]).expect("digits");
                            at += 2;
                            u8::from_str_radix(digits, 16).expect("hexadecimal")
                        }
                        other => panic!("no escape: \\{}", char::from(other)),
                    });
                }
                _ => word.push(byte),
            }
        }
        assert!(quote.is_none(), "an open quote: {value}");
        words.push(String::from_utf8(word).expect("UTF-8"));
    }
    words
}

/// The text with its specifiers replaced; there is none but `%%`.
pub fn expanded(text: &str) -> String {
    let mut expanded = String::new();
    let mut signs = text.chars();
    while let Some(sign) = signs.next() {
        if sign == '%' {
            assert_eq!(signs.next(), Some('%'), "a specifier: {text}");
        }
        expanded.push(sign);
    }
    expanded
}
