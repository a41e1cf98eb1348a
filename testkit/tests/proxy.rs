//! The fault proxy, in front of a server that does what the test says, and of real ones.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use keepfast_testkit::proxy::{Fault, Plan, Proxy, Requests, Status, When};

/// A request as the server got it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Request {
    head: String,
    body: Vec<u8>,
}

/// A server that keeps connections, remembers requests, and answers each with the same bytes.
struct Upstream {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

fn read_head(from: &mut impl BufRead) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if from.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    Some(head)
}

fn read_body(head: &str, from: &mut impl BufRead) -> Option<Vec<u8>> {
    let head = head.to_ascii_lowercase();
    let mut body = Vec::new();
    if head.contains("transfer-encoding: chunked") {
        loop {
            let mut size = String::new();
            from.read_line(&mut size).ok()?;
            let size = usize::from_str_radix(size.trim(), 16).ok()?;
            let mut chunk = vec![0; size + 2];
            from.read_exact(&mut chunk).ok()?;
            body.extend_from_slice(&chunk[..size]);
            if size == 0 {
                return Some(body);
            }
        }
    }
    let length =
        head.split("content-length: ").nth(1).map_or("0", |rest| rest.split("\r\n").next().unwrap_or("0"));
    body.resize(length.parse().ok()?, 0);
    from.read_exact(&mut body).ok()?;
    Some(body)
}

impl Upstream {
    fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (Arc::clone(&requests), answer.into());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, answer) = (Arc::clone(&seen), answer.clone());
                std::thread::spawn(move || {
                    let mut stream = BufReader::new(stream);
                    while let Some(head) = read_head(&mut stream) {
                        let Some(body) = read_body(&head, &mut stream) else { return };
                        seen.lock().expect("no thread panics").push(Request { head, body });
                        let _ = stream.get_ref().write_all(&answer);
                        if answer.windows(17).any(|window| window == b"Connection: close") {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, requests }
    }

    /// An answer of these bytes.
    fn giving(body: &[u8]) -> Self {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        Self::answering([head.as_bytes(), body].concat())
    }

    fn bodies(&self) -> Vec<Vec<u8>> {
        self.requests.lock().expect("no thread panics").iter().map(|request| request.body.clone()).collect()
    }
}

/// A client's connection.
struct Client(BufReader<TcpStream>);

impl Client {
    fn of(proxy: &Proxy) -> Self {
        let stream = TcpStream::connect(proxy.address()).expect("the proxy listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
        Self(BufReader::new(stream))
    }

    fn send(&mut self, bytes: &[u8]) {
        // The proxy may have cut the connection already.
        let _ = self.0.get_ref().write_all(bytes);
    }

    fn put(&mut self, body: &[u8]) {
        let length = body.len();
        self.send(
            format!("PUT /b/packs/x HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n").as_bytes(),
        );
        self.send(body);
    }

    fn get(&mut self) {
        self.send(b"GET /b/packs/x HTTP/1.1\r\nHost: h\r\n\r\n");
    }

    /// Status and body; nothing if the connection ends before it.
    fn answer(&mut self) -> Option<(u16, Vec<u8>)> {
        let head = read_head(&mut self.0)?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, read_body(&head, &mut self.0)?))
    }

    /// Whatever comes until the connection ends.
    fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A cut may show as an error.
        let _ = self.0.read_to_end(&mut rest);
        rest
    }
}

fn always(fault: Fault) -> Plan {
    Plan::new(1).on(Requests::ALL, When::Always, fault)
}

fn body(length: usize) -> Vec<u8> {
    (0..length).map(|n| u8::try_from(n * 31 % 251).expect("it is below 251")).collect()
}

fn bits_different(a: &[u8], b: &[u8]) -> u32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum()
}

