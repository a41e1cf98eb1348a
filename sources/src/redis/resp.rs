//! The protocol of Redis: requests as arrays of texts, and replies, whose size is bounded before memory is taken for them.

use std::io::{self, BufRead, Read};

/// A longer line is no reply of a server.
const LINE_BYTES_MAX: u64 = 64 << 10;
/// All of a reply together.
const REPLY_BYTES_MAX: u64 = 64 << 20;
/// Arrays in arrays.
const DEPTH_MAX: u32 = 8;

/// What a server replies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A short text, such as `OK`.
    Simple(String),
    /// A refusal, such as `NOPERM …`.
    Refused(String),
    /// A number.
    Number(i64),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Nothing.
    Nil,
    /// Several of them.
    List(Vec<Reply>),
}

impl Reply {
    /// As people read it; a list has a line for each part.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Simple(text) | Self::Refused(text) => Some(text.clone()),
            Self::Number(number) => Some(number.to_string()),
            Self::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            Self::Nil => None,
            Self::List(parts) => {
                let parts: Vec<String> =
                    parts.iter().map(|part| part.text().unwrap_or_else(|| "(nil)".to_owned())).collect();
                Some(parts.join("\n"))
            }
        }
    }
}

/// A request, as it goes over the wire.
pub fn request(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// Reads a reply.
pub fn reply(input: &mut impl BufRead) -> io::Result<Reply> {
    let mut bytes_left = REPLY_BYTES_MAX;
    part(input, &mut bytes_left, DEPTH_MAX)
}

/// Reads a line without its end.
pub fn line(input: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    input.take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    match line.strip_suffix(b"\n") {
        Some(text) => Ok(String::from_utf8_lossy(text.strip_suffix(b"\r").unwrap_or(text)).into_owned()),
        None => Err(strange("a line without an end")),
    }
}

fn part(input: &mut impl BufRead, bytes_left: &mut u64, depth_left: u32) -> io::Result<Reply> {
    let line = line(input)?;
    spend(bytes_left, 64)?;
    let (kind, rest) = line.split_at_checked(1).ok_or_else(|| strange("an empty line"))?;
    Ok(match kind {
        "+" => Reply::Simple(rest.to_owned()),
        "-" => Reply::Refused(rest.to_owned()),
        ":" => Reply::Number(rest.parse().map_err(|_| strange("a number that is none"))?),
        "$" | "*" if rest == "-1" => Reply::Nil,
        "$" => {
            let length = rest.parse().map_err(|_| strange("a text without a length"))?;
            spend(bytes_left, length)?;
            let mut bytes = Vec::new();
            input.take(length).read_to_end(&mut bytes)?;
            let mut end = [0; 2];
            input.read_exact(&mut end)?;
            if u64::try_from(bytes.len()).is_ok_and(|read| read == length) && end == *b"\r\n" {
                Reply::Bytes(bytes)
            } else {
                return Err(strange("a text of another length than it says"));
            }
        }
        "*" => {
            let count: u64 = rest.parse().map_err(|_| strange("a list without a length"))?;
            let depth_left = depth_left.checked_sub(1).ok_or_else(|| strange("too many lists in lists"))?;
            // Each part costs some of what is left, so that a count alone takes no memory.
            let parts: io::Result<Vec<Reply>> =
                (0..count).map(|_| part(input, bytes_left, depth_left)).collect();
            Reply::List(parts?)
        }
        _ => return Err(strange("what no Redis answers")),
    })
}

fn spend(bytes_left: &mut u64, bytes: u64) -> io::Result<()> {
    *bytes_left = bytes_left.checked_sub(bytes).ok_or_else(|| strange("a reply that is too long"))?;
    Ok(())
}

/// The server says what no server should.
fn strange(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("it sends {what}"))
}

#[cfg(test)]
mod tests {
    use super::{Reply, reply, request};

    fn read(text: &str) -> Result<Reply, String> {
        reply(&mut text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn replies_are_read() {
        let list = Reply::List(vec![Reply::Number(-3), Reply::Bytes(b"a\r\n".to_vec()), Reply::Nil]);
        assert_eq!(read("*3\r\n:-3\r\n$3\r\na\r\n\r\n$-1\r\n"), Ok(list.clone()));
        assert_eq!(list.text().as_deref(), Some("-3\na\r\n\n(nil)"));
        assert_eq!(read("-ERR no\r\n"), Ok(Reply::Refused("ERR no".to_owned())));
        assert_eq!(request(&[b"GET", b"\x00"]), b"*2\r\n$3\r\nGET\r\n$1\r\n\x00\r\n");
    }

    #[test]
    fn what_would_take_too_much_memory_or_is_no_reply_is_refused() {
        let deep = "*1\r\n".repeat(20);
        for (text, why) in [
            ("$99999999999\r\n", "too long"),
            ("$18446744073709551616\r\n", "without a length"),
            ("*99999999999\r\n", "end of file"),
            ("$5\r\nab\r\n", "fill whole buffer"),
            ("$1\r\nabc\r\n", "another length"),
            (deep.as_str(), "lists in lists"),
            ("HTTP/1.1 400\r\n", "no Redis"),
            ("+half", "without an end"),
            ("", "end of file"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
