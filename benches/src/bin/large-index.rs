//! Measures an index of very many chunks. It loads one from the segments of a repository of N million chunks,
//! as the first command on another machine does, looks chunks up, marks them and plans to remove all of them,
//! as a prune does, and stores a million new chunks. It prints times, and the peak memory so far.
//!
//! Arguments: millions of chunks, and a folder for the index. The folder needs 120 bytes of disk for each
//! chunk while the index loads, and half of that afterwards. Segments are generated when they are read, and
//! packs are discarded.

#![allow(clippy::print_stdout, reason = "it is a program")]

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keepfast_backend::{Backend, BackendError, Created, Listed, MemoryBackend};
use keepfast_engine::EngineError;
use keepfast_engine::prune::{PruneOptions, UnusedLimit, plan_prune};
use keepfast_engine::repo::{
    Index, InitOptions, Repository, Seen, Session, SessionOptions, Snapshots, WriterOptions, fence,
    open_index, read_segment, write_packs,
};
use keepfast_engine::run::RunContext;
use keepfast_format::chunker::ChunkerParams;
use keepfast_format::ids::{ChunkId, PackId, SessionId};
use keepfast_format::keys::{ChunkIds, ChunkKind};
use keepfast_format::names::{self, SegmentName};
use keepfast_format::numbers::{u32_of, u64_of, usize_of};
use keepfast_format::pack::{ChunkEntry, FrameEntry, HEADER_BYTES, PackTable};
use keepfast_format::segment::{self, PackRecord};
use keepfast_format::slot::PasswordCost;

const PASSWORD: &[u8] = b"benchmark";
/// One chunk of this many is looked up afterwards.
const LOOKED_UP: u32 = 1009;
/// Chunks that a backup adds to the index afterwards.
const ADDED: u64 = 1_000_000;
/// Segments are like those of a first backup with the default parameters: 8 packs of 32 MiB, with frames of
/// 2 MiB and chunks of 16 KiB.
const PACKS_PER_SEGMENT: u64 = 8;
const FRAMES_PER_PACK: u32 = 16;
const CHUNKS_PER_FRAME: u32 = 128;
const CHUNK_BYTES: u32 = 16 << 10;
/// Sealed bytes of a frame: half of its plaintext.
const SEALED_BYTES: u32 = CHUNKS_PER_FRAME * CHUNK_BYTES / 2;
const PACK_BYTES: u64 = u64_of(HEADER_BYTES) + u64_of(usize_of(FRAMES_PER_PACK * SEALED_BYTES));
const CHUNKS_PER_PACK: u64 = u64_of(usize_of(FRAMES_PER_PACK * CHUNKS_PER_FRAME));
const CHUNKS_PER_SEGMENT: u64 = PACKS_PER_SEGMENT * CHUNKS_PER_PACK;

/// A store that generates segments when they are read and has no packs.
struct GeneratedStore {
    /// All other objects.
    kept: Arc<MemoryBackend>,
    /// The repository of the segments.
    repository: Repository,
    session: SessionId,
    segments: u32,
}

thread_local! {
    /// The segment that this thread has generated last: readers read its head first, and then all of it.
    static LAST: RefCell<(u32, Vec<u8>)> = const { RefCell::new((u32::MAX, Vec::new())) };
}

impl GeneratedStore {
    /// Hands a segment to `take`.
    fn with_segment<T>(&self, n: u32, take: impl FnOnce(&[u8]) -> T) -> T {
        LAST.with_borrow_mut(|(last, bytes)| {
            if *last != n {
                (*last, *bytes) = (n, self.segment(n));
            }
            take(bytes)
        })
    }

