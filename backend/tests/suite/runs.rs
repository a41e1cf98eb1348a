//! Several runs on one store: each is cancelled, notified, limited and counted by itself.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use keepfast_backend::{
    Backend, Cancel, Created, LocalStore, MemoryBackend, RateLimits, RunLink, S3Store, Store,
};
use keepfast_testkit::proxy::{Fault, Plan, Proxy, Requests, Status, When};
use keepfast_testkit::servers::{Kind, Server};
use parking_lot::Mutex;

use crate::s3;
use crate::scripted::{Answer, Scripted, error, status};

fn link(cancel: &Cancel) -> RunLink {
    RunLink { cancel: cancel.clone(), ..RunLink::default() }
}

/// One run waits for requests that don't succeed. All runs share the connections.
fn a_cancelled_run_disturbs_no_other(kind: Kind, fault: Fault) {
    let server = Server::shared(kind);
    let plan = Plan::new(1).on(Requests { method: "", path: "stuck" }, When::Always, fault);
    let proxy = Proxy::start(server.address(), plan);
    let mut options = s3::options(&server, "");
    options.endpoint = Some(proxy.endpoint());
    options.stall_timeout = Duration::from_secs(60);
    options.retry_for = Duration::from_secs(60);
    let store = S3Store::connect(options).expect("the options are sound");
    let body = vec![7; 200_000];

    let cancel = Cancel::new();
    let (cancelled, other) = (store.for_run(link(&cancel)), store.for_run(RunLink::default()));
    cancelled.create("packs/good", &[&body]).expect("all is well but for one name");
    let objects = thread::scope(|scope| {
        let stuck = [
            scope.spawn(|| cancelled.create("packs/stuck-1", &[&body]).map(|_| ())),
            scope.spawn(|| cancelled.read("packs/stuck-2", 1 << 20).map(|_| ())),
        ];
        let going_on = scope.spawn(|| {
            let until = Instant::now() + Duration::from_secs(4);
            let mut objects = 0;
            while Instant::now() < until {
                let name = format!("index/{objects}");
                assert_eq!(other.create(&name, &[&body]).expect("it is made"), Created::New);
                assert!(other.read(&name, 1 << 20).expect("it is there") == body);
                objects += 1;
            }
            objects
        });
        thread::sleep(Duration::from_millis(700));
        assert!(stuck.iter().all(|run| !run.is_finished()), "nothing was stuck");
        let begun = Instant::now();
        cancel.cancel();
        for run in stuck {
            let error = run.join().expect("it doesn't panic").expect_err("it was cancelled");
            assert!(error.is_interrupted(), "{error}");
        }
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
        going_on.join().expect("no other run is disturbed")
    });
    assert!(objects > 2, "{objects} objects");

    let third = store.for_run(RunLink::default());
    assert!(third.read("packs/good", 1 << 20).expect("it is there") == body);
    assert_eq!(third.create("packs/third", &[&body]).expect("it is made"), Created::New);
    let mut listed = 0;
    third.list("index/", &mut |_| listed += 1).expect("it lists");
    assert_eq!(listed, objects);
    // The handle of the cancelled run stays cancelled.
    let error = cancelled.read("packs/stuck-2", 1).expect_err("it is cancelled");
    assert!(error.is_interrupted(), "{error}");

    let (other, third) = (other.traffic().expect("it counts"), third.traffic().expect("it counts"));
    assert_eq!((other.puts, other.gets, other.retries), (objects, objects, 0));
    assert_eq!((third.puts, third.gets, third.lists, third.bytes_up), (1, 1, 1, body.len() as u64));
}

#[test]
fn seaweedfs_with_a_run_that_waits_for_its_next_try() {
    a_cancelled_run_disturbs_no_other(Kind::SeaweedFs, Fault::Refuse(Status::SlowDown));
}

#[test]
fn seaweedfs_with_a_run_whose_requests_stall() {
    a_cancelled_run_disturbs_no_other(Kind::SeaweedFs, Fault::Delay(Duration::from_secs(30)));
}

#[test]
fn moto_with_a_run_whose_requests_stall() {
    a_cancelled_run_disturbs_no_other(Kind::Moto, Fault::Delay(Duration::from_secs(30)));
}

#[test]
fn a_run_that_is_cancelled_from_the_start_asks_for_nothing_again() {
    let store = Scripted::new(|_, _| error(503, "SlowDown"));
    let connected = store.store_with(|_| {});
    let cancel = Cancel::new();
    cancel.cancel();
    let error = connected.for_run(link(&cancel)).read("packs/x", 1).expect_err("it is cancelled");
    assert!(error.is_interrupted(), "{error}");
    assert_eq!(store.verbs(), ["GET"]);
}

