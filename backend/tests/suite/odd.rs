//! Things in a store that aren't objects, and listings and answers that never end.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use keepfast_backend::{
    Backend, BackendErrorKind, Cancel, Found, LocalBackend, LocalStore, MemoryBackend, NotAnObject, Odd,
    Operation, RunLink, S3Backend, Store,
};

use crate::scripted::{Answer, Scripted};

fn surveyed(store: &dyn Backend) -> (Vec<String>, Vec<(String, NotAnObject)>) {
    let (mut objects, mut odd) = (Vec::new(), Vec::new());
    let mut take = |found| match found {
        Found::Object(listed) => objects.push(listed.name),
        Found::Odd(Odd { name, what }) => odd.push((name, what)),
    };
    store.survey(&mut take).expect("it can be surveyed");
    objects.sort_unstable();
    odd.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    (objects, odd)
}

fn listed(store: &dyn Backend, prefix: &str) -> Vec<String> {
    let mut names = Vec::new();
    store.list(prefix, &mut |listed| names.push(listed.name)).expect("it can be listed");
    names.sort_unstable();
    names
}

fn fifo(path: &Path) {
    use rustix::fs::{CWD, FileType, mknodat};
    mknodat(CWD, path, FileType::Fifo, 0o600.into(), 0).expect("a named pipe can be made");
}

/// A directory with a few objects, and one of each kind of thing that isn't an object.
fn odd_folder() -> (tempfile::TempDir, LocalBackend) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let store = LocalBackend::new(folder.path());
    for name in ["packs/ab/x", "index/x"] {
        store.create(name, &[b"x"]).expect("it is made");
    }
    fifo(&folder.path().join("index/fifo"));
    symlink("x", folder.path().join("index/link")).expect("a link can be made");
    fs::create_dir(folder.path().join("index/directory")).expect("a directory can be made");
    let _listener = UnixListener::bind(folder.path().join("index/socket")).expect("a socket can be made");
    (folder, store)
}

/// No read waits, and the error says what is there instead of an object, not that it is missing.
#[test]
fn reading_what_isnt_an_object_says_what_it_is_at_once() {
    let (_folder, store) = odd_folder();
    for (name, what) in [
        ("index/fifo", NotAnObject::Fifo),
        ("index/link", NotAnObject::SymbolicLink),
        ("index/directory", NotAnObject::Directory),
        ("index/socket", NotAnObject::Socket),
    ] {
        let begun = Instant::now();
        for error in [store.read(name, 10).expect_err(name), store.read_range(name, 0, 1).expect_err(name)] {
            assert_eq!(error.not_an_object(), Some(what), "{error}");
            assert!(error.is_unusable() && !error.is_not_found(), "{error}");
            assert!(error.to_string().contains(name) && error.to_string().contains(what.why()), "{error}");
        }
        assert!(begun.elapsed() < Duration::from_secs(1), "{name}");
    }
    assert_eq!(store.read("index/x", 10).expect("others are read as ever"), b"x");
}

#[test]
fn a_survey_tells_objects_from_what_isnt_one() {
    let (_folder, store) = odd_folder();
    let (objects, odd) = surveyed(&store);
    assert_eq!(objects, ["index/x", "packs/ab/x"]);
    let expected = [
        ("index", NotAnObject::Directory),
        ("index/directory", NotAnObject::Directory),
        ("index/fifo", NotAnObject::Fifo),
        ("index/link", NotAnObject::SymbolicLink),
        ("index/socket", NotAnObject::Socket),
        ("packs", NotAnObject::Directory),
        ("packs/ab", NotAnObject::Directory),
    ];
    assert_eq!(odd, expected.map(|(name, what)| (name.to_owned(), what)));
    // Something that has taken a name is listed, so that no writer assumes that the name is free.
    assert_eq!(listed(&store, "index/"), ["index/fifo", "index/link", "index/socket", "index/x"]);
    assert_eq!(listed(&store, "").len(), 5);
}

/// Links may lead out of the repository, or in circles: only links to the repository itself are followed.
#[test]
fn links_inside_of_a_repository_arent_followed() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let real = folder.path().join("real");
    LocalBackend::new(&real).create("states/s/0", &[b"x"]).expect("it is made");
    symlink(&real, folder.path().join("repository")).expect("a link can be made");
    let store = LocalBackend::new(folder.path().join("repository"));
    symlink("/", real.join("states/loop")).expect("a link can be made");
    symlink(folder.path(), real.join("epochs")).expect("a link can be made");
    assert_eq!(listed(&store, "states/"), ["states/loop", "states/s/0"]);
    let error = store.list("epochs/", &mut |_| {}).expect_err("it isn't followed");
    assert_eq!((error.operation, error.not_an_object()), (Operation::List, Some(NotAnObject::SymbolicLink)));
    let (objects, odd) = surveyed(&store);
    assert_eq!(objects, ["states/s/0"]);
    let links: Vec<&str> = odd
        .iter()
        .filter(|(_, what)| *what == NotAnObject::SymbolicLink)
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(links, ["epochs", "states/loop"]);
}

/// However deep directories are, a listing ends; so does that of a cancelled run.
#[test]
fn listings_of_a_directory_are_bounded() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let deep = folder.path().join("states").join("d/".repeat(200));
    fs::create_dir_all(&deep).expect("it can be made");
    fs::write(deep.join("x"), "x").expect("it can be written");
    fs::create_dir_all(folder.path().join("lost+found")).expect("it can be made");
    let cancel = Cancel::new();
    let link = RunLink { cancel: cancel.clone(), ..RunLink::default() };
    let store = LocalStore::new(folder.path(), Instant::now).for_run(link);
    assert_eq!(listed(&*store, "states/"), [""; 0]);
    let (objects, odd) = surveyed(&*store);
    assert!(objects.is_empty() && odd.len() < 20, "{odd:?}");
    assert_eq!(odd.iter().filter(|(_, what)| *what == NotAnObject::TooDeep).count(), 1, "{odd:?}");
    cancel.cancel();
    assert!(store.list("states/", &mut |_| {}).expect_err("it is cancelled").is_interrupted());
}

