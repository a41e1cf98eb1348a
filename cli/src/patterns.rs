//! Patterns of the command line, and of the files that it names.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;
use keepfast_engine::fs::select::Patterns;
use keepfast_operations::patterns::{self, Compiled, Doubt};

use crate::console::Console;

/// Compiles patterns, and warns about those that most likely have no effect.
pub fn compile<P: AsRef<[u8]>>(patterns: &[P], console: &Console) -> Result<Patterns> {
    Ok(warned(patterns::compile(patterns)?, console))
}

/// The patterns of `--exclude` and of the files of `--exclude-from`.
pub fn excluded(globs: &[OsString], files: &[PathBuf], console: &Console) -> Result<Patterns> {
    Ok(warned(patterns::compile_with_files(globs, files)?, console))
}

/// Warns about patterns from the root down that lead to nothing that is backed up.
pub fn warn_of_elsewhere(globs: &[OsString], places: &[PathBuf], console: &Console) {
    warn(&patterns::elsewhere(globs, places), console);
}

fn warned(compiled: Compiled, console: &Console) -> Patterns {
    warn(&compiled.doubts, console);
    compiled.patterns
}

fn warn(doubts: &[Doubt], console: &Console) {
    doubts.iter().for_each(|doubt| console.warn(&doubt.to_string()));
}
