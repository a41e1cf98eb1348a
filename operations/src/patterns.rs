//! Patterns that leave entries out or pick them: given one by one, or in files. What is most likely not as it was
//! meant is a value, for the front end to show.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use keepfast_engine::EngineError;
use keepfast_engine::fs::pattern_lines::PatternLines;
use keepfast_engine::fs::select::Patterns;

use crate::error::{OperationsError, Result, SourceError, TextError};

/// This many paths a doubt names.
const PLACES_NAMED: usize = 4;

/// Patterns, ready to be matched.
#[derive(Debug, Clone, Default)]
pub struct Compiled {
    /// The patterns.
    pub patterns: Patterns,
    /// What is most likely not as it was meant.
    pub doubts: Vec<Doubt>,
}

/// Why a pattern most likely has another effect than the one that was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// It matches nothing, or not what it seems to.
    Pattern(String),
    /// The file that it is in begins with a byte-order mark.
    ByteOrderMark {
        /// The file.
        file: PathBuf,
    },
    /// It begins at the root and leads to nothing that is backed up.
    Elsewhere {
        /// The pattern.
        pattern: OsString,
        /// The first paths that are backed up.
        places: Vec<PathBuf>,
    },
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pattern(what) => f.write_str(what),
            Self::ByteOrderMark { file } => write!(
                f,
                "the exclude file {} begins with a byte-order mark, which is left out",
                file.display()
            ),
            Self::Elsewhere { pattern, places } => {
                let places: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
                write!(
                    f,
                    "the pattern {} matches nothing of what is backed up, which is {}",
                    pattern.to_string_lossy(),
                    places.join(", ")
                )
            }
        }
    }
}

/// Compiles patterns.
pub fn compile<P: AsRef<[u8]>>(patterns: &[P]) -> Result<Compiled> {
    let patterns = Patterns::new(patterns).map_err(|error| match error {
        error @ EngineError::Pattern { .. } => TextError::Pattern(error.to_string()).into(),
        other => OperationsError::from(other),
    })?;
    let doubts = patterns.doubts().iter().cloned().map(Doubt::Pattern).collect();
    Ok(Compiled { patterns, doubts })
}

/// Compiles patterns that are given, and after them those in files.
pub fn compile_with_files(globs: &[OsString], files: &[PathBuf]) -> Result<Compiled> {
    let mut all: Vec<Vec<u8>> = globs.iter().map(|glob| glob.as_bytes().to_vec()).collect();
    let mut doubts = Vec::new();
    for file in files {
        let content = std::fs::read(file)
            .map_err(|source| SourceError::UnreadablePatterns { file: file.clone(), source })?;
        let lines = PatternLines::of(&content)
            .map_err(|source| SourceError::UnusablePatterns { file: file.clone(), source })?;
        if lines.has_byte_order_mark {
            doubts.push(Doubt::ByteOrderMark { file: file.clone() });
        }
        all.extend(lines.patterns.into_iter().map(<[u8]>::to_vec));
    }
    let mut compiled = compile(&all)?;
    doubts.append(&mut compiled.doubts);
    Ok(Compiled { doubts, ..compiled })
}

/// The patterns from the root down that lead to nothing that is backed up. For those that someone gave for this
/// backup: a file of patterns may serve several.
#[must_use]
pub fn elsewhere(globs: &[OsString], places: &[PathBuf]) -> Vec<Doubt> {
    let leads_to_none = |glob: &&OsString| {
        let bytes = glob.as_bytes();
        if !bytes.starts_with(b"/") {
            return false;
        }
        let special = bytes.iter().position(|byte| b"*?[{\\".contains(byte));
        let plain = special.map_or(bytes, |special| &bytes[..special]);
        // A name that goes on with something special says nothing yet.
        let end = special.and_then(|_| plain.iter().rposition(|byte| *byte == b'/'));
        let plain = Path::new(OsStr::from_bytes(end.map_or(plain, |end| &plain[..=end])));
        !places.iter().any(|place| plain.starts_with(place) || place.starts_with(plain))
    };
    let named: Vec<PathBuf> = places.iter().take(PLACES_NAMED).cloned().collect();
    let doubt = |pattern: &OsString| Doubt::Elsewhere { pattern: pattern.clone(), places: named.clone() };
    globs.iter().filter(leads_to_none).map(doubt).collect()
}

#[cfg(test)]
mod tests {
    use super::{Doubt, OsString, PathBuf, compile_with_files, elsewhere};

    #[test]
    fn files_add_patterns_and_their_marks_are_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("list");
        std::fs::write(&file, b"\xef\xbb\xbf*.o\n# why\n").expect("a file");
        let compiled =
            compile_with_files(&[OsString::from("*.a")], std::slice::from_ref(&file)).expect("patterns");
        assert!(compiled.patterns.matches(b"/x.o") && compiled.patterns.matches(b"/x.a"));
        assert!(!compiled.patterns.matches(b"/x.c"));
        assert_eq!(compiled.doubts, [Doubt::ByteOrderMark { file: file.clone() }]);
        std::fs::write(&file, b"\xff\xfe*\0").expect("a file");
        let error = compile_with_files(&[], &[file]).expect_err("UTF-16");
        assert!(error.to_string().contains("can't be used") && !error.is_wrong_input(), "{error}");
    }

    #[test]
    fn a_pattern_from_the_root_that_leads_elsewhere_is_doubted() {
        let places = [PathBuf::from("/home/me")];
        let doubted = |glob: &str| !elsewhere(&[OsString::from(glob)], &places).is_empty();
        for fitting in ["*.o", "me/x", "/home/me/x", "/home/*/x", "/home", "/home/m*", "/*"] {
            assert!(!doubted(fitting), "{fitting}");
        }
        for elsewhere in ["/home/you", "/srv/*", "/home/me2"] {
            assert!(doubted(elsewhere), "{elsewhere}");
        }
    }
}
