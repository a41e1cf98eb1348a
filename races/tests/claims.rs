//! Threads that store the same chunk at once: it is stored, and mostly once.

use keepfast_format::ids::ChunkId;
use keepfast_races::claims::Claims;
use keepfast_races::sync::{Arc, Mutex};
use shuttle::{check_random, thread};

const THREADS: usize = 3;

/// A chunk that a thread was told someone else stores is stored; and once a thread has seen it in the index, no one
/// takes it upon itself again.
#[test]
fn a_chunk_is_stored_by_one_of_those_who_have_it() {
    let race = || {
        let (claims, index, stored) =
            (Arc::new(Claims::default()), Arc::new(Mutex::new(false)), Arc::new(Mutex::new(0)));
        let id = ChunkId::new([7; ChunkId::SIZE]);
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let (claims, index, stored) = (Arc::clone(&claims), Arc::clone(&index), Arc::clone(&stored));
                thread::spawn(move || {
                    if *index.lock().expect("no one panics") || !claims.take(id) {
                        return;
                    }
                    *stored.lock().expect("no one panics") += 1;
                    // Listed *first*, released *then*: in between it is both, and never neither.
                    *index.lock().expect("no one panics") = true;
                    claims.release(&id);
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("it ends");
        }
        let stored = *stored.lock().expect("no one panics");
        assert!((1..=THREADS).contains(&stored), "stored {stored} times");
        assert!(*index.lock().expect("no one panics"));
    };
    check_random(race, 5_000);
}
