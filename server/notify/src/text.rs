//! Text of others: within bounds, and without signs that change how what stands around it is read.

/// Said in place of what was cut off.
const CUT: char = '…';

/// Signs that turn the direction of what follows, and such that no one sees.
fn is_invisible(sign: char) -> bool {
    matches!(sign,
        '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// One line: control signs are spaces, signs that no one sees are left out.
pub fn line(text: &str) -> String {
    let signs = text.chars().filter(|sign| !is_invisible(*sign));
    let signs: String = signs.map(|sign| if sign.is_control() { ' ' } else { sign }).collect();
    signs.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The same for text of several lines, which stays as it is laid out.
pub fn lines(text: &str) -> String {
    let clean = |text: &str| -> String {
        let signs = text.chars().filter(|sign| !is_invisible(*sign));
        signs.map(|sign| if sign == '\t' || !sign.is_control() { sign } else { ' ' }).collect()
    };
    text.lines().map(|text| clean(text).trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// At most this many characters, the last of which says that something was cut off.
pub fn clip(text: &str, chars_max: usize) -> String {
    let mut signs = text.chars();
    let head: String = signs.by_ref().take(chars_max).collect();
    if signs.next().is_none() {
        return head;
    }
    head.chars().take(chars_max.saturating_sub(1)).chain((chars_max > 0).then_some(CUT)).collect()
}

/// The same from the other end: of a log, the end is what counts.
pub fn clip_end(text: &str, chars_max: usize) -> String {
    let count = text.chars().count();
    if count <= chars_max {
        return text.to_owned();
    }
    let kept = text.chars().skip(count - chars_max.saturating_sub(1));
    (chars_max > 0).then_some(CUT).into_iter().chain(kept).collect()
}

/// At most this many bytes of UTF-8.
pub fn clip_bytes(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(bytes_max.saturating_sub(CUT.len_utf8()));
    let mut cut = text[..end].to_owned();
    if bytes_max >= CUT.len_utf8() {
        cut.push(CUT);
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::{clip, clip_bytes, clip_end, line, lines};

    #[test]
    fn a_line_has_no_breaks_and_no_hidden_signs() {
        assert_eq!(line("a\r\nBcc: b\t\u{0}c\u{202e}d\u{200b}e"), "a Bcc: b cde");
        assert_eq!(line("  a  b "), "a b");
    }

    #[test]
    fn lines_keep_their_breaks() {
        assert_eq!(lines("a\r\n\tb\u{1b}[1m \n\nc"), "a\n\tb [1m\n\nc");
    }

    #[test]
    fn what_is_cut_says_so_and_keeps_to_the_bound() {
        assert_eq!(clip("abc", 3), "abc");
        assert_eq!(clip("äöüß", 3), "äö…");
        assert_eq!(clip_end("abcd", 3), "…cd");
        assert_eq!(clip("abc", 0), "");
        assert_eq!(clip_bytes("äöü", 6), "äöü");
        assert_eq!(clip_bytes("äöüß", 7), "äö…");
        assert!(clip_bytes("äöü", 5).len() <= 5);
    }
}