    fn segment(&self, n: u32) -> Vec<u8> {
        let ids = self.repository.chunk_ids();
        let pack = |pack: u64| {
            let numbers = pack * CHUNKS_PER_PACK..(pack + 1) * CHUNKS_PER_PACK;
            let chunks = numbers.map(|number| ChunkEntry { id: id_of(&ids, number), bytes: CHUNK_BYTES });
            let frames = (0..FRAMES_PER_PACK).map(|frame| FrameEntry {
                offset: u32_of(HEADER_BYTES) + frame * SEALED_BYTES,
                sealed_bytes: SEALED_BYTES,
                plain_bytes: CHUNKS_PER_FRAME * CHUNK_BYTES,
                chunks: CHUNKS_PER_FRAME,
            });
            PackRecord {
                id: pack_id(pack),
                kind: ChunkKind::Data,
                stored_bytes: PACK_BYTES,
                table: PackTable { frames: frames.collect(), chunks: chunks.collect() },
            }
        };
        let first = u64::from(n) * PACKS_PER_SEGMENT;
        let packs: Vec<PackRecord> = (first..first + PACKS_PER_SEGMENT).map(pack).collect();
        let repository = &self.repository;
        let salt = [0; 16];
        segment::seal(
            repository.id(),
            repository.current(),
            repository.identity(),
            self.session,
            n,
            &packs,
            salt,
        )
    }
}

fn pack_id(number: u64) -> PackId {
    PackId::of(&number.to_le_bytes())
}

fn id_of(ids: &ChunkIds, number: u64) -> ChunkId {
    ids.id(ChunkKind::Data, &number.to_le_bytes())
}

impl Backend for GeneratedStore {
    fn create(&self, name: &str, parts: &[&[u8]]) -> Result<Created, BackendError> {
        let is_kept = !name.starts_with(names::PACKS) && !name.starts_with(names::INDEX);
        if is_kept { self.kept.create(name, parts) } else { Ok(Created::New) }
    }

    fn sync(&self) -> Result<(), BackendError> {
        self.kept.sync()
    }

    fn read_into(&self, name: &str, bytes_max: u64, bytes: &mut Vec<u8>) -> Result<(), BackendError> {
        match names::parse_segment(name) {
            Some(segment) => {
                self.with_segment(segment.n, |segment| segment.clone_into(bytes));
                Ok(())
            }
            None => self.kept.read_into(name, bytes_max, bytes),
        }
    }

    fn read_range_into(
        &self,
        name: &str,
        offset: u64,
        length: usize,
        bytes: &mut Vec<u8>,
    ) -> Result<(), BackendError> {
        let Some(SegmentName { n, .. }) = names::parse_segment(name) else {
            return self.kept.read_range_into(name, offset, length, bytes);
        };
        self.with_segment(n, |segment| {
            let begin = usize::try_from(offset).unwrap_or(usize::MAX).min(segment.len());
            segment[begin..segment.len().min(begin.saturating_add(length))].clone_into(bytes);
        });
        Ok(())
    }

    fn list(&self, prefix: &str, found: &mut dyn FnMut(Listed)) -> Result<(), BackendError> {
        if prefix == names::PACKS {
            for pack in 0..u64::from(self.segments) * PACKS_PER_SEGMENT {
                let name = names::pack(pack_id(pack), self.session).to_string();
                found(Listed { name, bytes: PACK_BYTES });
            }
        }
        if prefix == names::INDEX {
            for n in 0..self.segments {
                found(Listed { name: names::segment(self.session, n).to_string(), bytes: 0 });
            }
        }
        self.kept.list(prefix, found)
    }

    fn remove(&self, name: &str) -> Result<(), BackendError> {
        self.kept.remove(name)
    }

    fn location(&self) -> String {
        "nowhere".to_owned()
    }
}

fn open(repository: &Repository, folder: &Path, run: &RunContext) -> Result<Index, EngineError> {
    open_index(repository, folder, &Snapshots::load(repository, run)?, run)
}

fn report(what: &str, count: u64, begun: Instant) {
    let seconds = begun.elapsed().as_secs_f64();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("?").trim();
    println!("{what}: {count} in {seconds:.1} s, {:.2} µs each; peak {peak}", seconds * 1e6 / count as f64);
}

fn prune_options() -> PruneOptions {
    PruneOptions {
        max_unused: UnusedLimit::Thousandths(50),
        max_rewrite_bytes: u64::MAX,
        session_timeout: Duration::ZERO,
        accept_missing: Vec::new(),
        compact_from: 1000,
        step_back: true,
        writer: WriterOptions::default(),
        program: "benchmark".to_owned(),
    }
}

