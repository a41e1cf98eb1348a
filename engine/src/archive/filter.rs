//! What a backup leaves out, and where it follows links. The walk uses this, and so does the estimate.

use std::cell::{Cell, OnceCell};
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, StatxAttributes, StatxFlags};
use rustix::io::Errno;

use super::ArchiveOptions;
use super::ignores::{IGNORE_FILE, Ignores};
use crate::fs::dir::{self, Names};
use crate::fs::meta::{self, FileId};
use crate::fs::select::Reached;
use crate::fs::sources::{Sources, Wanted};

/// How a file named `CACHEDIR.TAG` begins that marks its directory as a cache (Cache Directory Tagging
/// Specification).
const CACHE_TAG: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55";
const CACHE_TAG_NAME: &CStr = c"CACHEDIR.TAG";

/// What decides which entries of a directory are left out.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    /// What its path has matched of the patterns of what is left out.
    reached: Reached,
    /// The ignore files in it and above it.
    ignores: Ignores,
}

/// What is to be backed up of a directory.
#[derive(Default)]
pub(super) struct Listing {
    /// The names of its entries.
    pub names: Names,
    /// The rules that apply to them.
    pub rules: Rules,
    /// What is wanted of entries that stay though a rule leaves them out.
    pub exempt: BTreeMap<Vec<u8>, Wanted>,
    /// How many entries ignore files have left out.
    pub ignored: u64,
    /// What is wrong with the ignore file in it.
    pub flaws: Vec<String>,
}

/// An entry as it is to be backed up.
pub(super) struct Looked {
    /// What the file system says about it.
    pub stat: Stat,
    /// Whether it is what a link in its place points to.
    pub followed: bool,
}

impl ArchiveOptions {
    /// The rules of the root directory.
    pub(super) fn rules_of_root(&self) -> Rules {
        Rules { reached: self.exclude.top(), ignores: Ignores::default() }
    }

    /// The rules of a directory, as far as those of the one above make them.
    pub(super) fn rules_below(&self, above: &Rules, name: &[u8]) -> Rules {
        Rules { reached: self.exclude.below(&above.reached, name), ignores: above.ignores.below(name) }
    }

    /// Lists what is to be backed up of a directory of which this is wanted, by the rules from above and by
    /// what is in it. `path` is the directory's.
    pub(super) fn listing_of(
        &self,
        wanted: &Wanted,
        handle: &OwnedFd,
        rules: Rules,
        sources: &Sources,
        path: impl FnOnce() -> Vec<u8>,
    ) -> Result<Listing, Errno> {
        let names = match wanted {
            Wanted::All { .. } => return self.all_of(handle, rules, sources, path),
            Wanted::PathsBelow(selection) => Names::of(selection.entries.keys().map(Vec::as_slice)),
            Wanted::Itself => Names::default(),
        };
        Ok(Listing { names, rules, ..Listing::default() })
    }

    fn all_of(
        &self,
        handle: &OwnedFd,
        rules: Rules,
        sources: &Sources,
        path: impl FnOnce() -> Vec<u8>,
    ) -> Result<Listing, Errno> {
        let mut names =
            dir::list(handle).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        let Rules { reached, mut ignores } = rules;
        let (mut flaws, mut ignored) = (Vec::new(), 0);
        // Few patterns need paths, so a path is made only when one does.
        let (folder, path) = (OnceCell::new(), Cell::new(Some(path)));
        let folder = || folder.get_or_init(|| as_folder(path.take().map(|path| path())));
        let whole = |name: &CStr| [folder().as_slice(), name.to_bytes()].concat();
        if self.ignore_files && names.contains(IGNORE_FILE.to_bytes()) {
            match ignores.add(handle, folder().len() - 1) {
                Ok(doubts) => flaws = doubts,
                Err(error) => flaws.push(format!("{error}; nothing is left out by this file")),
            }
        }
        let mut exempt = BTreeMap::new();
        let mut leave_out = |names: &mut Names, is_out: &mut dyn FnMut(&CStr) -> bool| {
            names.retain(|name| {
                if !is_out(name) {
                    return true;
                }
                let wanted = sources.exempt(|| whole(name));
                let stays = wanted.is_some();
                exempt.extend(wanted.map(|wanted| (name.to_bytes().to_vec(), wanted)));
                stays
            });
        };
        if self.exclude_caches && is_cache(handle) {
            leave_out(&mut names, &mut |name| name != CACHE_TAG_NAME);
        }
        for mark in &self.exclude_if_present {
            if names.contains(mark) {
                leave_out(&mut names, &mut |name| name.to_bytes() != mark.as_slice());
            }
        }
        if !self.exclude.is_empty() {
            leave_out(&mut names, &mut |name| {
                self.exclude.matches_in(&reached, name.to_bytes(), || whole(name))
            });
        }
        if !ignores.is_empty() {
            leave_out(&mut names, &mut |name| {
                let is_ignored = ignores.leave_out(name.to_bytes(), || whole(name));
                ignored += u64::from(is_ignored);
                is_ignored
            });
        }
        if self.exclude_nodump {
            leave_out(&mut names, &mut |name| is_nodump(handle.as_fd(), name));
        }
        Ok(Listing { names, rules: Rules { reached, ignores }, exempt, ignored, flaws })
    }

