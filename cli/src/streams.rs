//! What a backup reads that isn't a file: standard input, and the output of a command.

use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;

use anyhow::{Context, Result};
use keepfast_engine::archive::Stream;
use keepfast_operations::OperationsError;
use keepfast_operations::child::CommandLine;
use keepfast_operations::error::StreamError;
pub use keepfast_operations::streams::Empty;
use keepfast_operations::streams::{self, ByteStream};

use crate::console::Console;
use crate::{render, secrets};

/// Standard input.
pub fn standard_input(name: &str, empty: Empty, console: &Console) -> Result<Stream> {
    let input = io::stdin().as_fd().try_clone_to_owned().context("standard input can't be read")?;
    Ok(named(name, streams::descriptor(input, "standard input", empty, console.run().cancel())))
}

/// Starts a command, to read its output. However it ends other than well, nothing is committed.
pub fn output_of(name: &str, command: &[PathBuf], empty: Empty, console: &Console) -> Result<Stream> {
    let command = CommandLine::Arguments(command.iter().map(|word| word.clone().into_os_string()).collect());
    Ok(named(name, streams::output_of(&command, &secrets::children(), empty, console.run().cancel())?))
}

fn named(name: &str, stream: ByteStream) -> Stream {
    let ByteStream { reader, finish } = stream;
    let ended = move || finish().map_err(explained);
    Stream { name: name.as_bytes().to_vec(), reader, ended: Box::new(ended) }
}

fn explained(error: OperationsError) -> String {
    let is_empty = matches!(error, OperationsError::Stream(StreamError::Empty { .. }));
    let advice = if is_empty { "; if that is as it should be, use --allow-empty" } else { "" };
    format!("{}{advice}", render::with_causes(&error.into()))
}
