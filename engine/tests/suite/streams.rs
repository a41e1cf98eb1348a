//! Streams: read to their end, and stored as one file, but only if they ended without an error.

use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};

use keepfast_engine::EngineError;
use keepfast_engine::archive::{ArchiveOptions, ArchiveReport, Source, Stream};
use keepfast_engine::dump::dump;
use keepfast_engine::repo::SnapshotFilter;
use keepfast_testkit::{Ear, Lab, RecordingBackend, tree};

fn stream(
    lab: &Lab,
    reader: impl Read + Send + 'static,
    ended: Result<(), String>,
) -> Result<ArchiveReport, EngineError> {
    let stream = Stream {
        name: b"dump.sql".to_vec(),
        reader: Box::new(reader),
        cutting: Default::default(),
        ended: Box::new(move || ended),
    };
    lab.archive(Source::stream(stream), &Ear::default(), |_| {})
}

fn dumped(lab: &Lab, which: &str) -> Vec<u8> {
    let opened = lab.open();
    let snapshot = &opened.snapshots.find(which, &SnapshotFilter::default()).expect("it is there").snapshot;
    let mut out = Vec::new();
    dump(&opened.repository, &opened.index, snapshot, b"dump.sql", &mut out, &Ear::default())
        .expect("it is dumped");
    out
}

#[test]
fn a_stream_comes_back_byte_by_byte() {
    let lab = Lab::new();
    for bytes in [Vec::new(), b"x".to_vec(), keepfast_testkit::tree::noise(1, 3 << 20)] {
        stream(&lab, io::Cursor::new(bytes.clone()), Ok(())).expect("it is stored");
        assert!(dumped(&lab, "latest") == bytes, "{} bytes come back different", bytes.len());
    }
    lab.assert_sound();
}

#[test]
fn a_second_stream_of_the_same_name_and_length_never_counts_as_unchanged() {
    let lab = Lab::new();
    stream(&lab, &b"monday"[..], Ok(())).expect("it is stored");
    stream(&lab, &b"sunday"[..], Ok(())).expect("it is stored");
    assert_eq!(dumped(&lab, "latest"), b"sunday");
    assert_eq!(dumped(&lab, "latest~1"), b"monday");
}

#[test]
fn a_stream_whose_command_failed_makes_no_snapshot() {
    let lab = Lab::new();
    let error = stream(&lab, &b"half a dump"[..], Err("the command failed with code 1".to_owned()))
        .expect_err("it failed");
    assert!(error.to_string().contains("code 1"), "{error}");
    assert!(lab.open().snapshots.all.is_empty());
    lab.assert_sound();
}

#[test]
fn a_stream_that_breaks_off_makes_no_snapshot() {
    struct Breaking(u64);
    impl Read for Breaking {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0 += buffer.len() as u64;
            if self.0 > 4 << 20 { Err(io::Error::other("the pipe broke")) } else { Ok(buffer.len()) }
        }
    }
    let lab = Lab::new();
    let error = stream(&lab, Breaking(0), Ok(())).expect_err("it broke off");
    assert!(error.to_string().contains("the pipe broke"), "{error}");
    assert!(lab.open().snapshots.all.is_empty());
}

/// Bytes that are made while they are read, so that they are never all in memory.
pub(crate) struct Generated {
    pub(crate) at: u64,
    pub(crate) length: u64,
    pub(crate) read: Arc<AtomicU64>,
}

pub(crate) fn generated_byte(at: u64) -> u8 {
    let [low, ..] = (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 41 ^ at >> 13).to_le_bytes();
    low
}

impl Read for Generated {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer
            .len()
            .min(usize::try_from(self.length - self.at).expect("it fits into memory"))
            .min(100_000);
        for (byte, at) in buffer[..count].iter_mut().zip(self.at..) {
            *byte = generated_byte(at);
        }
        self.at += count as u64;
        self.read.store(self.at, Ordering::SeqCst);
        Ok(count)
    }
}

