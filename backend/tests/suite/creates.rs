//! Creates in S3 whose answers are lost, late, or incomplete: each create must know whether it made the object.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use keepfast_backend::{Backend, BackendErrorKind, Created};

use crate::scripted::{Answer, Asked, Scripted, error, md5_etag, status};

const BODY: &[u8] = b"the object's bytes";

fn create(store: &dyn Backend) -> Created {
    store.create("snapshots/x", &[b"the object's", b" bytes"]).expect("it answers")
}

/// A HEAD's answer for an object that the create `id` made.
fn made_by(id: &str, bytes: usize) -> Answer {
    let headers = vec![("x-amz-meta-keepfast-create", id.to_owned()), ("content-length", bytes.to_string())];
    Answer::Is(200, headers, Vec::new())
}

fn id_of(request: &Asked) -> String {
    request.header("x-amz-meta-keepfast-create").expect("every create has an id").to_owned()
}

/// Remembers the id of the first create, for later answers.
fn remembering(script: impl Fn(usize, &Asked, &str) -> Answer + Send + Sync + 'static) -> Scripted {
    let first = Arc::new(Mutex::new(String::new()));
    Scripted::new(move |n, request| {
        let mut first = first.lock().expect("no thread panicked");
        if n == 0 {
            *first = id_of(request);
        }
        script(n, request, &first)
    })
}

#[test]
fn a_create_asks_for_absence_and_sends_what_it_was_given() {
    let store = Scripted::new(|_, _| Answer::Is(200, vec![("x-amz-checksum-crc32", "x".to_owned())], vec![]));
    let backend = store.backend_with(|options| {
        options.prefix = "some/prefix".to_owned();
        options.storage_classes = vec![("packs/".to_owned(), "STANDARD_IA".to_owned())];
    });
    assert_eq!(backend.create("packs/x", &[b"ab", b"", b"c"]).expect("it is made"), Created::New);
    assert_eq!(backend.create("config/0", &[]).expect("it is made"), Created::New);
    let asked = store.asked();
    assert_eq!(asked[0].target.split('?').next(), Some("/bucket/some/prefix/packs/x"));
    assert_eq!(asked[0].body, b"abc");
    assert_eq!(asked[0].header("if-none-match"), Some("*"));
    // CRC-32 of "abc", big-endian.
    assert_eq!(asked[0].header("x-amz-checksum-crc32"), Some("NSRBwg=="));
    assert_eq!(asked[0].header("x-amz-storage-class"), Some("STANDARD_IA"));
    assert_eq!(asked[1].header("x-amz-storage-class"), None);
    assert_ne!(id_of(&asked[0]), id_of(&asked[1]));
    let traffic = backend.traffic().expect("requests to S3 are counted");
    assert_eq!((traffic.puts, traffic.bytes_up, traffic.requests(), traffic.retries), (2, 3, 2, 0));
}

#[test]
fn a_lost_answer_to_a_create_that_worked_is_no_failure_and_nothing_is_sent_again() {
    let store = remembering(|n, _, id| if n == 0 { Answer::Lost } else { made_by(id, BODY.len()) });
    assert_eq!(create(&store.backend()), Created::New);
    assert_eq!(store.verbs(), ["PUT", "HEAD"]);
}

#[test]
fn a_create_that_lands_late_and_refuses_its_own_repeat_is_new() {
    let store = remembering(|n, _, id| match n {
        0 => error(500, "InternalError"),
        1 => status(404),
        2 => error(412, "PreconditionFailed"),
        _ => made_by(id, BODY.len()),
    });
    assert_eq!(create(&store.backend()), Created::New);
    assert_eq!(store.verbs(), ["PUT", "HEAD", "PUT", "HEAD"]);
    let asked = store.asked();
    assert_eq!(id_of(&asked[0]), id_of(&asked[2]));
}

#[test]
fn what_another_create_made_is_already_there_even_with_the_same_bytes() {
    let store =
        Scripted::new(
            |n, _| {
                if n == 0 { error(412, "PreconditionFailed") } else { made_by("another", BODY.len()) }
            },
        );
    assert_eq!(create(&store.backend()), Created::AlreadyThere);
    assert_eq!(store.verbs(), ["PUT", "HEAD"]);
}

#[test]
fn a_lost_answer_to_a_create_that_lost_is_already_there() {
    let store = Scripted::new(|n, _| if n == 0 { Answer::Lost } else { made_by("another", BODY.len()) });
    assert_eq!(create(&store.backend()), Created::AlreadyThere);
}

