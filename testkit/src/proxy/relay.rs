//! One client's connection: takes its requests to the server, the answers back, and the faults in.

use std::io::{self, BufReader, ErrorKind, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::message::{Body, Framing, Head, write_piece};
use super::plan::{Fate, Fault, Status};
use super::state::{Note, State};

/// A server that says nothing for so long is taken for dead.
const ANSWER_MAX: Duration = Duration::from_secs(120);

/// What comes after a request.
#[derive(PartialEq)]
enum Next {
    Request,
    Cut,
}

/// What is done to a body on its way.
#[derive(Default)]
struct Tamper {
    flip_at: Option<(u64, u8)>,
    stop_at: Option<u64>,
    bytes_per_s: Option<u64>,
}

struct Relay<'a> {
    state: &'a State,
    client: BufReader<TcpStream>,
    server: Option<BufReader<TcpStream>>,
}

/// Serves a client until one side ends the connection, or a fault does.
pub fn serve(state: &State, client: TcpStream) {
    let _ = client.set_nodelay(true);
    let mut relay = Relay { state, client: BufReader::new(client), server: None };
    while let Ok(Next::Request) = relay.exchange() {}
    // The state has clones of both, so that dropping them would end nothing.
    for stream in [Some(&relay.client), relay.server.as_ref()].into_iter().flatten() {
        let _ = stream.get_ref().shutdown(Shutdown::Both);
    }
}

impl Tamper {
    fn request(fate: Option<Fate>, framing: Framing) -> Self {
        let Some(Fate { fault, chance }) = fate else { return Self::default() };
        match fault {
            Fault::CorruptRequest => Self::flip(chance, framing),
            Fault::CutInRequest | Fault::StallRequest(_) => Self::stop(framing),
            Fault::Slow { bytes_per_s } => Self { bytes_per_s: Some(bytes_per_s), ..Self::default() },
            _ => Self::default(),
        }
    }

    fn answer(fate: Option<Fate>, framing: Framing) -> Self {
        let Some(Fate { fault, chance }) = fate else { return Self::default() };
        match fault {
            Fault::CorruptAnswer => Self::flip(chance, framing),
            Fault::CutInAnswer | Fault::StallAnswer(_) => Self::stop(framing),
            Fault::Slow { bytes_per_s } => Self { bytes_per_s: Some(bytes_per_s), ..Self::default() },
            _ => Self::default(),
        }
    }

    fn flip(chance: u64, framing: Framing) -> Self {
        let position = if let Framing::Length(length) = framing { chance % length } else { 0 };
        Self { flip_at: Some((position, 1 << (chance >> 61))), ..Self::default() }
    }

    fn stop(framing: Framing) -> Self {
        let position = if let Framing::Length(length) = framing { length / 2 } else { 1 };
        Self { stop_at: Some(position), ..Self::default() }
    }
}

/// A server that answers before it has read everything closes its end: the rest goes nowhere, and
/// its answer counts.
struct Tolerant<'a> {
    to: &'a TcpStream,
    broken: bool,
    /// What was written, to be written again.
    copy: Option<Vec<u8>>,
}

