//! The parts through which every byte of a backup or restore passes, each on one thread; and a walk and a
//! restore of small files.

use std::sync::Arc;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use keepfast_backend::MemoryBackend;
use keepfast_benches::{random, run, text};
use keepfast_engine::repo::{
    Index, InitOptions, Repository, Session, SessionOptions, Snapshots, WriterOptions, open_index,
    write_packs,
};
use keepfast_format::chunker::{Chunker, ChunkerParams};
use keepfast_format::compress::Compressor;
use keepfast_format::content::{ChunkRef, Content};
use keepfast_format::frame::{FrameReader, OpenFrame};
use keepfast_format::ids::{ChunkId, DomainId, RepositoryId};
use keepfast_format::keys::{ChunkKind, DomainSecrets};
use keepfast_format::node::{Extents, Node, NodeKind, Timestamp};
use keepfast_format::numbers::u64_of;
use keepfast_format::pack::PackCipher;
use keepfast_format::slot::PasswordCost;
use keepfast_format::tree::Tree;
use keepfast_testkit::{Lab, tree};
use zeroize::Zeroizing;

const MIB: usize = 1 << 20;
/// Length of a typical chunk: the default average.
const CHUNK_BYTES: usize = 16 << 10;
/// Entries of a page, on average.
const PAGE_ENTRIES: u16 = 512;

fn main() {
    divan::main();
}

/// Data for compression.
#[derive(Debug, Clone, Copy)]
enum Data {
    Text,
    Random,
}

const BOTH: [Data; 2] = [Data::Text, Data::Random];

fn data(kind: Data, length: usize) -> Vec<u8> {
    match kind {
        Data::Text => text("benchmark", length),
        Data::Random => random("benchmark", length),
    }
}

fn secret<const N: usize>(label: &str) -> Zeroizing<[u8; N]> {
    let mut bytes = Zeroizing::new([0; N]);
    bytes.copy_from_slice(&random(label, N));
    bytes
}

fn secrets() -> DomainSecrets {
    DomainSecrets::new(DomainId::new(*secret("domain")), &secret("domain secrets"))
}

fn cipher() -> PackCipher {
    PackCipher::create(RepositoryId::new(*secret("repository")), &secrets(), ChunkKind::Data, &secret("pack"))
        .expect("a good key")
}

fn open_frame(plain: &[u8]) -> OpenFrame {
    let mut frame = OpenFrame::default();
    plain.chunks(CHUNK_BYTES).for_each(|chunk| frame.push(chunk));
    frame
}

#[divan::bench]
fn cut_chunks(bencher: Bencher<'_, '_>) {
    let bytes = random("chunks", 16 * MIB);
    let chunker = Chunker::new(ChunkerParams::DEFAULT, &secrets()).expect("valid sizes");
    bencher.counter(BytesCount::new(bytes.len())).bench_local(|| {
        let (mut rest, mut chunks) = (bytes.as_slice(), 0);
        while !rest.is_empty() {
            rest = &rest[chunker.cut(rest)..];
            chunks += 1;
        }
        chunks
    });
}

#[divan::bench(args = [4 << 10, 16 << 10, 64 << 10])]
fn hash_ids(bencher: Bencher<'_, '_>, chunk_bytes: usize) {
    let bytes = random("ids", MIB);
    let ids = secrets().chunk_ids();
    bencher.counter(BytesCount::new(bytes.len())).bench_local(|| {
        for chunk in bytes.chunks(chunk_bytes) {
            black_box(ids.id(ChunkKind::Data, chunk));
        }
    });
}

#[divan::bench(args = BOTH)]
fn close_and_seal_frame(bencher: Bencher<'_, '_>, kind: Data) {
    let (bytes, cipher) = (data(kind, MIB), cipher());
    let mut compressor = Compressor::new(3);
    bencher
        .counter(BytesCount::new(bytes.len()))
        .with_inputs(|| open_frame(&bytes))
        .bench_local_values(|mut frame| frame.close(&mut compressor, Vec::new()).seal(&cipher, 0));
}

#[divan::bench(args = BOTH)]
fn open_sealed_frame(bencher: Bencher<'_, '_>, kind: Data) {
    let (bytes, cipher) = (data(kind, MIB), cipher());
    let sealed = open_frame(&bytes).close(&mut Compressor::new(3), Vec::new()).seal(&cipher, 0);
    let mut reader = FrameReader::default();
    bencher.counter(BytesCount::new(bytes.len())).bench_local(|| {
        reader.open(&cipher, 0, &sealed).expect("it was sealed with this cipher");
        reader.plain().len()
    });
}