#[test]
fn where_a_store_drops_the_id_the_bytes_decide() {
    for (there, created) in [(BODY, Created::New), (b"the object's butes", Created::AlreadyThere)] {
        let store = Scripted::new(move |n, request| match (n, request.method.as_str()) {
            (0, _) => error(412, "PreconditionFailed"),
            (_, "HEAD") => Answer::Is(200, vec![("content-length", there.len().to_string())], vec![]),
            _ => Answer::Is(200, vec![], there.to_vec()),
        });
        assert_eq!(create(&store.backend()), created);
        assert_eq!(store.verbs(), ["PUT", "HEAD", "GET"]);
    }
}

#[test]
fn a_conflict_is_no_answer_and_the_create_is_tried_again() {
    let store =
        Scripted::new(|n, _| if n < 2 { error(409, "ConditionalRequestConflict") } else { status(200) });
    assert_eq!(create(&store.backend()), Created::New);
    assert_eq!(store.verbs(), ["PUT", "PUT", "PUT"]);
}

#[test]
fn a_name_that_was_taken_and_is_free_again_is_created() {
    let store = Scripted::new(|n, _| match n {
        0 => error(412, "PreconditionFailed"),
        1 => status(404),
        _ => status(200),
    });
    assert_eq!(create(&store.backend()), Created::New);
    assert_eq!(store.verbs(), ["PUT", "HEAD", "PUT"]);
}

#[test]
fn an_object_that_was_stored_with_another_size_is_an_error() {
    let store = remembering(|n, _, id| if n == 0 { Answer::Lost } else { made_by(id, 3) });
    let error = store.backend().create("snapshots/x", &[BODY]).expect_err("it can't be trusted");
    assert_eq!(error.kind, BackendErrorKind::Untrustworthy);
}

#[test]
fn without_reading_it_isnt_known_whose_an_object_is() {
    let store = Scripted::new(|n, _| if n == 0 { Answer::Lost } else { status(403) });
    let error = store.backend().create("snapshots/x", &[BODY]).expect_err("it isn't known");
    assert_eq!(error.kind, BackendErrorKind::Denied);
    assert!(error.to_string().contains("without permission to read the object"), "{error}");
}

#[test]
fn a_store_that_refuses_the_checksum_gets_the_other_one_from_then_on() {
    let store = Scripted::new(|n, _| if n == 0 { error(501, "NotImplemented") } else { status(200) });
    let backend = store.backend();
    assert_eq!(create(&backend), Created::New);
    assert_eq!(create(&backend), Created::New);
    let md5 = |n: usize| store.asked()[n].header("content-md5").map(str::to_owned);
    assert_eq!((store.verbs().len(), md5(0)), (3, None));
    assert!(md5(1).is_some() && md5(1) == md5(2));
}

#[test]
fn a_store_that_ignores_the_checksum_gets_the_other_one_from_then_on() {
    let store = Scripted::new(|_, _| status(200));
    let backend = store.backend();
    create(&backend);
    create(&backend);
    let asked = store.asked();
    assert!(asked[0].header("x-amz-checksum-crc32").is_some() && asked[0].header("content-md5").is_none());
    assert!(asked[1].header("x-amz-checksum-crc32").is_none() && asked[1].header("content-md5").is_some());
}

#[test]
fn a_store_that_is_overloaded_is_asked_again_and_each_request_is_counted() {
    let store = Scripted::new(|n, _| match n {
        0 => error(503, "SlowDown"),
        1 => status(429),
        2 => error(400, "BadDigest"),
        _ => status(200),
    });
    let backend = store.backend();
    assert_eq!(create(&backend), Created::New);
    let traffic = backend.traffic().expect("requests to S3 are counted");
    assert_eq!((traffic.puts, traffic.gets, traffic.retries), (4, 0, 3));
    assert_eq!(traffic.bytes_up, 4 * BODY.len() as u64);
}

#[test]
fn bytes_that_are_always_damaged_on_the_way_are_given_up() {
    let store = Scripted::new(|_, _| error(400, "BadDigest"));
    let error = store.backend().create("packs/x", &[BODY]).expect_err("it can't be stored");
    assert!(error.to_string().contains("changes what is sent"), "{error}");
    assert_eq!(store.verbs().len(), 5);
}

