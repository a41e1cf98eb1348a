//! What one thread has counted, and how it reports what it can't back up.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use keepfast_format::node::{Node, NodeKind, Timestamp};
use keepfast_format::snapshot::Statistics;
use keepfast_format::state::EntryState;
use rustix::fs::Stat;
use rustix::io::Errno;

use super::parent::{InParent, Kept};
use super::pending::{Entry, Metadata, PendingEntry, Place};
use super::walk::Walk;
use crate::fs::dir;
use crate::fs::meta::{self, Attributes, FileId};
use crate::nouns::{counted, grouped};
use crate::run::{Event, RunContext};

/// What was counted.
#[derive(Debug, Default)]
pub struct Tally {
    /// Counts.
    pub statistics: Statistics,
    /// Files of the parent whose content is another now.
    pub files_rewritten: u64,
    /// Files that are new in their places, and that the repository had elsewhere.
    pub files_moved: u64,
    /// Files that changed while they were read.
    pub changed_while_read: u64,
    /// Entries that ignore files in the tree have left out.
    pub ignored: u64,
    /// User ids of the entries.
    pub users: BTreeSet<u32>,
    /// Group ids of the entries.
    pub groups: BTreeSet<u32>,
}

/// Whether a file that is new in its place is new to the repository too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Novelty {
    /// Some of its content is, or it was written after the parent was made, or no one knows.
    New,
    /// It isn't: its whole content was there, and it is older than the parent.
    Moved,
}

impl Tally {
    /// Counts bytes. The sums saturate, because sparse files can have any size and there may be many.
    pub fn count_bytes(&mut self, read: u64, total: u64) {
        let sum = &mut self.statistics;
        sum.bytes_read = sum.bytes_read.saturating_add(read);
        sum.bytes_total = sum.bytes_total.saturating_add(total);
    }

    /// Adds what another thread has counted.
    pub fn add(&mut self, other: Self) {
        let more = other.statistics;
        let sum = &mut self.statistics;
        sum.files_new += more.files_new;
        sum.files_changed += more.files_changed;
        sum.files_unchanged += more.files_unchanged;
        sum.skipped += more.skipped;
        sum.dirs += more.dirs;
        self.count_bytes(more.bytes_read, more.bytes_total);
        self.files_rewritten += other.files_rewritten;
        self.files_moved += other.files_moved;
        self.changed_while_read += other.changed_while_read;
        self.ignored += other.ignored;
        self.users.extend(other.users);
        self.groups.extend(other.groups);
    }
}

/// Counts and reports for one thread.
pub struct Reporter<'a> {
    run: &'a RunContext,
    /// What was counted.
    pub tally: Tally,
    /// Entries of the current page that were listed and couldn't be found.
    missing: Vec<Place>,
}

impl<'a> Reporter<'a> {
    /// Nothing was counted yet.
    pub fn new(run: &'a RunContext) -> Self {
        Self { run, tally: Tally::default(), missing: Vec::new() }
    }

    /// An entry without its content, from what the file system says.
    pub fn pending(&mut self, place: &Place, stat: &Stat, attributes: Attributes) -> PendingEntry {
        self.tally.users.insert(stat.st_uid);
        self.tally.groups.insert(stat.st_gid);
        let mut state = meta::state(stat);
        self.note_missed(place, &attributes, &mut state);
        let metadata = Metadata {
            name: place.name().to_bytes().to_vec(),
            mode: meta::permissions(stat),
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: meta::mtime(stat),
            xattrs: attributes.read,
        };
        PendingEntry { metadata, state }
    }

    /// Reports attributes that can't be read. The entry's state gets a ctime that no entry has, so that the
    /// next backup looks again.
    pub fn note_missed(&mut self, place: &Place, attributes: &Attributes, state: &mut EntryState) {
        if let Some(why) = &attributes.missed {
            state.ctime = Timestamp::default();
            self.skipped(&place.path(), format!("{why}; it is backed up without what can't be read"));
        }
    }

    /// Counts a file if it was written to since it was opened.
    pub fn note_if_changed(&mut self, handle: &OwnedFd, before: &Stat, path: impl FnOnce() -> Vec<u8>) {
        let same = rustix::fs::fstat(handle)
            .is_ok_and(|after| after.st_size == before.st_size && meta::mtime(&after) == meta::mtime(before));
        if !same {
            self.tally.changed_while_read += 1;
            let path = path();
            self.run.tell(&Event::Changed { path: PathBuf::from(OsStr::from_bytes(&path)) });
        }
    }

