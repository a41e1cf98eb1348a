//! Streams: read to their end, stored as one file, and only if they ended well.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use keepfast_engine::EngineError;
use keepfast_engine::archive::{ArchiveReport, Source, Stream};
use keepfast_engine::dump::dump;
use keepfast_engine::repo::SnapshotFilter;
use keepfast_testkit::{Ear, Lab, RecordingBackend};

fn stream(
    lab: &Lab,
    reader: impl Read + Send + 'static,
    ended: Result<(), String>,
) -> Result<ArchiveReport, EngineError> {
    let stream =
        Stream { name: b"dump.sql".to_vec(), reader: Box::new(reader), ended: Box::new(move || ended) };
    lab.archive(Source::Stream(stream), &Ear::default(), |_| {})
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
fn a_second_stream_of_the_same_name_and_length_is_never_taken_for_unchanged() {
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

/// Bytes that are made while they are read, so that nobody has them all at once.
struct Generated {
    at: u64,
    length: u64,
    read: Arc<AtomicU64>,
}

fn generated_byte(at: u64) -> u8 {
    (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 41) as u8 ^ (at >> 13) as u8
}

impl Read for Generated {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min((self.length - self.at) as usize).min(100_000);
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
        // Counted bytes are stored in a frame, so what lies between is memory.
        Ear::with_hook(move |counters| {
            let done = counters.progress().bytes;
            ahead.fetch_max(read.load(Ordering::SeqCst).saturating_sub(done), Ordering::SeqCst);
        })
    };
    let reader = Generated { at: 0, length: LENGTH, read };
    let source = Stream { name: b"dump.sql".to_vec(), reader: Box::new(reader), ended: Box::new(|| Ok(())) };
    lab.archive(Source::Stream(source), &monitor, |_| {}).expect("it is stored");
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
            ended: Box::new(|| Ok(())),
        };
        let error = lab.archive(Source::Stream(stream), &Ear::default(), |_| {}).expect_err("it is refused");
        assert!(error.to_string().contains("name"), "{error}");
    }
}
