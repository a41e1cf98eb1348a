//! Programs that are started: what they inherit, where their messages go, and that none outlives its run.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};

use crate::cancel::Cancel;
use crate::redact::KnownSecrets;

/// How much of what a program prints for people is kept, from its end.
pub const PRINTED_BYTES_MAX: usize = 16 << 10;
/// How often a read looks whether the run is cancelled, in nanoseconds.
const LOOK_NS: i64 = 100_000_000;
/// How often a wait looks whether the program has ended, at most: it looks more often at first.
const NAP_MAX: Duration = Duration::from_millis(50);

/// A command: a script for a shell, or a program and its arguments. It may hold a secret, so it isn't shown.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CommandLine {
    /// For `/bin/sh -c`.
    Shell(String),
    /// A program and its arguments.
    Arguments(#[serde(with = "words")] Vec<OsString>),
}

impl CommandLine {
    /// The program, for messages. A script may begin with anything, so only the shell is named.
    #[must_use]
    pub fn program(&self) -> String {
        match self {
            Self::Shell(_) => "/bin/sh".to_owned(),
            Self::Arguments(words) => {
                words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default()
            }
        }
    }

    fn command(&self) -> io::Result<Command> {
        match self {
            Self::Shell(script) => {
                let mut command = Command::new("/bin/sh");
                command.arg("-c").arg(script);
                Ok(command)
            }
            Self::Arguments(words) => {
                let (program, arguments) = words
                    .split_first()
                    .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the command is empty"))?;
                let mut command = Command::new(program);
                command.args(arguments);
                Ok(command)
            }
        }
    }
}

impl fmt::Debug for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CommandLine({} …)", self.program())
    }
}

/// Arguments as text. What isn't UTF-8 can't be written; a program can still be given it.
pub mod words {
    use std::ffi::OsString;

    use serde::ser::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes them.
    pub fn serialize<S: Serializer>(words: &[OsString], serializer: S) -> Result<S::Ok, S::Error> {
        let texts: Option<Vec<&str>> = words.iter().map(|word| word.to_str()).collect();
        serializer.collect_seq(texts.ok_or_else(|| S::Error::custom("an argument of a command isn't UTF-8"))?)
    }

    /// Reads them.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<OsString>, D::Error> {
        Ok(Vec::<String>::deserialize(deserializer)?.into_iter().map(OsString::from).collect())
    }
}

/// How programs are started. By default they get an empty standard input, and what they print to standard error is
/// captured: so a server wants it.
#[derive(Debug, Clone, Default)]
pub struct Children {
    /// Variables that no program inherits: secrets, and references to them.
    pub withheld: Vec<OsString>,
    /// Variables that each program gets in addition, such as those that tell a hook of its run. None may hold a secret.
    pub variables: Vec<(String, OsString)>,
    /// What a program that may ask a person reads.
    pub input: ChildInput,
    /// Where messages go.
    pub messages: ChildMessages,
    /// To whom signals of a terminal and the end of a run go.
    pub group: ChildGroup,
    /// Secrets that this process has read. Of what is captured, none is kept.
    pub secrets: KnownSecrets,
}

/// What a program reads from standard input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ChildInput {
    /// Nothing.
    #[default]
    Empty,
    /// What this program reads: someone may answer there.
    Inherited,
}

/// Where what a program prints to standard error goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ChildMessages {
    /// The last of it becomes part of the error if the program fails.
    #[default]
    Captured,
    /// To this program's standard error.
    Inherited,
}

/// Which processes are one group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ChildGroup {
    /// The program and all that it starts: when the run ends early, all of them end.
    #[default]
    Own,
    /// The program and this one: a terminal's signals go to both, and the program may ask on the terminal.
    Shared,
}

/// What ends a program early: the end of its run, or of the others that it is of use with alone.
#[derive(Debug, Clone, Default)]
pub struct Ends {
    /// The run.
    pub run: Cancel,
    /// Programs that are started together.
    pub group: Cancel,
}

