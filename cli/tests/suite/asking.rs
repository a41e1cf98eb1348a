//! Requests to a server's API, byte by byte: no client that hides what happens to a connection.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// Longer than an answer takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who asks, and where.
#[derive(Debug, Clone)]
pub struct Asking {
    /// An address and a port.
    pub place: String,
    /// Fields of each request's head.
    pub fields: String,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Asking {
    /// A stranger.
    pub fn at(place: &str) -> Self {
        Self { place: place.to_owned(), fields: String::new() }
    }

    /// Sends a request to a path below `/api/v1`, on a connection of its own.
    pub fn try_ask(
        &self,
        method: &str,
        path: &str,
        fields: &str,
        body: Option<&Value>,
    ) -> io::Result<Answer> {
        let mut stream = self.begin(method, path, &format!("Connection: close\r\n{fields}"), body)?;
        let head = head(&mut stream)?;
        let mut body = String::new();
        stream.read_to_string(&mut body)?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(head.clone()))?;
        Ok(Answer { status, head, body })
    }

    /// The same, for which an answer of this status must come.
    #[track_caller]
    pub fn ask(&self, status: u16, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let answer = self.try_ask(method, path, "", body).unwrap();
        assert_eq!(answer.status, status, "{method} {path}: {} {}", answer.head, answer.body);
        answer
    }

    /// What is there.
    #[track_caller]
    pub fn get(&self, path: &str) -> Value {
        self.ask(200, "GET", path, None).json()
    }

    /// Sends a request; what is left is the answer.
    pub fn begin(
        &self,
        method: &str,
        path: &str,
        fields: &str,
        body: Option<&Value>,
    ) -> io::Result<BufReader<TcpStream>> {
        let mut stream = TcpStream::connect(&self.place)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let length = match body.len() {
            0 => String::new(),
            length => format!("Content-Type: application/json\r\nContent-Length: {length}\r\n"),
        };
        let Self { place, fields: own } = self;
        let head = format!("{method} /api/v1{path} HTTP/1.1\r\nHost: {place}\r\n{own}{fields}{length}\r\n");
        stream.write_all(format!("{head}{body}").as_bytes())?;
        Ok(BufReader::new(stream))
    }

    /// Shows the session that an answer has begun.
    pub fn signed_in(mut self, answer: &Answer) -> Self {
        let cookies = answer.head.lines().filter_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("set-cookie").then(|| value.split(';').next().unwrap_or_default())
        });
        let cookies: Vec<&str> = cookies.collect();
        self.fields = format!("Cookie: {}\r\n", cookies.join("; "));
        self
    }
}

impl Answer {
    /// Its document.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// The head of an answer.
pub fn head(stream: &mut impl BufRead) -> io::Result<String> {
    let mut head = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line == "\r\n" {
            return Ok(head);
        }
        head.push_str(&line);
    }
}
