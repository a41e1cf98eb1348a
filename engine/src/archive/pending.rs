//! Directories that are being backed up, and their pages, as far as they are complete.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};

use keepfast_format::node::{Node, NodeKind, Timestamp, Xattr};
use keepfast_format::state::EntryState;
use keepfast_format::tree::page_ends_after;

use super::filter::Rules;
use super::parent::ParentDirectory;
use crate::chunk::pages::StoredPage;
use crate::fs::dir::Names;
use crate::fs::meta::FileId;
use crate::fs::sources::Wanted;

/// An entry as the snapshot has it.
pub struct Entry {
    /// Its node.
    pub node: Node,
    /// Its state.
    pub state: EntryState,
}

/// An entry of which everything is known but what it contains.
pub struct PendingEntry {
    /// What its node says whatever its kind.
    pub metadata: Metadata,
    /// Its state.
    pub state: EntryState,
}

impl PendingEntry {
    /// The entry, with a node of this kind.
    pub fn of_kind(self, kind: NodeKind) -> Entry {
        Entry { node: self.metadata.into_node(kind), state: self.state }
    }
}

/// What a node says of an entry of any kind.
pub struct Metadata {
    /// The entry's name.
    pub name: Vec<u8>,
    /// Permissions with setuid, setgid and sticky bits.
    pub mode: u16,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// When its content was last changed.
    pub mtime: Timestamp,
    /// Its extended attributes.
    pub xattrs: Vec<Xattr>,
}

impl Metadata {
    /// The node of an entry of this kind.
    pub fn into_node(self, kind: NodeKind) -> Node {
        let Self { name, mode, uid, gid, mtime, xattrs } = self;
        Node { name, mode, uid, gid, mtime, xattrs, kind, unknown: None }
    }
}

/// A directory whose entries are being backed up.
pub struct Directory {
    /// The names of its entries.
    pub names: Names,
    /// What the parent snapshot has of it.
    pub parent: ParentDirectory,
    /// Which entries were asked for.
    pub wanted: Wanted,
    /// Which file it is.
    pub file: FileId,
    /// What decides which of its entries are left out.
    pub(super) rules: Rules,
    /// What is wanted of entries that stay though a rule leaves them out.
    exempt: BTreeMap<Vec<u8>, Wanted>,
    /// What its own node and state say, without trees. The root has neither.
    pub(super) own: Mutex<Option<PendingEntry>>,
    pub(super) place: Option<Place>,
    page_starts: Vec<usize>,
    pub(super) stored: Mutex<Vec<Vec<StoredPage>>>,
    pub(super) pages_left: AtomicUsize,
}

/// A page of a directory whose entries are being backed up.
pub struct Page {
    /// Its directory.
    pub directory: Arc<Directory>,
    pub(super) number: usize,
    /// Nothing for an entry that was skipped, or isn't known yet.
    pub(super) entries: Mutex<Vec<Option<Entry>>>,
    pub(super) entries_left: AtomicUsize,
}

/// Where an entry belongs.
#[derive(Clone)]
pub struct Place {
    /// The page.
    pub page: Arc<Page>,
    /// The entry's number in the page.
    pub slot: usize,
}

impl Place {
    /// The entry's name.
    pub fn name(&self) -> &CStr {
        self.page.directory.names.get(self.page.name_range().start + self.slot)
    }

    /// The entry's absolute path.
    pub fn path(&self) -> Vec<u8> {
        self.page.directory.path_of(self.name().to_bytes())
    }
}

/// What a directory needs to be begun.
pub struct DirectoryStart {
    pub names: Names,
    pub parent: ParentDirectory,
    pub wanted: Wanted,
    pub file: FileId,
    pub(super) rules: Rules,
    pub exempt: BTreeMap<Vec<u8>, Wanted>,
    /// What its own node and state say, without trees; the root has neither.
    pub own: Option<PendingEntry>,
    pub place: Option<Place>,
}

impl Directory {
    /// Begins a directory: its names are cut into pages.
    pub fn begin(start: DirectoryStart) -> Arc<Self> {
        let mut page_starts = vec![0];
        let mut in_page = 0;
        for index in 0..start.names.len() {
            in_page += 1;
            if page_ends_after(start.names.get(index).to_bytes(), in_page) && index + 1 < start.names.len() {
                page_starts.push(index + 1);
                in_page = 0;
            }
        }
        let pages = page_starts.len();
        Arc::new(Self {
            names: start.names,
            parent: start.parent,
            wanted: start.wanted,
            file: start.file,
            rules: start.rules,
            exempt: start.exempt,
            own: Mutex::new(start.own),
            place: start.place,
            page_starts,
            stored: Mutex::new((0..pages).map(|_| Vec::new()).collect()),
            pages_left: AtomicUsize::new(pages),
        })
    }

    /// How many pages it has.
    pub fn pages(&self) -> usize {
        self.page_starts.len()
    }

    /// Its absolute path. It isn't kept: the paths of nested directories would take memory that grows with the
    /// square of their depth.
    pub fn path(&self) -> Vec<u8> {
        let mut names = Vec::new();
        let mut directory = self;
        while let Some(place) = &directory.place {
            names.push(place.name().to_bytes());
            directory = &place.page.directory;
        }
        let mut path = Vec::with_capacity(1 + names.iter().map(|name| name.len() + 1).sum::<usize>());
        for name in names.into_iter().rev() {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        if path.is_empty() { b"/".to_vec() } else { path }
    }

    /// What is wanted of one of its entries that stays though a rule leaves it out.
    pub fn exempt(&self, name: &[u8]) -> Option<Wanted> {
        self.exempt.get(name).cloned()
    }

    /// Whether this file is the directory, or one that it is in.
    pub fn is_within(&self, file: FileId) -> bool {
        let mut directory = self;
        loop {
            if directory.file == file {
                return true;
            }
            match &directory.place {
                Some(place) => directory = &place.page.directory,
                None => return false,
            }
        }
    }

    /// The absolute path of an entry.
    pub fn path_of(&self, name: &[u8]) -> Vec<u8> {
        let mut path = self.path();
        if path.last() != Some(&b'/') {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        path
    }

    /// Begins one of its pages.
    pub fn page(self: &Arc<Self>, number: usize) -> Arc<Page> {
        let count = self.page_end(number) - self.page_starts[number];
        Arc::new(Page {
            directory: Arc::clone(self),
            number,
            entries: Mutex::new((0..count).map(|_| None).collect()),
            // One more than the entries: the page isn't complete while it is being walked.
            entries_left: AtomicUsize::new(count + 1),
        })
    }

    fn page_end(&self, number: usize) -> usize {
        self.page_starts.get(number + 1).copied().unwrap_or(self.names.len())
    }
}

impl Drop for Directory {
    /// Drops the directories above in a loop. Otherwise each would drop the one above from within its own
    /// drop, as deep on the stack as they are nested.
    fn drop(&mut self) {
        let mut above = self.place.take();
        while let Some(place) = above {
            let page = Arc::into_inner(place.page);
            let directory = page.and_then(|page| Arc::into_inner(page.directory));
            above = directory.and_then(|mut directory| directory.place.take());
        }
    }
}

impl Page {
    /// The place of a name on the page; the one after the last if it isn't there.
    pub fn slot_of(&self, name: &CStr) -> usize {
        let names = self.name_range();
        names.clone().position(|index| self.directory.names.get(index) == name).unwrap_or(names.len())
    }

    /// The numbers of its names in the directory's list.
    pub fn name_range(&self) -> std::ops::Range<usize> {
        self.directory.page_starts[self.number]..self.directory.page_end(self.number)
    }
}
