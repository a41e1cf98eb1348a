//! Segment files: parts one behind the other, each a zstd frame of its own, so that a part can be read alone
//! and `zstdcat` shows a whole file. A file is only appended to.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Result, StoreError};

/// A file that has this many bytes is full.
const SEGMENT_BYTES: u64 = 8 << 20;
/// Bytes of a part, at most, as it is stored and as it is read: more is damage.
const PART_BYTES_MAX: u64 = 4 << 20;
const LEVEL: i32 = 3;

/// Where a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The file's number.
    pub segment: u64,
    /// Where in the file it begins.
    pub position: u64,
    /// How many bytes of the file it is.
    pub stored_bytes: u64,
    /// How many bytes its lines are.
    pub plain_bytes: u64,
}

/// Why a part can't be read.
#[derive(Debug)]
pub struct WrongPart(pub String);

/// The files of a folder.
#[derive(Clone)]
pub struct Segments {
    folder: Arc<Path>,
    /// The number of the file that is appended to. Locked while one is written, so that parts don't mix.
    current: Arc<Mutex<u64>>,
}

impl Segments {
    /// Uses a folder, and makes it where there is none. A new file is begun.
    pub async fn open(folder: &Path) -> Result<Self> {
        let folder: Arc<Path> = Arc::from(folder);
        let of = Arc::clone(&folder);
        let newest = in_background(move || {
            fs::create_dir_all(&of).map_err(|source| StoreError::file(&*of, "created", source))?;
            Ok(numbers(&of)?.last().copied().unwrap_or(0))
        })
        .await?;
        Ok(Self { folder, current: Arc::new(Mutex::new(newest.saturating_add(1))) })
    }

    /// The number of the file that is appended to.
    pub async fn current(&self) -> Result<u64> {
        let current = Arc::clone(&self.current);
        in_background(move || Ok(*current.lock().unwrap_or_else(PoisonError::into_inner))).await
    }

    /// Compresses and appends a part; it is on the disk afterwards.
    pub async fn append(&self, lines: Vec<u8>) -> Result<Place> {
        let (folder, current) = (Arc::clone(&self.folder), Arc::clone(&self.current));
        // On a thread of its own: it goes on to its end even if the caller is gone.
        in_background(move || {
            let plain_bytes = u64::try_from(lines.len()).unwrap_or(u64::MAX);
            let failed = |source| StoreError::file(&*folder, "written", source);
            let frame = zstd::bulk::compress(&lines, LEVEL).map_err(failed)?;
            let stored_bytes = u64::try_from(frame.len()).unwrap_or(u64::MAX);
            let mut current = current.lock().unwrap_or_else(PoisonError::into_inner);
            loop {
                let path = path(&folder, *current);
                let failed = |source| StoreError::file(&path, "written", source);
                let mut options = File::options();
                #[cfg(unix)]
                std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
                let mut file = options.create(true).append(true).open(&path).map_err(failed)?;
                let position = file.seek(SeekFrom::End(0)).map_err(failed)?;
                if position >= SEGMENT_BYTES {
                    *current += 1;
                    continue;
                }
                file.write_all(&frame).and_then(|()| file.sync_data()).map_err(failed)?;
                return Ok(Place { segment: *current, position, stored_bytes, plain_bytes });
            }
        })
        .await
    }

    /// The lines of a part.
    pub async fn read(&self, place: Place) -> std::result::Result<Vec<u8>, WrongPart> {
        let path = path(&self.folder, place.segment);
        let wrong = move |path: &Path, problem: &dyn std::fmt::Display| {
            WrongPart(format!("{}, position {}: {problem}", path.display(), place.position))
        };
        let read = tokio::task::spawn_blocking(move || {
            if place.stored_bytes > PART_BYTES_MAX || place.plain_bytes > PART_BYTES_MAX {
                return Err(wrong(&path, &"the part is too large"));
            }
            let frame = File::open(&path).and_then(|mut file| {
                file.seek(SeekFrom::Start(place.position))?;
                let mut frame = Vec::new();
                file.take(place.stored_bytes).read_to_end(&mut frame)?;
                Ok(frame)
            });
            let frame = frame.map_err(|error| wrong(&path, &error))?;
            let capacity = usize::try_from(place.plain_bytes).unwrap_or(0);
            let lines = zstd::bulk::decompress(&frame, capacity).map_err(|error| wrong(&path, &error))?;
            if lines.len() == capacity { Ok(lines) } else { Err(wrong(&path, &"the part is cut off")) }
        });
        read.await.unwrap_or_else(|error| Err(WrongPart(error.to_string())))
    }

    /// Removes the files before `current` that are not among these; returns how many.
    pub async fn keep_only(&self, known: BTreeSet<u64>, current: u64) -> Result<u64> {
        let folder = Arc::clone(&self.folder);
        in_background(move || {
            let mut removed = 0;
            for number in numbers(&folder)?.range(..current).filter(|number| !known.contains(number)) {
                let path = path(&folder, *number);
                fs::remove_file(&path).map_err(|source| StoreError::file(path, "removed", source))?;
                removed += 1;
            }
            Ok(removed)
        })
        .await
    }
}

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:08}.zst"))
}

/// The numbers of a folder's files.
fn numbers(folder: &Path) -> Result<BTreeSet<u64>> {
    let failed = |source| StoreError::file(folder, "listed", source);
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".zst"));
        found.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    Ok(found)
}

async fn in_background<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => {
            let source = std::io::Error::other(error);
            Err(StoreError::file("", "used for logs", source))
        }
    }
}