/// Without a fault all comes through, over one connection: lengths, chunks, and the word to go on.
#[test]
fn passes_on_what_it_gets() {
    let upstream = Upstream::giving(b"hello");
    let proxy = Proxy::start(upstream.address, Plan::new(0));
    let mut client = Client::of(&proxy);
    client.put(&body(100_000));
    assert_eq!(client.answer(), Some((200, b"hello".to_vec())));
    client
        .send(b"PUT /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n");
    assert_eq!(client.answer(), Some((200, b"hello".to_vec())));
    client.send(b"PUT /x HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    assert!(read_head(&mut client.0).expect("an answer").starts_with("HTTP/1.1 100 "));
    client.send(b"ok");
    assert_eq!(client.answer(), Some((200, b"hello".to_vec())));
    assert_eq!(upstream.bodies(), [body(100_000), b"abcdefg".to_vec(), b"ok".to_vec()]);
    let seen = proxy.seen();
    assert_eq!(seen.iter().map(|seen| seen.bytes_up).collect::<Vec<_>>(), [100_000, 7, 2]);
    assert!(seen.iter().all(|seen| seen.bytes_down == 5 && seen.status == Some(200) && seen.fault.is_none()));
}

/// Answers in chunks, with trailers, up to the end of the connection, and after a "go on".
#[test]
fn passes_on_answers_of_all_forms() {
    let chunked =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\nx-sum: 1\r\n\r\n";
    let proxy = Proxy::start(Upstream::answering(*chunked).address, Plan::new(0));
    let mut client = Client::of(&proxy);
    client.send(b"GET /x HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert_eq!(client.rest(), chunked);
    let endless = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc";
    let proxy = Proxy::start(Upstream::answering(*endless).address, Plan::new(0));
    let mut client = Client::of(&proxy);
    client.get();
    assert_eq!(client.rest(), endless);
    let go_on = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
    let proxy = Proxy::start(Upstream::answering(*go_on).address, Plan::new(0));
    let mut client = Client::of(&proxy);
    client.put(b"x");
    client.put(b"x");
    assert_eq!(client.answer().map(|(status, _)| status), Some(204));
    assert_eq!(client.answer().map(|(status, _)| status), Some(204));
}

/// An answer to HEAD, or of status 204 or 304, has no body whatever its head says; faults of
/// bodies pass over it.
#[test]
fn answers_without_bodies_end_with_their_heads() {
    for (method, status) in [("HEAD", 200), ("GET", 304), ("DELETE", 204)] {
        let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 500\r\n\r\n");
        for fault in [Fault::CutInAnswer, Fault::ShortAnswer, Fault::CorruptAnswer] {
            let proxy = Proxy::start(Upstream::answering(answer.clone()).address, always(fault));
            let mut client = Client::of(&proxy);
            for _ in 0..2 {
                client.send(format!("{method} /x HTTP/1.1\r\n\r\n").as_bytes());
                assert_eq!(read_head(&mut client.0), Some(answer.clone()), "{method} {fault:?}");
            }
            assert_eq!(proxy.faults(), 0, "{method} {fault:?}");
        }
    }
}

#[test]
fn cut_before_the_server_hears_nothing() {
    let upstream = Upstream::giving(b"");
    let proxy =
        Proxy::start(upstream.address, Plan::new(0).on(Requests::PUTS, When::Nth(2), Fault::CutBefore));
    let mut client = Client::of(&proxy);
    client.put(b"one");
    assert!(client.answer().is_some());
    client.put(b"two");
    assert_eq!(client.answer(), None);
    let mut client = Client::of(&proxy);
    client.put(b"three");
    assert!(client.answer().is_some());
    assert_eq!(upstream.bodies(), [b"one".to_vec(), b"three".to_vec()]);
    assert_eq!(proxy.faults(), 1);
}

#[test]
fn cut_in_request_the_server_gets_half_and_no_more() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let proxy = Proxy::start(listener.local_addr().expect("an address"), always(Fault::CutInRequest));
    let mut client = Client::of(&proxy);
    client.put(&body(100_000));
    let mut server = BufReader::new(listener.accept().expect("a connection").0);
    read_head(&mut server).expect("a head");
    let mut got = Vec::new();
    let _ = server.read_to_end(&mut got);
    assert_eq!(got, body(100_000)[..50_000]);
    assert_eq!(client.rest(), b"");
    assert_eq!(proxy.faults(), 1);
}

#[test]
fn answer_lost_after_the_server_did_it() {
    let upstream = Upstream::giving(b"done");
    let proxy = Proxy::start(upstream.address, always(Fault::AnswerLost));
    let mut client = Client::of(&proxy);
    client.put(b"one");
    assert_eq!(client.rest(), b"");
    assert_eq!(upstream.bodies(), [b"one".to_vec()]);
    assert_eq!(proxy.faults(), 1);
}

#[test]
fn cut_in_answer_half_comes_and_short_answers_hide_it() {
    let upstream = Upstream::giving(&body(60_000));
    let proxy = Proxy::start(upstream.address, always(Fault::CutInAnswer));
    let mut client = Client::of(&proxy);
    client.get();
    let head = read_head(&mut client.0).expect("a head");
    assert!(head.contains("Content-Length: 60000"), "{head}");
    assert_eq!(client.rest(), body(60_000)[..30_000]);
    proxy.set_plan(always(Fault::ShortAnswer));
    let mut client = Client::of(&proxy);
    for _ in 0..2 {
        client.get();
        assert_eq!(client.answer(), Some((200, body(60_000)[..30_000].to_vec())));
    }
    assert_eq!(proxy.faults(), 3);
}

#[test]
fn one_bit_is_flipped_in_bodies_of_both_directions() {
    let upstream = Upstream::giving(&body(70_000));
    let proxy = Proxy::start(upstream.address, always(Fault::CorruptAnswer));
    let mut client = Client::of(&proxy);
    client.put(b"abc");
    let (_, got) = client.answer().expect("an answer");
    assert_eq!(bits_different(&got, &body(70_000)), 1);
    proxy.set_plan(always(Fault::CorruptRequest));
    client.put(&body(50_000));
    assert_eq!(client.answer(), Some((200, body(70_000))));
    let bodies = upstream.bodies();
    assert_eq!(bodies[0], b"abc");
    assert_eq!(bits_different(&bodies[1], &body(50_000)), 1);
    assert_eq!(proxy.faults(), 2);
}

/// A server that says which of its requests it answers.
#[test]
fn duplicates_are_sent_twice_and_the_second_answer_counts() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("an address");
    let server = std::thread::spawn(move || {
        let mut stream = BufReader::new(listener.accept().expect("a connection").0);
        [200, 412].map(|status| {
            let head = read_head(&mut stream).expect("a request");
            let body = read_body(&head, &mut stream).expect("its body");
            let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 1\r\n\r\nx");
            stream.get_ref().write_all(answer.as_bytes()).expect("the answer goes out");
            body
        })
    });
    let proxy = Proxy::start(address, always(Fault::Duplicate));
    let mut client = Client::of(&proxy);
    client.put(&body(40_000));
    assert_eq!(client.answer(), Some((412, b"x".to_vec())));
    assert_eq!(server.join().expect("the server is content"), [body(40_000), body(40_000)]);
    assert_eq!(proxy.faults(), 1);
}