    /// Counts a file that was read, and this many bytes of it.
    pub fn count_file(&mut self, node: &Node, in_parent: &InParent, novelty: Novelty, bytes: u64) {
        self.count_kind(node, in_parent, novelty);
        self.tally.count_bytes(bytes, bytes);
        self.run.count(1, bytes);
    }

    /// Counts a file as new, changed or unchanged. One whose node differs counts as changed, even if only
    /// its bundle has changed: no one has compared its bytes.
    pub fn count_kind(&mut self, node: &Node, in_parent: &InParent, novelty: Novelty) {
        let Tally { statistics, files_rewritten, files_moved, .. } = &mut self.tally;
        match in_parent {
            InParent::Same(_) => statistics.files_unchanged += 1,
            InParent::Earlier(earlier) if **earlier == *node => statistics.files_unchanged += 1,
            InParent::Earlier(earlier) if matches!(earlier.kind, NodeKind::File { .. }) => {
                statistics.files_changed += 1;
                *files_rewritten += u64::from(earlier.kind != node.kind);
            }
            InParent::Earlier(_) | InParent::Absent => {
                statistics.files_new += 1;
                *files_moved += u64::from(novelty == Novelty::Moved);
            }
        }
    }

    /// Reports a regular file that is larger than files that are backed up, if it was named: someone expects it to be
    /// in the snapshot.
    pub fn too_large(&mut self, walk: &Walk<'_>, place: &Place, stat: &Stat) {
        let path = place.path();
        if let Some(max) = walk.options.exclude_larger_than
            && walk.sources.name(&path)
        {
            let (size, max) = (counted(stat.st_size.unsigned_abs(), "byte"), grouped(max));
            self.skipped(&path, format!("it has {size}, and files that have more than {max} are left out"));
        }
    }

    /// Counts an entry that is taken over from the parent, and returns it.
    pub fn count_kept(&mut self, walk: &Walk<'_>, place: &Place, kept: Kept) -> Entry {
        let Kept { node, state, is_linked, .. } = kept;
        if is_linked {
            walk.links.add(place, FileId { device: state.device, inode: state.inode });
        }
        self.tally.users.insert(node.uid);
        self.tally.groups.insert(node.gid);
        if let NodeKind::File { size, content, extents } = &node.kind {
            let bytes = walk.parent.content_bytes(*size, content, extents);
            self.tally.statistics.files_unchanged += 1;
            self.tally.count_bytes(0, bytes);
            self.run.count(1, bytes);
        }
        Entry { node, state }
    }

    /// Reports an entry that can't be opened or looked at. If it isn't there, it is reported at the end of
    /// its page.
    pub fn lost(&mut self, place: &Place, error: Errno) {
        if error == Errno::NOENT {
            self.missing.push(place.clone());
        } else {
            self.unreadable(&place.path(), error);
        }
    }

    /// Reports entries that were listed and couldn't be found. Most were removed meanwhile. But some servers
    /// list names that can't be found: such an entry is still listed, and still can't be found.
    pub fn report_missing(&mut self, handle: &OwnedFd) {
        if self.missing.is_empty() {
            return;
        }
        let listed = dir::list(handle).unwrap_or_default();
        for place in std::mem::take(&mut self.missing) {
            let path = place.path();
            let is_hidden = listed.contains(place.name().to_bytes())
                && matches!(meta::stat(handle.as_fd(), place.name()), Err(Errno::NOENT));
            if is_hidden {
                self.skipped(
                    &path,
                    "it is listed in its directory, but can't be found by its name".to_owned(),
                );
            } else {
                self.unreadable(&path, Errno::NOENT);
            }
        }
    }

    /// Reports an entry that can't be read; one that was removed meanwhile is no loss.
    pub fn unreadable(&mut self, path: &[u8], error: Errno) {
        let why = match error {
            Errno::NOENT => {
                let path = Path::new(OsStr::from_bytes(path));
                return self.run.tell(&Event::Gone { path: path.to_owned() });
            }
            Errno::LOOP | Errno::NOTDIR => {
                "it was replaced by something else while it was backed up".to_owned()
            }
            error => std::io::Error::from(error).to_string(),
        };
        self.skipped(path, why);
    }

    /// Reports an entry that isn't in the snapshot.
    pub fn skipped(&mut self, path: &[u8], why: String) {
        self.tally.statistics.skipped += 1;
        self.run.tell(&Event::Skipped { path: PathBuf::from(OsStr::from_bytes(path)), why });
    }
}
