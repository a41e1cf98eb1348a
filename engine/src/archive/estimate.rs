//! Counting what a backup will look at, so that a progress bar can say when it will be done.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::ArchiveOptions;
use crate::fs::sources::{Sources, Wanted};
use crate::fs::{dir, meta};
use crate::monitor::Progress;

/// Directories with longer paths aren't counted: however deep they are, the count stays small.
const PATH_BYTES_MAX: usize = 4096;

/// Walks `paths` as a backup would, without reading any file, and says at the end how much
/// there is. Gives up without a word when `ended` is set: then no one wants to know any more.
pub fn estimate(paths: &[PathBuf], options: &ArchiveOptions<'_>, ended: &AtomicBool, progress: &Progress) {
    // What can't be walked is the backup's to tell.
    let Ok(sources) = Sources::new(paths, options.follow_sources) else { return };
    let Ok(root) = rustix::fs::open(c"/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) else { return };
    let Ok(stat) = rustix::fs::fstat(&root) else { return };
    let mut counting = Counting { options, sources: &sources, stack: Vec::new(), files: 0, bytes: 0 };
    counting.stack.push(Pending {
        above: Rc::new(root),
        name: c".".to_owned(),
        path: Vec::new(),
        wanted: sources.root(),
        device: stat.st_dev,
    });
    while let Some(next) = counting.stack.pop() {
        if ended.load(Ordering::Relaxed) {
            return;
        }
        // One that can't be opened or listed has nothing in it that could be read.
        let _ = counting.directory(&next, ended);
    }
    progress.expect(counting.files, counting.bytes);
}

/// A directory that is to be counted.
struct Pending {
    above: Rc<OwnedFd>,
    name: CString,
    path: Vec<u8>,
    wanted: Wanted,
    device: u64,
}

struct Counting<'a> {
    options: &'a ArchiveOptions<'a>,
    sources: &'a Sources,
    stack: Vec<Pending>,
    files: u64,
    bytes: u64,
}

impl Counting<'_> {
    fn directory(&mut self, pending: &Pending, ended: &AtomicBool) -> Result<(), Errno> {
        let Pending { above, name, path, wanted, device } = pending;
        let handle = Rc::new(dir::open_directory_as(&**above, name, wanted.opening())?);
        let names = self.options.names_in(wanted, &handle, || path.clone())?;
        for name in (0..names.len()).map(|index| names.get(index)) {
            if ended.load(Ordering::Relaxed) {
                return Ok(());
            }
            let here = wanted.of(name.to_bytes());
            let Ok(stat) = rustix::fs::statat(handle.as_fd(), name, here.stat_flags()) else { continue };
            match meta::file_type(&stat) {
                FileType::RegularFile if self.options.is_too_large(&stat) => {}
                FileType::RegularFile => {
                    self.files += 1;
                    self.bytes = self.bytes.saturating_add(u64::try_from(stat.st_size).unwrap_or(0));
                }
                FileType::Directory if path.len() < PATH_BYTES_MAX => {
                    let below = [path.as_slice(), b"/", name.to_bytes()].concat();
                    if self.options.is_own(&stat) {
                        continue;
                    }
                    let wanted = match wanted {
                        Wanted::Below(_) => here,
                        _ => self.options.wanted_of(&stat, *device, self.sources, || below.clone()),
                    };
                    let (above, name) = (Rc::clone(&handle), name.to_owned());
                    self.stack.push(Pending { above, name, path: below, wanted, device: stat.st_dev });
                }
                _ => {}
            }
        }
        Ok(())
    }
}
