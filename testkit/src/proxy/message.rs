//! HTTP/1.1 messages as far as a proxy must know them: heads, and where bodies end.

use std::io::{self, BufRead, ErrorKind, Read, Write};

const HEAD_BYTES_MAX: u64 = 256 << 10;
const PIECE_BYTES_MAX: u64 = 16 << 10;

/// A request's or an answer's lines before its body.
#[derive(Debug, Clone)]
pub struct Head {
    /// As it came, with the empty line.
    pub raw: Vec<u8>,
    first: String,
    fields: Vec<(String, String)>,
}

/// How a body says where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    Empty,
    /// By its length in bytes.
    Length(u64),
    /// By a chunk without bytes.
    Chunked,
    /// With the connection.
    UntilClose,
}

fn bad(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

impl Head {
    /// The next head, or nothing if the connection has ended.
    pub fn read(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut raw = Vec::new();
        let mut lines = Vec::new();
        loop {
            let begin = raw.len();
            let left = HEAD_BYTES_MAX - begin as u64;
            from.by_ref().take(left).read_until(b'\n', &mut raw)?;
            if raw.is_empty() {
                return Ok(None);
            }
            let line = raw[begin..].strip_suffix(b"\n").ok_or_else(|| bad("a head without end"))?;
            let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned();
            if line.is_empty() {
                break;
            }
            lines.push(line);
        }
        let mut lines = lines.into_iter();
        let first = lines.next().ok_or_else(|| bad("a head without a first line"))?;
        let field = |line: String| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        Ok(Some(Self { raw, first, fields: lines.filter_map(field).collect() }))
    }

    fn word(&self, number: usize) -> &str {
        self.first.split(' ').nth(number).unwrap_or_default()
    }

    /// A request's method.
    pub fn method(&self) -> &str {
        self.word(0)
    }

    /// A request's path and query.
    pub fn target(&self) -> &str {
        self.word(1)
    }

    /// An answer's status; 0 if it has none.
    pub fn status(&self) -> u16 {
        self.word(1).parse().unwrap_or(0)
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    fn says(&self, name: &str, word: &str) -> bool {
        self.field(name)
            .is_some_and(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word)))
    }

    /// The host that a request is for.
    pub fn host(&self) -> &str {
        self.field("host").unwrap_or_default()
    }

    /// The access key that a request is signed with.
    pub fn access_key(&self) -> Option<&str> {
        let credential = self.field("authorization")?.split_once("Credential=")?.1;
        credential.split('/').next()
    }

    /// Whether the request's body waits for a word.
    pub fn expects_continue(&self) -> bool {
        self.says("expect", "100-continue")
    }

    /// Whether the connection ends after this message.
    pub fn closes(&self) -> bool {
        let old = self.first.starts_with("HTTP/1.0") || self.first.ends_with("HTTP/1.0");
        self.says("connection", "close") || (old && !self.says("connection", "keep-alive"))
    }

    /// The same with another length of the body.
    pub fn with_length(&self, length: u64) -> Vec<u8> {
        let mut raw = format!("{}\r\n", self.first);
        let framing = ["content-length", "transfer-encoding"];
        for (name, value) in self.fields.iter().filter(|(name, _)| !framing.contains(&name.as_str())) {
            raw += &format!("{name}: {value}\r\n");
        }
        raw += &format!("content-length: {length}\r\n\r\n");
        raw.into_bytes()
    }

    fn framing(&self) -> io::Result<Option<Framing>> {
        if self.says("transfer-encoding", "chunked") {
            return Ok(Some(Framing::Chunked));
        }
        let length = self.field("content-length").map(|length| length.parse().map_err(|_| bad("no length")));
        Ok(length
            .transpose()?
            .map(|length| if length == 0 { Framing::Empty } else { Framing::Length(length) }))
    }

    /// Where this request's body ends.
    pub fn request_framing(&self) -> io::Result<Framing> {
        Ok(self.framing()?.unwrap_or(Framing::Empty))
    }

    /// Where the body of this answer to a request of that method ends.
    pub fn answer_framing(&self, method: &str) -> io::Result<Framing> {
        if method == "HEAD" || matches!(self.status(), 100..=199 | 204 | 304) {
            return Ok(Framing::Empty);
        }
        Ok(self.framing()?.unwrap_or(Framing::UntilClose))
    }
}

/// A body while it is read.
pub struct Body {
    framing: Framing,
    /// Of the whole body or of a chunk, what is still to come.
    left: u64,
    first_chunk: bool,
    trailers: Vec<u8>,
}

impl Body {
    /// One of which nothing is read yet.
    pub fn new(framing: Framing) -> Self {
        let left = if let Framing::Length(length) = framing { length } else { 0 };
        Self { framing, left, first_chunk: true, trailers: Vec::new() }
    }

    /// Reads the next piece; no bytes means the end.
    pub fn next(&mut self, from: &mut impl BufRead, piece: &mut Vec<u8>) -> io::Result<()> {
        piece.clear();
        let most = match self.framing {
            Framing::Empty => return Ok(()),
            Framing::UntilClose => u64::MAX,
            Framing::Length(_) => self.left,
            Framing::Chunked => {
                if self.left == 0 && !self.next_chunk(from)? {
                    self.framing = Framing::Empty;
                    return Ok(());
                }
                self.left
            }
        };
        if most == 0 {
            return Ok(());
        }
        // What is there already, so that nothing waits for more than it needs.
        let there = from.fill_buf()?.len() as u64;
        from.by_ref().take(there.min(most).min(PIECE_BYTES_MAX)).read_to_end(piece)?;
        if self.framing != Framing::UntilClose {
            if piece.is_empty() {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            self.left -= piece.len() as u64;
        }
        Ok(())
    }

    /// Begins the next chunk; the last one has no bytes and perhaps trailers.
    fn next_chunk(&mut self, from: &mut impl BufRead) -> io::Result<bool> {
        let line = |from: &mut dyn BufRead| -> io::Result<Vec<u8>> {
            let mut line = Vec::new();
            from.take(HEAD_BYTES_MAX).read_until(b'\n', &mut line)?;
            if line.ends_with(b"\n") { Ok(line) } else { Err(ErrorKind::UnexpectedEof.into()) }
        };
        if !self.first_chunk {
            line(from)?;
        }
        self.first_chunk = false;
        let size = line(from)?;
        let size = String::from_utf8_lossy(&size);
        let digits = size.split(';').next().unwrap_or_default().trim();
        self.left = u64::from_str_radix(digits, 16).map_err(|_| bad("no chunk's size"))?;
        if self.left > 0 {
            return Ok(true);
        }
        loop {
            let trailer = line(from)?;
            self.trailers.extend_from_slice(&trailer);
            if trailer.trim_ascii().is_empty() {
                return Ok(false);
            }
        }
    }

    /// Writes what comes after the last piece, in a body of this framing.
    pub fn write_end(&self, to: &mut impl Write, framing: Framing) -> io::Result<()> {
        if framing == Framing::Chunked {
            to.write_all(b"0\r\n")?;
            to.write_all(if self.trailers.is_empty() { b"\r\n" } else { &self.trailers })?;
        }
        Ok(())
    }
}

/// Writes a piece into a body of this framing.
pub fn write_piece(to: &mut impl Write, framing: Framing, piece: &[u8]) -> io::Result<()> {
    if framing == Framing::Chunked {
        let size = format!("{:x}\r\n", piece.len());
        return to.write_all(&[size.as_bytes(), piece, b"\r\n"].concat());
    }
    to.write_all(piece)
}
