//! Uploads in parts: what is sent again, and that nothing is left of those that fail.

use std::sync::{Arc, Mutex};

use keepfast_backend::{Backend, Created, S3Backend};

use crate::scripted::{Answer, Asked, Scripted, error, md5_etag, status};

/// A store that takes uploads in parts. `but` may answer the n-th request of a verb instead.
fn store(but: impl Fn(&str, usize, &str) -> Option<Answer> + Send + Sync + 'static) -> Scripted {
    let state: Arc<Mutex<(Vec<String>, String)>> = Arc::default();
    Scripted::new(move |_, request: &Asked| {
        let verb = request.verb();
        let mut state = state.lock().expect("no thread panicked");
        let number = state.0.iter().filter(|known| **known == verb).count();
        state.0.push(verb.clone());
        if let Some(id) = request.header("x-amz-meta-keepfast-create") {
            state.1 = id.to_owned();
        }
        but(&verb, number, &state.1).unwrap_or_else(|| match verb.as_str() {
            "BEGIN" => begun(number),
            "COMPLETE" => Answer::Is(200, vec![], b"<CompleteMultipartUploadResult/>".to_vec()),
            "PART" => Answer::Is(200, vec![("etag", "\"part\"".to_owned())], vec![]),
            "ABORT" => status(204),
            _ => status(404),
        })
    })
}

fn begun(number: usize) -> Answer {
    let body = format!(
        "<InitiateMultipartUploadResult><UploadId>upload-{number}</UploadId></InitiateMultipartUploadResult>"
    );
    Answer::Is(200, vec![], body.into_bytes())
}

fn made_by(id: &str) -> Answer {
    let headers = vec![("x-amz-meta-keepfast-create", id.to_owned()), ("content-length", "25".to_owned())];
    Answer::Is(200, headers, vec![])
}

fn backend(store: &Scripted) -> S3Backend {
    store.backend_with(|options| {
        options.uncontested_prefixes = vec!["packs/".to_owned()];
        options.multipart_from_bytes = 25;
        options.part_bytes = 10;
    })
}

fn create(backend: &S3Backend) -> Created {
    backend.create("packs/x", &[b"0123456", b"789abcdefghijklmno"]).expect("it answers")
}

#[test]
fn a_large_object_goes_in_parts_and_is_completed_only_if_there_is_none() {
    let store = store(|_, _, _| None);
    let backend = backend(&store);
    assert_eq!(create(&backend), Created::New);
    assert_eq!(store.verbs(), ["BEGIN", "PART", "PART", "PART", "COMPLETE"]);
    let asked = store.asked();
    let bodies: Vec<&[u8]> = asked[1..4].iter().map(|part| part.body.as_slice()).collect();
    assert_eq!(bodies, [b"0123456789".as_slice(), b"abcdefghij", b"klmno"]);
    assert!(asked[1..4].iter().all(|part| part.header("content-md5").is_some()));
    assert_eq!(asked[4].header("if-none-match"), Some("*"));
    assert_eq!(backend.traffic().expect("it counts").bytes_up, 25);
    // Small ones, and those whose names aren't safe from others, go whole.
    backend.create("packs/y", &[&[0; 24]]).expect_err("this store takes nothing else");
}

#[test]
fn only_the_part_that_failed_is_sent_again() {
    let store = store(|verb, n, _| (verb == "PART" && n == 1).then(|| error(500, "InternalError")));
    assert_eq!(create(&backend(&store)), Created::New);
    assert_eq!(store.verbs(), ["BEGIN", "PART", "PART", "PART", "PART", "COMPLETE"]);
}

#[test]
fn a_part_that_arrived_damaged_is_sent_again_where_etags_are_known_to_be_md5s() {
    for known in [false, true] {
        let store = Scripted::new(move |_, request: &Asked| {
            let etag = |body: &[u8]| Answer::Is(200, vec![("etag", md5_etag(body))], vec![]);
            match request.verb().as_str() {
                "BEGIN" => begun(0),
                "COMPLETE" => Answer::Is(200, vec![], b"<CompleteMultipartUploadResult/>".to_vec()),
                "PUT" => etag(&request.body),
                "PART" if request.target.contains("partNumber=2") && first(request) => etag(b"damaged"),
                _ => etag(&request.body),
            }
        });
        let backend = backend(&store);
        if known {
            backend.create("packs/small", &[b"x"]).expect("it is made");
        }
        assert_eq!(create(&backend), Created::New);
        let parts = store.verbs().iter().filter(|verb| *verb == "PART").count();
        assert_eq!(parts, if known { 4 } else { 3 });
    }
}

/// Whether a request comes for the first time.
fn first(request: &Asked) -> bool {
    static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let mut seen = SEEN.lock().expect("no thread panicked");
    // Each store has its own port.
    let name = format!("{:?} {}", request.header("host"), request.target);
    let is_first = !seen.contains(&name);
    seen.push(name);
    is_first
}

#[test]
fn a_lost_answer_to_a_completion_that_worked_is_no_failure() {
    for lost in [|| Answer::Lost, || error(200, "InternalError"), || error(404, "NoSuchUpload")] {
        let store = store(move |verb, _, id| match verb {
            "COMPLETE" => Some(lost()),
            "HEAD" => Some(made_by(id)),
            _ => None,
        });
        assert_eq!(create(&backend(&store)), Created::New);
        assert_eq!(store.verbs(), ["BEGIN", "PART", "PART", "PART", "COMPLETE", "HEAD"]);
    }
}

#[test]
fn an_object_that_was_there_is_left_and_the_upload_aborted() {
    let store = store(|verb, _, _| match verb {
        "COMPLETE" => Some(error(412, "PreconditionFailed")),
        "HEAD" => Some(made_by("another")),
        _ => None,
    });
    assert_eq!(create(&backend(&store)), Created::AlreadyThere);
    assert_eq!(store.verbs().last().map(String::as_str), Some("ABORT"));
}

#[test]
fn after_a_conflict_or_a_loss_a_new_upload_begins() {
    for failure in [(409, "ConditionalRequestConflict"), (404, "NoSuchUpload")] {
        let store =
            store(move |verb, n, _| (verb == "COMPLETE" && n == 0).then(|| error(failure.0, failure.1)));
        assert_eq!(create(&backend(&store)), Created::New);
        let verbs = store.verbs();
        assert_eq!(verbs.iter().filter(|verb| *verb == "BEGIN").count(), 2, "{verbs:?}");
        assert_eq!(verbs.iter().filter(|verb| *verb == "ABORT").count(), 1, "{verbs:?}");
    }
}

#[test]
fn an_upload_that_fails_for_good_is_aborted() {
    let store = store(|verb, n, _| (verb == "PART" && n == 1).then(|| error(403, "AccessDenied")));
    backend(&store).create("packs/x", &[&[0; 25]]).expect_err("it isn't allowed");
    assert_eq!(store.verbs(), ["BEGIN", "PART", "PART", "ABORT"]);
}
