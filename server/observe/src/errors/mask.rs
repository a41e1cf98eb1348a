//! Takes out of an error's text what differs from one time to the next: names, numbers, paths, ids.
//!
//! What remains is how the program words that error. A name without any mark looks like a word of the
//! sentence, so the caller says which names the text may have.

/// No more bytes of a text are looked at.
const LONGEST_TEXT: usize = 4096;
/// An id has at least this many hexadecimal digits.
const LEAST_ID_DIGITS: usize = 8;

const NAME: &str = "<name>";
const PATH: &str = "<path>";
const URL: &str = "<url>";
const ID: &str = "<id>";
const NUMBER: &str = "<n>";

/// The text with a mark for each thing that differs, its words apart by one space.
pub fn masked(text: &str, names: &[&str]) -> String {
    let text = without_quoted(&without_names(head(text), names));
    let words: Vec<String> = text.split_whitespace().map(masked_word).collect();
    words.join(" ")
}

fn head(text: &str) -> &str {
    let mut end = text.len().min(LONGEST_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Names where they stand as whole words; the longest first, because one may be in another.
fn without_names(text: &str, names: &[&str]) -> String {
    let mut names: Vec<&str> = names.iter().copied().filter(|name| !name.trim().is_empty()).collect();
    names.sort_by_key(|name| (std::cmp::Reverse(name.len()), *name));
    let is_part = |sign: Option<char>| sign.is_some_and(char::is_alphanumeric);
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(sign) = rest.chars().next() {
        let ends =
            |name: &&&str| rest.strip_prefix(**name).is_some_and(|after| !is_part(after.chars().next()));
        let name = names.iter().find(ends).filter(|_| !is_part(masked.chars().last()));
        if let Some(name) = name {
            masked.push_str(NAME);
            rest = &rest[name.len()..];
        } else {
            masked.push(sign);
            rest = &rest[sign.len_utf8()..];
        }
    }
    masked
}

/// What stands between quotes is a name. An apostrophe in a word, as in "can't", is no quote.
fn without_quoted(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(sign) = rest.chars().next() {
        let after = &rest[sign.len_utf8()..];
        let closing = match sign {
            '"' | '`' | '\'' => Some(sign),
            '“' | '„' => Some('”'),
            '‘' => Some('’'),
            '«' => Some('»'),
            _ => None,
        };
        let opens = !masked.chars().last().is_some_and(char::is_alphanumeric);
        if let Some(end) = closing.filter(|_| opens).and_then(|closing| closing_quote(after, closing)) {
            masked.push_str(NAME);
            rest = &after[end..];
        } else {
            masked.push(sign);
            rest = after;
        }
    }
    masked
}

/// Behind the quote that closes: one that isn't escaped, and no apostrophe inside of a word.
fn closing_quote(text: &str, closing: char) -> Option<usize> {
    let mut signs = text.char_indices().peekable();
    while let Some((at, sign)) = signs.next() {
        if sign == '\\' && matches!(closing, '"' | '\'') {
            signs.next();
        } else if sign == closing {
            let inside_word = closing == '\'' && signs.peek().is_some_and(|(_, next)| next.is_alphanumeric());
            if !inside_word {
                return Some(at + sign.len_utf8());
            }
        }
    }
    None
}

fn masked_word(word: &str) -> String {
    let is_edge =
        |sign: char| matches!(sign, '(' | ')' | '[' | ']' | '{' | '}' | ',' | ';' | ':' | '!' | '?');
    let core = word.trim_matches(is_edge).trim_end_matches('.');
    let begin = word.len() - word.trim_start_matches(is_edge).len();
    let (before, after) =
        (&word[..begin.min(word.len())], word.get(begin + core.len()..).unwrap_or_default());
    format!("{before}{}{after}", masked_core(core))
}

fn masked_core(core: &str) -> String {
    if core.contains("://") {
        return URL.to_owned();
    }
    if is_path(core) {
        return PATH.to_owned();
    }
    if is_id(core) {
        return ID.to_owned();
    }
    if is_dotted_name(core) {
        return NAME.to_owned();
    }
    without_numbers(core)
}

/// It begins as a path does, has several slashes, or one and what words don't have. Not `read/write`.
fn is_path(core: &str) -> bool {
    let begins =
        ["/", "./", "../", "~/", "\\\\"].iter().any(|begin| core.starts_with(begin) && core.len() > 1);
    let drive = core.get(1..3) == Some(":\\");
    let slashes = core.matches(['/', '\\']).count();
    let unlike_words = core.contains(|sign: char| sign.is_ascii_digit() || matches!(sign, '.' | '_' | '-'));
    begins || drive || slashes > 1 || (slashes == 1 && unlike_words)
}

/// Hexadecimal with a digit in it, perhaps in groups as a UUID.
fn is_id(core: &str) -> bool {
    let digits = core.bytes().filter(u8::is_ascii_hexdigit).count();
    digits >= LEAST_ID_DIGITS
        && core.bytes().any(|byte| byte.is_ascii_digit())
        && core.bytes().any(|byte| byte.is_ascii_alphabetic())
        && core.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// A host or a file: letters on both sides of a dot, perhaps with a port.
fn is_dotted_name(core: &str) -> bool {
    let signs: Vec<char> = core.chars().collect();
    let has_dot = signs.windows(3).any(|three| {
        three[1] == '.'
            && three[0].is_alphanumeric()
            && three[2].is_alphanumeric()
            && (three[0].is_alphabetic() || three[2].is_alphabetic())
    });
    has_dot && core.chars().any(char::is_alphabetic)
}

/// Digits, with what stands between them in versions, times and addresses, are one number.
fn without_numbers(core: &str) -> String {
    let signs: Vec<char> = core.chars().collect();
    let mut masked = String::with_capacity(core.len());
    let mut at = 0;
    while at < signs.len() {
        if !signs[at].is_numeric() {
            masked.push(signs[at]);
            at += 1;
            continue;
        }
        masked.push_str(NUMBER);
        while at < signs.len() {
            let joins = matches!(signs[at], '.' | ',' | ':' | '_' | '-')
                && signs.get(at + 1).is_some_and(|sign| sign.is_numeric());
            if !signs[at].is_numeric() && !joins {
                break;
            }
            at += 1;
        }
    }
    masked
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::{LONGEST_TEXT, masked};

    #[test]
    fn what_differs_is_masked_and_the_wording_stays() {
        for (text, expected) in [
            ("pack 3fa85f6457174562b3fc2c963f66afa6 is damaged", "pack <id> is damaged"),
            ("run 123e4567-e89b-12d3-a456-426614174000: lost", "run <id>: lost"),
            ("/srv/www/index.html: permission denied", "<path>: permission denied"),
            ("can't open './a b', and that's it", "can't open <name>, and that's it"),
            ("can't read (C:\\Users\\me): I/O error", "can't read (<path>): I/O error"),
            ("packs/3f/3fa8 of read/write input/output", "<path> of read/write input/output"),
            ("https://s3.example.org/b?x=1 answered 503.", "<url> answered <n>."),
            ("db1.example.org:5432 refused the connection", "<name> refused the connection"),
            ("10.0.0.7:9000 timed out after 30s, 3 times", "<n> timed out after <n>s, <n> times"),
            ("12.5 GiB of 1,024 GiB at 2026-11-29T10:11:12Z", "<n> GiB of <n> GiB at <n>T<n>Z"),
            ("role \"o\\\"neill's\" doesn't exist", "role <name> doesn't exist"),
            ("“web” and «shop» and `x y`", "<name> and <name> and <name>"),
            ("two  \n lines", "two lines"),
            ("an accede facade", "an accede facade"),
            ("", ""),
        ] {
            assert_eq!(masked(text, &[]), expected);
        }
    }

    #[test]
    fn names_are_masked_as_whole_words() {
        let names = ["web", "web-shop", "my data", "", "é"];
        assert_eq!(masked("plan web of web-shop in my data", &names), "plan <name> of <name> in <name>");
        assert_eq!(masked("website web1 cobweb web", &names), "website web<n> cobweb <name>");
        assert_eq!(masked("é été", &names), "<name> été");
    }

    proptest! {
        #[test]
        fn any_text_is_masked(text in ".*", name in ".{0,8}") {
            masked(&text, &[&name]);
        }

        /// The same sentence with other names, numbers and paths is the same.
        #[test]
        fn only_the_wording_is_left(
            name in "[a-z][a-z -]{0,12}[a-z]", other in "[a-z][a-z -]{0,12}[a-z]",
            number in 0_u64.., count in 0_u64.., path in "/[a-z0-9._/-]{1,30}[a-z]", id in "[0-9a-f]{31}7",
            place in "/[A-Za-z0-9._/-]{1,30}[a-z]", pack in "[0-9a-f]{31}b",
        ) {
            let text = |name: &str, number: u64, path: &str, id: &str| {
                masked(&format!("The plan {name} can't store {number} bytes of '{name}' at {path}: {id} is damaged"), &[name])
            };
            // A name that is a word of the sentence masks that word too.
            let words = ["the", "plan", "can", "t", "store", "bytes", "of", "at", "is", "damaged", "n", "name", "path", "id"];
            let id = if id.bytes().any(|byte| byte.is_ascii_alphabetic()) { id } else { format!("a{id}") };
            let pack = if pack.bytes().any(|byte| byte.is_ascii_digit()) { pack } else { format!("7{pack}") };
            if !words.iter().any(|word| name.split([' ', '-']).chain(other.split([' ', '-'])).any(|part| part == *word)) {
                prop_assert_eq!(text(&name, number, &path, &id), text(&other, count, &place, &pack));
            }
        }

        #[test]
        fn a_long_text_is_cut(text in "é{5000}") {
            prop_assert!(masked(&text, &[]).len() <= LONGEST_TEXT);
        }
    }
}
