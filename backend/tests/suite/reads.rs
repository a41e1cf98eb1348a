//! Reads and listings in S3 of answers that break off, grow too large, or go on over pages;
//! and what errors say.

use std::time::{Duration, Instant};

use keepfast_backend::{
    Backend, BackendErrorKind as Kind, RateLimits, RunLink, S3Backend, S3Options, S3Store, Unusable,
};

use crate::scripted::{Answer, Scripted, error, status};

#[test]
fn an_answer_that_breaks_off_is_asked_for_again() {
    let store = Scripted::new(|n, _| match n {
        0 => Answer::Short(10, b"01234".to_vec()),
        1 => Answer::Lost,
        2 => error(503, "ServiceUnavailable"),
        _ => Answer::Is(200, vec![], b"0123456789".to_vec()),
    });
    let backend = store.backend();
    assert_eq!(backend.read("packs/x", 10).expect("it is there"), b"0123456789");
    let traffic = backend.traffic().expect("it counts");
    assert_eq!((traffic.gets, traffic.retries, traffic.bytes_down), (4, 3, 15));
}

#[test]
fn an_object_over_the_limit_is_refused_before_its_bytes_come() {
    let store = Scripted::new(|_, _| Answer::Short(1 << 40, vec![0; 1000]));
    let backend = store.backend();
    let error = backend.read("packs/x", 999).expect_err("it is too large");
    assert_eq!(error.kind, Kind::Unusable(Unusable::TooLarge));
    assert_eq!(backend.traffic().expect("it counts").bytes_down, 0);
}

#[test]
fn bytes_that_dont_fit_the_stores_own_checksum_are_asked_for_again() {
    let store = Scripted::new(|n, _| {
        let body = if n == 0 { b"abd".to_vec() } else { b"abc".to_vec() };
        Answer::Is(200, vec![("x-amz-checksum-crc32", "NSRBwg==".to_owned())], body)
    });
    assert_eq!(store.backend().read("packs/x", 10).expect("it is there"), b"abc");
    assert_eq!(store.verbs(), ["GET", "GET"]);
}

#[test]
fn a_store_that_sends_everything_or_another_range_doesnt_mislead() {
    let store = Scripted::new(|_, _| Answer::Is(200, vec![], b"0123456789".to_vec()));
    assert_eq!(store.backend().read_range("packs/x", 3, 4).expect("it is there"), b"3456");
    let store = Scripted::new(|n, _| {
        let from = if n == 0 { 2 } else { 3 };
        let body = b"0123456789"[from..from + 4].to_vec();
        Answer::Is(206, vec![("content-range", format!("bytes {from}-{}/10", from + 3))], body)
    });
    assert_eq!(store.backend().read_range("packs/x", 3, 4).expect("it is there"), b"3456");
    assert_eq!(store.asked()[0].header("range"), Some("bytes=3-6"));
    assert_eq!(store.verbs().len(), 2);
}

fn page(names: &[&str], next: Option<&str>) -> Answer {
    let objects: String =
        names.iter().map(|name| format!("<Contents><Key>{name}</Key><Size>7</Size></Contents>")).collect();
    let next = next.map_or("<IsTruncated>false</IsTruncated>".to_owned(), |token| {
        format!("<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>")
    });
    Answer::Is(200, vec![], format!("<ListBucketResult>{objects}{next}</ListBucketResult>").into_bytes())
}

fn listed(backend: &S3Backend) -> Vec<String> {
    let mut found = Vec::new();
    backend
        .list("packs/", &mut |object| found.push(format!("{} {}", object.name, object.bytes)))
        .expect("it lists");
    found
}

#[test]
fn pages_are_followed_by_their_tokens_alone() {
    // The second page fails once and is asked for again, not skipped.
    let store = Scripted::new(|n, request| match n {
        0 => page(&["p/packs/b", "p/packs/a"], Some("t1")),
        1 => status(500),
        _ if request.target.contains("continuation-token=t1") => page(&["p/packs/0/"], Some("t2")),
        _ => page(&["p/packs/c", "elsewhere"], None),
    });
    let backend = store.backend_with(|options| options.prefix = "p".to_owned());
    assert_eq!(listed(&backend), ["packs/b 7", "packs/a 7", "packs/c 7"]);
    let asked = store.asked();
    assert!(asked.iter().all(|request| !request.target.contains("start-after")));
    assert!(asked.iter().all(|request| request.target.contains("prefix=p%2Fpacks%2F")), "{asked:?}");
    assert!(asked[3].target.contains("continuation-token=t2"));
    assert_eq!(backend.traffic().expect("it counts").lists, 4);
}

