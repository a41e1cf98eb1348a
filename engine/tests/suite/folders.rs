//! Folders that a program writes while the backup runs: what it writes comes back, and if anything fails, there is no
//! snapshot.

use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use keepfast_engine::EngineError;
use keepfast_engine::archive::{
    ArchiveOptions, ArchiveReport, Changes, EntryAttributes, Folder, FolderSink, NewFile, Source, Stream,
};
use keepfast_engine::chunk::cutting::CuttingChoice;
use keepfast_engine::run::RunContext;
use keepfast_format::chunker::PageBytes;
use keepfast_format::node::Timestamp;
use keepfast_testkit::{Ear, Lab, tree};

use super::streams::{Generated, generated_byte};

const PLAIN: EntryAttributes = EntryAttributes { mode: None, mtime: None, uid: None, gid: None };

fn folder(
    name: &str,
    write: impl FnOnce(&dyn FolderSink) -> Result<(), String> + Send + 'static,
) -> Vec<Folder> {
    vec![Folder { name: name.as_bytes().to_vec(), write: Box::new(write) }]
}

fn back_up(
    lab: &Lab,
    run: &RunContext,
    write: impl FnOnce(&dyn FolderSink) -> Result<(), String> + Send + 'static,
) -> Result<ArchiveReport, EngineError> {
    lab.archive(Source::folders(folder("db", write)), run, |_| {})
}

fn put(sink: &dyn FolderSink, path: &str, bytes: &[u8]) -> Result<(), String> {
    let mut rest = bytes;
    let file = NewFile::at(path.as_bytes());
    let size = sink.file(&file, &mut rest).map_err(|error| error.to_string())?;
    assert_eq!(size, bytes.len() as u64, "{path}");
    Ok(())
}

/// Where the folder of the newest snapshot was restored to.
fn restored(lab: &Lab) -> PathBuf {
    let (ear, target) = (Ear::default(), lab.fresh_target());
    lab.try_restore("latest", &ear, |options| options.target.clone_from(&target)).expect("it is restored");
    ear.assert_content();
    target.join("db")
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("it can be listed");
    let name = |entry: io::Result<fs::DirEntry>| {
        entry.expect("an entry").file_name().into_string().expect("a name is text")
    };
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort_unstable();
    names
}

fn assert_no_snapshot(lab: &Lab) {
    assert!(lab.open().snapshots.all.is_empty());
    lab.assert_sound();
}

fn content_of(number: usize) -> Vec<u8> {
    format!("row {number}").into_bytes()
}

