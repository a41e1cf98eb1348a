//! The rule about words: sources and documents use plain ones. `words.txt` lists words that they don't
//! use, each with a better one; it is data, so that no source has to contain them.

/// Words that aren't used, each with a better one.
const WORDS: &str = include_str!("words.txt");

/// Folders and files in which old words are still in use. Remove a line when its folder is clean, and add
/// none.
const NOT_YET: &[&str] = &[
    // Reasons in vectors are stored bytes.
    "repo-format/tests/",
];

/// Words that a text uses and should not, and what is written instead.
pub fn unplain_words(path: &str, text: &str) -> Vec<String> {
    let lowercase = text.to_lowercase();
    let mut found = Vec::new();
    for (word, instead) in WORDS.lines().filter_map(|line| line.split_once(": ")) {
        let count = occurrences(&lowercase, word);
        if count > 0 {
            found.push(format!("{path} says {word:?} {count} times: write {instead}"));
        }
    }
    found
}

/// Whether the rule holds for a file yet.
pub fn is_checked(path: &str) -> bool {
    !NOT_YET.iter().any(|folder| path.starts_with(folder))
}

/// How often a text has these words in a row. Two of them may stand on two lines of a comment.
fn occurrences(text: &str, words: &str) -> usize {
    let words: Vec<&str> = words.split(' ').collect();
    let is_gap = |gap: &str| gap.chars().all(|sign| sign.is_whitespace() || matches!(sign, '/' | '!'));
    let found = letters(text);
    let is_here = |window: &&[Piece<'_>]| {
        window.iter().map(|piece| piece.word).eq(words.iter().copied())
            && window.iter().skip(1).all(|piece| is_gap(piece.gap))
    };
    found.windows(words.len()).filter(is_here).count()
}

/// A run of letters, and what stands between it and the one before.
struct Piece<'t> {
    word: &'t str,
    gap: &'t str,
}

fn letters(text: &str) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(begin) = rest.find(char::is_alphabetic) {
        let (gap, from) = rest.split_at(begin);
        let (word, after) =
            from.split_at(from.find(|sign: char| !sign.is_alphabetic()).unwrap_or(from.len()));
        found.push(Piece { word, gap });
        rest = after;
    }
    found
}

#[test]
fn unplain_words_are_found_in_prose_and_names() {
    let words: Vec<&str> = WORDS.lines().filter_map(|line| Some(line.split_once(": ")?.0)).collect();
    assert!(words.len() >= 7, "{words:?}");
    for word in words {
        let (over_lines, in_a_name) = (word.replace(' ', "\n    /// "), word.replace(' ', "_"));
        let count = |text: &str| unplain_words("a.rs", text).len();
        assert_eq!(count(&format!("// If {word} comes.")), 1, "{word}");
        assert_eq!(count(&format!("/// {over_lines}")), 1, "{word}");
        // Two words of a name are no phrase.
        assert_eq!(count(&format!("fn if_{in_a_name}_comes()")), usize::from(!word.contains(' ')), "{word}");
        assert_eq!(count(&word.replace(' ', ". ")), usize::from(!word.contains(' ')), "{word}");
        assert_eq!(count(&format!("{word}s")), 0, "{word}");
    }
}

#[test]
fn each_folder_that_is_left_out_still_needs_it() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is above");
    for folder in NOT_YET {
        assert!(root.join(folder).exists(), "{folder} is gone: remove its line from NOT_YET");
    }
}
