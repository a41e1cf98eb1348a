//! Patterns of the command line, and of the files that it names.

use std::path::Path;

use anyhow::{Context, Result};
use keepfast_engine::fs::pattern_lines::PatternLines;
use keepfast_engine::fs::select::Patterns;

use crate::console::Console;

/// Compiles patterns, and warns about those that most likely have no effect.
pub fn compile<P: AsRef<[u8]>>(patterns: &[P], console: &Console) -> Result<Patterns> {
    let compiled = Patterns::new(patterns)?;
    compiled.doubts().iter().for_each(|doubt| console.warn(doubt));
    Ok(compiled)
}

/// The patterns in a file: a line each.
pub fn lines_of(file: &Path, console: &Console) -> Result<Vec<Vec<u8>>> {
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