#[test]
fn what_a_program_writes_comes_back() {
    let lab = Lab::new();
    let large = tree::noise(1, 5 << 20);
    let written = large.clone();
    let report = back_up(&lab, &Ear::default(), move |sink| {
        let at = |seconds| EntryAttributes { mtime: Timestamp::new(seconds, 7), ..PLAIN };
        let write = || -> io::Result<()> {
            // In no order: what is in a directory may come before it.
            let file = NewFile {
                attributes: EntryAttributes { mode: Some(0o640), ..at(1000) },
                ..NewFile::at(b"a/b/c")
            };
            assert_eq!(sink.file(&file, &mut &b"deep"[..])?, 4);
            sink.directory(b"a/b", EntryAttributes { mode: Some(0o750), ..at(2000) })?;
            sink.directory(b"empty/also empty", PLAIN)?;
            sink.symlink(b"a/link", b"../nowhere", at(3000))?;
            // A slash isn't before these in a directory, but behind the shorter name.
            for name in ["a!", "a.b", "a0", "z"] {
                put(sink, name, name.as_bytes()).map_err(io::Error::other)?;
            }
            put(sink, "nothing", b"").map_err(io::Error::other)?;
            put(sink, "a/large", &written).map_err(io::Error::other)
        };
        write().map_err(|error| error.to_string())
    });
    let report = report.expect("it is stored");
    assert_eq!((report.statistics.files(), report.statistics.dirs), (7, 5));
    assert_eq!(report.statistics.bytes_total, 5 * (1 << 20) + 4 + 2 + 3 + 2 + 1);
    assert_eq!(report.snapshot.expect("a snapshot").body.paths, [b"/db".to_vec()]);
    lab.assert_sound();

    let db = restored(&lab);
    assert_eq!(names_in(&db), ["a", "a!", "a.b", "a0", "empty", "nothing", "z"]);
    assert_eq!(names_in(&db.join("a")), ["b", "large", "link"]);
    assert_eq!(fs::read(db.join("a/b/c")).expect("it is there"), b"deep");
    assert_eq!(fs::read(db.join("a.b")).expect("it is there"), b"a.b");
    assert_eq!(fs::read(db.join("nothing")).expect("it is there"), b"");
    assert!(fs::read(db.join("a/large")).expect("it is there") == large);
    assert_eq!(names_in(&db.join("empty/also empty")), [""; 0]);
    assert_eq!(fs::read_link(db.join("a/link")).expect("a link").as_os_str(), "../nowhere");
    let mode = |path: &str| fs::metadata(db.join(path)).expect("it is there").permissions().mode() & 0o7777;
    let modes = ["a/b/c", "a/b", "a", "z", ""].map(mode);
    assert_eq!(modes, [0o640, 0o750, 0o700, 0o600, 0o700]);
    assert_eq!(["a/b/c", "a/b", "a/link"].map(|path| tree::mtime(db.join(path)).0), [1000, 2000, 3000]);
}

/// Files from many threads, more than fit on one page of a directory.
#[test]
fn many_small_files_from_racing_threads_share_frames() {
    const FILES: usize = 4_000;
    const THREADS: usize = 4;
    let lab = Lab::new();
    // It compresses only together with its like.
    let common = tree::noise(3, 1000);
    let write = {
        let common = common.clone();
        move |sink: &dyn FolderSink| {
            thread::scope(|scope| {
                let threads: Vec<_> = (0..THREADS)
                    .map(|number| {
                        let common = &common;
                        scope.spawn(move || {
                            (number..FILES).step_by(THREADS).try_for_each(|file| {
                                put(
                                    sink,
                                    &format!("of {}/{file}", file % 3),
                                    &[common, &content_of(file)[..]].concat(),
                                )
                            })
                        })
                    })
                    .collect();
                threads.into_iter().try_for_each(|thread| thread.join().expect("it doesn't panic"))
            })
        }
    };
    let report = back_up(&lab, &Ear::default(), write.clone()).expect("it is stored");
    assert_eq!((report.statistics.files_new, report.statistics.dirs), (FILES as u64, 4));
    let stored = report.statistics.bytes_stored;
    assert!(stored < 1_500_000, "{stored} bytes are stored of 4 MB that are the same");
    let db = restored(&lab);
    for file in 0..FILES {
        let bytes = fs::read(db.join(format!("of {}/{file}", file % 3))).expect("it is there");
        assert!(bytes == [&common, &content_of(file)[..]].concat(), "file {file} comes back different");
    }
    lab.assert_sound();

    let before = lab.tree_of(Path::new("/db"));
    let report = back_up(&lab, &Ear::default(), write).expect("it is stored");
    assert_eq!(report.statistics.bytes_new, 0);
    assert_eq!(report.statistics.files_unchanged, FILES as u64);
    assert_eq!(lab.tree_of(Path::new("/db")), before, "the order of the threads is no part of the tree");
}

