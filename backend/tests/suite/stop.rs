//! Ending in the middle: what doesn't go well isn't waited for once the caller wants to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use keepfast_backend::{Backend, BackendError, Created, S3Backend};

use crate::scripted::{Answer, Scripted, error, status};

/// Much less than stalls and repeats may take otherwise.
const SOON: Duration = Duration::from_secs(4);

/// Does something with a store, and wants to end after a moment. Says how it ended, and how long
/// that took from there.
fn stopped<T: Send>(
    store: &Scripted,
    work: impl FnOnce(&S3Backend) -> Result<T, BackendError> + Send,
) -> (Result<T, BackendError>, Duration) {
    let stop = Arc::new(AtomicBool::new(false));
    let backend = store.backend_with(|options| {
        options.stop = Some(Arc::clone(&stop));
        options.stall_timeout = Duration::from_secs(60);
        options.retry_for = Duration::from_secs(60);
    });
    thread::scope(|scope| {
        let working = scope.spawn(|| work(&backend));
        thread::sleep(Duration::from_millis(500));
        assert!(!working.is_finished(), "it ended before it was to end");
        let begun = Instant::now();
        stop.store(true, Ordering::Relaxed);
        (working.join().expect("it doesn't panic"), begun.elapsed())
    })
}

#[test]
fn a_store_that_says_nothing_any_more_isnt_waited_for() {
    let store = Scripted::new(|_, _| Answer::Never);
    let (read, took) = stopped(&store, |backend| backend.read("packs/x", 100));
    assert!(read.is_err_and(|error| error.is_interrupted()) && took < SOON, "{took:?}");
    let (created, took) = stopped(&store, |backend| backend.create("packs/x", &[b"x"]));
    assert!(created.is_err_and(|error| error.is_interrupted()) && took < SOON, "{took:?}");
}

#[test]
fn nothing_is_tried_again() {
    let store = Scripted::new(|_, _| error(503, "SlowDown"));
    let (listed, took) = stopped(&store, |backend| backend.list("packs/", &mut |_| {}));
    let error = listed.expect_err("it never works");
    assert!(error.is_interrupted() && error.to_string().contains("interrupted"), "{error}");
    assert!(took < Duration::from_secs(1), "{took:?}");
}

/// What is uploaded when somebody interrupts a backup is to be of use.
#[test]
fn what_goes_well_may_go_on() {
    let store = Scripted::new(|_, _| {
        thread::sleep(Duration::from_millis(800));
        status(200)
    });
    let (created, _) = stopped(&store, |backend| {
        assert_eq!(backend.create("packs/x", &[b"x"])?, Created::New);
        backend.create("index/x", &[b"y"])
    });
    assert_eq!(created.expect("both work"), Created::New);
}

#[test]
fn it_may_not_go_on_forever() {
    // A body that never ends, and never rests.
    let store = Scripted::new(|_, _| Answer::Is(200, vec![], vec![0; 64 << 20]));
    let (read, took) = stopped::<()>(&store, |backend| {
        loop {
            backend.read("packs/x", 1 << 30)?;
        }
    });
    assert!(read.is_err_and(|error| error.is_interrupted()));
    assert!(took < Duration::from_secs(15), "{took:?}");
}