#[test]
fn a_store_that_keeps_failing_is_given_up_after_the_time_for_repeats() {
    let store = Scripted::new(|_, _| error(500, "InternalError"));
    let backend = store.backend_with(|options| options.retry_for = Duration::from_secs(2));
    let begun = Instant::now();
    let error = backend.create("packs/x", &[BODY]).expect_err("it never works");
    assert!((1..8).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    assert!(error.to_string().contains("run the command again"), "{error}");
    assert!(backend.traffic().expect("it counts").retries >= 2);
}

#[test]
fn a_request_that_stalls_is_repeated() {
    let store = remembering(|n, _, id| match n {
        0 => Answer::Never,
        1 => status(404),
        2 => status(200),
        _ => made_by(id, BODY.len()),
    });
    let backend = store.backend_with(|options| options.stall_timeout = Duration::from_millis(300));
    let begun = Instant::now();
    assert_eq!(create(&backend), Created::New);
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(store.verbs(), ["PUT", "HEAD", "PUT"]);
}

const MD5: &str = "\"3d8ee1ba4e1ad2b6b1fd1f4a0e5ab5f9\"";

/// A store whose answers to creates have an ETag that isn't the body's MD5, and that has `there`.
fn odd_store(there: impl Fn(usize) -> Vec<u8> + Send + Sync + 'static) -> Scripted {
    Scripted::new(move |n, request| match request.method.as_str() {
        "PUT" => Answer::Is(200, vec![("etag", MD5.to_owned())], vec![]),
        "GET" => Answer::Is(200, vec![], there(n)),
        _ => status(204),
    })
}

fn with_uncontested_packs(store: &Scripted) -> keepfast_backend::S3Backend {
    store.backend_with(|options| options.uncontested_prefixes = vec!["packs/".to_owned()])
}

#[test]
fn an_etag_that_is_no_md5_costs_one_look_and_is_not_compared_again() {
    let store = odd_store(|_| BODY.to_vec());
    let backend = store.backend();
    assert_eq!(create(&backend), Created::New);
    assert_eq!(backend.create("packs/x", &[b"more"]).expect("it is made"), Created::New);
    assert_eq!(store.verbs(), ["PUT", "GET", "PUT"]);
}

#[test]
fn an_object_that_is_stored_damaged_is_removed_and_created_again_if_its_name_is_uncontested() {
    let store = Scripted::new(|n, request| match (n, request.method.as_str()) {
        (0, "PUT") => Answer::Is(200, vec![("etag", MD5.to_owned())], vec![]),
        (_, "PUT") => Answer::Is(200, vec![("etag", md5_etag(&request.body))], vec![]),
        (_, "GET") => Answer::Is(200, vec![], b"the object's butes".to_vec()),
        _ => status(204),
    });
    let backend = with_uncontested_packs(&store);
    assert_eq!(backend.create("packs/x", &[BODY]).expect("it is made"), Created::New);
    assert_eq!(store.verbs(), ["PUT", "GET", "DELETE", "PUT"]);
    let asked = store.asked();
    // A late copy of the first must not be taken for the second.
    assert_ne!(id_of(&asked[0]), id_of(&asked[3]));
    assert_eq!(backend.traffic().expect("it counts").retries, 1);
}

#[test]
fn an_object_that_is_damaged_every_time_is_an_error_and_is_removed() {
    let store = odd_store(|_| b"the object's butes".to_vec());
    let error = with_uncontested_packs(&store).create("packs/x", &[BODY]).expect_err("it can't be stored");
    assert_eq!(error.kind, BackendErrorKind::Untrustworthy);
    assert!(
        error.to_string().contains("changes what is sent") && error.to_string().contains("https"),
        "{error}"
    );
    assert_eq!(store.verbs(), ["PUT", "GET", "DELETE"].repeat(5));
}

/// Another writer may have been told that the name is taken.
#[test]
fn a_snapshot_that_is_stored_damaged_is_an_error_and_is_left() {
    let store = odd_store(|_| b"the object's butes".to_vec());
    let error = with_uncontested_packs(&store).create("snapshots/x", &[BODY]).expect_err("it is damaged");
    assert_eq!(error.kind, BackendErrorKind::Untrustworthy);
    assert!(error.to_string().contains("remove it with the store's own tools"), "{error}");
    assert_eq!(store.verbs(), ["PUT", "GET"]);
}

#[test]
fn what_a_lost_answer_hides_is_compared_too() {
    let store = remembering(|n, request, id| match (n, request.method.as_str()) {
        (0, _) => Answer::Lost,
        (_, "HEAD") => {
            let length = ("content-length", BODY.len().to_string());
            Answer::Is(
                200,
                vec![("x-amz-meta-keepfast-create", id.to_owned()), ("etag", MD5.to_owned()), length],
                vec![],
            )
        }
        (_, "GET") => Answer::Is(200, vec![], b"the object's butes".to_vec()),
        _ => status(204),
    });
    let backend = with_uncontested_packs(&store);
    assert_eq!(backend.create("packs/x", &[BODY]).expect("it is made"), Created::New);
    assert_eq!(store.verbs(), ["PUT", "HEAD", "GET", "DELETE", "PUT"]);
}

#[test]
fn a_checksum_that_comes_back_is_enough() {
    let store = Scripted::new(|_, request| {
        let crc32 = request.header("x-amz-checksum-crc32").unwrap_or_default().to_owned();
        Answer::Is(200, vec![("x-amz-checksum-crc32", crc32), ("etag", MD5.to_owned())], vec![])
    });
    assert_eq!(create(&store.backend()), Created::New);
    assert_eq!(store.verbs(), ["PUT"]);
}