/// What is the same as in the snapshot before is stored once, and keeps the time that it got there.
#[test]
fn the_next_backup_is_compared_with_the_one_before() {
    let lab = Lab::new();
    let write = |changed: &'static [u8], names: &'static [&'static str]| {
        move |sink: &dyn FolderSink| {
            put(sink, "tables/changed", changed)?;
            names.iter().try_for_each(|name| put(sink, name, &tree::noise(9, 50_000)))
        }
    };
    let skipping = |options: &mut ArchiveOptions| options.skip_if_unchanged = true;
    let back_up = |changed, names| {
        let source = Source::folders(folder("db", write(changed, names)));
        lab.archive(source, &Ear::default(), skipping).expect("the backup works")
    };
    assert!(back_up(b"one", &["tables/same", "gone"]).changes.is_none(), "there was nothing to compare with");
    let report = back_up(b"one", &["tables/same", "gone"]);
    assert!(report.is_unchanged && report.snapshot.is_none(), "{report:?}");
    let first = tree::mtime(restored(&lab).join("tables/same"));

    let report = back_up(b"two", &["tables/same", "new"]);
    let statistics = report.statistics;
    assert_eq!((statistics.files_new, statistics.files_changed, statistics.files_unchanged), (1, 1, 1));
    assert_eq!(statistics.bytes_new, 3);
    let (files_before, files_deleted, files_rewritten, files_moved) = (3, 1, 1, 0);
    let changes = Changes { files_before, files_deleted, files_rewritten, files_moved };
    assert_eq!(report.changes, Some(changes));
    let db = restored(&lab);
    assert_eq!(names_in(&db), ["new", "tables"]);
    assert_eq!(tree::mtime(db.join("tables/same")), first);
    assert!(tree::mtime(db.join("tables/changed")) > first);
    lab.assert_sound();
}

#[test]
fn content_that_a_file_of_the_tree_has_is_stored_once() {
    let bytes = tree::noise(4, 700_000);
    let lab = Lab::with(|root| drop(tree::write(root.join("file"), &bytes)));
    tree::settle(&lab.source());
    let paths = [lab.source()];
    let back_up = || {
        let copy = bytes.clone();
        let folders = folder("db", move |sink| put(sink, "copy", &copy));
        let streams = vec![Stream {
            name: b"stream".to_vec(),
            reader: Box::new(&b"a stream"[..]),
            cutting: Default::default(),
            ended: Box::new(|| Ok(())),
        }];
        let source = Source { paths: &paths, streams, folders };
        lab.archive(source, &Ear::default(), |_| {}).expect("it is stored")
    };
    let report = back_up();
    assert_eq!(report.statistics.bytes_new, bytes.len() as u64 + 8);
    let source = lab.source().as_os_str().as_bytes().to_vec();
    assert_eq!(
        report.snapshot.expect("a snapshot").body.paths,
        [source, b"/db".to_vec(), b"stream".to_vec()]
    );
    let report = back_up();
    assert_eq!((report.statistics.files_unchanged, report.statistics.bytes_new), (2, 0));
    assert_eq!(report.changes.expect("there is a parent").files_deleted, 0);
    assert!(fs::read(restored(&lab).join("copy")).expect("it is there") == bytes);
    lab.assert_sound();
}

/// The pages of a table are said by the program; no header shows them.
#[test]
fn a_page_that_was_rewritten_is_all_that_is_new() {
    const PAGE: usize = 8192;
    let lab = Lab::new();
    let back_up = |bytes: Vec<u8>| {
        let report = back_up(&lab, &Ear::default(), move |sink| {
            let cutting = CuttingChoice::Pages(PageBytes::new(8192).expect("a page has this size"));
            let file = NewFile { cutting, ..NewFile::at(b"table") };
            sink.file(&file, &mut &bytes[..]).map(drop).map_err(|error| error.to_string())
        });
        report.expect("it is stored").statistics.bytes_new
    };
    for length in [20 * PAGE, 500 * PAGE] {
        let mut bytes = tree::noise(6, length);
        back_up(bytes.clone());
        for page in [3, 17] {
            bytes[page * PAGE..][..PAGE].copy_from_slice(&tree::noise(length as u64 + page as u64, PAGE));
        }
        assert_eq!(back_up(bytes), 2 * PAGE as u64);
    }
    lab.assert_sound();
}

