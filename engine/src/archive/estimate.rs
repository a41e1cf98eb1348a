//! Counts what a backup will look at, so that a progress bar can show when it will be done.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::ArchiveOptions;
use super::filter::Rules;
use super::reading::{bytes_of_special, has_stream};
use crate::fs::dir;
use crate::fs::meta::{self, FileId};
use crate::fs::sources::{Sources, Wanted};
use crate::run::RunContext;

/// Directories with longer paths aren't counted: however deep directories are nested, counting takes little
/// memory.
const PATH_BYTES_MAX: usize = 4096;

/// Walks `paths` as a backup would, without reading any file, and sets what the run expects at the end. Stops
/// when `ended` is set, and sets nothing then: the estimate isn't needed any more.
pub fn estimate(paths: &[PathBuf], options: &ArchiveOptions, ended: &AtomicBool, run: &RunContext) {
    // The backup reports what can't be walked.
    let Ok(sources) = options.sources(paths) else { return };
    let begun = match (&options.stored_as, paths) {
        (Some(path), [directory]) => (directory.as_path(), path.as_os_str().as_bytes(), Wanted::ALL),
        _ => (Path::new("/"), b"".as_slice(), sources.root()),
    };
    let (from, path, wanted) = begun;
    let Ok(root) = rustix::fs::open(from, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) else { return };
    let Ok(stat) = rustix::fs::fstat(&root) else { return };
    let mut estimate = Estimate { options, sources: &sources, stack: Vec::new(), files: 0, bytes: 0 };
    estimate.stack.push(Uncounted {
        above: Rc::new(root),
        name: c".".to_owned(),
        path: path.strip_suffix(b"/").unwrap_or(path).to_vec(),
        wanted,
        device: stat.st_dev,
        within: Rc::default(),
        rules: rules_of(path, options),
    });
    while let Some(next) = estimate.stack.pop() {
        if ended.load(Ordering::Relaxed) {
            return;
        }
        // A directory that can't be opened or listed has nothing in it that could be read.
        let _ = estimate.directory(&next, ended);
    }
    run.expect(estimate.files, estimate.bytes);
}

/// A directory that is to be counted.
struct Uncounted {
    above: Rc<OwnedFd>,
    name: CString,
    path: Vec<u8>,
    wanted: Wanted,
    device: u64,
    /// The directories that it is in, if links are followed.
    within: Rc<Vec<FileId>>,
    /// The rules that directories above make for its entries.
    rules: Rules,
}

struct Estimate<'a> {
    options: &'a ArchiveOptions,
    sources: &'a Sources,
    stack: Vec<Uncounted>,
    files: u64,
    bytes: u64,
}

impl Estimate<'_> {
    fn directory(&mut self, uncounted: &Uncounted, ended: &AtomicBool) -> Result<(), Errno> {
        let Uncounted { above, name, path, wanted, device, .. } = uncounted;
        let options = self.options;
        let handle = Rc::new(dir::open_directory_as(&**above, name, wanted.opening())?);
        let listing =
            options.listing_of(wanted, &handle, uncounted.rules.clone(), self.sources, || path.clone())?;
        let mut within = Rc::clone(&uncounted.within);
        if options.follow {
            let own = rustix::fs::fstat(&handle)?;
            Rc::make_mut(&mut within).push(FileId::of(&own));
        }
        for name in (0..listing.names.len()).map(|index| listing.names.get(index)) {
            if ended.load(Ordering::Relaxed) {
                return Ok(());
            }
            let exempt = listing.exempt.get(name.to_bytes());
            let here = exempt.cloned().unwrap_or_else(|| wanted.of(name.to_bytes()));
            let below = || [path.as_slice(), b"/", name.to_bytes()].concat();
            let keep = |target: &rustix::fs::Stat| {
                within.contains(&FileId::of(target))
                    || (options.is_elsewhere(target, *device) && !wanted.is_on_the_way())
            };
            let is_named = || self.sources.name(&below());
            let Ok(looked) = options.look_at(handle.as_fd(), name, &here, keep, is_named) else { continue };
            let stat = &looked.stat;
            match meta::file_type(stat) {
                FileType::RegularFile if options.is_too_large(stat) => {}
                FileType::RegularFile => {
                    self.files += 1;
                    self.bytes = self.bytes.saturating_add(u64::try_from(stat.st_size).unwrap_or(0));
                }
                FileType::Directory if path.len() < PATH_BYTES_MAX => {
                    if options.is_own(stat) {
                        continue;
                    }
                    let wanted = if wanted.is_on_the_way() || exempt.is_some() {
                        here
                    } else {
                        options.wanted_of(&looked, *device, self.sources, below)
                    };
                    self.stack.push(Uncounted {
                        above: Rc::clone(&handle),
                        name: name.to_owned(),
                        path: below(),
                        wanted,
                        device: stat.st_dev,
                        within: Rc::clone(&within),
                        rules: options.rules_below(&listing.rules, name.to_bytes()),
                    });
                }
                _ if options.read_special && has_stream(stat) && self.sources.name(&below()) => {
                    self.files += 1;
                    let more = bytes_of_special(handle.as_fd(), name, stat, looked.followed);
                    self.bytes = self.bytes.saturating_add(more);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The rules of a directory with this path, as far as patterns make them.
fn rules_of(path: &[u8], options: &ArchiveOptions) -> Rules {
    let names = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty());
    names.fold(options.rules_of_root(), |above, name| options.rules_below(&above, name))
}
