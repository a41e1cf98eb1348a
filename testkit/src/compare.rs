//! Comparing two trees by everything that `rsync -aHAX` looks at.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{CStr, OsStr};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What can be seen of one entry. Two that are equal can't be told apart by a user.
#[derive(Clone, PartialEq, Eq)]
pub struct Described {
    /// Type and permissions, as `st_mode`.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u32, u32),
    /// Modification time.
    pub mtime: (i64, i64),
    /// Size of a file, 0 for others.
    pub size: u64,
    /// Hash of a file's content, or a link's target.
    pub content: Vec<u8>,
    /// Extended attributes, by name.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The device that a device file stands for.
    pub rdev: u64,
    /// The first of the entry's names, if it has several in the tree.
    pub linked_to: Option<Vec<u8>>,
}

impl std::fmt::Debug for Described {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:o} {:?} {:?} size {} rdev {}", self.mode, self.owner, self.mtime, self.size, self.rdev)?;
        write!(f, " content {:.40}", String::from_utf8_lossy(&self.content).escape_debug())?;
        for (name, value) in &self.xattrs {
            write!(f, " {}={:.40?}", name.escape_ascii(), value)?;
        }
        write!(f, " linked {:?}", self.linked_to.as_ref().map(|path| path.escape_ascii().to_string()))
    }
}

/// Describes a tree: each entry by its path below `root`, the root itself by the empty path.
#[must_use]
pub fn describe(root: &Path) -> BTreeMap<Vec<u8>, Described> {
    let mut found = BTreeMap::new();
    let mut names: HashMap<(u64, u64), Vec<Vec<u8>>> = HashMap::new();
    let mut stack = vec![Vec::new()];
    while let Some(path) = stack.pop() {
        let whole = if path.is_empty() { root.to_owned() } else { root.join(OsStr::from_bytes(&path)) };
        let metadata =
            fs::symlink_metadata(&whole).unwrap_or_else(|error| panic!("{}: {error}", whole.display()));
        if metadata.is_dir() {
            for entry in fs::read_dir(&whole).expect("the directory can be listed") {
                let mut below = path.clone();
                if !below.is_empty() {
                    below.push(b'/');
                }
                below.extend(entry.expect("the entry can be listed").file_name().into_vec());
                stack.push(below);
            }
        } else if metadata.nlink() > 1 {
            names.entry((metadata.dev(), metadata.ino())).or_default().push(path.clone());
        }
        let content = if metadata.is_file() {
            hash(&whole).expect("the file can be read")
        } else if metadata.is_symlink() {
            fs::read_link(&whole).expect("the link can be read").into_os_string().into_vec()
        } else {
            Vec::new()
        };
        let is_device = metadata.mode() & 0o170_000 == 0o020_000 || metadata.mode() & 0o170_000 == 0o060_000;
        let described = Described {
            mode: metadata.mode(),
            owner: (metadata.uid(), metadata.gid()),
            mtime: (metadata.mtime(), metadata.mtime_nsec()),
            size: if metadata.is_file() { metadata.size() } else { 0 },
            content,
            xattrs: xattrs(&whole),
            rdev: if is_device { metadata.rdev() } else { 0 },
            linked_to: None,
        };
        found.insert(path, described);
    }
    for group in names.into_values().filter(|group| group.len() > 1) {
        let first = group.iter().min().cloned();
        for path in group {
            if let Some(described) = found.get_mut(&path) {
                described.linked_to.clone_from(&first);
            }
        }
    }
    found
}

/// Fails with the first entries in which two trees differ.
#[track_caller]
pub fn assert_same(one: &Path, other: &Path) {
    assert_described(&describe(one), &describe(other));
}

/// Fails with the first entries in which two descriptions differ.
#[track_caller]
pub fn assert_described(one: &BTreeMap<Vec<u8>, Described>, other: &BTreeMap<Vec<u8>, Described>) {
    let mut differences = Vec::new();
    for (path, described) in one {
        match other.get(path) {
            None => differences.push(format!("{}: only in the first tree", path.escape_ascii())),
            Some(found) if found != described => {
                differences.push(format!("{}:\n    {described:?}\n    {found:?}", path.escape_ascii()))
            }
            Some(_) => {}
        }
    }
    for path in other.keys().filter(|path| !one.contains_key(*path)) {
        differences.push(format!("{}: only in the second tree", path.escape_ascii()));
    }
    let count = differences.len();
    differences.truncate(10);
    assert!(differences.is_empty(), "{count} entries differ, among them\n{}", differences.join("\n"));
}

fn hash(path: &Path) -> io::Result<Vec<u8>> {
    let mut hasher = blake3::Hasher::new();
    io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok(hasher.finalize().as_bytes().to_vec())
}

fn xattrs(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut list = vec![0; 64 << 10];
    let Ok(length) = rustix::fs::llistxattr(path, &mut list) else { return BTreeMap::new() };
    let names = list[..length].split_inclusive(|byte| *byte == 0);
    names
        .filter_map(|name| CStr::from_bytes_with_nul(name).ok())
        .map(|name| {
            let mut value = vec![0; 64 << 10];
            let length = rustix::fs::lgetxattr(path, name, &mut value).expect("the attribute can be read");
            value.truncate(length);
            (name.to_bytes().to_vec(), value)
        })
        .collect()
}
