//! A run that is cancelled in the middle: what doesn't go well isn't waited for any more.

use std::thread;
use std::time::{Duration, Instant};

use keepfast_backend::{Backend, BackendError, Cancel, Created, RateLimits, RunLink, S3Backend};

use crate::scripted::{Answer, Scripted, error, status};

/// Much less than stalls and repeats may take without a cancellation.
const SOON: Duration = Duration::from_secs(4);

/// Does something with a store, and cancels the run after a moment. Returns the result, and how long it took
/// from then on.
fn cancelled<T: Send>(
    store: &Scripted,
    work: impl FnOnce(&S3Backend) -> Result<T, BackendError> + Send,
) -> (Result<T, BackendError>, Duration) {
    limited_and_cancelled(store, RateLimits::default(), work)
}

fn limited_and_cancelled<T: Send>(
    store: &Scripted,
    limits: RateLimits,
    work: impl FnOnce(&S3Backend) -> Result<T, BackendError> + Send,
) -> (Result<T, BackendError>, Duration) {
    let cancel = Cancel::new();
    let connected = store.store_with(|options| {
        options.stall_timeout = Duration::from_secs(60);
        options.retry_for = Duration::from_secs(60);
    });
    let backend =
        connected.for_run(RunLink { cancel: cancel.clone(), limits: limits.into(), ..RunLink::default() });
    thread::scope(|scope| {
        let working = scope.spawn(|| work(&backend));
        thread::sleep(Duration::from_millis(500));
        assert!(!working.is_finished(), "it ended before it was cancelled");
        let begun = Instant::now();
        cancel.cancel();
        (working.join().expect("it doesn't panic"), begun.elapsed())
    })
}

#[test]
fn a_store_that_has_gone_silent_isnt_waited_for() {
    let store = Scripted::new(|_, _| Answer::Never);
    let (read, took) = cancelled(&store, |backend| backend.read("packs/x", 100));
    assert!(read.is_err_and(|error| error.is_interrupted()) && took < SOON, "{took:?}");
    let (created, took) = cancelled(&store, |backend| backend.create("packs/x", &[b"x"]));
    assert!(created.is_err_and(|error| error.is_interrupted()) && took < SOON, "{took:?}");
}

#[test]
fn nothing_is_tried_again() {
    let store = Scripted::new(|_, _| error(503, "SlowDown"));
    let (listed, took) = cancelled(&store, |backend| backend.list("packs/", &mut |_| {}));
    let error = listed.expect_err("it never works");
    assert!(error.is_interrupted() && error.to_string().contains("interrupted"), "{error}");
    assert!(took < Duration::from_secs(1), "{took:?}");
}

/// An upload that is running when a backup is cancelled must not be lost.
#[test]
fn requests_that_make_progress_may_go_on() {
    let store = Scripted::new(|_, _| {
        thread::sleep(Duration::from_millis(800));
        status(200)
    });
    let (created, _) = cancelled(&store, |backend| {
        assert_eq!(backend.create("packs/x", &[b"x"])?, Created::New);
        backend.create("index/x", &[b"y"])
    });
    assert_eq!(created.expect("both work"), Created::New);
}

#[test]
fn it_may_not_go_on_forever() {
    // Reads follow one another without end, and make progress all the time.
    let store = Scripted::new(|_, _| Answer::Is(200, vec![], vec![0; 64 << 20]));
    let (read, took) = cancelled::<()>(&store, |backend| {
        loop {
            backend.read("packs/x", 1 << 30)?;
        }
    });
    assert!(read.is_err_and(|error| error.is_interrupted()));
    assert!(took < Duration::from_secs(15), "{took:?}");
}

/// The next piece, of 8 KiB or more, may pass after 8 seconds or more.
#[test]
fn a_limit_isnt_waited_for() {
    let store = Scripted::new(|_, request| match request.method.as_str() {
        "GET" => Answer::Is(200, vec![], vec![0; 4 << 20]),
        _ => status(200),
    });
    for rate in [1000, 100] {
        let limits = RateLimits { upload_bytes_per_s: Some(rate), download_bytes_per_s: Some(rate) };
        let (read, took) = limited_and_cancelled(&store, limits, |backend| backend.read("packs/x", 1 << 30));
        assert!(read.is_err_and(|error| error.is_interrupted()) && took < SOON, "{took:?}");
        let (created, took) =
            limited_and_cancelled(&store, limits, |backend| backend.create("packs/x", &[&[0; 4 << 20]]));
        assert!(created.is_err_and(|error| error.is_interrupted()) && took < SOON, "{took:?}");
    }
}