/// A page of files with the fields that most files have.
fn page() -> Tree {
    let node = |number: u16| Node {
        name: format!("some-file-{number:06}.txt").into_bytes(),
        mode: 0o644,
        uid: 1000,
        gid: 1000,
        mtime: Timestamp { seconds: 1_700_000_000 + i64::from(number), nanos: 123_456_789 },
        xattrs: Vec::new(),
        kind: NodeKind::File {
            size: 9000,
            content: Content::Inline(vec![ChunkRef { id: ChunkId::new(*secret("chunk")), len: 9000 }]),
            extents: Extents::Dense,
        },
        unknown: None,
    };
    Tree::Page((0..PAGE_ENTRIES).map(node).collect())
}

#[divan::bench]
fn encode_tree_page(bencher: Bencher<'_, '_>) {
    let page = page();
    bencher.counter(ItemsCount::new(PAGE_ENTRIES)).bench_local(|| page.encode());
}

#[divan::bench]
fn decode_tree_page(bencher: Bencher<'_, '_>) {
    let bytes = page().encode();
    bencher.counter(ItemsCount::new(PAGE_ENTRIES)).bench_local(|| Tree::decode(&bytes).expect("a good page"));
}

/// An index of this many small chunks, and their ids in the order of writing.
fn index_of(chunks: usize, cache: &std::path::Path) -> (Index, Vec<ChunkId>) {
    let options = InitOptions {
        chunker: ChunkerParams::DEFAULT,
        pack_bytes: 4 << 20,
        single_writer: false,
        password_cost: PasswordCost { memory_kib: 64, passes: 1, lanes: 1 },
        now_unix_s: 0,
    };
    let repository = Repository::init(Arc::new(MemoryBackend::default()), b"benchmark", &options)
        .expect("a new repository");
    let load = || {
        let snapshots = Snapshots::load(&repository, &run()).expect("no snapshots");
        open_index(&repository, cache, &snapshots, &run()).expect("an index")
    };
    let index = load();
    let run = run();
    let options = SessionOptions { program: "benchmark", parent: None, ended: None };
    let session = Session::begin(&repository, &index, &options, &run).expect("a session");
    let (ids, _) = write_packs(&session, WriterOptions::default(), |writer| {
        let mut frames = writer.frames();
        let ids: Result<Vec<ChunkId>, _> = (0..chunks)
            .map(|number| frames.store(ChunkKind::Data, &u64_of(number).to_le_bytes()).map(|(id, _)| id))
            .collect();
        frames.finish()?;
        ids
    })
    .expect("memory takes all");
    drop(index);
    // Open it again, so that it loads the segments.
    (load(), ids)
}

const INDEXED: usize = 1 << 18;

#[divan::bench]
fn find_known_chunks(bencher: Bencher<'_, '_>) {
    let cache = tempfile::tempdir().expect("a folder");
    let (index, ids) = index_of(INDEXED, cache.path());
    let mut next = (0..ids.len()).cycle().step_by(7919);
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        let found = index.locate(&ids[next.next().unwrap_or(0)].into());
        assert!(found.is_ok_and(|place| place.is_some()));
    });
}

#[divan::bench]
fn refuse_new_chunks(bencher: Bencher<'_, '_>) {
    let cache = tempfile::tempdir().expect("a folder");
    let (index, _) = index_of(INDEXED, cache.path());
    let new: Vec<ChunkId> = random("new", 32 << 10)
        .chunks_exact(32)
        .map(|id| ChunkId::new(id.try_into().expect("32 bytes")))
        .collect();
    let mut next = new.iter().cycle();
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        assert!(!next.next().is_some_and(|id| index.contains(id)));
    });
}

/// Files that make a tree.
const FILES: usize = 4000;

/// A laboratory with a tree of small files, a hundred in each folder, and a snapshot of it.
fn lab_with_tree() -> Lab {
    let lab = Lab::with(|root| {
        let bytes = text("tree", FILES + (2 << 10));
        for file in 0..FILES {
            tree::write(root.join(format!("{}/{file}.txt", file / 100)), &bytes[file..file + (2 << 10)]);
        }
    });
    lab.backup();
    lab
}

#[divan::bench(sample_count = 20, sample_size = 1)]
fn walk_unchanged_files(bencher: Bencher<'_, '_>) {
    let lab = lab_with_tree();
    bencher.counter(ItemsCount::new(FILES)).bench_local(|| {
        let report = lab.backup();
        assert_eq!(report.statistics.files_unchanged, u64_of(FILES));
    });
}

#[divan::bench(sample_count = 20, sample_size = 1)]
fn restore_small_files(bencher: Bencher<'_, '_>) {
    let lab = lab_with_tree();
    bencher.counter(ItemsCount::new(FILES)).bench_local(|| lab.restore("latest"));
}