impl Ends {
    /// Whether it shall end.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.run.is_cancelled() || self.group.is_cancelled()
    }

    /// Waits this short time, or until it shall end. Returns whether it shall.
    fn wait(&self, nap: Duration) -> bool {
        self.is_over() || self.run.wait(nap) || self.is_over()
    }
}

/// A program that only its run ends.
impl From<&Cancel> for Ends {
    fn from(run: &Cancel) -> Self {
        Self { run: run.clone(), group: Cancel::new() }
    }
}

impl Children {
    /// Starts a program to read what it prints. `input` is what it reads.
    pub fn start(
        &self,
        command: &CommandLine,
        input: ChildInput,
        ends: impl Into<Ends>,
    ) -> io::Result<Started> {
        let ends = ends.into();
        let mut prepared = command.command()?;
        for name in &self.withheld {
            prepared.env_remove(name);
        }
        prepared.envs(self.variables.iter().map(|(name, value)| (name, value)));
        prepared.stdin(if input == ChildInput::Inherited { Stdio::inherit() } else { Stdio::null() });
        prepared.stdout(Stdio::piped());
        let is_captured = self.messages == ChildMessages::Captured;
        prepared.stderr(if is_captured { Stdio::piped() } else { Stdio::inherit() });
        let has_own_group = self.group == ChildGroup::Own;
        if has_own_group {
            prepared.process_group(0);
        }
        started(prepared.spawn()?, has_own_group, &self.secrets, PRINTED_BYTES_MAX, ends)
    }
}

/// Reads what a program prints that was started, and keeps the last of its messages, without secrets.
pub(crate) fn started(
    child: Child,
    has_own_group: bool,
    secrets: &KnownSecrets,
    kept_bytes: usize,
    ends: Ends,
) -> io::Result<Started> {
    let mut process = Process { child, has_own_group, is_reaped: false };
    let no_output = || io::Error::other("the program has no output");
    let output = process.child.stdout.take().map(OwnedFd::from).ok_or_else(no_output)?;
    let stderr = process.child.stderr.take();
    let messages = stderr.map(|stderr| {
        let secrets = secrets.clone();
        std::thread::spawn(move || secrets.last_of(stderr, kept_bytes))
    });
    let output = CancellableReader::new(output, ends.clone());
    Ok(Started { output, running: Running { process, messages, ends } })
}

/// A program that was started.
pub struct Started {
    /// What it prints.
    pub output: CancellableReader,
    /// The program itself, which ends with this value.
    pub running: Running,
}

/// A program that runs. Dropped, it is killed.
pub struct Running {
    process: Process,
    messages: Option<JoinHandle<Vec<u8>>>,
    ends: Ends,
}

/// How a program ended.
pub struct Ended {
    /// What it said.
    pub status: ExitStatus,
    /// The last of what it printed to standard error, if that was captured.
    pub stderr: Option<String>,
}

impl Running {
    /// Whether the program has ended.
    pub fn has_ended(&mut self) -> io::Result<bool> {
        let has_ended = self.process.child.try_wait()?.is_some();
        self.process.is_reaped |= has_ended;
        Ok(has_ended)
    }

    /// Sends a signal to the program alone, unless it has ended.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        if self.process.is_reaped {
            return Ok(());
        }
        Ok(rustix::process::kill_process(Pid::from_child(&self.process.child), signal)?)
    }

    /// Waits until the program ends. If it shall end before, it is killed, and there is no end to tell of.
    pub fn wait(mut self) -> io::Result<Option<Ended>> {
        let mut nap = Duration::from_millis(1);
        let status = loop {
            if let Some(status) = self.process.child.try_wait()? {
                self.process.is_reaped = true;
                break status;
            }
            if self.ends.wait(nap) {
                return Ok(None);
            }
            nap = (nap * 2).min(NAP_MAX);
        };
        // A program in the background may keep standard error open for as long as it likes.
        let is_read = |messages: &JoinHandle<Vec<u8>>| {
            (0..10).any(|_| messages.is_finished() || self.ends.wait(Duration::from_millis(20)))
        };
        let stderr = self.messages.take().map(|messages| {
            let bytes = if is_read(&messages) { messages.join().unwrap_or_default() } else { Vec::new() };
            String::from_utf8_lossy(&bytes).into_owned()
        });
        Ok(Some(Ended { status, stderr }))
    }
}

