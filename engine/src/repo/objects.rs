//! Small objects that are created once and never change: read from the store, or from copies
//! on this machine when the store is far. Which ones there are, the store's listings say.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use keepfast_backend::Backend;
use keepfast_format::FormatError;
use keepfast_format::ids::RepositoryId;
use keepfast_format::names::ObjectName;

use super::cache::copies_folder;
use super::private;
use super::soundness::read_until_sound;
use crate::error::{EngineError, Result};

/// Reads small objects.
pub(super) struct Objects {
    backend: Arc<dyn Backend>,
    copies: Option<Copies>,
    /// Held while a large object is in memory that may turn out to be junk.
    large: Mutex<()>,
}

/// Larger objects are read one at a time, however many threads there are: before their signature is
/// checked, no one knows who has put them there, and how many there are.
const LARGE_BYTES: u64 = 1 << 20;

impl Objects {
    /// Reads from a store; if it is far, with copies below `cache`.
    pub fn new(backend: Arc<dyn Backend>, cache: Option<&Path>, repository: RepositoryId) -> Self {
        let cache = cache.filter(|_| backend.is_far());
        let copies = cache.and_then(|cache| Copies::below(cache, repository));
        Self { backend, copies, large: Mutex::default() }
    }

    /// The store.
    pub fn backend(&self) -> &dyn Backend {
        &*self.backend
    }

    /// Reads an object and opens it. Only bytes that open are ever copied, and a copy that doesn't open
    /// counts for nothing. So a user that can write on this machine can do no more than in the store.
    pub fn read<T>(
        &self,
        name: ObjectName,
        limit: u64,
        open: impl Fn(&[u8]) -> Result<T, FormatError>,
    ) -> Result<T> {
        let copy = self.copies.as_ref().and_then(|copies| copies.get(name, limit));
        if let Some(Ok(opened)) = copy.map(|bytes| open(&bytes)) {
            return Ok(opened);
        }
        self.read_stored(name, limit, |bytes| {
            let opened = open(bytes)?;
            self.remember(name, bytes);
            Ok(opened)
        })
    }

    /// As [`Self::read`], but always from the store.
    pub fn read_stored<T>(
        &self,
        name: ObjectName,
        limit: u64,
        open: impl Fn(&[u8]) -> Result<T, FormatError>,
    ) -> Result<T> {
        read_until_sound(|| {
            let (bytes, _alone) = match self.backend.read(&name.to_string(), limit.min(LARGE_BYTES)) {
                Err(error) if error.is_too_large() => {
                    let alone = self.large.lock().unwrap_or_else(PoisonError::into_inner);
                    (read_object(&*self.backend, name, limit)?, Some(alone))
                }
                read => (read?, None),
            };
            open(&bytes).map_err(EngineError::damaged(name))
        })
    }

    /// Copies an object that was just created.
    pub fn remember(&self, name: ObjectName, bytes: &[u8]) {
        if let Some(copies) = &self.copies {
            copies.put(name, bytes);
        }
    }

    /// Removes copies of objects in a folder that the store doesn't have any more.
    pub fn keep_only(&self, folder: &str, is_stored: impl Fn(ObjectName) -> bool) {
        if let Some(copies) = &self.copies {
            copies.keep_only(folder, is_stored);
        }
    }
}

/// Reads an object of no more than `limit` bytes. A larger one isn't read; that is no failure of the
/// store but of the object.
pub fn read_object(backend: &dyn Backend, name: ObjectName, limit: u64) -> Result<Vec<u8>> {
    backend.read(&name.to_string(), limit).map_err(|error| {
        if error.is_too_large() {
            EngineError::damaged(name)(FormatError::OverLimit { what: "object", field: "size" })
        } else {
            error.into()
        }
    })
}

/// Copies of objects, each a file. If one can't be read or written, that costs time and nothing else.
struct Copies {
    folder: PathBuf,
    /// Numbers for files that are being written.
    next: AtomicU64,
}

impl Copies {
    /// `None`, where another user can change what is read and removed there.
    fn below(cache: &Path, repository: RepositoryId) -> Option<Self> {
        let folder = copies_folder(cache, repository);
        let ours = folder.ancestors().take_while(|folder| folder.starts_with(cache)).all(private::is_safe);
        ours.then(|| Self { folder, next: AtomicU64::new(0) })
    }

    /// The file of an object's copy.
    fn path(&self, name: ObjectName) -> PathBuf {
        self.folder.join(flat(&name.to_string()))
    }

    fn get(&self, name: ObjectName, limit: u64) -> Option<Vec<u8>> {
        private::read(&self.path(name), limit).ok()
    }

    fn put(&self, name: ObjectName, bytes: &[u8]) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let new = self.folder.join(format!("new-{}-{number}", std::process::id()));
        let path = self.path(name);
        let write = || {
            private::make_hidden(&self.folder)?;
            let mut file =
                OpenOptions::new().create_new(true).write(true).mode(private::FILE_MODE).open(&new)?;
            file.write_all(bytes)?;
            fs::rename(&new, path)
        };
        if write().is_err() {
            let _ = fs::remove_file(new);
        }
    }

    fn keep_only(&self, folder: &str, is_stored: impl Fn(ObjectName) -> bool) {
        let prefix = flat(folder);
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let file = entry.file_name();
            let Some(name) = file.to_str().filter(|name| name.starts_with(&prefix)) else { continue };
            if !ObjectName::parse(&name.replace(SEPARATOR, "/")).is_some_and(&is_stored) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

const SEPARATOR: &str = "+";

/// The file name for an object: its folders become a part of it.
fn flat(name: &str) -> String {
    name.replace('/', SEPARATOR)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    use keepfast_format::ids::RepositoryId;
    use keepfast_format::names;

    use super::{Copies, copies_folder};

    #[test]
    fn copies_are_for_their_user_alone_and_no_larger_than_their_objects() {
        let home = tempfile::tempdir().expect("a folder");
        let (cache, id) = (home.path().join("cache"), RepositoryId::new([1; 16]));
        let copies = Copies::below(&cache, id).expect("nothing is in the way");
        let name = names::keyring(1);
        copies.put(name, b"ring");
        assert_eq!(copies.get(name, 4), Some(b"ring".to_vec()));
        assert_eq!(copies.get(name, 3), None);
        let file = copies_folder(&cache, id).join("keyring+00000001");
        let mode = |path: &std::path::Path| fs::metadata(path).expect("it is there").mode() & 0o777;
        assert_eq!((mode(&file), mode(&copies_folder(&cache, id)), mode(&cache)), (0o600, 0o700, 0o700));
        // What someone may have put there is neither waited for nor followed.
        fs::rename(&file, home.path().join("elsewhere")).expect("it can be moved");
        symlink(home.path().join("elsewhere"), &file).expect("it can be made");
        assert_eq!(copies.get(name, 4), None);
    }

    #[test]
    fn there_are_no_copies_behind_a_link() {
        let home = tempfile::tempdir().expect("a folder");
        let (cache, id) = (home.path().join("cache"), RepositoryId::new([1; 16]));
        fs::create_dir(home.path().join("elsewhere")).expect("it can be made");
        for linked in [cache.clone(), cache.join(id.to_string()), copies_folder(&cache, id)] {
            fs::create_dir_all(linked.parent().expect("it has one")).expect("it can be made");
            symlink(home.path().join("elsewhere"), &linked).expect("it can be made");
            assert!(Copies::below(&cache, id).is_none(), "{}", linked.display());
            fs::remove_file(&linked).expect("it can be removed");
        }
        assert!(Copies::below(&cache, id).is_some());
    }
}
