//! Names of PostgreSQL: as SQL has them, as files of a dump, and as patterns.

/// A longer name of a file is cut, and gets the table's number: file systems take 255 bytes.
const FILE_BYTES_MAX: usize = 200;
/// PostgreSQL's own limit of names, in bytes.
const NAME_BYTES_MAX: usize = 63;

/// A name in SQL.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A name with its schema in SQL.
pub fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", quoted(schema), quoted(name))
}

/// A text in SQL, whatever the server thinks of backslashes.
pub fn literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if doubled.contains('\\') {
        format!("E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}

/// A name as a part of a path in a dump: letters, digits, `_` and `-` stay, all else is percent-encoded, also a dot.
pub fn file_part(name: &str) -> String {
    let mut part = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => part.push(char::from(byte)),
            _ => part.push_str(&format!("%{byte:02X}")),
        }
    }
    part
}

/// The file of a table's rows.
pub fn table_file(folder: &str, schema: &str, table: &str, oid: u32) -> String {
    let mut name = format!("{}.{}", file_part(schema), file_part(table));
    if name.len() > FILE_BYTES_MAX {
        name.truncate(FILE_BYTES_MAX);
        name.push_str(&format!("~{oid}"));
    }
    format!("{folder}/data/{name}")
}

/// A name that belongs to another one, within the limit of names.
pub fn with_suffix(name: &str, suffix: &str) -> String {
    let room = NAME_BYTES_MAX.saturating_sub(suffix.len());
    let end = (0..=room.min(name.len())).rev().find(|&at| name.is_char_boundary(at)).unwrap_or(0);
    format!("{}{suffix}", &name[..end])
}

/// Whether a pattern, in which `*` stands for any letters and `?` for one, is this name.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut in_name) = (0, 0);
    // Where the last star is, and how much of the name it stands for.
    let mut star = None;
    while in_name < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, in_name));
                at += 1;
            }
            Some(&letter) if letter == '?' || letter == name[in_name] => {
                at += 1;
                in_name += 1;
            }
            _ => match &mut star {
                Some((place, taken)) => {
                    *taken += 1;
                    (at, in_name) = (*place + 1, *taken);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|&letter| letter == '*')
}

/// Whether one of these patterns is the table: `name`, or `schema.name`.
pub fn matches_table(patterns: &[String], schema: &str, name: &str) -> bool {
    let full = format!("{schema}.{name}");
    patterns.iter().any(|pattern| matches(pattern, name) || matches(pattern, &full))
}

/// Whether one of these patterns is the name.
pub fn matches_any(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|pattern| matches(pattern, name))
}

#[cfg(test)]
mod tests {
    use super::{literal, matches, matches_table, quoted, table_file, with_suffix};

    #[test]
    fn names_and_texts_are_quoted() {
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\\'b"), "E'a\\\\''b'");
    }

    #[test]
    fn files_of_tables_are_safe_and_different() {
        assert_eq!(table_file("shop", "public", "orders", 1), "shop/data/public.orders");
        assert_eq!(table_file("shop", "a.b", "../x", 1), "shop/data/a%2Eb.%2E%2E%2Fx");
        assert_ne!(table_file("d", "a.b", "c", 1), table_file("d", "a", "b.c", 1));
        let long = "ä".repeat(31);
        assert!(table_file("d", &long, &long, 7).len() < 230, "a file system takes it");
        assert_ne!(table_file("d", &long, &long, 7), table_file("d", &long, &long, 8));
    }

    #[test]
    fn patterns_are_whole_names() {
        assert!(matches("*", "") && matches("a*c", "abc") && matches("a?c", "abc") && matches("*b*", "abc"));
        assert!(
            matches("a*b*c", "a1b2b3c") && !matches("a", "ab") && !matches("?", "") && !matches("a*b", "a")
        );
        let patterns = ["orders".to_owned(), "audit.*".to_owned()];
        assert!(matches_table(&patterns, "public", "orders") && matches_table(&patterns, "audit", "log"));
        assert!(!matches_table(&patterns, "public", "log"));
    }

    #[test]
    fn a_suffix_leaves_a_name_within_the_limit() {
        assert_eq!(with_suffix("shop", ".new"), "shop.new");
        let long = with_suffix(&"ä".repeat(31), ".new");
        assert!(long.len() <= 63 && long.ends_with("ä.new"), "{long}");
    }
}
