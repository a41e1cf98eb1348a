//! Files with several names, of which the snapshot says that they are one file.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use keepfast_format::limits;
use keepfast_format::links::LinkGroup;
use keepfast_format::numbers::u64_of;
use rustix::fs::Stat;

use super::pending::Place;
use crate::fs::meta::FileId;

/// The paths of files that have several names.
#[derive(Default)]
pub struct HardLinks(Mutex<HashMap<FileId, Vec<Vec<u8>>>>);

/// Whether a file has several names.
pub fn has_several(stat: &Stat) -> bool {
    stat.st_nlink > 1
}

impl HardLinks {
    /// Notes the path of a file if it has several names.
    pub fn note(&self, stat: &Stat, place: &Place) {
        if has_several(stat) {
            self.add(place, FileId::of(stat));
        }
    }

    /// Notes a path of a file that has several names.
    pub fn add(&self, place: &Place, file: FileId) {
        let path = place.path();
        let path = path.strip_prefix(b"/").map_or_else(|| path.clone(), <[u8]>::to_vec);
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        links.entry(file).or_default().push(path);
    }

    /// Takes the files that have several names in the snapshot.
    pub fn take_groups(&self) -> Vec<LinkGroup> {
        let links = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut groups: Vec<LinkGroup> = links
            .into_values()
            .filter(|paths| paths.len() > 1)
            .map(|mut paths| {
                paths.sort_unstable();
                paths
            })
            .collect();
        groups.sort_unstable();
        // More than this can't be read back. The files beyond it are restored as separate files.
        let mut room = limits::LINKS_BYTES_MAX;
        groups.retain(|group| {
            let bytes = group.iter().fold(4, |bytes, path| bytes + 4 + u64_of(path.len()));
            let fits = bytes <= room;
            room -= if fits { bytes } else { 0 };
            fits
        });
        groups
    }
}
