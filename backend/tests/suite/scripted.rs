//! A small store that answers each request as a test wants, for sequences that no real server
//! produces on demand.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use keepfast_backend::{RunLink, S3Backend, S3Credentials, S3Options, S3Store};
use md5::{Digest, Md5};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub target: String,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The method, or a word for requests of uploads in parts and listings.
    pub fn verb(&self) -> String {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        let kind = ["uploads", "partNumber=", "uploadId=", "list-type="];
        let kind = kind.into_iter().find(|kind| query.split('&').any(|part| part.starts_with(kind)));
        match (self.method.as_str(), kind) {
            ("POST", Some("uploads")) => "BEGIN".to_owned(),
            ("PUT", Some("partNumber=")) => "PART".to_owned(),
            ("POST", Some("uploadId=")) => "COMPLETE".to_owned(),
            ("DELETE", Some("uploadId=")) => "ABORT".to_owned(),
            ("GET", Some("list-type=")) => "LIST".to_owned(),
            (method, _) => method.to_owned(),
        }
    }
}

/// How the store answers a request.
pub enum Answer {
    /// A whole answer.
    Is(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// An answer that promises more bytes than come before the connection ends.
    Short(usize, Vec<u8>),
    /// An answer of this status that never ends; what was sent is counted.
    Endless(u16, Arc<AtomicU64>),
    /// No answer: the connection ends.
    Lost,
    /// No answer, and the connection stays.
    Never,
}

/// An answer without a body.
pub fn status(status: u16) -> Answer {
    Answer::Is(status, Vec::new(), Vec::new())
}

/// An error as S3 writes it.
pub fn error(status: u16, code: &str) -> Answer {
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>said so</Message></Error>");
    Answer::Is(status, vec![("content-type", "application/xml".to_owned())], body.into_bytes())
}

/// The ETag of a body, as most stores have it.
pub fn md5_etag(body: &[u8]) -> String {
    let hex: String = Md5::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}

/// The store, and what it was asked.
pub struct Scripted {
    port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Scripted {
    /// Answers each request as `script` says, given the request's number from 0.
    pub fn new(script: impl Fn(usize, &Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it has an address").port();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (known, script) = (Arc::clone(&asked), Arc::new(script));
        // It ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (known, script) = (Arc::clone(&known), Arc::clone(&script));
                thread::spawn(move || serve(stream, &known, &*script));
            }
        });
        Self { port, asked }
    }

    /// Options for this store, with short waits.
    pub fn options(&self) -> S3Options {
        S3Options {
            endpoint: Some(format!("http://127.0.0.1:{}", self.port)),
            region: Some("us-east-1".to_owned()),
            credentials: Some(S3Credentials {
                access_key: "key".to_owned(),
                secret_key: "secret".to_owned(),
                session_token: None,
            }),
            retry_for: Duration::from_secs(20),
            stall_timeout: Duration::from_secs(5),
            ..S3Options::new("bucket", "", Instant::now)
        }
    }

    pub fn backend(&self) -> S3Backend {
        self.backend_with(|_| {})
    }

    pub fn backend_with(&self, change: impl FnOnce(&mut S3Options)) -> S3Backend {
        self.store_with(change).for_run(RunLink::default())
    }

    pub fn store_with(&self, change: impl FnOnce(&mut S3Options)) -> S3Store {
        let mut options = self.options();
        change(&mut options);
        S3Store::connect(options).expect("the options are sound")
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no thread panicked").clone()
    }

    /// What was asked, in order.
    pub fn verbs(&self) -> Vec<String> {
        self.asked().iter().map(Asked::verb).collect()
    }
}

fn serve(stream: TcpStream, asked: &Mutex<Vec<Asked>>, script: &dyn Fn(usize, &Asked) -> Answer) {
    let mut out = stream.try_clone().expect("a socket can be cloned");
    let mut input = BufReader::new(stream);
    while let Some(request) = read_request(&mut input, &mut out) {
        let number = {
            let mut asked = asked.lock().expect("no thread panicked");
            asked.push(request.clone());
            asked.len() - 1
        };
        let written = match script(number, &request) {
            Answer::Is(status, headers, body) => write_answer(&mut out, &request, status, &headers, &body),
            Answer::Short(promised, body) => {
                let head = format!("HTTP/1.1 200 x\r\ncontent-length: {promised}\r\n\r\n");
                let _ = out.write_all(head.as_bytes()).and_then(|()| out.write_all(&body));
                return;
            }
            Answer::Endless(status, sent) => {
                let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n", u64::MAX >> 1);
                let mut written = out.write_all(head.as_bytes());
                while written.is_ok() {
                    written = out.write_all(&[b' '; 1 << 16]);
                    sent.fetch_add(1 << 16, Ordering::Relaxed);
                }
                return;
            }
            Answer::Lost => return,
            Answer::Never => {
                thread::sleep(Duration::from_secs(60));
                return;
            }
        };
        if written.is_err() {
            return;
        }
    }
}

fn write_answer(
    out: &mut TcpStream,
    request: &Asked,
    status: u16,
    headers: &[(&str, String)],
    body: &[u8],
) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {status} x\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !headers.iter().any(|(name, _)| *name == "content-length") {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    out.write_all(format!("{head}\r\n").as_bytes())?;
    if request.method == "HEAD" { Ok(()) } else { out.write_all(body) }
}

fn read_request(input: &mut BufReader<TcpStream>, out: &mut TcpStream) -> Option<Asked> {
    let mut line = String::new();
    input.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        input.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Asked { method, target, headers, body: Vec::new() };
    if request.header("expect").is_some() {
        out.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
    }
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    request.body = vec![0; length];
    input.read_exact(&mut request.body).ok()?;
    Some(request)
}
