//! A directory that the snapshot has at another path: mostly a file system's own snapshot, which is
//! mounted elsewhere than the file system.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use keepfast_format::numbers::u64_of;
use keepfast_format::state::EntryState;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use super::job::{DirectoryJob, Job, PagesJob};
use super::parent::ParentDirectory;
use super::pending::{Directory, DirectoryStart, Metadata, PendingEntry, Place};
use super::sink::Sink;
use super::tally::Reporter;
use super::walker::Walker;
use crate::error::{EngineError, Result};
use crate::fs::dir::{Names, Opening, open_directory_as};
use crate::fs::meta::{self, FileId};
use crate::fs::sources::Wanted;

/// The mode of a directory above the path, if it doesn't exist here.
const ABOVE_MODE: u16 = 0o755;

/// Begins the walk of the directory `stand_in`, and of the directories above its path in the snapshot. Those
/// have the metadata that they have here, as far as they exist here.
pub fn begin<'a, S: Sink<'a>>(
    walker: &mut Walker<'a, S>,
    stand_in: &Path,
    mut parent: ParentDirectory,
) -> Result<()> {
    let walk = walker.walk;
    let failed = || EngineError::file::<Errno>(stand_in);
    let handle = Arc::new(open(stand_in).map_err(failed())?);
    let stat = rustix::fs::fstat(&handle).map_err(failed())?;
    if walk.options.is_own(&stat) {
        return Err(EngineError::OwnRepository { path: stand_in.to_owned() });
    }
    // The directory that has the path here, if there is one.
    let mut here = rustix::fs::open(c"/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok();
    let mut wanted = walk.sources.root();
    let mut rules = walk.options.rules_of_root();
    let (mut above, mut streams): (Vec<Place>, Vec<Job>) = (Vec::new(), Vec::new());
    while let Wanted::PathsBelow(selection) = &wanted {
        let Some((name, next)) = selection.entries.iter().next() else { break };
        let next = next.clone();
        let name = CString::new(name.as_slice()).map_err(|_| failed()(Errno::INVAL))?;
        let rules_below = walk.options.rules_below(&rules, name.to_bytes());
        let own = above
            .last()
            .map(|place| entry_above(walker.sink.reporter(), place, here.as_ref(), &handle))
            .transpose()
            .map_err(failed())?;
        let mut names = Names::of([name.to_bytes()]);
        if above.is_empty() {
            names = walk.streams.added_to(names)?;
        }
        let directory = Directory::begin(DirectoryStart {
            names,
            parent: std::mem::take(&mut parent),
            wanted,
            file: FileId { device: 0, inode: 0 },
            rules,
            exempt: BTreeMap::new(),
            own,
            place: above.last().cloned(),
        });
        let mut in_parent = directory.parent.cursor(walk.parent.trees());
        parent = walk.parent.below(walk.parent.or_default(in_parent.find(name.to_bytes())));
        let page = directory.page(0);
        if above.is_empty() {
            streams = walk.streams.jobs_on(&page, walk.run);
        }
        let slot = page.slot_of(&name);
        above.push(Place { page, slot });
        here = here.and_then(|here| open_directory_as(&here, &name, Opening::Passed).ok());
        (wanted, rules) = (next, rules_below);
    }
    walker.sink.reporter().tally.statistics.dirs += u64_of(above.len());
    let directory = match above.last() {
        Some(place) => {
            let job = DirectoryJob { place: place.clone(), above: Arc::clone(&handle), parent, wanted };
            walker.begin_directory(&job, &handle, &place.page.directory).map_err(failed())?
        }
        None => walker.begin_root(&handle, parent, wanted)?,
    };
    walk.jobs.push([Job::Pages(PagesJob { directory, handle, from: 0 })]);
    walk.jobs.push(streams);
    above.into_iter().try_for_each(|place| walker.sink.end_page(&place.page))
}

fn open(directory: &Path) -> Result<OwnedFd, Errno> {
    let name = CString::new(directory.as_os_str().as_bytes()).map_err(|_| Errno::INVAL)?;
    // It may be a link: to the newest of several snapshots.
    open_directory_as(CWD, &name, Opening::Followed)
}

/// A directory above the path: as it is here, or as system directories are.
fn entry_above(
    reporter: &mut Reporter<'_>,
    place: &Place,
    here: Option<&OwnedFd>,
    stand_in: &OwnedFd,
) -> Result<PendingEntry, Errno> {
    if let Some(here) = here {
        let attributes = meta::xattrs_at(here, c".")?;
        return Ok(reporter.pending(place, &rustix::fs::fstat(here)?, attributes));
    }
    let mtime = meta::mtime(&rustix::fs::fstat(stand_in)?);
    let metadata = Metadata {
        name: place.name().to_bytes().to_vec(),
        mode: ABOVE_MODE,
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        mtime,
        xattrs: Vec::new(),
    };
    let state = EntryState { ctime: mtime, inode: 0, device: 0, children: None };
    Ok(PendingEntry { metadata, state })
}