impl Write for Tolerant<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(copy) = &mut self.copy {
            copy.extend_from_slice(bytes);
        }
        self.broken = self.broken || self.to.write_all(bytes).is_err();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Relay<'_> {
    fn exchange(&mut self) -> io::Result<Next> {
        let Some(head) = Head::read(&mut self.client)? else { return Ok(Next::Cut) };
        let note = self.state.note(&head);
        let fate = self.state.decide(head.method(), head.target());
        let fault = fate.map(|fate| fate.fault);
        let framing = head.request_framing()?;
        match fault {
            Some(Fault::CutBefore) => {
                note.hit(fault);
                return Ok(Next::Cut);
            }
            Some(Fault::Refuse(status)) => {
                note.hit(fault);
                // A client that waits for the word to send sends nothing now.
                if head.expects_continue() {
                    self.refuse(&head, status, &note)?;
                    return Ok(Next::Cut);
                }
                drain(&mut self.client, framing)?;
                return self.refuse(&head, status, &note);
            }
            Some(Fault::Delay(time)) => {
                note.hit(fault);
                self.state.sleep(time);
            }
            _ => {}
        }
        if head.expects_continue() {
            self.client.get_ref().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let Some(copy) = self.send(&head, framing, fate, &note)? else {
            self.hold(fault);
            return Ok(Next::Cut);
        };
        let mut answer = self.answer_head()?;
        if fault == Some(Fault::Duplicate) {
            note.hit(fault);
            self.drain_answer(&head, &answer)?;
            self.connect()?.get_ref().write_all(&copy)?;
            answer = self.answer_head()?;
        }
        match fault {
            Some(Fault::AnswerLost) => {
                note.hit(fault);
                self.drain_answer(&head, &answer)?;
                Ok(Next::Cut)
            }
            Some(Fault::DoneButRefused(status)) => {
                note.hit(fault);
                self.drain_answer(&head, &answer)?;
                self.refuse(&head, status, &note)
            }
            _ => self.give(&head, &answer, fate, &note),
        }
    }

    /// Sends the request, unless it is to stop on its way. What was sent is given back if it is to be
    /// sent again.
    fn send(
        &mut self,
        head: &Head,
        framing: Framing,
        fate: Option<Fate>,
        note: &Note<'_>,
    ) -> io::Result<Option<Vec<u8>>> {
        self.connect()?;
        let server = self.server.as_ref().ok_or(ErrorKind::NotConnected)?;
        let again = fate.is_some_and(|fate| fate.fault == Fault::Duplicate);
        let mut to = Tolerant { to: server.get_ref(), broken: false, copy: again.then(Vec::new) };
        to.write_all(&head.raw)?;
        let tamper = Tamper::request(fate, framing);
        let whole =
            pass_body(self.state, &mut self.client, &mut to, framing, &tamper, &|bytes, tampered| {
                note.add(|seen| seen.bytes_up += bytes);
                if tampered {
                    note.hit(fate.map(|fate| fate.fault));
                }
            })?;
        Ok(whole.then(|| to.copy.unwrap_or_default()))
    }

    /// Gives the answer to the client.
    fn give(&mut self, head: &Head, answer: &Head, fate: Option<Fate>, note: &Note<'_>) -> io::Result<Next> {
        let framing = answer.answer_framing(head.method())?;
        let fault = fate.map(|fate| fate.fault);
        let server = self.server.as_mut().ok_or(ErrorKind::NotConnected)?;
        let mut client = self.client.get_ref();
        note.add(|seen| seen.status = Some(answer.status()));
        if fault == Some(Fault::ShortAnswer) && framing != Framing::Empty {
            let body = drain(server, framing)?;
            let half = &body[..body.len() / 2];
            note.add(|seen| {
                seen.fault = (half.len() < body.len()).then_some(Fault::ShortAnswer);
                seen.bytes_down = half.len() as u64;
            });
            client.write_all(&[&answer.with_length(half.len() as u64), half].concat())?;
            return Ok(self.after(head, answer, framing));
        }
        client.write_all(&answer.raw)?;
        let tamper = Tamper::answer(fate, framing);
        let whole = pass_body(self.state, server, &mut client, framing, &tamper, &|bytes, tampered| {
            note.add(|seen| seen.bytes_down += bytes);
            if tampered {
                note.hit(fault);
            }
        })?;
        if !whole {
            self.hold(fault);
            return Ok(Next::Cut);
        }
        Ok(self.after(head, answer, framing))
    }

    fn after(&mut self, head: &Head, answer: &Head, framing: Framing) -> Next {
        if answer.closes() || framing == Framing::UntilClose {
            self.server = None;
            return Next::Cut;
        }
        if head.closes() { Next::Cut } else { Next::Request }
    }

    fn hold(&self, fault: Option<Fault>) {
        if let Some(Fault::StallRequest(time) | Fault::StallAnswer(time)) = fault {
            self.state.sleep(time);
        }
    }

    /// Answers in the server's place.
    fn refuse(&mut self, head: &Head, status: Status, note: &Note<'_>) -> io::Result<Next> {
        let (number, code) = (status.number(), status.code());
        note.add(|seen| seen.status = Some(number));
        let body =
            format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>on purpose</Message></Error>");
        let ends = head.closes();
        let connection = if ends { "close" } else { "keep-alive" };
        let answer = format!(
            "HTTP/1.1 {number} {code}\r\nContent-Type: application/xml\r\nContent-Length: {}\r\nConnection: \
             {connection}\r\n\r\n{}",
            body.len(),
            if head.method() == "HEAD" { "" } else { &body },
        );
        self.client.get_ref().write_all(answer.as_bytes())?;
        Ok(if ends { Next::Cut } else { Next::Request })
    }

    /// The server's answer, without those that only say "go on".
    fn answer_head(&mut self) -> io::Result<Head> {
        let server = self.server.as_mut().ok_or(ErrorKind::NotConnected)?;
        loop {
            let head = Head::read(server)?.ok_or(ErrorKind::UnexpectedEof)?;
            if !(100..200).contains(&head.status()) {
                return Ok(head);
            }
        }
    }

    fn drain_answer(&mut self, head: &Head, answer: &Head) -> io::Result<()> {
        let framing = answer.answer_framing(head.method())?;
        let server = self.server.as_mut().ok_or(ErrorKind::NotConnected)?;
        drain(server, framing)?;
        if answer.closes() || framing == Framing::UntilClose {
            self.server = None;
        }
        Ok(())
    }

    /// The connection to the server: the last one, if that is still open.
    fn connect(&mut self) -> io::Result<&BufReader<TcpStream>> {
        if self.server.as_ref().is_none_or(|server| is_closed(server.get_ref())) {
            let server = TcpStream::connect(self.state.upstream)?;
            server.set_nodelay(true)?;
            server.set_read_timeout(Some(ANSWER_MAX))?;
            server.set_write_timeout(Some(ANSWER_MAX))?;
            if !self.state.register(&server) {
                return Err(ErrorKind::ConnectionAborted.into());
            }
            self.server = Some(BufReader::new(server));
        }
        self.server.as_ref().ok_or_else(|| ErrorKind::NotConnected.into())
    }
}

