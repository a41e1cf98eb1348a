//! Where connections come from: an address of this machine, or a socket in its file system.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream as StandardUnixStream;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// What is added to the name of a socket until all of it is as it should be.
const BEFORE_ITS_NAME: &str = ".new";

/// Which users may connect to a socket in the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Its owner.
    Owner,
    /// And its group.
    Group,
}

/// What listens.
#[derive(Debug)]
pub enum Listener {
    /// At an address.
    Tcp(TcpListener),
    /// At a socket in the file system.
    Unix(UnixListener),
}

impl Listener {
    /// Listens at an address of this machine.
    pub async fn tcp(address: SocketAddr) -> io::Result<Self> {
        Ok(Self::Tcp(TcpListener::bind(address).await?))
    }

    /// Listens at a socket in the file system. What an earlier process has left there is replaced; one at which a process
    /// listens is not, nor is anything else that has this name.
    pub fn unix(path: &Path, mode: Mode) -> io::Result<Self> {
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(io::Error::new(ErrorKind::AlreadyExists, "something is there that is no socket"));
            }
            Ok(_) if StandardUnixStream::connect(path).is_ok() => {
                return Err(io::Error::new(ErrorKind::AddrInUse, "another process listens there"));
            }
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // Under another name first: no one connects before the rights are as they should be.
        let mut new = path.as_os_str().to_owned();
        new.push(BEFORE_ITS_NAME);
        let new = PathBuf::from(new);
        match fs::remove_file(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&new)?;
        let bits = match mode {
            Mode::Owner => 0o600,
            Mode::Group => 0o660,
        };
        fs::set_permissions(&new, Permissions::from_mode(bits))?;
        fs::rename(&new, path)?;
        Ok(Self::Unix(listener))
    }

    /// The next connection, and the address that it comes from.
    pub async fn accept(&self) -> io::Result<(Stream, Option<IpAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, from) = listener.accept().await?;
                // Answers are written at once.
                let _ = stream.set_nodelay(true);
                Ok((Stream::Tcp(stream), Some(from.ip().to_canonical())))
            }
            Self::Unix(listener) => Ok((Stream::Unix(listener.accept().await?.0), None)),
        }
    }
}

/// A connection.
#[derive(Debug)]
pub enum Stream {
    /// Over the network.
    Tcp(TcpStream),
    /// Within this machine.
    Unix(UnixStream),
}

/// Calls a method of whichever stream it is.
macro_rules! either {
    ($stream:expr, $method:ident($($argument:expr),*)) => {
        match $stream.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).$method($($argument),*),
            Stream::Unix(stream) => Pin::new(stream).$method($($argument),*),
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, poll_read(context, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, poll_shutdown(context))
    }
}