    /// Looks at an entry, or at what a link in its place points to if that is wanted. `keep` decides whether a
    /// link to a directory is kept as a link; `is_named` whether the entry was named as a source.
    pub(super) fn look_at(
        &self,
        directory: BorrowedFd<'_>,
        name: &CStr,
        wanted: &Wanted,
        keep: impl FnOnce(&Stat) -> bool,
        is_named: impl FnOnce() -> bool,
    ) -> Result<Looked, Errno> {
        let flags = wanted.stat_flags();
        let stat = rustix::fs::statat(directory, name, flags)?;
        let itself = Looked { stat, followed: flags.is_empty() };
        if meta::file_type(&stat) != FileType::Symlink || !(self.follow || self.read_special) {
            return Ok(itself);
        }
        // A link that leads nowhere, or in a circle of links, is kept as a link.
        let Ok(target) = rustix::fs::statat(directory, name, AtFlags::empty()) else { return Ok(itself) };
        let is_followed = match meta::file_type(&target) {
            FileType::Directory => self.follow && !keep(&target),
            FileType::BlockDevice | FileType::Fifo => self.follow || is_named(),
            _ => self.follow,
        };
        Ok(if is_followed { Looked { stat: target, followed: true } } else { itself })
    }

    /// Whether a regular file is too large.
    pub(super) fn is_too_large(&self, stat: &Stat) -> bool {
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        self.exclude_larger_than.is_some_and(|max| size > max)
    }

    /// Whether a directory is the repository itself, or its cache.
    pub(super) fn is_own(&self, stat: &Stat) -> bool {
        self.never_enter.contains(&FileId::of(stat))
    }

    /// Whether something is on another file system than `device`, and other file systems are left out.
    pub(super) fn is_elsewhere(&self, stat: &Stat, device: u64) -> bool {
        self.one_file_system && stat.st_dev != device
    }

    /// What is wanted of a directory in one on `device` of which all is wanted. If another file system begins
    /// there that is to be left out, that is nothing but the directory itself, unless it was named.
    pub(super) fn wanted_of(
        &self,
        looked: &Looked,
        device: u64,
        sources: &Sources,
        path: impl FnOnce() -> Vec<u8>,
    ) -> Wanted {
        if self.is_elsewhere(&looked.stat, device) {
            sources.at(&path()).unwrap_or(Wanted::Itself)
        } else {
            Wanted::All { followed: looked.followed }
        }
    }
}

/// A directory's path with a slash at its end.
fn as_folder(path: Option<Vec<u8>>) -> Vec<u8> {
    let mut folder = path.unwrap_or_default();
    if folder.last() != Some(&b'/') {
        folder.push(b'/');
    }
    folder
}

fn is_cache(handle: &OwnedFd) -> bool {
    let mut begin = [0; CACHE_TAG.len()];
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::openat(handle, CACHE_TAG_NAME, flags, Mode::empty())
        .and_then(|file| rustix::io::pread(&file, &mut begin, 0))
        .is_ok_and(|read| read == CACHE_TAG.len() && begin == CACHE_TAG)
}

/// Whether an entry has the attribute that `chattr +d` sets. On a file system without it, no entry has.
fn is_nodump(directory: BorrowedFd<'_>, name: &CStr) -> bool {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::STATX_DONT_SYNC;
    rustix::fs::statx(directory, name, flags, StatxFlags::TYPE)
        .is_ok_and(|found| found.stx_attributes.contains(StatxAttributes::NODUMP))
}
