//! Just enough HTTP to ask a server whether it is there, and to have something done by it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

const ANSWER_MAX: Duration = Duration::from_secs(5);
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// What a request was answered with.
pub struct Answer {
    pub status: u16,
    /// All of it, with the marks between its pieces if it came in pieces.
    pub body: String,
}

/// The status that a request to loopback is answered with, if it is answered.
pub fn status(port: u16, method: &str, path: &str, body: &[u8]) -> Option<u16> {
    exchange(port, method, path, &[], body).map(|answer| answer.status)
}

/// What a request to loopback is answered with, if it is answered.
pub fn exchange(
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Option<Answer> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_MAX).ok()?;
    stream.set_read_timeout(Some(ANSWER_MAX)).ok()?;
    let length = body.len();
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\nConnection: close\r\n"
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(&[head.as_bytes(), b"\r\n", body].concat()).ok()?;
    let mut answer = Vec::new();
    // A server that closes the connection too early has answered nevertheless.
    let _ = stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.lines().next()?.split_ascii_whitespace().nth(1)?.parse().ok()?;
    let body = answer.split_once("\r\n\r\n").map_or_else(String::new, |(_, body)| body.to_owned());
    Some(Answer { status, body })
}
