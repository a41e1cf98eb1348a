//! What a proxy's threads share: the plan, what happened, and the word to stop.

use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::message::Head;
use super::plan::{Fate, Fault, Plan};

/// One request that came through.
#[derive(Debug, Clone)]
pub struct Seen {
    /// `PUT`, `GET` and so on.
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    /// The host that was asked, with its port.
    pub host: String,
    /// The access key that it was signed with.
    pub access_key: Option<String>,
    /// What the client got; nothing if the connection was cut before that.
    pub status: Option<u16>,
    /// What went wrong on purpose.
    pub fault: Option<Fault>,
    /// Bytes of the request's body that went to the server.
    pub bytes_up: u64,
    /// Bytes of the answer's body that went to the client.
    pub bytes_down: u64,
}

#[derive(Default)]
struct Shared {
    stopped: bool,
    seen: Vec<Seen>,
    open: Vec<TcpStream>,
}

/// Of one proxy.
pub struct State {
    /// The server behind it.
    pub upstream: SocketAddr,
    plan: Mutex<Plan>,
    shared: Mutex<Shared>,
    stop: Condvar,
}

/// A request that is written down.
pub struct Note<'a> {
    state: &'a State,
    number: usize,
}

impl Note<'_> {
    /// Adds to it.
    pub fn add(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut lock(&self.state.shared).seen[self.number]);
    }

    /// It was hit.
    pub fn hit(&self, fault: Option<Fault>) {
        self.add(|seen| seen.fault = fault);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    pub fn new(upstream: SocketAddr, plan: Plan) -> Self {
        Self { upstream, plan: Mutex::new(plan), shared: Mutex::default(), stop: Condvar::new() }
    }

    pub fn set_plan(&self, plan: Plan) {
        *lock(&self.plan) = plan;
    }

    pub fn decide(&self, method: &str, target: &str) -> Option<Fate> {
        lock(&self.plan).decide(method, target)
    }

    /// Writes down a request; what becomes of it is added before the client can see it.
    pub fn note(&self, head: &Head) -> Note<'_> {
        let mut shared = lock(&self.shared);
        shared.seen.push(Seen {
            method: head.method().to_owned(),
            target: head.target().to_owned(),
            host: head.host().to_owned(),
            access_key: head.access_key().map(str::to_owned),
            status: None,
            fault: None,
            bytes_up: 0,
            bytes_down: 0,
        });
        Note { state: self, number: shared.seen.len() - 1 }
    }

    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.shared).seen.clone()
    }

    /// So that [`Self::stop`] can end it; false if that has been called.
    pub fn register(&self, stream: &TcpStream) -> bool {
        let mut shared = lock(&self.shared);
        // Those that are closed by both sides are of no use any more.
        shared.open.retain(|stream| stream.peer_addr().is_ok());
        if let Ok(stream) = stream.try_clone() {
            shared.open.push(stream);
        }
        !shared.stopped
    }

    /// Ends every connection and all waiting.
    pub fn stop(&self) {
        let mut shared = lock(&self.shared);
        shared.stopped = true;
        for stream in shared.open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.stop.notify_all();
    }

    /// Waits; the word to stop cuts it short.
    pub fn sleep(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut shared = lock(&self.shared);
        while !shared.stopped {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            shared = self.stop.wait_timeout(shared, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