fn main() -> Result<(), EngineError> {
    let mut arguments = std::env::args().skip(1);
    let millions: u32 = arguments.next().and_then(|number| number.parse().ok()).unwrap_or(1);
    let folder = arguments.next().unwrap_or_else(|| "/var/tmp/keepfast-large-index".to_owned());
    let folder = Path::new(&folder);
    let run = keepfast_benches::run();
    let options = InitOptions {
        chunker: ChunkerParams::DEFAULT,
        pack_bytes: 16 << 20,
        password_cost: PasswordCost { memory_kib: 64, passes: 1, lanes: 1 },
        now_unix_s: 0,
        single_writer: false,
    };
    let kept = Arc::new(MemoryBackend::default());
    let repository = Repository::init(Arc::clone(&kept) as Arc<dyn Backend>, PASSWORD, &options)?;
    let session = SessionId { writer: repository.identity().holder(), random: [0; 16] };
    let segments = (u64::from(millions) * 1_000_000).div_ceil(CHUNKS_PER_SEGMENT);
    let segments = u32::try_from(segments).expect("segments have numbers of 32 bits");
    let chunks = u64::from(segments) * CHUNKS_PER_SEGMENT;
    let store = GeneratedStore { kept, repository, session, segments };
    let repository = Repository::open(Arc::new(store), PASSWORD)?;
    let ids = repository.chunk_ids();
    // Loading the index only reports a segment that can't be read, so the first one is read here.
    read_segment(&repository, SegmentName { session, n: 0 })?;

    let begun = Instant::now();
    let index = open(&repository, folder, &run)?;
    report("loaded from segments", chunks, begun);
    drop(index);

    let begun = Instant::now();
    let index = open(&repository, folder, &run)?;
    report("opened again", 1, begun);

    let begun = Instant::now();
    let known: Vec<ChunkId> =
        (0..chunks).step_by(usize_of(LOOKED_UP)).map(|number| id_of(&ids, number)).collect();
    let found = known.iter().filter(|id| index.contains(id)).count();
    assert_eq!(found, known.len(), "not all chunks are in the index");
    report("known chunks, one by one, at random", u64_of(known.len()), begun);

    let begun = Instant::now();
    let found = index.locate_all(known.iter().map(|id| (*id).into()).collect(), run.pool())?;
    assert!(known.iter().all(|id| found.get(*id).flatten().is_some()), "not all chunks are in the index");
    report("known chunks, all together", u64_of(known.len()), begun);

    let begun = Instant::now();
    let new = (0..chunks / u64::from(LOOKED_UP)).map(|number| id_of(&ids, chunks + number));
    let mistaken = new.filter(|id| index.contains(id)).count();
    assert_eq!(mistaken, 0, "chunks are in the index that were never stored");
    report("new chunks", chunks / u64::from(LOOKED_UP), begun);

    let begun = Instant::now();
    let seen = Seen::of(&index)?;
    let marked = found.iter().filter(|(_, place)| place.is_some_and(|place| seen.insert(&place))).count();
    assert_eq!(marked, known.len(), "chunks are marked twice, or not at all");
    drop((found, known, seen));
    report("known chunks, marked", u64_of(marked), begun);

    let begun = Instant::now();
    fence(&repository, session)?;
    let plan = plan_prune(&repository, &index, &prune_options(), &run)?;
    assert_eq!(
        u64_of(plan.unused.len()),
        u64::from(segments) * PACKS_PER_SEGMENT,
        "some packs without live chunks would stay"
    );
    report("chunks in packs that a prune would remove", chunks, begun);
    drop(plan);

    let begun = Instant::now();
    let options = SessionOptions { program: "benchmark", parent: None, ended: None };
    let session = Session::begin(&repository, &index, &options, &run)?;
    write_packs(&session, WriterOptions::default(), |writer| {
        let mut frames = writer.frames();
        let mut store = |number: u64| frames.store(ChunkKind::Data, &number.to_le_bytes()).map(drop);
        (chunks..chunks + ADDED).try_for_each(&mut store)?;
        frames.finish()
    })?;
    report("new chunks, stored by one thread", ADDED, begun);
    drop(index);
    std::fs::remove_dir_all(folder).map_err(EngineError::file(folder))
}
