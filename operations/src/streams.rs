//! What a backup takes that isn't a file: an open descriptor, such as standard input, the output of a command, and
//! folders that a program writes.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use keepfast_backend::Cancel;
use keepfast_engine::EngineError;
use keepfast_engine::archive::{Folder, FolderSink, Stream};
use keepfast_engine::chunk::cutting::CuttingChoice;
use serde::{Deserialize, Serialize};

use crate::child::{CancellableReader, ChildInput, Children, CommandLine, Ends, Started};
use crate::error::{OperationsError, Result, StreamError, TextError};

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

/// A command whose output becomes a file of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamSource {
    /// The file's name, in the snapshot's root directory.
    pub name: String,
    /// What prints its bytes.
    pub command: CommandLine,
}

impl StreamSource {
    /// Reads `NAME=COMMAND`. The command is for a shell.
    pub fn parse(text: &str) -> Result<Self> {
        match text.split_once('=') {
            Some((name, command)) if !name.is_empty() && !command.trim().is_empty() => {
                Ok(Self { name: name.to_owned(), command: CommandLine::Shell(command.to_owned()) })
            }
            _ => Err(TextError::Stream.into()),
        }
    }
}

/// What a backup takes that isn't a file.
#[derive(Default)]
pub struct Inputs {
    /// Streams, each of which becomes a file.
    pub streams: Vec<Stream>,
    /// Folders that programs write.
    pub folders: Vec<Folder>,
}

impl From<Vec<Stream>> for Inputs {
    fn from(streams: Vec<Stream>) -> Self {
        Self { streams, ..Self::default() }
    }
}

/// The streams and folders of one backup, which are of use together: if one fails, the programs that write the others are
/// ended.
pub struct StreamGroup {
    empty: Empty,
    ends: Ends,
    failure: Arc<Mutex<Option<StreamError>>>,
}

/// Bytes to back up, and whether they are all that there should be.
struct ByteStream {
    reader: Box<dyn Read + Send>,
    /// Dropped uncalled, it ends the program that writes the bytes.
    finish: Box<dyn FnOnce() -> Result<(), StreamError> + Send>,
}

impl StreamGroup {
    /// For one run; nothing is in it.
    #[must_use]
    pub fn new(empty: Empty, run: &Cancel) -> Self {
        Self { empty, ends: run.into(), failure: Arc::default() }
    }

    /// What comes from an open descriptor, as a file of this name. `what` names it in messages, such as "standard
    /// input".
    #[must_use]
    pub fn descriptor(&self, name: &str, input: OwnedFd, what: &str) -> Stream {
        let (reader, has_bytes) = Noting::new(CancellableReader::new(input, self.ends.clone()));
        let (empty, what) = (self.empty, format!("{what} was empty"));
        let finish = Box::new(move || refuse_empty(empty, &has_bytes, what));
        self.named(name, ByteStream { reader: Box::new(reader), finish })
    }

    /// Starts a command, to back up what it prints. However it ends other than well, nothing must be committed.
    pub fn command(&self, source: &StreamSource, children: &Children) -> Result<Stream> {
        let stream = self.output_of(&source.command, children);
        Ok(self.named(&source.name, stream.map_err(|error| error.of(&source.name))?))
    }

    /// A folder of this name, which `write` writes while the backup runs. What it waits for ends when [`Ends`] says so, or
    /// when [`FolderSink::has_ended`] does.
    #[must_use]
    pub fn folder(
        &self,
        name: &str,
        write: impl FnOnce(&dyn FolderSink, &Ends) -> Result<(), String> + Send + 'static,
    ) -> Folder {
        let (of, ends, failure) = (name.to_owned(), self.ends.clone(), Arc::clone(&self.failure));
        let write = move |sink: &dyn FolderSink| {
            write(sink, &ends).inspect_err(|why| {
                // If the backup has ended before, the program has failed because of that.
                if !sink.has_ended() {
                    fail(&failure, StreamError::Told { why: why.clone() }.of(&of));
                }
                ends.group.cancel();
            })
        };
        Folder { name: name.as_bytes().to_vec(), write: Box::new(write) }
    }

    /// What a failed backup has failed of: the first stream or folder that did, if one did.
    #[must_use]
    pub fn explain(&self, error: EngineError) -> OperationsError {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        match failure {
            Some(failure) if !matches!(error, EngineError::Interrupted) => failure.into(),
            _ => error.into(),
        }
    }

    fn named(&self, name: &str, stream: ByteStream) -> Stream {
        let ByteStream { reader, finish } = stream;
        let (of, ends, failure) = (name.to_owned(), self.ends.clone(), Arc::clone(&self.failure));
        let ended = move || {
            finish().map_err(|error| {
                let why = error.to_string();
                // First why, then the end of the others: they fail because of it.
                fail(&failure, error.of(&of));
                ends.group.cancel();
                why
            })
        };
        let cutting = CuttingChoice::Auto;
        Stream { name: name.as_bytes().to_vec(), reader, cutting, ended: Box::new(ended) }
    }

