//! Patterns of the command line, and of the files that it names.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use keepfast_engine::fs::select::Patterns;

use crate::console::Console;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

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

/// The patterns in a file: a line each, without empty lines and those that begin with `#`. Lines are bytes,
/// in whatever encoding the names of files are.
fn lines_of(file: &Path, console: &Console) -> Result<Vec<Vec<u8>>> {
    let content =
        std::fs::read(file).with_context(|| format!("the exclude file {} can't be read", file.display()))?;
    if content.starts_with(b"\xff\xfe") || content.starts_with(b"\xfe\xff") {
        bail!("the exclude file {} is in UTF-16: save it in UTF-8", file.display());
    }
    let text = match content.strip_prefix(BYTE_ORDER_MARK) {
        Some(text) => {
            console.warn(&format!(
                "the exclude file {} begins with a byte-order mark, which is left out",
                file.display()
            ));
            text
        }
        None => &content,
    };
    let lines = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let is_pattern = |line: &&[u8]| !line.trim_ascii().is_empty() && !line.starts_with(b"#");
    Ok(lines.filter(is_pattern).map(<[u8]>::to_vec).collect())
}