/// A process that is killed and reaped when it isn't needed any more.
struct Process {
    child: Child,
    has_own_group: bool,
    /// Then its id may be another's.
    is_reaped: bool,
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.is_reaped {
            return;
        }
        if self.has_own_group {
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A pipe or terminal whose reading ends early when it shall.
#[derive(Debug)]
pub struct CancellableReader {
    input: OwnedFd,
    ends: Ends,
}

impl CancellableReader {
    /// Reads from a descriptor.
    #[must_use]
    pub fn new(input: OwnedFd, ends: impl Into<Ends>) -> Self {
        Self { input, ends: ends.into() }
    }
}

impl Read for CancellableReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let pause = Timespec { tv_sec: 0, tv_nsec: LOOK_NS };
        loop {
            if self.ends.is_over() {
                return Err(io::Error::other("interrupted"));
            }
            let mut fds = [PollFd::new(&self.input, PollFlags::IN)];
            match poll(&mut fds, Some(&pause)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return Ok(rustix::io::read(&self.input, buffer)?),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::io::Read;

    use super::{Cancel, ChildInput, Children, CommandLine};

    fn shell(script: &str) -> CommandLine {
        CommandLine::Shell(script.to_owned())
    }

    #[test]
    fn commands_are_texts_or_lists_of_words_and_are_not_shown() {
        let read = |text: &str| serde_json::from_str::<CommandLine>(text).expect(text);
        assert_eq!(read("\"pass show x\""), shell("pass show x"));
        let words = read("[\"pass\", \"show\"]");
        assert_eq!(words, CommandLine::Arguments(["pass", "show"].map(OsString::from).to_vec()));
        assert_eq!(serde_json::to_string(&words).expect("a text"), "[\"pass\",\"show\"]");
        assert_eq!(
            format!("{:?} {words:?}", shell("echo secret")),
            "CommandLine(/bin/sh …) CommandLine(pass …)"
        );
    }

    #[test]
    fn a_program_inherits_no_withheld_variable_and_its_messages_are_kept() {
        // Cargo sets this one for every test.
        let children = Children { withheld: vec![OsString::from("CARGO_PKG_NAME")], ..Children::default() };
        let script =
            shell("printf %s \"${CARGO_PKG_NAME-none} ${CARGO_PKG_VERSION-none}\"; echo no >&2; exit 3");
        let mut started = children.start(&script, ChildInput::Empty, &Cancel::new()).expect("a shell");
        let mut printed = String::new();
        started.output.read_to_string(&mut printed).expect("text");
        assert_eq!(printed, concat!("none ", env!("CARGO_PKG_VERSION")));
        let ended = started.running.wait().expect("an end").expect("its own end");
        assert_eq!((ended.status.code(), ended.stderr.as_deref()), (Some(3), Some("no\n")));
    }

    /// The shell's own child holds the pipe open: it must go too, or the file never appears to end.
    #[test]
    fn a_cancelled_run_ends_the_program_and_all_that_it_started() {
        let cancel = Cancel::new();
        let script = shell("sleep 3600 & echo $!; wait");
        let mut started = Children::default().start(&script, ChildInput::Empty, &cancel).expect("a shell");
        let mut byte = [0; 16];
        let count = started.output.read(&mut byte).expect("the number of the process");
        let sleeper = String::from_utf8_lossy(&byte[..count]).trim().to_owned();
        cancel.cancel();
        assert!(started.output.read(&mut byte).is_err());
        assert!(started.running.wait().expect("no error").is_none());
        let is_alive = || {
            let status = std::fs::read_to_string(format!("/proc/{sleeper}/stat")).unwrap_or_default();
            !status.is_empty() && !status.contains(") Z")
        };
        for _ in 0..500 {
            if !is_alive() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("process {sleeper} goes on");
    }
}
