//! The threads of one run: the same work in each of them, or one piece of work for each of many things.

use std::panic::resume_unwind;
use std::sync::OnceLock;
use std::thread;

use rayon::ThreadPool;
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use rayon::slice::{ParallelSlice, ParallelSliceMut};

/// This many threads, for one run alone. They begin when there is something to do for them.
///
/// Work for things ([`Pool::map`] and the like) must not wait for other such work, as all of it may be on one
/// thread. What waits for others goes to [`Pool::in_each_thread`].
pub struct Pool {
    threads: usize,
    pool: OnceLock<ThreadPool>,
}

impl Pool {
    /// With at least one thread.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        Self { threads: threads.max(1), pool: OnceLock::new() }
    }

    /// How many threads there are.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Does work for each of these, and returns the results in their order.
    pub fn map<'i, I: Sync, T: Send>(
        &self,
        items: &'i [I],
        work: impl Fn(&'i I) -> T + Send + Sync,
    ) -> Vec<T> {
        self.map_with(items, || (), |(), item| work(item))
    }

    /// As [`Pool::map`], with something that each thread makes once and keeps.
    pub fn map_with<'i, I: Sync, K, T: Send>(
        &self,
        items: &'i [I],
        keep: impl Fn() -> K + Send + Sync,
        work: impl Fn(&mut K, &'i I) -> T + Send + Sync,
    ) -> Vec<T> {
        if self.is_alone(items.len()) {
            let mut kept = keep();
            return items.iter().map(|item| work(&mut kept, item)).collect();
        }
        self.pool().install(|| items.par_iter().map_init(keep, work).collect())
    }

    /// As [`Pool::map`], for pieces of a slice with at most this many things each.
    pub fn map_chunks<'i, I: Sync, T: Send>(
        &self,
        items: &'i [I],
        length: usize,
        work: impl Fn(&'i [I]) -> T + Send + Sync,
    ) -> Vec<T> {
        if self.is_alone(items.len()) {
            return items.chunks(length).map(work).collect();
        }
        self.pool().install(|| items.par_chunks(length).map(work).collect())
    }

    /// Sorts, not keeping the order of equals.
    pub fn sort<T: Ord + Send>(&self, items: &mut [T]) {
        if self.is_alone(items.len()) {
            items.sort_unstable();
        } else {
            self.pool().install(|| items.par_sort_unstable());
        }
    }

    /// As [`Pool::sort`], by a key.
    pub fn sort_by_key<T: Send, K: Ord>(&self, items: &mut [T], key: impl Fn(&T) -> K + Sync + Send) {
        if self.is_alone(items.len()) {
            items.sort_unstable_by_key(key);
        } else {
            self.pool().install(|| items.par_sort_unstable_by_key(key));
        }
    }

    /// Does the same work in each of the run's threads until all have ended, and returns what each returned.
    pub fn in_each_thread<T: Send>(&self, work: impl Fn() -> T + Sync) -> Vec<T> {
        in_threads(self.threads, work)
    }

    /// As [`Pool::in_each_thread`], in at most this many threads.
    pub fn in_threads<T: Send>(&self, threads_max: usize, work: impl Fn() -> T + Sync) -> Vec<T> {
        in_threads(self.threads.min(threads_max), work)
    }

    fn is_alone(&self, items: usize) -> bool {
        self.threads == 1 || items <= 1
    }

    fn pool(&self) -> &ThreadPool {
        self.pool.get_or_init(|| {
            let build = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads);
            // Where the system gives no more threads, this one does all the work.
            let alone = || build(1).use_current_thread().build();
            build(self.threads).build().or_else(|_| alone()).unwrap_or_else(|error| {
                unreachable!("a pool of the thread that asks for it needs nothing: {error}")
            })
        })
    }
}

/// Threads of their own, that may wait for each other. One is the caller's own where there is only one.
pub fn in_threads<T: Send>(count: usize, work: impl Fn() -> T + Sync) -> Vec<T> {
    if count <= 1 {
        return vec![work()];
    }
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(&work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::{Barrier, Mutex};
    use std::thread;

    use super::Pool;

    #[test]
    fn results_come_in_the_order_of_what_they_are_for() {
        let numbers: Vec<u32> = (0..10_000).rev().collect();
        for threads in [1, 3] {
            let pool = Pool::new(threads);
            assert_eq!(
                pool.map(&numbers, |number| number + 1),
                numbers.iter().map(|n| n + 1).collect::<Vec<_>>()
            );
            let sums = pool.map_chunks(&numbers, 7, |some| some.iter().sum::<u32>());
            assert_eq!(sums, numbers.chunks(7).map(|some| some.iter().sum()).collect::<Vec<u32>>());
            let mut sorted = numbers.clone();
            pool.sort(&mut sorted);
            assert!(sorted.is_sorted() && sorted.len() == numbers.len());
        }
    }

    #[test]
    fn each_pool_has_threads_of_its_own_and_no_more_than_it_was_given() {
        let threads_of = |pool: &Pool| -> HashSet<thread::ThreadId> {
            pool.map(&[0; 2000], |_| thread::current().id()).into_iter().collect()
        };
        let (one, other) = (Pool::new(3), Pool::new(2));
        let (ones, others) = (threads_of(&one), threads_of(&other));
        assert!(ones.len() <= 3 && others.len() <= 2, "{ones:?} {others:?}");
        assert!(ones.is_disjoint(&others));
    }

    /// All meet at the barrier only if each runs in a thread of its own.
    #[test]
    fn the_same_work_may_wait_for_itself_in_other_threads() {
        let (pool, barrier, seen) = (Pool::new(4), Barrier::new(4), Mutex::new(HashSet::new()));
        pool.in_each_thread(|| {
            barrier.wait();
            seen.lock().expect("no one panics").insert(thread::current().id());
        });
        assert_eq!(seen.lock().expect("no one panics").len(), 4);
    }
}
