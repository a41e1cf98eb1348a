//! A connection to a server: over the network, encrypted or not, or a socket of this machine. Waiting ends with the run, and
//! with a server that says nothing for too long.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use keepfast_process::Cancel;
use keepfast_process::redact::KnownSecrets;

use crate::address::{Address, Place, Tls};
use crate::context::Context;
use crate::error::{Result, SourceError};
use crate::tls::{self, Encrypted};

use super::resp::{self, Reply};

/// How often a wait looks whether the run is cancelled.
const LOOK: Duration = Duration::from_millis(100);
/// A server that sends nothing for this many looks is gone. While it prepares a dump, it sends a sign of life each ten
/// seconds; its own limit is a minute.
const LOOKS_MAX: u32 = 1_200;
/// What of an answer is shown in a message.
const SHOWN_BYTES_MAX: usize = 1 << 10;
/// The first byte of an alert of TLS, by which an encrypted port answers a request that isn't.
const TLS_ALERT: u8 = 0x15;

/// How a server is connected to.
enum Wire {
    Plain(TcpStream),
    Encrypted(Box<Encrypted>),
    Socket(UnixStream),
}

impl Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Encrypted(stream) => stream.read(buffer),
            Self::Socket(stream) => stream.read(buffer),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Encrypted(stream) => stream.write(bytes),
            Self::Socket(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) | Self::Socket(_) => Ok(()),
            Self::Encrypted(stream) => stream.flush(),
        }
    }
}

/// Reads and writes until the run is cancelled or the server is silent for too long.
struct Patient {
    wire: Wire,
    cancel: Cancel,
}

impl Patient {
    fn tries<T>(&mut self, mut attempt: impl FnMut(&mut Wire) -> io::Result<T>) -> io::Result<T> {
        for _ in 0..LOOKS_MAX {
            if self.cancel.is_cancelled() {
                return Err(io::Error::other("interrupted"));
            }
            match attempt(&mut self.wire) {
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
                    ) => {}
                done => return done,
            }
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "the server has said nothing for two minutes"))
    }
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.tries(|wire| wire.read(buffer))
    }
}

/// A connection that a user was let into.
pub struct Connection {
    input: BufReader<Patient>,
    server: String,
    secrets: KnownSecrets,
}

impl Connection {
    /// Connects, and says who it is. No database is chosen.
    pub fn open(to: &Address, connect_timeout: Duration, context: &Context<'_>) -> Result<Self> {
        let mut connection = Self::reach(to, connect_timeout, context)?;
        let failed = |why: String| SourceError::Connect { server: to.to_string(), why };
        if let Some(password) = &to.password {
            let words = match &to.user {
                Some(user) => vec!["AUTH", user, password.reveal()],
                None => vec!["AUTH", password.reveal()],
            };
            let words: Vec<&[u8]> = words.into_iter().map(str::as_bytes).collect();
            match connection.send(&words).and_then(|()| connection.receive()) {
                Ok(Reply::Refused(why)) => return Err(failed(connection.shown(&why))),
                Ok(_) => {}
                Err(error) => return Err(connection.not_reached(to, error)),
            }
        }
        match connection.ask(&["PING"]) {
            Ok(_) => Ok(connection),
            Err(SourceError::Server { why, .. }) => Err(failed(why)),
            Err(error) => Err(error),
        }
    }

