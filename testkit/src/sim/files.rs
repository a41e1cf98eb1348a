//! What is backed up in histories, and what restores have to bring back: a few small files
//! whose contents are put together from few blocks, so that everybody stores what others have.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::process::SimProcess;
use crate::tree::{noise, set_mtime};

/// Files by their paths below the source.
pub type Files = BTreeMap<String, Vec<u8>>;

const BLOCKS: usize = 10;
const BLOCK_BYTES_MIN: usize = 200;
const FILES: usize = 5;

/// A number below its argument.
type Choose<'c> = &'c mut dyn FnMut(usize) -> usize;

fn content(choose: Choose<'_>) -> Vec<u8> {
    let blocks = 1 + choose(3);
    (0..blocks)
        .flat_map(|_| {
            let block = choose(BLOCKS);
            noise(block as u64, BLOCK_BYTES_MIN * (block + 1))
        })
        .collect()
}

/// The bytes of a stream.
#[must_use]
pub fn any_stream(process: &SimProcess) -> Vec<u8> {
    content(&mut |limit| process.below(limit))
}

/// Adds, changes and removes a few files.
pub fn change(files: &mut Files, choose: Choose<'_>) {
    for _ in 0..=choose(3) {
        let name = format!("d{}/f{}", choose(2), choose(FILES));
        match choose(4) {
            0 => drop(files.remove(&name)),
            _ => drop(files.insert(name, content(choose))),
        }
    }
}

/// Makes the tree below `folder` hold just these files. `time_s` becomes the modification
/// time of what has changed: the kernel's clock is no part of a history.
pub fn write_tree(folder: &Path, files: &Files, time_s: i64) {
    let mut there = read_tree(folder);
    for (path, bytes) in files {
        if there.remove(path).as_ref() != Some(bytes) {
            let path = folder.join(path);
            crate::tree::write(&path, bytes);
            set_mtime(&path, time_s, 0);
        }
    }
    for path in there.keys() {
        fs::remove_file(folder.join(path)).expect("the file can be removed");
    }
    for directory in fs::read_dir(folder).into_iter().flatten().flatten() {
        set_mtime(directory.path(), time_s, 0);
    }
    set_mtime(folder, time_s, 0);
}

/// The files below `folder`.
#[must_use]
pub fn read_tree(folder: &Path) -> Files {
    let mut files = Files::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(&at).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let below = path.strip_prefix(folder).expect("it is below");
                let bytes = fs::read(&path).expect("the file can be read");
                files.insert(below.to_string_lossy().into_owned(), bytes);
            }
        }
    }
    files
}
