//! The same work in several threads.

use std::panic::resume_unwind;
use std::thread;

/// Does the same work in so many threads, until all have ended, and returns what each returned.
/// One thread is the caller's own.
pub fn in_threads<T: Send>(count: usize, work: impl Fn() -> T + Sync) -> Vec<T> {
    if count <= 1 {
        return vec![work()];
    }
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(&work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}
