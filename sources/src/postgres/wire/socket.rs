//! A socket whose waits end when the run is cancelled, or when nothing has come for too long.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use keepfast_process::Cancel;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// How long one wait takes before it looks whether the run is cancelled.
const TICK: Duration = Duration::from_millis(50);
/// The same, as the system takes it.
const TICK_NS: i64 = 50_000_000;

/// A connection to a server, of either family.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    cancel: Cancel,
    /// How long a read or write waits; none means for as long as it takes.
    pub(super) patience: Option<Duration>,
}

impl Socket {
    /// Connects to a host, by any of its addresses.
    pub(super) fn tcp(host: &str, port: u16, patience: Duration, cancel: &Cancel) -> io::Result<Self> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in (host, port).to_socket_addrs()? {
            if cancel.is_cancelled() {
                return Err(interrupted());
            }
            match TcpStream::connect_timeout(&address, patience) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_nonblocking(true)?;
                    return Ok(Self { fd: stream.into(), cancel: cancel.clone(), patience: Some(patience) });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Connects to a socket of the file system.
    pub(super) fn unix(path: &Path, patience: Duration, cancel: &Cancel) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_nonblocking(true)?;
        Ok(Self { fd: stream.into(), cancel: cancel.clone(), patience: Some(patience) })
    }

    /// Whether something can be read within this time. It looks at least once.
    pub(super) fn is_readable(&self, within: Duration) -> io::Result<bool> {
        self.wait(PollFlags::IN, Some(within))
    }

    fn wait(&self, what: PollFlags, patience: Option<Duration>) -> io::Result<bool> {
        let mut waited = Duration::ZERO;
        loop {
            if self.cancel.is_cancelled() {
                return Err(interrupted());
            }
            let left = patience.map(|patience| patience.saturating_sub(waited));
            let tv_nsec = left.map_or(TICK_NS, |left| i64::from(left.min(TICK).subsec_nanos()));
            let mut fds = [PollFd::from_borrowed_fd(self.fd.as_fd(), what)];
            match poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec })) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(true),
                Err(error) => return Err(error.into()),
            }
            if left.is_some_and(|left| left <= TICK) {
                return Ok(false);
            }
            waited += TICK;
        }
    }

    fn wait_or_fail(&self, what: PollFlags) -> io::Result<()> {
        if self.wait(what, self.patience)? {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "it doesn't answer"))
    }
}

/// The run was cancelled.
pub(super) fn interrupted() -> io::Error {
    io::Error::other("interrupted")
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match rustix::io::read(&self.fd, &mut *buffer) {
                Err(Errno::AGAIN) => self.wait_or_fail(PollFlags::IN)?,
                Err(Errno::INTR) => {}
                read => return Ok(read?),
            }
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match rustix::io::write(&self.fd, bytes) {
                Err(Errno::AGAIN) => self.wait_or_fail(PollFlags::OUT)?,
                Err(Errno::INTR) => {}
                written => return Ok(written?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
