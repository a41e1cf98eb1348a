//! Limits of bandwidth for stores that have none of their own.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use keepfast_backend::{Backend, Cancel, LimitedBackend, LiveLimits, MemoryBackend, RateLimits};

const BYTES: usize = 100_000;

fn limited(up: Option<u64>, down: Option<u64>, cancel: &Cancel) -> LimitedBackend {
    let limits = RateLimits { upload_bytes_per_s: up, download_bytes_per_s: down };
    LimitedBackend::new(Arc::new(MemoryBackend::default()), limits.into(), cancel.clone(), Instant::now)
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
    let backend = limited(Some(4 * BYTES as u64), None, &Cancel::new());
    assert!(create_four(&backend) >= Duration::from_millis(700));
    assert!(read_four(&backend) < Duration::from_millis(700));
    let backend = limited(None, Some(4 * BYTES as u64), &Cancel::new());
    assert!(create_four(&backend) < Duration::from_millis(700));
    assert!(read_four(&backend) >= Duration::from_millis(700));
}

#[test]
fn a_cancelled_run_waits_for_no_limit() {
    let cancel = Cancel::new();
    cancel.cancel();
    let backend = limited(Some(1), Some(1), &cancel);
    create_four(&backend);
    assert!(read_four(&backend) < Duration::from_secs(5));
}

/// A rate that would take days is changed while an object waits.
#[test]
fn what_waits_already_heeds_a_new_limit() {
    let limits = LiveLimits::new(RateLimits { upload_bytes_per_s: Some(1), download_bytes_per_s: None });
    let backend =
        LimitedBackend::new(Arc::new(MemoryBackend::default()), limits.clone(), Cancel::new(), Instant::now);
    let begun = Instant::now();
    thread::scope(|scope| {
        let created = scope.spawn(|| create_four(&backend));
        thread::sleep(Duration::from_millis(200));
        assert!(!created.is_finished());
        limits.set(RateLimits::default());
        created.join().expect("all are made");
    });
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}