/// A store that notices how far reading is ahead of storing.
#[test]
fn a_large_stream_is_never_far_ahead_of_what_is_stored() {
    const LENGTH: u64 = 64 << 20;
    let mut lab = Lab::new();
    let recording = RecordingBackend::new(Arc::clone(&lab.backend));
    lab.backend = recording.clone();
    let read = Arc::new(AtomicU64::new(0));
    let ahead = Arc::new(AtomicU64::new(0));
    let monitor = {
        let (read, ahead) = (Arc::clone(&read), Arc::clone(&ahead));
        // Counted bytes are in a frame, so the difference is what is in memory.
        Ear::with_hook(move |counters| {
            let done = counters.progress().bytes;
            ahead.fetch_max(read.load(Ordering::SeqCst).saturating_sub(done), Ordering::SeqCst);
        })
    };
    let reader = Generated { at: 0, length: LENGTH, read };
    let source = Stream {
        name: b"dump.sql".to_vec(),
        reader: Box::new(reader),
        cutting: Default::default(),
        ended: Box::new(|| Ok(())),
    };
    lab.archive(Source::stream(source), &monitor, |_| {}).expect("it is stored");
    let ahead = ahead.load(Ordering::SeqCst);
    assert!(ahead < 24 << 20, "reading was {ahead} bytes ahead");
    let bytes = dumped(&lab, "latest");
    assert_eq!(bytes.len() as u64, LENGTH);
    assert!((0..).zip(&bytes).all(|(at, byte)| *byte == generated_byte(at)), "it comes back different");
}

#[test]
fn a_stream_s_name_must_be_a_file_name() {
    let lab = Lab::new();
    for name in ["", ".", "..", "a/b", "a\0b"] {
        let stream = Stream {
            name: name.as_bytes().to_vec(),
            reader: Box::new(io::empty()),
            cutting: Default::default(),
            ended: Box::new(|| Ok(())),
        };
        let error = lab.archive(Source::stream(stream), &Ear::default(), |_| {}).expect_err("it is refused");
        assert!(error.to_string().contains("name"), "{error}");
    }
}

fn several(streams: &[(&str, &[u8])]) -> Vec<Stream> {
    let stream = |(name, bytes): &(&str, &[u8])| Stream {
        name: name.as_bytes().to_vec(),
        reader: Box::new(io::Cursor::new(bytes.to_vec())),
        cutting: Default::default(),
        ended: Box::new(|| Ok(())),
    };
    streams.iter().map(stream).collect()
}

fn dumped_as(lab: &Lab, path: &[u8]) -> Vec<u8> {
    let (opened, mut out) = (lab.open(), Vec::new());
    let latest = &opened.snapshots.find("latest", &SnapshotFilter::default()).expect("it is there").snapshot;
    dump(&opened.repository, &opened.index, latest, path, &mut out, &Ear::default()).expect("it is dumped");
    out
}

/// Files and several streams are one snapshot, and the next backup is compared with it; also if the files are
/// stored under another path.
#[test]
fn files_and_streams_are_one_snapshot() {
    let lab = Lab::with(|root| drop(tree::write(root.join("folder/file"), tree::noise(1, 100_000))));
    tree::settle(&lab.source());
    let (large, paths) = (tree::noise(2, 3 << 20), [lab.source()]);
    let names = ["0 before all", "~ behind all", "db.sql"];
    let mut unchanged = Vec::new();
    for stored_as in [None, None, Some(PathBuf::from("/srv/elsewhere")), Some(PathBuf::from("/"))] {
        let streams = several(&[(names[0], b""), (names[1], b"roles"), (names[2], &large)]);
        let source = Source { paths: &paths, streams, ..Source::default() };
        let change = |options: &mut ArchiveOptions| options.stored_as.clone_from(&stored_as);
        let report = lab.archive(source, &Ear::default(), change).expect("it is stored");
        unchanged.push(report.statistics.files_unchanged);
        let snapshot = report.snapshot.expect("a snapshot");
        let at = stored_as.unwrap_or_else(|| lab.source());
        let mut expected = vec![at.as_os_str().as_bytes().to_vec()];
        expected.extend(names.map(|name| name.as_bytes().to_vec()));
        assert_eq!(snapshot.body.paths, expected);
        assert_eq!(dumped_as(&lab, b"db.sql"), large);
        assert_eq!(dumped_as(&lab, names[1].as_bytes()), b"roles");
        let file = at.join("folder/file");
        assert_eq!(dumped_as(&lab, file.as_os_str().as_bytes()), tree::noise(1, 100_000));
    }
    assert_eq!(unchanged, [0, 1, 0, 0], "the second has a parent: its file isn't read again");
    lab.assert_sound();
}