/// What a call refuses, even if the program doesn't look at its answer.
#[test]
fn paths_that_no_file_can_have_end_the_backup() {
    type Call = fn(&dyn FolderSink) -> Result<(), String>;
    let directory: Call = |sink| sink.directory(b"file", PLAIN).map_err(|error| error.to_string());
    let link: Call = |sink| sink.symlink(b"link", b"", PLAIN).map_err(|error| error.to_string());
    let long: Call = |sink| put(sink, &"n".repeat(256), b"");
    let deep: Call = |sink| put(sink, &"n/".repeat(2500), b"");
    let refused: [(&str, Call); 12] = [
        ("\"file\" can't be stored: something else has its path", |sink| put(sink, "file", b"again")),
        ("\"dir\" can't be stored: something else has its path", |sink| put(sink, "dir", b"")),
        ("\"file/below\" can't be stored: file is no directory", |sink| put(sink, "file/below", b"")),
        ("\"file\" can't be stored: something else has its path", directory),
        ("\"\" can't be stored: its path isn't made of names", |sink| put(sink, "", b"")),
        ("\"/etc/passwd\" can't be stored", |sink| put(sink, "/etc/passwd", b"")),
        ("\"dir/../../x\" can't be stored", |sink| put(sink, "dir/../../x", b"")),
        ("\"dir//x\" can't be stored", |sink| put(sink, "dir//x", b"")),
        ("\"x/\" can't be stored", |sink| put(sink, "x/", b"")),
        ("a name on its path has more than 255 bytes", long),
        ("its path has more than 4000 bytes", deep),
        ("\"link\" can't be stored: its target can't be that of a link", link),
    ];
    let lab = Lab::new();
    for (expected, call) in refused {
        let failed = back_up(&lab, &Ear::default(), move |sink| {
            put(sink, "file", b"content")?;
            put(sink, "dir/file", b"content")?;
            let error = call(sink).expect_err("it is refused");
            assert!(error.contains(expected), "{error}");
            let error = put(sink, "more", b"").expect_err("the folder has failed");
            assert!(error.contains("failed before") && error.contains(expected), "{error}");
            Ok(())
        });
        let message = failed.expect_err("there is no snapshot").to_string();
        assert!(message.starts_with("db: ") && message.contains(expected), "{message}");
        assert!(message.ends_with("no snapshot was made"), "{message}");
    }
    assert_no_snapshot(&lab);
}

/// Gives some bytes, and then an error.
struct Breaking(u64);

impl Read for Breaking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(1 << 16);
        let gone = || io::Error::new(io::ErrorKind::ConnectionReset, "the server has gone away");
        self.0 = self.0.checked_sub(count as u64).ok_or_else(gone)?;
        buffer[..count].fill(7);
        Ok(count)
    }
}

#[test]
fn an_error_in_the_middle_makes_no_snapshot() {
    let lab = Lab::new();
    let failed = back_up(&lab, &Ear::default(), |sink| {
        put(sink, "first", b"content")?;
        Err("the dump failed with code 7".to_owned())
    });
    assert_eq!(
        failed.expect_err("it fails").to_string(),
        "db: the dump failed with code 7; no snapshot was made"
    );
    // The content's own error comes back as it is, for a small file and for one of many pieces, and counts even if
    // the program goes on.
    for bytes in [1 << 17, 40 << 20] {
        let failed = back_up(&lab, &Ear::default(), move |sink| {
            let file = NewFile::at(b"table/rows");
            let error = sink.file(&file, &mut Breaking(bytes)).expect_err("it breaks off");
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            Ok(())
        });
        assert_eq!(
            failed.expect_err("it fails").to_string(),
            "db: table/rows: the server has gone away; no snapshot was made"
        );
    }
    assert_no_snapshot(&lab);
}

