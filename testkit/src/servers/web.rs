//! A server over HTTP that answers as planned: with any status, too late, too much, not at all or with half of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// What it does with a request.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Status, more headers, body.
    Is(u16, &'static str, String),
    /// Nothing, for longer than anyone waits.
    Hangs,
    /// Nothing, and the connection ends.
    Breaks,
    /// A head, and a body without end.
    Floods(u16),
    /// A head, and half of a body.
    Half(u16),
}

/// An answer without a body.
#[must_use]
pub fn status(status: u16) -> Answer {
    Answer::Is(status, "", String::new())
}

/// What it was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Its first line.
    pub line: String,
    /// Names in small letters, and values.
    pub headers: Vec<(String, String)>,
    /// All of its body.
    pub body: Vec<u8>,
}

impl Asked {
    /// A header by its name in small letters.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(is, _)| is == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }
}

/// The server; it goes on until the process ends.
pub struct WebServer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl WebServer {
    /// Gives these answers, one after the other, and the last one again and again.
    pub fn start(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port of loopback is free");
        let address = listener.local_addr().expect("a listener has an address");
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let known = Arc::clone(&asked);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (known, answers) = (Arc::clone(&known), answers.clone());
                thread::spawn(move || serve(client, &known, &answers));
            }
        });
        Self { address, asked }
    }

    /// An address at it.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// All requests so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(client: TcpStream, known: &Mutex<Vec<Asked>>, answers: &[Answer]) {
    let mut out = client.try_clone().expect("a socket can be shared");
    let mut input = BufReader::new(client);
    let Some(asked) = read(&mut input) else { return };
    let number = {
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        known.push(asked);
        known.len() - 1
    };
    let head = |status: u16, more: &str| format!("HTTP/1.1 {status} Planned\r\n{more}Connection: close\r\n");
    // The other end may be gone, which is what some tests are about.
    let _ = match answers.get(number).or(answers.last()).expect("there is an answer") {
        Answer::Is(status, more, body) => {
            write!(out, "{}Content-Length: {}\r\n\r\n{body}", head(*status, more), body.len())
        }
        Answer::Hangs => {
            thread::sleep(Duration::from_secs(120));
            Ok(())
        }
        Answer::Breaks => Ok(()),
        Answer::Floods(status) => {
            let mut sent = write!(out, "{}\r\n", head(*status, ""));
            while sent.is_ok() {
                sent = out.write_all(&[b'x'; 65_536]);
            }
            sent
        }
        Answer::Half(status) => write!(out, "{}Content-Length: 100\r\n\r\nhalf of it", head(*status, "")),
    };
}

fn read(input: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut line = || {
        let mut line = String::new();
        (input.read_line(&mut line).ok()? > 0).then(|| line.trim_end().to_owned())
    };
    let first = line()?;
    let mut headers = Vec::new();
    loop {
        let field = line()?;
        let Some((name, value)) = field.split_once(": ") else { break };
        headers.push((name.to_lowercase(), value.to_owned()));
    }
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .map_or(0, |(_, value)| value.parse().expect("a length"));
    let mut body = vec![0; length];
    input.read_exact(&mut body).ok()?;
    Some(Asked { line: first, headers, body })
}
