//! What a backup reads that isn't a file: standard input, and the output of a command.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use keepfast_engine::archive::Stream;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::console::Console;
use crate::secrets;

/// Whether a stream may have nothing in it. Mostly that is the end of something that has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Empty {
    /// It becomes an empty file.
    Allowed,
    /// Then there is no snapshot.
    Refused,
}

/// Standard input.
pub fn standard_input(name: &str, empty: Empty, console: &Console) -> Result<Stream> {
    let input = io::stdin().as_fd().try_clone_to_owned().context("standard input can't be read")?;
    let reader = Interruptible::new(input, console);
    let has_bytes = Arc::clone(&reader.has_bytes);
    Ok(Stream {
        name: name.as_bytes().to_vec(),
        reader: Box::new(reader),
        ended: Box::new(move || refuse_empty(empty, &has_bytes, "standard input was empty")),
    })
}

/// Starts a command, to read its output. However it ends other than well, nothing is committed.
pub fn output_of(name: &str, command: &[PathBuf], empty: Empty, console: &Console) -> Result<Stream> {
    let (program, arguments) = command.split_first().context("no command given after `--`")?;
    let mut child = secrets::withhold(Command::new(program).args(arguments))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{} can't be run", program.display()))?;
    let input = child.stdout.take().map(OwnedFd::from).context("the command has no output")?;
    let program = program.clone();
    let mut child = ChildGuard(child);
    let reader = Interruptible::new(input, console);
    let has_bytes = Arc::clone(&reader.has_bytes);
    Ok(Stream {
        name: name.as_bytes().to_vec(),
        reader: Box::new(reader),
        ended: Box::new(move || match child.0.wait() {
            Ok(status) if status.success() => {
                let what = format!("the command {} printed nothing", program.display());
                refuse_empty(empty, &has_bytes, &what)
            }
            Ok(status) => Err(format!(
                "the command {} failed ({status}): no snapshot was made; see what it printed, and run the backup again",
                program.display()
            )),
            Err(error) => Err(format!("how {} ended can't be told: {error}", program.display())),
        }),
    })
}

fn refuse_empty(empty: Empty, has_bytes: &AtomicBool, what: &str) -> Result<(), String> {
    if empty == Empty::Allowed || has_bytes.load(Ordering::Relaxed) {
        return Ok(());
    }
    Err(format!("{what}: no snapshot was made; if that is as it should be, use --allow-empty"))
}

/// The descriptor that a path leads to, if it leads to one: shells make such a path of `<(command)`.
/// Nothing of what would come from it is behind the path itself.
pub fn is_descriptor(path: &Path) -> bool {
    let is_in_proc = |path: &Path| {
        let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
        folder.is_some_and(|folder| folder.starts_with("/proc") && folder.ends_with("fd"))
    };
    // /dev/fd is a link to such a folder, /dev/stdin one to what is in it.
    is_in_proc(path) || path.read_link().is_ok_and(|target| target.is_absolute() && is_in_proc(&target))
}

/// Ends the command when the backup ends before it does.
struct ChildGuard(Child);

impl Drop for ChildGuard {
    fn drop(&mut self) {
        // After a `wait` both of these do nothing.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A pipe or terminal whose reading ends when the program is asked to stop.
struct Interruptible {
    input: OwnedFd,
    stop: Arc<AtomicBool>,
    /// Whether anything came.
    has_bytes: Arc<AtomicBool>,
}

impl Interruptible {
    fn new(input: OwnedFd, console: &Console) -> Self {
        Self { input, stop: console.stop_flag(), has_bytes: Arc::default() }
    }
}

impl Read for Interruptible {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let pause = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Err(io::Error::other("interrupted"));
            }
            let mut fds = [PollFd::new(&self.input, PollFlags::IN)];
            match poll(&mut fds, Some(&pause)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => {
                    let count = rustix::io::read(&self.input, buffer)?;
                    if count > 0 {
                        self.has_bytes.store(true, Ordering::Relaxed);
                    }
                    return Ok(count);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
