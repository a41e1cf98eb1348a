//! Patterns of the command line, and of the files that it names.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use keepfast_engine::fs::pattern_lines::PatternLines;
use keepfast_engine::fs::select::Patterns;

use crate::console::Console;

/// This many paths a warning names.
const PLACES_NAMED: usize = 4;

/// Compiles patterns, and warns about those that most likely have no effect.
pub fn compile<P: AsRef<[u8]>>(patterns: &[P], console: &Console) -> Result<Patterns> {
    let compiled = Patterns::new(patterns)?;
    compiled.doubts().iter().for_each(|doubt| console.warn(doubt));
    Ok(compiled)
}

/// The patterns of `--exclude` and of the files of `--exclude-from`.
pub fn excluded(globs: &[OsString], files: &[PathBuf], console: &Console) -> Result<Patterns> {
    let mut all: Vec<Vec<u8>> = globs.iter().map(|glob| glob.as_bytes().to_vec()).collect();
    for file in files {
        all.extend(lines_of(file, console)?);
    }
    compile(&all, console)
}

/// Warns about patterns from the root down that lead to nothing that is backed up. Only about those of the
/// command line: a file of patterns may serve several backups.
pub fn warn_of_elsewhere(globs: &[OsString], places: &[PathBuf], console: &Console) {
    for glob in globs {
        let bytes = glob.as_bytes();
        if !bytes.starts_with(b"/") {
            continue;
        }
        let special = bytes.iter().position(|byte| b"*?[{\\".contains(byte));
        let plain = special.map_or(bytes, |special| &bytes[..special]);
        // A name that goes on with something special says nothing yet.
        let end = special.and_then(|_| plain.iter().rposition(|byte| *byte == b'/'));
        let plain = Path::new(OsStr::from_bytes(end.map_or(plain, |end| &plain[..=end])));
        if !places.iter().any(|place| plain.starts_with(place) || place.starts_with(plain)) {
            let places: Vec<String> =
                places.iter().take(PLACES_NAMED).map(|place| place.display().to_string()).collect();
            console.warn(&format!(
                "the pattern {} matches nothing of what is backed up, which is {}",
                glob.to_string_lossy(),
                places.join(", ")
            ));
        }
    }
}

/// The patterns in a file: a line each.
fn lines_of(file: &Path, console: &Console) -> Result<Vec<Vec<u8>>> {
    let content =
        std::fs::read(file).with_context(|| format!("the exclude file {} can't be read", file.display()))?;
    let lines = PatternLines::of(&content)
        .with_context(|| format!("the exclude file {} can't be used", file.display()))?;
    if lines.has_byte_order_mark {
        console.warn(&format!(
            "the exclude file {} begins with a byte-order mark, which is left out",
            file.display()
        ));
    }
    Ok(lines.patterns.into_iter().map(<[u8]>::to_vec).collect())
}
