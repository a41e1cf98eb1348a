//! What the threads of a backup or restore do next.
//!
//! Jobs are a stack: the walk of a backup goes deep before it goes wide, and has few directories open at a
//! time. Pieces, of a large file or of a frame with many files, come before everything, so that memory is
//! freed.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Jobs of type `J`, and pieces of type `P` that go first.
pub struct Jobs<J, P> {
    state: Mutex<State<J, P>>,
    changed: Condvar,
    pieces_max: usize,
}

struct State<J, P> {
    stack: Vec<J>,
    pieces: VecDeque<P>,
    active: usize,
    stopped: bool,
}

/// One thing to do.
pub enum Next<J, P> {
    /// A job from the stack.
    Job(J),
    /// A piece of what a job has to do.
    Piece(P),
}

impl<J, P> Jobs<J, P> {
    /// No jobs yet; at most `pieces_max` pieces will wait.
    pub fn new(pieces_max: usize) -> Self {
        let state = State { stack: Vec::new(), pieces: VecDeque::new(), active: 0, stopped: false };
        Self { state: Mutex::new(state), changed: Condvar::new(), pieces_max }
    }

    /// Adds jobs; the last one is done first.
    pub fn push(&self, jobs: impl IntoIterator<Item = J>) {
        let mut state = self.lock();
        state.stack.extend(jobs);
        drop(state);
        self.changed.notify_all();
    }

    /// Adds a piece; gives the oldest one back if too many wait, for the caller to do itself.
    pub fn push_piece(&self, piece: P) -> Option<P> {
        let mut state = self.lock();
        state.pieces.push_back(piece);
        let spilled = if state.pieces.len() > self.pieces_max { state.pieces.pop_front() } else { None };
        drop(state);
        self.changed.notify_one();
        spilled
    }

    /// The next thing to do; waits while others may still add some. `None` when all is done.
    /// Whoever takes one must hold [`Self::doing`] until it is done.
    pub fn next(&self) -> Option<Next<J, P>> {
        let mut state = self.lock();
        loop {
            if state.stopped {
                return None;
            }
            let piece = state.pieces.pop_front().map(Next::Piece);
            if let Some(next) = piece.or_else(|| state.stack.pop().map(Next::Job)) {
                state.active += 1;
                return Some(next);
            }
            if state.active == 0 {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A guard to hold while doing the thing that [`Self::next`] gave.
    pub fn doing(&self) -> Doing<'_, J, P> {
        Doing(self)
    }

    fn done(&self) {
        let mut state = self.lock();
        state.active -= 1;
        let finished = state.active == 0 && state.stack.is_empty() && state.pieces.is_empty();
        drop(state);
        if finished {
            self.changed.notify_all();
        }
    }

    /// Ends the work of all threads.
    pub fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<J, P>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says that a thing is done when it is dropped; if that is because of a panic, that there
/// is no use in going on.
pub struct Doing<'j, J, P>(&'j Jobs<J, P>);

impl<J, P> Drop for Doing<'_, J, P> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop();
        }
        self.0.done();
    }
}
