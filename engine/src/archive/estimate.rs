//! Counting what a backup will look at, so that a progress bar can say when it will be done.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::FileType;

use super::ArchiveOptions;
use crate::fs::{dir, meta};
use crate::monitor::Progress;

/// Walks `paths` as a backup would, without reading any file, and says at the end how much
/// there is. Gives up without a word when `ended` is set: then nobody wants to know any more.
pub fn estimate(paths: &[PathBuf], options: &ArchiveOptions<'_>, ended: &AtomicBool, progress: &Progress) {
    let (mut files, mut bytes) = (0, 0);
    let mut stack: Vec<(OwnedFd, Vec<u8>, u64)> = Vec::new();
    for path in paths {
        use std::os::unix::ffi::OsStrExt;
        let Ok(stat) = rustix::fs::lstat(path) else { continue };
        if meta::file_type(&stat) == FileType::RegularFile {
            files += 1;
            bytes += u64::try_from(stat.st_size).unwrap_or(0);
        } else if let Ok(handle) = super::walk::open_followed(path.as_os_str().as_bytes()) {
            stack.push((handle, path.as_os_str().as_bytes().to_vec(), stat.st_dev));
        }
    }
    while let Some((handle, path, device)) = stack.pop() {
        let Ok(names) = dir::list(&handle) else { continue };
        for name in (0..names.len()).map(|index| names.get(index)) {
            if ended.load(Ordering::Relaxed) {
                return;
            }
            let below = [path.as_slice(), b"/", name.to_bytes()].concat();
            if options.exclude.matches(&below, name.to_bytes()) {
                continue;
            }
            let Ok(stat) = meta::stat(handle.as_fd(), name) else { continue };
            match meta::file_type(&stat) {
                FileType::RegularFile => {
                    files += 1;
                    bytes += u64::try_from(stat.st_size).unwrap_or(0);
                }
                FileType::Directory => {
                    let elsewhere = options.one_file_system && stat.st_dev != device;
                    let own = options.never_enter.contains(&(stat.st_dev, stat.st_ino));
                    if let Some(opened) =
                        dir::open_directory(&handle, name).ok().filter(|_| !elsewhere && !own)
                    {
                        stack.push((opened, below, stat.st_dev));
                    }
                }
                _ => {}
            }
        }
    }
    progress.expect(files, bytes);
}
