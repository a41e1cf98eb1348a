//! Clients that are slow, greedy or many.

use std::convert::Infallible;
use std::os::unix::fs::PermissionsExt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::{get, post};
use http_body::{Body as HttpBody, Frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::{Limits, Listener, Mode, serve};

const SHORT: Duration = Duration::from_millis(400);
/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

const LIMITS: Limits = Limits {
    head_bytes: 8 << 10,
    head_fields: 20,
    body_bytes: 1000,
    head_within: PATIENCE,
    answer_within: Some(PATIENCE),
    taken_within: PATIENCE,
    connections: 16,
    connections_per_address: 16,
};

/// A body without an end.
struct Endless;

impl HttpBody for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'x'; 4096])))))
    }
}

struct Listening {
    address: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

async fn listen(limits: Limits) -> Listening {
    let listener = Listener::tcp("127.0.0.1:0".parse().expect("an address")).await.expect("a port");
    let Listener::Tcp(tcp) = &listener else { panic!("it is one of the network") };
    let address = tcp.local_addr().expect("an address");
    let router = Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/length", post(|body: Bytes| async move { body.len().to_string() }))
        .route("/slow", get(|| async { sleep(Duration::from_millis(1500)).await }))
        .route("/endless", get(|| async { Body::new(Endless) }));
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(serve(listener, limits, router, async move { drop(stopped.await) }));
    Listening { address, stop, task }
}

impl Listening {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("it listens")
    }