/// Calls fail soon after the run was cancelled, or after something else has failed.
#[test]
fn a_program_hears_of_the_end_of_the_backup() {
    fn write_until_it_fails(sink: &dyn FolderSink) -> Result<(), String> {
        let mut number = 0;
        loop {
            if let Err(error) = put(sink, &format!("{number}"), &tree::noise(number, 100_000)) {
                assert!(sink.has_ended() && error.contains("the backup has ended"), "{error}");
                return Err(error);
            }
            number += 1;
        }
    }
    let lab = Lab::new();
    let failed = back_up(&lab, &Ear::stopping_after(3 << 20), write_until_it_fails);
    assert!(matches!(failed, Err(EngineError::Interrupted)), "{failed:?}");

    let ended = || Err("it failed with code 9".to_owned());
    let streams = vec![Stream {
        name: b"stream".to_vec(),
        reader: Box::new(io::empty()),
        cutting: Default::default(),
        ended: Box::new(ended),
    }];
    let source = Source { streams, folders: folder("db", write_until_it_fails), ..Source::default() };
    let failed = lab.archive(source, &Ear::default(), |_| {}).expect_err("the stream fails");
    assert_eq!(failed.to_string(), "stream: it failed with code 9; no snapshot was made");
    assert_no_snapshot(&lab);
}

/// A panic ends the run; one that the program keeps to itself ends it with an error.
#[test]
fn a_program_that_panics_makes_no_snapshot() {
    let lab = Lab::new();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        back_up(&lab, &Ear::default(), |sink| {
            put(sink, "file", b"content")?;
            resume_unwind(Box::new("it panics"))
        })
    }));
    assert!(panicked.is_err());
    struct Panicking;
    impl Read for Panicking {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            resume_unwind(Box::new("it panics"))
        }
    }
    let failed = back_up(&lab, &Ear::default(), |sink| {
        let file = NewFile::at(b"table/rows");
        let call = || sink.file(&file, &mut Panicking);
        let call = catch_unwind(AssertUnwindSafe(call));
        assert!(call.is_err());
        put(sink, "other", b"content")
    });
    let message = failed.expect_err("it fails").to_string();
    assert_eq!(message, "db: table/rows: its content has no end; no snapshot was made");
    assert_no_snapshot(&lab);
}

/// Programs may wait for each other, and for their own threads.
#[test]
fn folders_and_streams_that_wait_for_each_other_are_written_at_the_same_time() {
    struct Meeting(Arc<Barrier>, bool);
    impl Read for Meeting {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.wait();
            buffer[0] = b'x';
            Ok(usize::from(!std::mem::replace(&mut self.1, true)))
        }
    }
    let lab = Lab::with(|root| drop(tree::write(root.join("file"), "content")));
    let barrier = Arc::new(Barrier::new(5));
    let meeting = || Meeting(Arc::clone(&barrier), false);
    let streams = vec![Stream {
        name: b"stream".to_vec(),
        reader: Box::new(meeting()),
        cutting: Default::default(),
        ended: Box::new(|| Ok(())),
    }];
    let two = |[mut first, mut second]: [Meeting; 2]| {
        move |sink: &dyn FolderSink| {
            let store = |path: &str, content: &mut Meeting| {
                let file = NewFile::at(path.as_bytes());
                sink.file(&file, content).map(drop).map_err(|error| error.to_string())
            };
            thread::scope(|scope| {
                let other = scope.spawn(|| store("first", &mut first));
                store("second", &mut second).and_then(|()| other.join().expect("it doesn't panic"))
            })
        }
    };
    let mut folders = folder("one", two([meeting(), meeting()]));
    folders.extend(folder("two", two([meeting(), meeting()])));
    let (paths, run) = ([lab.source()], Ear::default().run().with_threads(1));
    let report = lab.archive(Source { paths: &paths, streams, folders }, &run, |_| {}).expect("it is stored");
    assert_eq!(report.statistics.files(), 6);
    lab.assert_sound();
}

