//! The pipe that a program reads: writing ends early when the run does, also while the program doesn't read.

use std::io::{self, Write};
use std::process::ChildStdin;

use keepfast_process::Cancel;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

/// How often a write looks whether the run is cancelled, in nanoseconds.
const LOOK_NS: i64 = 100_000_000;

/// Writes into a pipe. Dropped, the program has read all.
pub(super) struct Feeder {
    pipe: ChildStdin,
    cancel: Cancel,
}

impl Feeder {
    /// Takes the pipe. This end of it belongs to this process alone, so that a change of its flags concerns no other.
    pub(super) fn new(pipe: ChildStdin, cancel: &Cancel) -> io::Result<Self> {
        fcntl_setfl(&pipe, fcntl_getfl(&pipe)? | OFlags::NONBLOCK)?;
        Ok(Self { pipe, cancel: cancel.clone() })
    }
}

impl Write for Feeder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let pause = Timespec { tv_sec: 0, tv_nsec: LOOK_NS };
        loop {
            if self.cancel.is_cancelled() {
                return Err(io::Error::other("interrupted"));
            }
            match self.pipe.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return written,
            }
            match poll(&mut [PollFd::new(&self.pipe, PollFlags::OUT)], Some(&pause)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
