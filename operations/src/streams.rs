//! What a backup reads that isn't a file: an open descriptor, such as standard input, and the output of a command.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use keepfast_backend::Cancel;
use serde::{Deserialize, Serialize};

use crate::child::{CancellableReader, ChildInput, Children, CommandLine, Started};
use crate::error::{Result, StreamError};

/// Whether a stream may have nothing in it. Mostly that is the end of something that has failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Empty {
    /// It becomes an empty file.
    Allowed,
    /// Then there is no snapshot.
    #[default]
    Refused,
}

/// Bytes to back up, and whether they are all that there should be.
pub struct ByteStream {
    /// The bytes. Reading fails when the run is cancelled.
    pub reader: Box<dyn Read + Send>,
    /// To be called when all bytes were read and before anything is committed: after an error there must be no
    /// snapshot. Dropped uncalled, it ends the program that writes the bytes.
    pub finish: Box<dyn FnOnce() -> Result<()> + Send>,
}

/// What comes from an open descriptor. `what` names it in messages, such as "standard input".
#[must_use]
pub fn descriptor(input: OwnedFd, what: &str, empty: Empty, cancel: &Cancel) -> ByteStream {
    let (reader, has_bytes) = Noting::new(CancellableReader::new(input, cancel.clone()));
    let what = format!("{what} was empty");
    ByteStream {
        reader: Box::new(reader),
        finish: Box::new(move || Ok(refuse_empty(empty, &has_bytes, what)?)),
    }
}

/// Starts a command, to back up what it prints. However it ends other than well, [`ByteStream::finish`] fails.
pub fn output_of(
    command: &CommandLine,
    children: &Children,
    empty: Empty,
    cancel: &Cancel,
) -> Result<ByteStream> {
    let program = command.program();
    if program.is_empty() {
        return Err(StreamError::NoCommand.into());
    }
    let started = children.start(command, ChildInput::Empty, cancel);
    let Started { output, running } =
        started.map_err(|source| StreamError::NotRun { program: program.clone(), source })?;
    let (reader, has_bytes) = Noting::new(output);
    let finish = move || match running.wait() {
        Ok(Some(ended)) if ended.status.success() => {
            refuse_empty(empty, &has_bytes, format!("the command {program} printed nothing"))
        }
        Ok(Some(ended)) => Err(StreamError::Failed { program, status: ended.status, stderr: ended.stderr }),
        Ok(None) => Err(StreamError::Cancelled { program }),
        Err(source) => Err(StreamError::Unknown { program, source }),
    };
    Ok(ByteStream { reader: Box::new(reader), finish: Box::new(move || Ok(finish()?)) })
}

fn refuse_empty(empty: Empty, has_bytes: &AtomicBool, what: String) -> Result<(), StreamError> {
    // Whoever calls has read the stream to its end before, in whatever thread: that orders both.
    if empty == Empty::Allowed || has_bytes.load(Ordering::Relaxed) {
        return Ok(());
    }
    Err(StreamError::Empty { what })
}

/// Notes whether anything was read.
struct Noting {
    input: CancellableReader,
    has_bytes: Arc<AtomicBool>,
}

impl Noting {
    fn new(input: CancellableReader) -> (Self, Arc<AtomicBool>) {
        let has_bytes = Arc::new(AtomicBool::new(false));
        (Self { input, has_bytes: Arc::clone(&has_bytes) }, has_bytes)
    }
}

impl Read for Noting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        if count > 0 {
            self.has_bytes.store(true, Ordering::Relaxed);
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::{Cancel, Children, CommandLine, Empty, OwnedFd, descriptor, output_of};

    /// What a stream holds and how it ends.
    fn run(script: &str, empty: Empty) -> (String, Result<(), String>) {
        let command = CommandLine::Shell(script.to_owned());
        let mut stream =
            output_of(&command, &Children::default(), empty, &Cancel::new()).expect("a shell is there");
        let mut text = String::new();
        stream.reader.read_to_string(&mut text).expect("text");
        (text, (stream.finish)().map_err(|error| error.to_string()))
    }

    #[test]
    fn only_a_command_that_ends_well_is_complete() {
        assert_eq!(run("printf all", Empty::Refused), ("all".to_owned(), Ok(())));
        let (text, ended) = run("echo half; echo disk full >&2; exit 7", Empty::Refused);
        let error = ended.expect_err("it failed");
        assert_eq!(text, "half\n");
        for part in ["exit status: 7", "no snapshot was made", "it printed: disk full"] {
            assert!(error.contains(part), "{error}");
        }
        assert!(run("kill -9 $$", Empty::Allowed).1.expect_err("killed").contains("signal: 9"));
    }

    #[test]
    fn nothing_is_refused_unless_it_is_allowed() {
        assert!(run("exit 0", Empty::Refused).1.expect_err("empty").contains("printed nothing"));
        assert_eq!(run("exit 0", Empty::Allowed).1, Ok(()));
        let null = || OwnedFd::from(std::fs::File::open("/dev/null").expect("it is there"));
        let end = |empty| (descriptor(null(), "standard input", empty, &Cancel::new()).finish)();
        assert!(end(Empty::Refused).expect_err("empty").to_string().contains("standard input was empty"));
        assert!(end(Empty::Allowed).is_ok());
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let of = |words: &[&str]| {
            let command = CommandLine::Arguments(words.iter().map(Into::into).collect());
            let stream = output_of(&command, &Children::default(), Empty::Refused, &Cancel::new());
            stream.map(|_| ()).expect_err("there is none").to_string()
        };
        assert_eq!(of(&["/no/such/program", "secret"]), "/no/such/program can't be run");
        assert_eq!(of(&[]), "the command is empty");
    }
}