fn is_closed(stream: &TcpStream) -> bool {
    let peeked = stream.set_nonblocking(true).and_then(|()| stream.peek(&mut [0]));
    let open = matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock);
    stream.set_nonblocking(false).is_err() || !open
}

/// Reads a body to its end.
fn drain(from: &mut BufReader<TcpStream>, framing: Framing) -> io::Result<Vec<u8>> {
    let mut body = Body::new(framing);
    let mut piece = Vec::new();
    let mut whole = Vec::new();
    loop {
        body.next(from, &mut piece)?;
        if piece.is_empty() {
            return Ok(whole);
        }
        whole.extend_from_slice(&piece);
    }
}

/// Passes a body on, as far as it is to go; says whether that is the whole. `note` hears of each
/// piece before it goes: its bytes, and whether something is done to it.
fn pass_body(
    state: &State,
    from: &mut BufReader<TcpStream>,
    to: &mut impl Write,
    framing: Framing,
    tamper: &Tamper,
    note: &dyn Fn(u64, bool),
) -> io::Result<bool> {
    let mut body = Body::new(framing);
    let mut piece = Vec::new();
    let mut done = 0;
    loop {
        body.next(from, &mut piece)?;
        if piece.is_empty() {
            body.write_end(to, framing)?;
            return Ok(true);
        }
        let here = done..done + piece.len() as u64;
        let within = |position: Option<u64>| position.filter(|position| here.contains(position));
        let flip = within(tamper.flip_at.map(|(position, _)| position));
        let stop = within(tamper.stop_at);
        if let (Some(position), Some((_, bit))) = (flip, tamper.flip_at) {
            piece[within_piece(position - done)] ^= bit;
        }
        if let Some(position) = stop {
            piece.truncate(within_piece(position - done));
        }
        note(piece.len() as u64, flip.is_some() || stop.is_some() || tamper.bytes_per_s.is_some());
        // A tenth of a second's bytes at a time, each when its time has come.
        let at_once = tamper
            .bytes_per_s
            .map_or(usize::MAX, |bytes| usize::try_from(bytes / 10).unwrap_or(usize::MAX).max(1));
        for part in piece.chunks(at_once) {
            if let Some(bytes_per_s) = tamper.bytes_per_s {
                state.sleep(Duration::from_secs_f64(part.len() as f64 / bytes_per_s as f64));
            }
            write_piece(to, framing, part)?;
        }
        if stop.is_some() {
            return Ok(false);
        }
        done = here.end;
    }
}

/// A place in a piece that is in memory.
fn within_piece(position: u64) -> usize {
    usize::try_from(position).expect("it is in the piece")
}