#[test]
fn storms_are_answered_in_the_servers_place_and_the_connection_stays() {
    let upstream = Upstream::giving(b"fine");
    let storm = Plan::new(0).on(Requests::ALL, When::First(2), Fault::Refuse(Status::SlowDown)).on(
        Requests::ALL,
        When::Nth(3),
        Fault::DoneButRefused(Status::InternalError),
    );
    let proxy = Proxy::start(upstream.address, storm);
    let mut client = Client::of(&proxy);
    for code in ["SlowDown", "SlowDown", "InternalError"] {
        client.put(b"abc");
        let (status, error) = client.answer().expect("an answer");
        assert!(matches!((status, code), (503, "SlowDown") | (500, "InternalError")), "{status}");
        assert!(String::from_utf8_lossy(&error).contains(code));
    }
    client.put(b"last");
    assert_eq!(client.answer(), Some((200, b"fine".to_vec())));
    assert_eq!(upstream.bodies(), [b"abc".to_vec(), b"last".to_vec()]);
    // A client that waits for the word to send gets the error instead, and no body is waited for.
    proxy.set_plan(always(Fault::Refuse(Status::SlowDown)));
    client.send(b"PUT /x HTTP/1.1\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n");
    assert!(String::from_utf8_lossy(&client.rest()).starts_with("HTTP/1.1 503 "));
    assert_eq!(proxy.faults(), 4);
}

#[test]
fn delays_limits_and_stalls_take_their_time() {
    let upstream = Upstream::giving(&body(40_000));
    let took = |fault, ends: bool| {
        let proxy = Proxy::start(upstream.address, always(fault));
        let mut client = Client::of(&proxy);
        let begun = Instant::now();
        client.put(&body(40_000));
        assert_eq!(client.answer().is_none(), ends, "{fault:?}");
        assert_eq!(proxy.faults(), 1, "{fault:?}");
        begun.elapsed()
    };
    let time = Duration::from_millis(400);
    for (fault, ends) in [
        (Fault::Delay(time), false),
        (Fault::Slow { bytes_per_s: 200_000 }, false),
        (Fault::StallRequest(time), true),
        (Fault::StallAnswer(time), true),
    ] {
        let took = took(fault, ends);
        assert!((time..time * 8).contains(&took), "{fault:?} took {took:?}");
    }
}

/// A proxy that ends doesn't wait for what it holds up.
#[test]
fn dropping_it_ends_stalled_connections() {
    let upstream = Upstream::giving(&body(1000));
    let proxy = Proxy::start(upstream.address, always(Fault::StallAnswer(Duration::from_secs(600))));
    let mut client = Client::of(&proxy);
    client.get();
    read_head(&mut client.0).expect("a head");
    let mut half = [0; 500];
    client.0.read_exact(&mut half).expect("what came before the stall");
    assert_eq!(half, body(1000)[..500]);
    let begun = Instant::now();
    drop(proxy);
    assert_eq!(client.rest(), b"");
    assert!(begun.elapsed() < Duration::from_secs(10));
}

/// A server that isn't there looks like a cut connection.
#[test]
fn without_a_server_connections_end() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let proxy = Proxy::start(address, Plan::new(0));
    let mut client = Client::of(&proxy);
    client.get();
    assert_eq!(client.answer(), None);
}
