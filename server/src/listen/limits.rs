//! What a client may take of a listener.

use std::time::Duration;

/// What clients may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of a request's head; at least 8 KiB.
    pub head_bytes: usize,
    /// Fields of a request's head.
    pub head_fields: usize,
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// How long a client may take to send a request's head, be it that it waits with that or is slow; and to take the
    /// end of an answer. A connection without a request isn't kept longer.
    pub head_within: Duration,
    /// How long a request may take from its head to the end of its answer, the client's slowness included; without
    /// this, as long as it likes.
    pub answer_within: Option<Duration>,
    /// How long a client may take nothing of an answer before it is given up: its place is for others then, however long
    /// answers may last.
    pub taken_within: Duration,
    /// Connections.
    pub connections: usize,
    /// Connections from one address. Those over a socket in the file system have none.
    pub connections_per_address: usize,
}
