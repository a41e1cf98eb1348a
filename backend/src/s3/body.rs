//! Sends bodies in pieces, and notices requests that stall. An upload holds a few pieces in memory, and
//! never a copy of the object.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

use super::grace::TICK;

/// The size of a piece.
const PIECE_BYTES: usize = 256 << 10;
/// Pieces that wait to be sent.
const PIECES_WAITING: usize = 3;

/// Counts the bytes that a request has moved: a request that moves none is stalled.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    bytes: AtomicU64,
    /// Waits that the caller itself caused.
    waits: AtomicU64,
}

impl Progress {
    pub(super) fn add(&self, bytes: usize) {
        self.0.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts a wait that the caller itself caused.
    pub(super) fn add_wait(&self) {
        self.0.waits.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// A number that changes with all progress.
    fn mark(&self) -> u64 {
        self.bytes() + self.0.waits.load(Ordering::Relaxed)
    }
}

/// A request made no progress for its whole timeout.
#[derive(Debug)]
pub(super) struct Stalled;

/// Runs `work` to its end, unless it makes no progress for `timeout`. The timeout may get shorter during the
/// wait.
pub(super) async fn unless_stalled<T>(
    progress: &Progress,
    timeout: impl Fn() -> Duration,
    work: impl Future<Output = T>,
) -> Result<T, Stalled> {
    let mut work = std::pin::pin!(work);
    let mut idle = Duration::ZERO;
    loop {
        let before = progress.mark();
        let wait = (timeout().saturating_sub(idle)).min(TICK);
        match tokio::time::timeout(wait, &mut work).await {
            Ok(value) => return Ok(value),
            Err(_) if progress.mark() != before => idle = Duration::ZERO,
            Err(_) => idle += wait,
        }
        if idle >= timeout() {
            return Err(Stalled);
        }
    }
}

/// The body of an upload: pieces as [`feed`] cuts them.
struct Pieces {
    pieces: mpsc::Receiver<Bytes>,
    bytes_left: u64,
    progress: Progress,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.bytes_left == 0 {
            return Poll::Ready(None);
        }
        self.pieces.poll_recv(context).map(|piece| {
            // The feeding side has given up: the connection must break, and not end as if the body were complete.
            let Some(piece) = piece else { return Some(Err(io::ErrorKind::UnexpectedEof.into())) };
            self.bytes_left = self.bytes_left.saturating_sub(piece.len() as u64);
            self.progress.add(piece.len());
            Some(Ok(Frame::data(piece)))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.bytes_left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes_left)
    }
}

/// A body of this many bytes, and the sender for its pieces.
pub(super) fn body(bytes: u64, progress: &Progress) -> (ByteStream, mpsc::Sender<Bytes>) {
    let (sender, pieces) = mpsc::channel(PIECES_WAITING);
    let body = Pieces { pieces, bytes_left: bytes, progress: progress.clone() };
    (ByteStream::new(SdkBody::from_body_1_x(body)), sender)
}

/// Cuts parts into pieces, and sends them until all are sent or the receiver is gone. `pass` waits until this
/// many bytes more may pass.
pub(super) async fn feed(parts: &[&[u8]], pieces: mpsc::Sender<Bytes>, pass: impl AsyncFn(usize)) {
    for piece in parts.iter().flat_map(|part| part.chunks(PIECE_BYTES)) {
        pass(piece.len()).await;
        if pieces.send(Bytes::copy_from_slice(piece)).await.is_err() {
            return;
        }
    }
}

/// Cuts `bytes` bytes from `from` on out of the concatenation of `parts`.
pub(super) fn cut<'p>(parts: &[&'p [u8]], from: u64, bytes: u64) -> Vec<&'p [u8]> {
    // An offset beyond the address space is beyond the parts too.
    let in_memory = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let (mut skip, mut left) = (in_memory(from), in_memory(bytes));
    let mut out = Vec::new();
    for part in parts {
        let start = skip.min(part.len());
        let end = start.saturating_add(left).min(part.len());
        skip -= start;
        left -= end - start;
        if start < end {
            out.push(&part[start..end]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn what_is_cut_out_is_what_lies_there() {
        let parts: [&[u8]; 4] = [b"abc", b"", b"defgh", b"i"];
        assert_eq!(cut(&parts, 0, 9).concat(), b"abcdefghi");
        assert_eq!(cut(&parts, 2, 3).concat(), b"cde");
        assert_eq!(cut(&parts, 3, 5).concat(), b"defgh");
        assert_eq!(cut(&parts, 8, 100).concat(), b"i");
        assert_eq!(cut(&parts, 9, 1).concat(), b"");
    }
}
