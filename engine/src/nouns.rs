//! Numbers with their nouns, for messages: one file, two files.

/// A number with its noun: `1 file`, `2 directories`, `1,234 files`. `noun` is what one of them is called.
#[must_use]
pub fn counted(count: u64, noun: &str) -> String {
    let number = grouped(count);
    if count == 1 { format!("{number} {noun}") } else { format!("{number} {}", plural(noun)) }
}

/// The word that agrees with a number: `is` or `are`, `it` or `they`.
#[must_use]
pub const fn agreeing<'w>(count: u64, one: &'w str, several: &'w str) -> &'w str {
    if count == 1 { one } else { several }
}

/// A number with its thousands apart.
#[must_use]
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// What several of them are called, by the rules of English. No noun of this program is an exception to them.
fn plural(noun: &str) -> String {
    match noun.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'i', 'o', 'u']) => format!("{stem}ies"),
        _ if noun.ends_with(['s', 'x', 'z']) || noun.ends_with("ch") || noun.ends_with("sh") => {
            format!("{noun}es")
        }
        _ => format!("{noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::{agreeing, counted, grouped};

    #[test]
    fn one_has_a_noun_of_its_own_and_nothing_is_many() {
        for (count, noun, text) in [
            (1, "snapshot", "1 snapshot"),
            (0, "snapshot", "0 snapshots"),
            (2, "directory", "2 directories"),
            (1, "entry", "1 entry"),
            (3, "day", "3 days"),
            (2, "index", "2 indexes"),
            (12_345, "hard link", "12,345 hard links"),
        ] {
            assert_eq!(counted(count, noun), text);
        }
        assert_eq!([0, 1, 2].map(|count| agreeing(count, "is", "are")), ["are", "is", "are"]);
    }

    #[test]
    fn thousands_stand_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