#[test]
fn a_file_in_the_place_of_a_folder_is_an_empty_folder() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let store = LocalBackend::new(folder.path());
    store.create("epochs", &[b"x"]).expect("it is made");
    assert_eq!(listed(&store, "epochs/"), [""; 0]);
    assert!(store.read("epochs/1/done", 10).expect_err("it isn't there").is_not_found());
    assert_eq!(surveyed(&store).0, ["epochs"]);
}

#[test]
fn the_empty_prefix_is_everything() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let stores: [&dyn Backend; 2] = [&MemoryBackend::default(), &LocalBackend::new(folder.path())];
    for store in stores {
        for name in ["top", "packs/ab/x", "index/x"] {
            store.create(name, &[b"x"]).expect("it is made");
        }
        assert_eq!(listed(store, ""), ["index/x", "packs/ab/x", "top"]);
        assert_eq!(surveyed(store).0, ["index/x", "packs/ab/x", "top"]);
    }
}

// S3.

fn page(names: &[String], next: Option<&str>) -> Answer {
    let objects: String =
        names.iter().map(|name| format!("<Contents><Key>{name}</Key><Size>7</Size></Contents>")).collect();
    let (truncated, next) = match next {
        Some(next) => (true, format!("<NextContinuationToken>{next}</NextContinuationToken>")),
        None => (false, String::new()),
    };
    let body = format!(
        "<?xml version=\"1.0\"?><ListBucketResult><KeyCount>{}</KeyCount><IsTruncated>{truncated}</IsTruncated>{next}{objects}</ListBucketResult>",
        names.len()
    );
    Answer::Is(200, vec![("content-type", "application/xml".to_owned())], body.into_bytes())
}

fn token_of(target: &str) -> Option<u64> {
    let (_, rest) = target.split_once("continuation-token=")?;
    rest.split('&').next()?.parse().ok()
}

/// Pages with ever new names and tokens: only cancelling the run ends that, and it ends it at once.
#[test]
fn an_endless_listing_ends_when_the_run_is_cancelled() {
    let store = Scripted::new(|n, _| page(&[format!("states/{n}")], Some(&n.to_string())));
    let cancel = Cancel::new();
    let link = RunLink { cancel: cancel.clone(), ..RunLink::default() };
    let backend = store.store_with(|_| {}).for_run(link);
    let begun = Instant::now();
    let mut count = 0;
    let listed = backend.list("states/", &mut |_| {
        count += 1;
        if count >= 50 {
            cancel.cancel();
        }
    });
    assert!(listed.expect_err("it is cancelled").is_interrupted());
    assert!(begun.elapsed() < Duration::from_secs(5) && count < 60, "{count} names");
}

/// Pages that lead in a circle aren't a listing.
#[test]
fn a_listing_that_goes_round_in_a_circle_is_refused() {
    let store = Scripted::new(|_, asked| {
        let next = (token_of(&asked.target).unwrap_or(0) + 1) % 3;
        page(&[format!("states/{next}")], Some(&next.to_string()))
    });
    let error = store.backend().list("states/", &mut |_| {}).expect_err("it never ends");
    assert_eq!(error.kind, BackendErrorKind::Untrustworthy, "{error}");
    assert!(store.verbs().len() < 40, "{} pages", store.verbs().len());
}

#[test]
fn names_that_cant_be_objects_are_left_out_of_listings_and_surveyed() {
    let long = format!("states/{}", "n".repeat(2000));
    let names = ["states/x".to_owned(), "states/".to_owned(), long];
    let store = Scripted::new(move |_, _| page(&names, None));
    let backend = store.backend();
    assert_eq!(listed(&backend, "states/"), ["states/x"]);
    let (objects, odd) = surveyed(&backend);
    assert_eq!(objects, ["states/x"]);
    assert_eq!(odd[0], ("states/".to_owned(), NotAnObject::FolderMarker));
    assert!(odd[1].1 == NotAnObject::StrangeName && odd[1].0.len() <= 100, "{odd:?}");
}

/// Answers that the SDK reads into memory as a whole are cut, whatever the store sends after that.
#[test]
fn answers_that_never_end_are_cut() {
    let sent = Arc::new(AtomicU64::new(0));
    let asks: [(u16, fn(&S3Backend) -> bool); 4] = [
        (403, |backend| backend.read("packs/x", 100).is_err()),
        (403, |backend| backend.create("packs/x", &[b"x"]).is_err()),
        (403, |backend| backend.list("packs/", &mut |_| {}).is_err()),
        (200, |backend| backend.list("packs/", &mut |_| {}).is_err()),
    ];
    for (status, ask) in asks {
        let counted = Arc::clone(&sent);
        let store = Scripted::new(move |_, _| Answer::Endless(status, Arc::clone(&counted)));
        let backend = store.backend_with(|options| options.retry_for = Duration::from_secs(1));
        let begun = Instant::now();
        sent.store(0, Ordering::Relaxed);
        assert!(ask(&backend), "{status}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
        let each = sent.load(Ordering::Relaxed) / store.verbs().len() as u64;
        assert!(each < 64 << 20, "{status}: {each} bytes of each answer were taken");
    }
}