    fn output_of(&self, command: &CommandLine, children: &Children) -> Result<ByteStream, StreamError> {
        let program = command.program();
        if program.is_empty() {
            return Err(StreamError::NoCommand);
        }
        let started = children.start(command, ChildInput::Empty, self.ends.clone());
        let Started { output, running } =
            started.map_err(|source| StreamError::NotRun { program: program.clone(), source })?;
        let (reader, has_bytes) = Noting::new(output);
        let empty = self.empty;
        let finish = move || match running.wait() {
            Ok(Some(ended)) if ended.status.success() => {
                refuse_empty(empty, &has_bytes, format!("the command {program} printed nothing"))
            }
            Ok(Some(ended)) => {
                Err(StreamError::Failed { program, status: ended.status, stderr: ended.stderr })
            }
            Ok(None) => Err(StreamError::Cancelled { program }),
            Err(source) => Err(StreamError::Unknown { program, source }),
        };
        Ok(ByteStream { reader: Box::new(reader), finish: Box::new(finish) })
    }
}

/// Notes a failure. The first one counts.
fn fail(failure: &Mutex<Option<StreamError>>, error: StreamError) {
    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
}

fn refuse_empty(empty: Empty, has_bytes: &AtomicBool, what: String) -> Result<(), StreamError> {
    // The caller has read the stream to its end before, in whatever thread: that orders both.
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
    use std::io::{self, Read};
    use std::time::Instant;

    use keepfast_engine::archive::{EntryAttributes, FolderSink, NewFile};

    use super::{Cancel, Children, CommandLine, Empty, EngineError, OwnedFd, StreamGroup, StreamSource};

    fn shell(name: &str, script: &str) -> StreamSource {
        StreamSource { name: name.to_owned(), command: CommandLine::Shell(script.to_owned()) }
    }

    /// What a stream holds and how it ends.
    fn run(script: &str, empty: Empty) -> (String, Result<(), String>) {
        let group = StreamGroup::new(empty, &Cancel::new());
        let mut stream =
            group.command(&shell("dump", script), &Children::default()).expect("a shell is there");
        let mut text = String::new();
        stream.reader.read_to_string(&mut text).expect("text");
        (text, (stream.ended)())
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
        let end = |empty| {
            let group = StreamGroup::new(empty, &Cancel::new());
            (group.descriptor("dump", null(), "standard input").ended)()
        };
        assert!(end(Empty::Refused).expect_err("empty").contains("standard input was empty"));
        assert!(end(Empty::Allowed).is_ok());
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let of = |words: &[&str]| {
            let command = CommandLine::Arguments(words.iter().map(Into::into).collect());
            let source = StreamSource { name: "dump".to_owned(), command };
            let group = StreamGroup::new(Empty::Refused, &Cancel::new());
            group.command(&source, &Children::default()).map(|_| ()).expect_err("there is none").to_string()
        };
        assert_eq!(of(&["/no/such/program", "secret"]), "dump: /no/such/program can't be run");
        assert_eq!(of(&[]), "dump: the command is empty");
    }

    /// The one that fails is named, whichever of them the engine hears of first.
    #[test]
    fn the_first_that_fails_ends_the_others_and_is_what_is_told() {
        let group = StreamGroup::new(Empty::Refused, &Cancel::new());
        let start = |source| group.command(&source, &Children::default()).expect("a shell is there");
        let (mut endless, failing) =
            (start(shell("endless", "sleep 3600")), start(shell("failing", "exit 7")));
        let begun = Instant::now();
        (failing.ended)().expect_err("it failed");
        assert!(endless.reader.read(&mut [0; 16]).is_err());
        (endless.ended)().expect_err("it was ended");
        assert!(begun.elapsed().as_secs() < 60);
        let error = group.explain(EngineError::Fenced).to_string();
        assert!(error.starts_with("failing: the command /bin/sh failed (exit status: 7)"), "{error}");
        assert!(matches!(group.explain(EngineError::Fenced).engine(), Some(EngineError::Fenced)));
    }

    /// A sink that takes nothing, of a backup that goes on or has ended.
    struct NoSink {
        has_ended: bool,
    }

    impl FolderSink for NoSink {
        fn file(&self, _: &NewFile<'_>, _: &mut dyn Read) -> io::Result<u64> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn directory(&self, _: &[u8], _: EntryAttributes) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn symlink(&self, _: &[u8], _: &[u8], _: EntryAttributes) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn has_ended(&self) -> bool {
            self.has_ended
        }
    }

    /// A folder that fails ends the streams and is what is told, unless it failed because the backup had ended.
    #[test]
    fn a_folder_that_fails_is_told_with_its_cause() {
        for has_ended in [false, true] {
            let group = StreamGroup::new(Empty::Refused, &Cancel::new());
            let endless = shell("endless", "sleep 3600");
            let mut endless = group.command(&endless, &Children::default()).expect("a shell is there");
            let folder = group.folder("db", |_, ends| {
                assert!(!ends.is_over());
                Err("table users: permission denied".to_owned())
            });
            let failed = (folder.write)(&NoSink { has_ended });
            assert_eq!(failed, Err("table users: permission denied".to_owned()));
            assert!(endless.reader.read(&mut [0; 16]).is_err());
            let explained = group.explain(EngineError::Fenced);
            if has_ended {
                assert!(matches!(explained.engine(), Some(EngineError::Fenced)), "{explained}");
            } else {
                let expected = "db: table users: permission denied: no snapshot was made";
                assert_eq!(explained.to_string(), expected);
            }
        }
    }

    #[test]
    fn a_name_ends_at_the_first_equals_sign() {
        let parsed = StreamSource::parse("a=b -x=1").expect("a stream");
        assert_eq!(parsed, shell("a", "b -x=1"));
        for wrong in ["", "a", "=b", "a=", "a= "] {
            let error = StreamSource::parse(wrong).expect_err(wrong);
            assert!(error.is_wrong_input() && error.to_string().contains("NAME=COMMAND"), "{error}");
        }
    }
}