#[test]
fn a_page_that_is_cut_or_garbled_is_asked_for_again() {
    let store = Scripted::new(|n, _| match n {
        0 => Answer::Short(500, b"<ListBucketResult><Contents>".to_vec()),
        1 => Answer::Is(200, vec![], b"<ListBucketResult><Contents><Key>packs/".to_vec()),
        2 => {
            let head = "<ListBucketResult><IsTruncated>false</IsTruncated><KeyCount>2</KeyCount>";
            let cut = format!("{head}<Contents><Key>packs/a</Key></Contents><Contents>");
            Answer::Is(200, vec![], cut.into_bytes())
        }
        _ => page(&["packs/a"], None),
    });
    assert_eq!(listed(&store.backend()), ["packs/a 7"]);
    assert_eq!(store.verbs().len(), 4);
}

#[test]
fn a_listing_that_goes_in_circles_is_an_error() {
    for token in [Some("again"), Some("")] {
        let store = Scripted::new(move |_, _| page(&["packs/a"], token));
        let error = store.backend().list("packs/", &mut |_| {}).expect_err("it never ends");
        assert_eq!(error.kind, Kind::Untrustworthy, "{error}");
    }
}

#[test]
fn errors_say_what_to_do() {
    for (answer, kind, words) in [
        ((403, "InvalidAccessKeyId"), Kind::Denied, "AWS_ACCESS_KEY_ID"),
        ((403, "SignatureDoesNotMatch"), Kind::Denied, "AWS_SECRET_ACCESS_KEY"),
        ((403, "RequestTimeTooSkewed"), Kind::Misconfigured, "set this machine's clock"),
        ((403, "AccessDenied"), Kind::Denied, "allow reading, writing, listing"),
        ((400, "ExpiredToken"), Kind::Denied, "have expired"),
        ((404, "NoSuchBucket"), Kind::Misconfigured, "there is no such bucket"),
        ((301, "PermanentRedirect"), Kind::Region, "another region"),
        ((507, ""), Kind::Full, "make room"),
    ] {
        let store = Scripted::new(move |_, _| error(answer.0, answer.1));
        let backend = store.backend();
        let errors = [
            backend.create("packs/x", &[b"x"]).map(|_| ()).expect_err("it fails"),
            backend.read("packs/x", 1).map(|_| ()).expect_err("it fails"),
            backend.list("packs/", &mut |_| {}).expect_err("it fails"),
        ];
        for error in errors {
            assert_eq!(error.kind, kind, "{error}");
            let text = error.to_string();
            assert!(text.contains("s3://bucket/packs/") && text.contains(words), "{text}");
        }
        // None of them is worth a second try.
        assert_eq!(store.verbs(), ["PUT", "GET", "LIST"]);
    }
}

#[test]
fn an_address_where_no_store_is_fails_soon_and_says_so() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        listener.local_addr().expect("it has an address").port()
    };
    let options = S3Options {
        endpoint: Some(format!("http://127.0.0.1:{port}")),
        retry_first_for: Duration::from_secs(1),
        ..Scripted::new(|_, _| status(200)).options()
    };
    let begun = Instant::now();
    let backend = S3Store::connect(options).expect("nothing is asked yet").for_run(RunLink::default());
    let error = backend.read("config/0", 1).expect_err("no store is there");
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(!error.is_not_found() && error.to_string().contains("check the endpoint"), "{error}");
}

#[test]
fn certificates_that_arent_any_are_refused() {
    for pem in ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let options = S3Options { ca_pem: Some(pem.into()), ..Scripted::new(|_, _| status(200)).options() };
        let error = S3Store::connect(options).err().expect("it is refused");
        assert!(error.to_string().contains("authorities to trust"), "{error}");
    }
}

#[test]
fn a_limit_is_kept_in_both_directions() {
    let store = Scripted::new(|_, request| match request.method.as_str() {
        "GET" => Answer::Is(200, vec![], vec![7; 1 << 20]),
        _ => status(200),
    });
    let limits = RateLimits { upload_bytes_per_s: Some(1 << 20), download_bytes_per_s: Some(1 << 20) };
    let backend = store.store_with(|_| {}).for_run(RunLink { limits: limits.into(), ..RunLink::default() });
    let timed = |work: &dyn Fn()| {
        let begun = Instant::now();
        work();
        begun.elapsed().as_secs_f64()
    };
    let up = timed(&|| {
        backend.create("packs/x", &[&vec![0; 1 << 20]]).expect("it is made");
    });
    let down = timed(&|| {
        backend.read("packs/x", 1 << 20).expect("it is there");
    });
    // The last piece is sent as soon as those before it are through.
    assert!((0.5..3.0).contains(&up) && (0.5..3.0).contains(&down), "{up} s up, {down} s down");
}
