//! A proxy in front of a real server that lets things go wrong as planned, and counts what did.
//!
//! It speaks HTTP/1.1 without TLS: kept connections, bodies by length or in chunks, and the client's
//! `Expect: 100-continue`. A fault that needs a body passes over messages without one, and isn't
//! counted there.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;

use state::State;

pub use plan::{Fault, Plan, Requests, Status, When};
pub use state::Seen;

mod message;
mod plan;
mod relay;
mod state;

/// A running proxy; with this value all its connections end.
pub struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
    acceptor: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts one on a free port of loopback, in front of `upstream`.
    #[must_use]
    pub fn start(upstream: SocketAddr, plan: Plan) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port of loopback is free");
        let address = listener.local_addr().expect("a listener has an address");
        let state = Arc::new(State::new(upstream, plan));
        let shared = Arc::clone(&state);
        let acceptor = std::thread::spawn(move || accept(&listener, &shared));
        Self { address, state, acceptor: Some(acceptor) }
    }

    /// `http://127.0.0.1:PORT`
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests from now on go by this plan.
    pub fn set_plan(&self, plan: Plan) {
        self.state.set_plan(plan);
    }

    /// What came through so far, in the order in which it was done with.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen()
    }

    /// How many requests were hit by a fault so far.
    #[must_use]
    pub fn faults(&self) -> usize {
        self.seen().iter().filter(|seen| seen.fault.is_some()).count()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.stop();
        // So that it sees that it is to stop.
        let woken: io::Result<TcpStream> = TcpStream::connect(self.address);
        if let (Ok(_), Some(acceptor)) = (woken, self.acceptor.take()) {
            let _ = acceptor.join();
        }
    }
}

fn accept(listener: &TcpListener, state: &Arc<State>) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    for client in listener.incoming().flatten() {
        threads.retain(|thread| !thread.is_finished());
        if !state.register(&client) {
            break;
        }
        let state = Arc::clone(state);
        threads.push(std::thread::spawn(move || relay::serve(&state, client)));
    }
    for thread in threads {
        let _ = thread.join();
    }
}
