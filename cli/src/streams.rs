//! What a backup reads that isn't a file: standard input, and the output of commands.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

use keepfast_engine::archive::Stream;
use keepfast_operations::Result;
use keepfast_operations::child::{ChildGroup, Children, CommandLine};
use keepfast_operations::error::StreamError;
use keepfast_operations::streams::{Inputs, StreamGroup, StreamSource};

use crate::args::Backup;
use crate::secrets;

/// The streams that the flags name. Commands begin to run.
pub fn start(options: &Backup, group: &StreamGroup) -> Result<Inputs> {
    match (&options.stdin_name, options.stdin, options.command) {
        (Some(name), true, _) => {
            let what = "standard input";
            let unreadable = |source| StreamError::Unreadable { what: what.to_owned(), source };
            let input = io::stdin().as_fd().try_clone_to_owned().map_err(unreadable)?;
            let stream = group.descriptor(name, input, what);
            Ok(vec![Stream { cutting: options.chunking.choice(), ..stream }].into())
        }
        (Some(name), _, true) => {
            let words = options.paths.iter().map(|word| word.clone().into_os_string());
            let command = CommandLine::Arguments(words.collect());
            let source = StreamSource { name: name.clone(), command };
            let stream = group.command(&source, &secrets::children())?;
            Ok(vec![Stream { cutting: options.chunking.choice(), ..stream }].into())
        }
        _ => {
            let children = together();
            let streams = options.streams.iter().map(|source| group.command(source, &children));
            Ok(streams.collect::<Result<Vec<_>>>()?.into())
        }
    }
}

/// How commands are started that end together. Where someone may answer, they can ask on the terminal; everywhere else
/// all that they have started ends with them.
fn together() -> Children {
    let group = if io::stdin().is_terminal() { ChildGroup::Shared } else { ChildGroup::Own };
    Children { group, ..secrets::children() }
}
