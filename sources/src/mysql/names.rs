//! Names: patterns that choose them, and the files of a dump that are called after them.

use std::fmt::Write;
use std::path::{Component, Path};

/// Whether a name is chosen by one of these patterns, in which `*` stands for any letters and `?` for one. No pattern at
/// all chooses everything.
pub(super) fn is_chosen(patterns: &[String], name: &str) -> bool {
    patterns.is_empty() || is_named(patterns, name)
}

/// Whether one of these patterns is of a name.
pub(super) fn is_named(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|pattern| {
        let parts = pattern.chars().map(|letter| match letter {
            '*' => Part::Any,
            '?' => Part::One,
            other => Part::Letter(other),
        });
        fits(&parts.collect::<Vec<_>>(), name)
    })
}

/// Whether a name fits a pattern of the server, in which `%` stands for any letters, `_` for one, and `\` before either
/// for the letter itself.
pub(super) fn like(pattern: &str, name: &str) -> bool {
    let mut parts = Vec::new();
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        parts.push(match letter {
            '%' => Part::Any,
            '_' => Part::One,
            '\\' => Part::Letter(letters.next().unwrap_or('\\')),
            other => Part::Letter(other),
        });
    }
    fits(&parts, name)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Any,
    One,
    Letter(char),
}

/// Each part that stands for any letters is tried at one place after the other, and only the last such is tried again:
/// what an earlier one could take beside, the later one can take too.
fn fits(parts: &[Part], name: &str) -> bool {
    let letters: Vec<char> = name.chars().collect();
    let (mut part, mut letter) = (0, 0);
    let mut again: Option<(usize, usize)> = None;
    while letter < letters.len() {
        match parts.get(part) {
            Some(Part::Any) => {
                again = Some((part, letter));
                part += 1;
            }
            Some(Part::One) => (part, letter) = (part + 1, letter + 1),
            Some(Part::Letter(wanted)) if *wanted == letters[letter] => {
                (part, letter) = (part + 1, letter + 1)
            }
            _ => match &mut again {
                Some((from_part, from_letter)) => {
                    *from_letter += 1;
                    (part, letter) = (*from_part + 1, *from_letter);
                }
                None => return false,
            },
        }
    }
    parts.iter().skip(part).all(|part| *part == Part::Any)
}

/// A name as the name of a file: letters that a path can't have, and a percent sign, are written by their bytes.
pub(super) fn as_file(name: &str) -> String {
    let mut file = String::with_capacity(name.len());
    for (at, letter) in name.chars().enumerate() {
        if letter.is_control() || matches!(letter, '/' | '\\' | '%') || letter == '.' && at == 0 {
            let mut bytes = [0; 4];
            for byte in letter.encode_utf8(&mut bytes).bytes() {
                let _ = write!(file, "%{byte:02X}");
            }
        } else {
            file.push(letter);
        }
    }
    file
}

/// Whether a path stays in the folder that it is relative to.
pub(super) fn is_path_in_a_dump(path: &str) -> bool {
    let parts = Path::new(path).components();
    !path.is_empty()
        && !path.contains('\0')
        && parts.into_iter().all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::{as_file, is_chosen, like};

    #[test]
    fn patterns_choose_names() {
        let chosen = |pattern: &str, name| is_chosen(&[pattern.to_owned()], name);
        assert!(chosen("shop", "shop") && !chosen("shop", "shops") && !chosen("shop", "sho"));
        assert!(
            chosen("sh*", "sh")
                && chosen("*a*b", "xaxbxb")
                && chosen("s?op", "shop")
                && !chosen("s?op", "sop")
        );
        assert!(is_chosen(&[], "x"));
        assert!(like("shop\\_%", "shop_1") && !like("shop\\_%", "shopx1") && like("s_op", "shop"));
    }

    #[test]
    fn files_are_named_so_that_no_two_names_and_no_folder_are_one() {
        assert_eq!(as_file("orders"), "orders");
        assert_eq!(as_file("../a b%ä.x"), "%2E.%2Fa b%25ä.x");
        assert_eq!(as_file("a\nb"), "a%0Ab");
    }
}
