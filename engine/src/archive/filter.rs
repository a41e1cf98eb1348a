//! What a backup leaves out, for the walk that reads and for the one that only counts.

use std::ffi::CStr;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, Stat};
use rustix::io::Errno;

use super::ArchiveOptions;
use crate::fs::dir::{self, Names};
use crate::fs::sources::{Sources, Wanted};

/// What a directory must begin with to be a cache (Cache Directory Tagging Specification).
const CACHE_TAG: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55";
const CACHE_TAG_NAME: &CStr = c"CACHEDIR.TAG";

impl ArchiveOptions<'_> {
    /// The names in a directory of which this is wanted, without those that are excluded. `path` is the
    /// directory's.
    pub(super) fn names_in(
        &self,
        wanted: &Wanted,
        handle: &OwnedFd,
        path: impl FnOnce() -> Vec<u8>,
    ) -> Result<Names, Errno> {
        match wanted {
            Wanted::All { .. } => self.all_names_in(handle, path),
            Wanted::Below(selection) => Ok(Names::of(selection.entries.keys().map(Vec::as_slice))),
            Wanted::Itself => Ok(Names::default()),
        }
    }

    fn all_names_in(&self, handle: &OwnedFd, path: impl FnOnce() -> Vec<u8>) -> Result<Names, Errno> {
        let mut names =
            dir::list(handle).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        if self.exclude_caches && is_cache(handle) {
            names.retain(|name| name == CACHE_TAG_NAME.to_bytes());
        }
        for mark in &self.exclude_if_present {
            if names.contains(mark) {
                names.retain(|name| name == mark.as_slice());
            }
        }
        if !self.exclude.is_empty() {
            let mut whole = path();
            if whole.last() != Some(&b'/') {
                whole.push(b'/');
            }
            let folder = whole.len();
            names.retain(|name| {
                whole.truncate(folder);
                whole.extend_from_slice(name);
                !self.exclude.matches(&whole, name)
            });
        }
        Ok(names)
    }

    /// Whether a regular file is too large.
    pub(super) fn is_too_large(&self, stat: &Stat) -> bool {
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        self.exclude_larger_than.is_some_and(|max| size > max)
    }

    /// Whether a directory is the repository itself, or its cache.
    pub(super) fn is_own(&self, stat: &Stat) -> bool {
        self.never_enter.contains(&(stat.st_dev, stat.st_ino))
    }

    /// What is wanted of a directory below one on `device` of which all is: nothing but itself if it is
    /// where another file system begins that is to be left alone, unless that was named.
    pub(super) fn wanted_of(
        &self,
        stat: &Stat,
        device: u64,
        sources: &Sources,
        path: impl FnOnce() -> Vec<u8>,
    ) -> Wanted {
        if self.one_file_system && stat.st_dev != device {
            sources.at(&path()).unwrap_or(Wanted::Itself)
        } else {
            Wanted::ALL
        }
    }
}

fn is_cache(handle: &OwnedFd) -> bool {
    let mut begin = [0; CACHE_TAG.len()];
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::openat(handle, CACHE_TAG_NAME, flags, Mode::empty())
        .and_then(|file| rustix::io::pread(&file, &mut begin, 0))
        .is_ok_and(|read| read == CACHE_TAG.len() && begin == CACHE_TAG)
}
