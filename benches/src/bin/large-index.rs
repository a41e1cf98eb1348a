//! What an index of very many chunks takes: makes a repository of N million tiny chunks, whose
//! packs are thrown away, and looks chunks up. Prints times, and the most memory so far.
//! Needs about 60 bytes of disk for each chunk in the folder that is its second argument.

#![allow(clippy::print_stdout, reason = "it is a program")]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use keepfast_backend::{Backend, BackendError, Created, Listed, MemoryBackend};
use keepfast_benches::Deaf;
use keepfast_engine::EngineError;
use keepfast_engine::repo::{
    Index, InitOptions, Repository, Session, SessionOptions, Snapshots, WriterOptions, open_index,
    write_packs,
};
use keepfast_format::chunker::ChunkerParams;
use keepfast_format::ids::ChunkId;
use keepfast_format::keys::ChunkKind;
use keepfast_format::node::Timestamp;
use keepfast_format::slot::PasswordCost;

/// One chunk of so many is looked up afterwards.
const LOOKED_UP: u64 = 1009;

/// Keeps everything but packs and segments.
#[derive(Default)]
struct Forgetful(MemoryBackend);

impl Backend for Forgetful {
    fn create(&self, name: &str, parts: &[&[u8]]) -> Result<Created, BackendError> {
        let is_kept = !name.starts_with("packs/") && !name.starts_with("index/");
        if is_kept { self.0.create(name, parts) } else { Ok(Created::New) }
    }

    fn sync(&self) -> Result<(), BackendError> {
        self.0.sync()
    }

    fn read(&self, name: &str, bytes_max: u64) -> Result<Vec<u8>, BackendError> {
        self.0.read(name, bytes_max)
    }

    fn read_range(&self, name: &str, offset: u64, length: usize) -> Result<Vec<u8>, BackendError> {
        self.0.read_range(name, offset, length)
    }

    fn list(&self, prefix: &str, found: &mut dyn FnMut(Listed)) -> Result<(), BackendError> {
        self.0.list(prefix, found)
    }

    fn remove(&self, name: &str) -> Result<(), BackendError> {
        self.0.remove(name)
    }

    fn location(&self) -> String {
        "nowhere".to_owned()
    }
}

fn open(repository: &Repository, folder: &Path) -> Result<Index, EngineError> {
    open_index(repository, folder, &Snapshots::load(repository)?, &Deaf::default())
}

fn report(what: &str, count: u64, begun: Instant) {
    let seconds = begun.elapsed().as_secs_f64();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("?").trim();
    println!("{what}: {count} in {seconds:.1} s, {:.2} µs each; peak {peak}", seconds * 1e6 / count as f64);
}

fn main() -> Result<(), EngineError> {
    let mut arguments = std::env::args().skip(1);
    let millions: u64 = arguments.next().and_then(|number| number.parse().ok()).unwrap_or(1);
    let folder = arguments.next().unwrap_or_else(|| "/var/tmp/keepfast-large-index".to_owned());
    let chunks = millions * 1_000_000;
    let options = InitOptions {
        chunker: ChunkerParams::DEFAULT,
        pack_bytes: 4 << 20,
        password_cost: PasswordCost { memory_kib: 64, passes: 1, lanes: 1 },
        now_unix_s: 0,
        single_writer: false,
    };
    let repository = Repository::init(Arc::new(Forgetful::default()), b"benchmark", &options)?;
    let ids = repository.chunk_ids();
    let id_of = |number: u64| ids.id(ChunkKind::Data, &number.to_le_bytes());

    let begun = Instant::now();
    let index = open(&repository, Path::new(&folder))?;
    let deaf = Deaf::default();
    let options = SessionOptions { program: "benchmark", clock: &Timestamp::default, parent: None };
    let session = Session::begin(&repository, &index, &options, &deaf)?;
    write_packs(&session, WriterOptions::default(), |writer| {
        let mut frames = writer.frames();
        (0..chunks).try_for_each(|number| frames.store(ChunkKind::Data, &number.to_le_bytes()).map(drop))?;
        frames.finish()
    })?;
    report("written", chunks, begun);

    let begun = Instant::now();
    let known: Vec<ChunkId> = (0..chunks).step_by(LOOKED_UP as usize).map(id_of).collect();
    let found = known.iter().filter(|id| index.contains(id)).count();
    assert_eq!(found, known.len(), "not all chunks are in the index");
    report("known chunks, one by one, at random", known.len() as u64, begun);

    let begun = Instant::now();
    let found = index.locate_all(known.clone())?;
    assert!(known.iter().all(|id| found.get(id).flatten().is_some()), "not all chunks are in the index");
    report("known chunks, all together", known.len() as u64, begun);

    let begun = Instant::now();
    let new = (0..chunks / LOOKED_UP).map(|number| id_of(chunks + number));
    let mistaken = new.filter(|id| index.contains(id)).count();
    assert_eq!(mistaken, 0, "chunks are in the index that were never stored");
    report("new chunks", chunks / LOOKED_UP, begun);
    drop(index);
    std::fs::remove_dir_all(&folder).map_err(EngineError::file(&folder))
}