/// What one run has found out about the store, the others know.
#[test]
fn what_is_known_of_the_store_is_known_to_all_runs() {
    let store = Scripted::new(|n, _| if n == 0 { error(501, "NotImplemented") } else { status(200) });
    let connected = store.store_with(|_| {});
    for run in 0..2 {
        let backend = connected.for_run(RunLink::default());
        backend.create(&format!("packs/{run}"), &[b"x"]).expect("it is made");
    }
    // Only the first create of the first run tries the other checksum.
    let with_md5: Vec<bool> =
        store.asked().iter().map(|request| request.header("content-md5").is_some()).collect();
    assert_eq!(with_md5, [false, true, true]);
}

#[test]
fn each_run_is_told_of_its_own_waits() {
    let store = Scripted::new(|_, request| {
        if request.target.contains("well") { status(200) } else { error(503, "ServiceUnavailable") }
    });
    let connected = store.store_with(|options| options.retry_for = Duration::from_secs(60));
    let run = || {
        let (cancel, heard) = (Cancel::new(), Arc::new(Mutex::new(Vec::new())));
        let told = Arc::clone(&heard);
        let notices: keepfast_backend::Notices =
            Arc::new(move |line: &str| told.lock().push(line.to_owned()));
        let link = RunLink { cancel: cancel.clone(), notices: Some(notices), ..RunLink::default() };
        (connected.for_run(link), cancel, heard)
    };
    let ((one, one_cancel, one_heard), (two, two_cancel, two_heard), (well, _, well_heard)) =
        (run(), run(), run());
    thread::scope(|scope| {
        let waiting = [scope.spawn(|| one.read("packs/x", 1)), scope.spawn(|| two.read("packs/y", 1))];
        let until = Instant::now() + Duration::from_secs(40);
        let has_heard = |heard: &Mutex<Vec<String>>| !heard.lock().is_empty();
        while !(has_heard(&one_heard) && has_heard(&two_heard)) && Instant::now() < until {
            // The success of another run must not cause a second notice to this one.
            well.remove("packs/well").expect("it answers");
            thread::sleep(Duration::from_millis(200));
        }
        one_cancel.cancel();
        two_cancel.cancel();
        for run in waiting {
            assert!(run.join().expect("it doesn't panic").is_err_and(|error| error.is_interrupted()));
        }
    });
    for heard in [one_heard, two_heard] {
        let heard = heard.lock();
        assert_eq!(heard.len(), 1, "{heard:?}");
        assert!(heard[0].contains("s3://bucket") && heard[0].contains("trying again"), "{heard:?}");
    }
    assert_eq!(well_heard.lock().len(), 0);
}

/// The limits of one run don't slow down another, and hold across the threads of the run.
#[test]
fn a_limit_is_one_runs() {
    let store = Scripted::new(|_, _| Answer::Is(200, vec![], vec![7; 1 << 20]));
    let connected = store.store_with(|_| {});
    let limits = RateLimits { download_bytes_per_s: Some(2 << 20), ..RateLimits::default() };
    let limited = connected.for_run(RunLink { limits: limits.into(), ..RunLink::default() });
    let free = connected.for_run(RunLink::default());
    let begun = Instant::now();
    thread::scope(|scope| {
        let slow: Vec<_> = (0..4).map(|_| scope.spawn(|| limited.read("packs/x", 1 << 20))).collect();
        free.read("packs/x", 1 << 20).expect("it is there");
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        for read in slow {
            read.join().expect("it doesn't panic").expect("it is there");
        }
    });
    assert!(begun.elapsed() > Duration::from_millis(1200), "{:?}", begun.elapsed());
}

/// Under a low limit a piece may wait for longer than a store may be silent. The store isn't to blame for it.
#[test]
fn waiting_for_a_limit_isnt_a_stall() {
    let store = Scripted::new(|_, request| match request.method.as_str() {
        "GET" => Answer::Is(200, vec![], vec![7; 1 << 20]),
        _ => status(200),
    });
    let connected = store.store_with(|options| options.stall_timeout = Duration::from_millis(300));
    let limits = RateLimits { upload_bytes_per_s: Some(300_000), download_bytes_per_s: Some(800_000) };
    let backend = connected.for_run(RunLink { limits: limits.into(), ..RunLink::default() });
    backend.create("packs/x", &[&[7; 700_000]]).expect("it is made");
    backend.read("packs/x", 1 << 20).expect("it is there");
    assert_eq!(store.verbs(), ["PUT", "GET"]);
}

/// The handles of a store that costs nothing show each other's objects.
#[test]
fn runs_on_disk_and_in_memory_share_their_objects() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let stores: [Arc<dyn Store>; 2] =
        [Arc::new(MemoryBackend::default()), Arc::new(LocalStore::new(folder.path(), Instant::now))];
    for store in stores {
        let cancel = Cancel::new();
        let (cancelled, other) = (store.for_run(link(&cancel)), store.for_run(RunLink::default()));
        cancelled.create("packs/x", &[b"x"]).expect("it is made");
        cancel.cancel();
        assert_eq!(other.create("packs/x", &[b"y"]).expect("it is there"), Created::AlreadyThere);
        let mut listed = 0;
        other.list("packs/", &mut |_| listed += 1).expect("the other run isn't cancelled");
        assert_eq!(listed, 1);
        assert_eq!(other.location(), store.location());
    }
}