/// Programs that write streams may wait for each other: all streams are read at the same time, and files too,
/// even if the run has fewer threads.
#[test]
fn streams_that_wait_for_each_other_are_read_at_the_same_time() {
    struct Meeting(Arc<Barrier>, bool);
    impl Read for Meeting {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.wait();
            buffer[0] = b'x';
            Ok(usize::from(!std::mem::replace(&mut self.1, true)))
        }
    }
    let lab = Lab::with(|root| {
        for number in 0..50 {
            tree::write(root.join(format!("folder {number}/file")), tree::noise(number, 100));
        }
    });
    let barrier = Arc::new(Barrier::new(4));
    let stream = |number: u8| Stream {
        name: vec![b'a' + number],
        reader: Box::new(Meeting(Arc::clone(&barrier), false)),
        cutting: Default::default(),
        ended: Box::new(|| Ok(())),
    };
    let (paths, streams) = ([lab.source()], (0..4).map(stream).collect());
    let run = Ear::default().run().with_threads(1);
    let report = lab
        .archive(Source { paths: &paths, streams, ..Source::default() }, &run, |_| {})
        .expect("it is stored");
    assert_eq!(report.statistics.files(), 54);
    lab.assert_sound();
}

/// The first stream that fails ends the backup, even if another stream would never end.
#[test]
fn a_stream_that_fails_ends_the_backup_of_all() {
    struct Endless;
    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            std::thread::yield_now();
            // Each time that it yields can cost a turn of all that work on a busy machine, and a piece has millions of bytes.
            Ok(buffer.len().min(1 << 16))
        }
    }
    let lab = Lab::with(|root| drop(tree::write(root.join("file"), "content")));
    let mut streams = several(&[("failing", b"half of it")]);
    streams[0].ended = Box::new(|| Err("it failed with code 7".to_owned()));
    let ended = Box::new(|| Ok(()));
    streams.push(Stream {
        name: b"endless".to_vec(),
        reader: Box::new(Endless),
        cutting: Default::default(),
        ended,
    });
    let paths = [lab.source()];
    let failed = lab.archive(Source { paths: &paths, streams, ..Source::default() }, &Ear::default(), |_| {});
    assert_eq!(
        failed.expect_err("it fails").to_string(),
        "failing: it failed with code 7; no snapshot was made"
    );
    assert!(lab.open().snapshots.all.is_empty());
    lab.assert_sound();
}

#[test]
fn two_things_in_the_root_directory_cant_have_one_name() {
    let lab = Lab::with(|root| drop(tree::write(root.join("file"), "content")));
    let top =
        lab.source().components().nth(1).expect("a folder").as_os_str().to_str().expect("a name").to_owned();
    let paths = [lab.source()];
    for names in [[top.as_str(), "b"], ["a", "a"]] {
        let streams = several(&names.map(|name| (name, &b"x"[..])));
        let refused =
            lab.archive(Source { paths: &paths, streams, ..Source::default() }, &Ear::default(), |_| {});
        let message = refused.expect_err("it is refused").to_string();
        assert!(
            message.contains(&format!("{:?}", names[0]))
                && message.contains("have it") | message.contains("has it"),
            "{message}"
        );
    }
    assert!(lab.open().snapshots.all.is_empty());
}
