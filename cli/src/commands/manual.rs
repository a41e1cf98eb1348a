//! The manual pages: one for the program, and one for each command.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use clap_mangen::Man;
use serde_json::json;

use crate::Outcome;
use crate::args::{Arguments, Common, Manual};
use crate::render;

/// Writes the pages into a directory.
pub fn run(common: &Common, options: &Manual) -> Result<Outcome> {
    let folder = &options.folder;
    let mut program = Arguments::with_examples().disable_help_subcommand(true);
    program.build();
    let count = fs::create_dir_all(folder)
        .and_then(|()| write_pages(&program, folder))
        .with_context(|| format!("the manual pages can't be written into {}", folder.display()))?;
    if common.json {
        render::document(&json!({ "folder": folder.display().to_string(), "pages": count }));
    } else {
        render::line(&format!("wrote {} into {}", render::counted(count, "manual page"), folder.display()));
    }
    Ok(Outcome::Complete)
}

/// Writes the page of a command and those of the commands below it. Returns how many.
fn write_pages(command: &clap::Command, folder: &Path) -> io::Result<u64> {
    let usage = command.clone().render_usage().to_string();
    // Without this, a page begins with a list of all options.
    let command_with_usage = command.clone().override_usage(usage.trim_start_matches("Usage: ").to_owned());
    let page = Man::new(command_with_usage)
        .source(concat!("keepfast ", env!("CARGO_PKG_VERSION")))
        .manual("keepfast manual");
    let mut file = BufWriter::new(File::create(folder.join(page.get_filename()))?);
    page.render(&mut file)?;
    file.flush()?;
    command.get_subcommands().try_fold(1, |count, below| Ok(count + write_pages(below, folder)?))
}