#[test]
fn a_large_file_is_never_far_ahead_of_what_is_stored() {
    const LENGTH: u64 = 64 << 20;
    let lab = Lab::new();
    let (read, ahead) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let ear = {
        let (read, ahead) = (Arc::clone(&read), Arc::clone(&ahead));
        // Counted bytes are in a frame, so the difference is what is in memory.
        Ear::with_hook(move |counters| {
            let done = counters.progress().bytes;
            ahead.fetch_max(read.load(Ordering::SeqCst).saturating_sub(done), Ordering::SeqCst);
        })
    };
    let report = back_up(&lab, &ear, move |sink| {
        let file = NewFile::at(b"large");
        let size = sink.file(&file, &mut Generated { at: 0, length: LENGTH, read });
        assert_eq!(size.map_err(|error| error.to_string())?, LENGTH);
        Ok(())
    });
    assert_eq!(report.expect("it is stored").statistics.bytes_total, LENGTH);
    let ahead = ahead.load(Ordering::SeqCst);
    assert!(ahead < 24 << 20, "reading was {ahead} bytes ahead");
    let bytes = fs::read(restored(&lab).join("large")).expect("it is there");
    assert_eq!(bytes.len() as u64, LENGTH);
    assert!((0..).zip(&bytes).all(|(at, byte)| *byte == generated_byte(at)), "it comes back different");
}

#[test]
fn a_dry_run_counts_what_a_program_writes_and_stores_nothing() {
    let lab = Lab::new();
    let source = Source::folders(folder("db", |sink| {
        put(sink, "a/small", b"12345")?;
        put(sink, "large", &tree::noise(5, 3_000_000))
    }));
    let ear = Ear::default();
    let report = lab.archive(source, &ear, |options| options.dry_run = true).expect("it counts");
    assert_eq!((report.statistics.files_new, report.statistics.dirs), (2, 2));
    assert_eq!(report.statistics.bytes_total, 3_000_005);
    assert_eq!((ear.counters().progress().files, ear.counters().progress().bytes), (2, 3_000_005));
    assert_no_snapshot(&lab);
    let source = Source::folders(folder("db", |sink| put(sink, "a/../b", b"")));
    let failed = lab.archive(source, &ear, |options| options.dry_run = true).expect_err("it is refused");
    assert!(failed.to_string().contains("\"a/../b\" can't be stored"), "{failed}");
}

#[test]
fn two_things_in_the_root_directory_cant_have_one_name() {
    let lab = Lab::with(|root| drop(tree::write(root.join("file"), "content")));
    let top = lab.source().components().nth(1).expect("a folder").as_os_str().to_owned();
    let top = top.to_str().expect("a name");
    let paths = [lab.source()];
    let is_called = Arc::new(AtomicBool::new(false));
    for (names, expected) in [([top, "b"], "has it"), (["a", "a"], "have it"), (["a/b", "b"], "file name")] {
        let mut folders = Vec::new();
        for name in names {
            let is_called = Arc::clone(&is_called);
            folders.extend(folder(name, move |_| {
                is_called.store(true, Ordering::SeqCst);
                Ok(())
            }));
        }
        let source = Source { paths: &paths, folders, ..Source::default() };
        let message = lab.archive(source, &Ear::default(), |_| {}).expect_err("it is refused").to_string();
        assert!(message.contains(&format!("{:?}", names[0])) && message.contains(expected), "{message}");
    }
    assert!(!is_called.load(Ordering::SeqCst));
    assert_no_snapshot(&lab);
}

/// A folder in which nothing was written is an empty directory, also next to a directory that is stored elsewhere.
#[test]
fn an_empty_folder_is_an_empty_directory() {
    let lab = Lab::with(|root| drop(tree::write(root.join("file"), "content")));
    let paths = [lab.source()];
    for stored_as in [None, Some(PathBuf::from("/srv/elsewhere")), Some(PathBuf::from("/"))] {
        let source = Source { paths: &paths, folders: folder("db", |_| Ok(())), ..Source::default() };
        let change = |options: &mut ArchiveOptions| options.stored_as.clone_from(&stored_as);
        lab.archive(source, &Ear::default(), change).expect("it is stored");
        assert_eq!(names_in(&restored(&lab)), [""; 0]);
    }
    lab.assert_sound();
}
