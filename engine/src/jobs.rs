//! What the threads of a run do next, where work makes more work: the walks of a backup and of a check, and a restore.
//! Work that is known from the start goes to [`Pool`](crate::run::Pool); what one stage hands to the next, such as
//! packs that are uploaded while others are filled, goes through a channel that holds nothing, so that the faster
//! stage waits.
//!
//! Jobs are a stack: the walk of a backup goes deep before it goes wide, and has few directories open at a
//! time. Pieces of a large file, or of a frame with many files, come before all jobs, so that their memory is
//! freed soon.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Jobs of type `J`, and pieces of type `P` that go first. Without a `P`, there are only jobs.
pub struct Jobs<J, P = Infallible> {
    queue: Mutex<Queue<J, P>>,
    changed: Condvar,
    /// Whether the work of all threads has ended; `queue` says it to those that wait. It says nothing about other memory.
    stopped: AtomicBool,
    pieces_max: usize,
}

struct Queue<J, P> {
    stack: Vec<J>,
    pieces: VecDeque<P>,
    /// How many things are being done. More may be added as long as there are any.
    active: usize,
    stopped: bool,
}

/// One thing to do.
pub enum Next<J, P = Infallible> {
    /// A job from the stack.
    Job(J),
    /// A piece of what a job has to do.
    Piece(P),
}

impl<J> Default for Jobs<J> {
    fn default() -> Self {
        Self::new(0)
    }
}

impl<J, P> Jobs<J, P> {
    /// No jobs yet; at most `pieces_max` pieces will wait.
    pub fn new(pieces_max: usize) -> Self {
        let queue = Queue { stack: Vec::new(), pieces: VecDeque::new(), active: 0, stopped: false };
        let stopped = AtomicBool::new(false);
        Self { queue: Mutex::new(queue), changed: Condvar::new(), stopped, pieces_max }
    }

    /// Adds jobs; the last one is done first.
    pub fn push(&self, jobs: impl IntoIterator<Item = J>) {
        let mut queue = self.lock();
        queue.stack.extend(jobs);
        drop(queue);
        self.changed.notify_all();
    }

    /// Adds a piece. If too many wait, returns the oldest one: the caller has to do it itself.
    pub fn push_piece(&self, piece: P) -> Option<P> {
        let mut queue = self.lock();
        queue.pieces.push_back(piece);
        let oldest = if queue.pieces.len() > self.pieces_max { queue.pieces.pop_front() } else { None };
        drop(queue);
        self.changed.notify_one();
        oldest
    }

    /// The next thing to do; waits while other threads may still add some. `None` when all is done. A thread that
    /// takes a thing must hold [`Self::doing`] until it is done.
    pub fn next(&self) -> Option<Next<J, P>> {
        let mut queue = self.lock();
        loop {
            if queue.stopped {
                return None;
            }
            let piece = queue.pieces.pop_front().map(Next::Piece);
            if let Some(next) = piece.or_else(|| queue.stack.pop().map(Next::Job)) {
                queue.active += 1;
                return Some(next);
            }
            if queue.active == 0 {
                return None;
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A guard to hold while doing the thing that [`Self::next`] gave.
    pub fn doing(&self) -> Doing<'_, J, P> {
        Doing(self)
    }

    fn done(&self) {
        let mut queue = self.lock();
        queue.active -= 1;
        let finished = queue.active == 0 && queue.stack.is_empty() && queue.pieces.is_empty();
        drop(queue);
        if finished {
            self.changed.notify_all();
        }
    }

    /// Whether the work of all threads has ended early.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Ends the work of all threads.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Queue<J, P>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When this is dropped, its thing is done. If a panic drops it, the work of all threads ends.
pub struct Doing<'j, J, P>(&'j Jobs<J, P>);

impl<J, P> Drop for Doing<'_, J, P> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop();
        }
        self.0.done();
    }
}
