//! Limits of bandwidth for stores that have none of their own.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use keepfast_backend::{Backend, LimitedBackend, MemoryBackend};

const BYTES: usize = 100_000;

fn limited(up: Option<u64>, down: Option<u64>, stop: Option<Arc<AtomicBool>>) -> LimitedBackend {
    LimitedBackend::new(Arc::new(MemoryBackend::default()), up, down, Instant::now, stop)
}

fn create_four(backend: &LimitedBackend) -> Duration {
    let begun = Instant::now();
    for n in 0..4 {
        backend.create(&format!("packs/{n}"), &[&[n; BYTES / 2], &[n; BYTES / 2]]).expect("it is new");
    }
    begun.elapsed()
}

fn read_four(backend: &LimitedBackend) -> Duration {
    let begun = Instant::now();
    for n in 0..4 {
        let bytes = backend.read_range(&format!("packs/{n}"), 0, BYTES).expect("it is there");
        assert!(bytes.len() == BYTES && bytes.iter().all(|byte| *byte == n));
    }
    begun.elapsed()
}

#[test]
fn what_goes_and_what_comes_are_limited_each_by_itself() {
    // A quarter of a second for each object; the first one doesn't wait.
    let backend = limited(Some(4 * BYTES as u64), None, None);
    assert!(create_four(&backend) >= Duration::from_millis(700));
    assert!(read_four(&backend) < Duration::from_millis(700));
    let backend = limited(None, Some(4 * BYTES as u64), None);
    assert!(create_four(&backend) < Duration::from_millis(700));
    assert!(read_four(&backend) >= Duration::from_millis(700));
}

#[test]
fn nobody_waits_who_is_to_stop() {
    let backend = limited(Some(1), Some(1), Some(Arc::new(AtomicBool::new(true))));
    create_four(&backend);
    assert!(read_four(&backend) < Duration::from_secs(5));
}
