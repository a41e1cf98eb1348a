//! Patterns of the command line, and of the files that it names.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;
use keepfast_engine::fs::select::Patterns;
use keepfast_operations::patterns::{Compiled, compile_with_files};

use crate::console::Console;

/// The patterns of `--exclude` and of the files of `--exclude-from`. Warns about those that most likely have no effect.
pub fn excluded(globs: &[OsString], files: &[PathBuf], console: &Console) -> Result<Patterns> {
    let Compiled { patterns, doubts } = compile_with_files(globs, files)?;
    doubts.iter().for_each(|doubt| console.warn(&doubt.to_string()));
    Ok(patterns)
}