    /// What is answered to a request; empty if the connection ends without an answer.
    async fn ask(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the connection ends");
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_however_many_keep_no_one_out() {
    let listening = listen(LIMITS).await;
    let mut slow = Vec::new();
    for _ in 0..200 {
        let mut client = listening.connect().await;
        slow.push(tokio::spawn(async move {
            // A byte a second, for ever.
            for byte in b"GET / HTTP/1.1\r\nHost: slow.example.org\r\n" {
                if client.write_all(&[*byte]).await.is_err() {
                    return;
                }
                sleep(Duration::from_secs(1)).await;
            }
        }));
    }
    for _ in 0..20 {
        let begun = Instant::now();
        let answer = listening.get("/").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("hello"), "{answer}");
        assert!(begun.elapsed() < PATIENCE / 3, "it waited for others");
    }
    slow.into_iter().for_each(|client| client.abort());
}

#[tokio::test]
async fn a_client_that_sends_a_byte_at_a_time_is_given_up() {
    let listening = listen(Limits { head_within: SHORT, ..LIMITS }).await;
    let (mut reader, mut writer) = listening.connect().await.into_split();
    let begun = Instant::now();
    let dribble = tokio::spawn(async move {
        while writer.write_all(b"x").await.is_ok() {
            sleep(Duration::from_millis(50)).await;
        }
    });
    let mut rest = Vec::new();
    let _ = timeout(PATIENCE, reader.read_to_end(&mut rest)).await.expect("the connection ends");
    assert!(begun.elapsed() >= SHORT / 2 && begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
    dribble.abort();
}

#[tokio::test]
async fn a_connection_has_many_requests_and_ends_when_no_other_comes() {
    let listening = listen(Limits { head_within: SHORT, ..LIMITS }).await;
    let mut stream = listening.connect().await;
    let begun = Instant::now();
    for _ in 0..4 {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("it is open");
        let mut answer = [0; 4096];
        let count = stream.read(&mut answer).await.expect("an answer");
        assert!(answer[..count].starts_with(b"HTTP/1.1 200 OK"));
        sleep(SHORT / 2).await;
    }
    assert!(begun.elapsed() > SHORT, "each request begins the time again");
    let mut rest = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("the connection ends").expect("in order");
}

#[tokio::test]
async fn heads_and_bodies_that_are_too_large_are_refused() {
    let listening = listen(LIMITS).await;
    let head = format!("GET / HTTP/1.1\r\nHost: x\r\nLong: {}\r\n\r\n", "x".repeat(20_000));
    assert!(listening.ask(&head).await.starts_with("HTTP/1.1 431 "));
    let fields = format!("GET / HTTP/1.1\r\n{}\r\n", "Field: x\r\n".repeat(30));
    assert!(listening.ask(&fields).await.starts_with("HTTP/1.1 431 "));
    let post = |length: usize| {
        let body = "x".repeat(length);
        format!(
            "POST /length HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    };
    let answer = listening.ask(&post(1000)).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n1000"), "{answer}");
    assert!(listening.ask(&post(1001)).await.starts_with("HTTP/1.1 413 "));
    let chunk = format!("258\r\n{}\r\n", "x".repeat(600));
    let chunked = format!(
        "POST /length HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n"
    );
    assert!(listening.ask(&chunked).await.starts_with("HTTP/1.1 413 "));
}

#[tokio::test]
async fn an_answer_that_is_not_ready_in_time_is_an_error() {
    let listening = listen(Limits { answer_within: Some(SHORT), ..LIMITS }).await;
    let answer = listening.get("/slow").await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 503 "), "{answer}");
}

/// Its place is busy, and free again after a while.
#[tokio::test]
async fn a_client_that_does_not_take_its_answer_is_given_up() {
    let limits = Limits { answer_within: Some(8 * SHORT), connections: 1, ..LIMITS };
    let listening = listen(limits).await;
    let mut greedy = listening.connect().await;
    greedy.write_all(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("it is open");
    // The beginning of the answer has come: the place is busy now.
    greedy.read_exact(&mut [0; 100]).await.expect("an answer");
    assert_eq!(listening.get("/").await, "", "there is no other place");
    let until = Instant::now() + PATIENCE;
    while !listening.get("/").await.starts_with("HTTP/1.1 200 ") {
        assert!(Instant::now() < until, "the place stays busy");
        sleep(Duration::from_millis(50)).await;
    }
    drop(greedy);
}

/// An answer may last for ever, such as a stream of events does; a client that takes nothing of it may not.
#[tokio::test]
async fn a_client_that_takes_nothing_of_an_endless_answer_is_given_up() {
    let limits = Limits { answer_within: None, taken_within: 2 * SHORT, connections: 1, ..LIMITS };
    let listening = listen(limits).await;
    let mut greedy = listening.connect().await;
    greedy.write_all(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("it is open");
    greedy.read_exact(&mut [0; 100]).await.expect("an answer");
    assert_eq!(listening.get("/").await, "", "there is no other place");
    let until = Instant::now() + PATIENCE;
    while !listening.get("/").await.starts_with("HTTP/1.1 200 ") {
        assert!(Instant::now() < until, "the place stays busy");
        sleep(Duration::from_millis(50)).await;
    }
    drop(greedy);
}

/// What one parser takes for the end of a request, another takes for the beginning of the next one.
#[tokio::test]
async fn a_request_of_which_two_lengths_are_told_is_the_last_of_its_connection() {
    let listening = listen(LIMITS).await;
    let lengths = ["Transfer-Encoding: chunked\r\n", "Content-Length: 4\r\n"];
    for both in [lengths.concat(), [lengths[1], lengths[0]].concat()] {
        let hidden = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        let request = format!("POST /length HTTP/1.1\r\nHost: x\r\n{both}\r\n0\r\n\r\n{hidden}");
        let answer = listening.ask(&request).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        assert!(!answer.contains("hello"), "{answer}");
    }
    for odd in [
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: +1\r\n",
        "Content-Length: 0x1\r\n",
        "Content-Length: 1, 1\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Content-Length : 1\r\n",
        "X: y\r\n Content-Length: 1\r\n",
        "X: y\r\n\tTransfer-Encoding: chunked\r\n",
        "X: a\0b\r\n",
        "X: a\rContent-Length: 1\r\n",
        "\x01: a\r\n",
    ] {
        let request = format!("POST /length HTTP/1.1\r\nHost: x\r\n{odd}\r\na");
        let answer = listening.ask(&request).await;
        assert!(answer.starts_with("HTTP/1.1 4") || answer.is_empty(), "{odd:?}: {answer}");
    }
    // Another protocol isn't offered.
    for request in [
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET / HTTP/2.0\r\nHost: x\r\n\r\n",
        "GET / HTTP/3\r\n\r\n",
        "GET /\r\n\r\n",
    ] {
        let answer = listening.ask(request).await;
        assert!(answer.starts_with("HTTP/1.1 4") || answer.is_empty(), "{request:?}: {answer}");
    }
    let upgrade = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\n\
                   HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
    let answer = listening.ask(upgrade).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("hello"), "{answer}");
}

#[tokio::test]
async fn a_listener_that_stops_ends_what_it_has_begun() {
    let listening = listen(LIMITS).await;
    let mut slow = listening.connect().await;
    slow.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("it is open");
    let idle = listening.connect().await;
    sleep(Duration::from_millis(200)).await;
    listening.stop.send(()).expect("it serves");
    let mut answer = Vec::new();
    timeout(PATIENCE, slow.read_to_end(&mut answer)).await.expect("the connection ends").expect("in order");
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    timeout(PATIENCE, listening.task).await.expect("it ends").expect("no panic").expect("no error");
    assert!(TcpStream::connect(listening.address).await.is_err(), "no one listens");
    drop(idle);
}

#[tokio::test]
async fn a_socket_is_for_its_group_and_replaces_what_no_one_listens_at() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("http.sock");
    let mode = || std::fs::metadata(&path).expect("it is there").permissions().mode() & 0o777;
    let bind = |mode| Listener::unix(&path, mode);
    drop(bind(Mode::Owner).expect("a socket"));
    assert_eq!(mode(), 0o600);
    let listener = bind(Mode::Group).expect("what is left is replaced");
    assert_eq!(mode(), 0o660);
    assert!(bind(Mode::Group).expect_err("it is in use").to_string().contains("another process listens"));
    let router = Router::new().route("/", get(|| async { "hello" }));
    let task = tokio::spawn(serve(listener, LIMITS, router, std::future::pending()));
    let mut stream = UnixStream::connect(&path).await.expect("it listens");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.expect("it is open");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.ends_with("hello"), "{answer}");
    task.abort();
    let other = folder.path().join("file");
    std::fs::write(&other, "mine").expect("a file");
    assert!(Listener::unix(&other, Mode::Group).is_err());
    assert_eq!(std::fs::read(&other).expect("a file"), b"mine");
}