    /// Connects, and finds out whether the port wants encryption.
    fn reach(to: &Address, timeout: Duration, context: &Context<'_>) -> Result<Self> {
        let failed = |why: String| SourceError::Connect { server: to.to_string(), why };
        let with = |wire| Self {
            input: BufReader::with_capacity(64 << 10, Patient { wire, cancel: context.cancel.clone() }),
            server: to.to_string(),
            secrets: context.secrets.clone(),
        };
        let (host, port) = match &to.place {
            Place::Socket { path, .. } => {
                let wire = socket(path).map_err(|error| failed(format!("{}: {error}", path.display())))?;
                return Ok(with(Wire::Socket(wire)));
            }
            Place::File(_) => return Err(failed("a file isn't a server".to_owned())),
            Place::Server { host, port } => (host, *port),
        };
        let tcp = || tcp(host, port.get(), timeout).map_err(|error| failed(error.to_string()));
        let encrypted = || -> Result<Self> {
            let stream = tls::encrypted(to, host, tcp()?).map_err(|why| failed(why.to_string()))?;
            Ok(with(Wire::Encrypted(Box::new(stream))))
        };
        if to.tls == Tls::Verify {
            return encrypted();
        }
        let mut plain = with(Wire::Plain(tcp()?));
        if to.tls == Tls::Off {
            return Ok(plain);
        }
        // Redis has a port for each; no secret is sent before it is known which one this is.
        plain.send(&[b"PING"]).map_err(|error| plain.not_reached(to, error))?;
        let first = plain.input.fill_buf().map(|bytes| bytes.first().copied());
        match first {
            Ok(None | Some(TLS_ALERT)) => encrypted(),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => encrypted(),
            Err(error) => Err(plain.not_reached(to, error)),
            Ok(Some(_)) => {
                plain.receive().map_err(|error| plain.not_reached(to, error))?;
                Ok(plain)
            }
        }
    }

    /// The address, for messages.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Sends a request.
    pub fn send(&mut self, words: &[&[u8]]) -> io::Result<()> {
        self.write(&resp::request(words))
    }

    /// Sends requests that are written already.
    pub fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let patient = self.input.get_mut();
        while !bytes.is_empty() {
            match patient.tries(|wire| wire.write(bytes))? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => bytes = &bytes[count..],
            }
        }
        patient.tries(Wire::flush)
    }

    /// Takes a reply.
    pub fn receive(&mut self) -> io::Result<Reply> {
        resp::reply(&mut self.input)
    }

    /// A request that isn't refused.
    pub fn ask(&mut self, words: &[&str]) -> Result<Reply> {
        let bytes: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        let what = words.first().copied().unwrap_or_default();
        match self.send(&bytes).and_then(|()| self.receive()) {
            Ok(Reply::Refused(why)) => Err(self.refused(what, &why)),
            Ok(reply) => Ok(reply),
            Err(error) => Err(self.broken(what, error)),
        }
    }

    /// A request that is answered by a text.
    pub fn text(&mut self, words: &[&str]) -> Result<String> {
        Ok(self.ask(words)?.text().unwrap_or_default())
    }

    /// What follows on the wire, for a dump.
    pub fn stream(&mut self) -> &mut impl BufRead {
        &mut self.input
    }

    /// The server refuses something.
    pub fn refused(&self, what: &str, why: &str) -> SourceError {
        SourceError::Server { server: self.server.clone(), what: what.to_owned(), why: self.shown(why) }
    }

    /// The connection has failed while this was asked.
    pub fn broken(&self, what: &str, error: io::Error) -> SourceError {
        if self.input.get_ref().cancel.is_cancelled() {
            return SourceError::Cancelled;
        }
        let is_end = matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
        );
        let why = if is_end { "the server has ended the connection".to_owned() } else { error.to_string() };
        SourceError::Server { server: self.server.clone(), what: what.to_owned(), why }
    }

    /// The connection has failed before the user was let in.
    fn not_reached(&self, to: &Address, error: io::Error) -> SourceError {
        match self.broken("", error) {
            SourceError::Server { why, .. } => SourceError::Connect { server: to.to_string(), why },
            other => other,
        }
    }

    /// An answer as a message may show it.
    fn shown(&self, answer: &str) -> String {
        String::from_utf8_lossy(&self.secrets.last_of(answer.as_bytes(), SHOWN_BYTES_MAX)).into_owned()
    }
}

fn socket(path: &std::path::Path) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(LOOK))?;
    stream.set_write_timeout(Some(LOOK))?;
    Ok(stream)
}

fn tcp(host: &str, port: u16, timeout: Duration) -> io::Result<TcpStream> {
    let mut failed = io::Error::other(format!("{host} has no address"));
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(LOOK))?;
                stream.set_write_timeout(Some(LOOK))?;
                return Ok(stream);
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}
