//! Files of several dumps as one: an archive of the log is many small snapshots and a spool.

use std::collections::BTreeMap;
use std::io::{self, Read};

use crate::files::{FileOf, Files};

/// Several dumps as one. Where two have a file of the same path, the first counts.
pub struct Union<'f> {
    parts: Vec<&'f dyn Files>,
    places: BTreeMap<String, Place>,
}

struct Place {
    part: usize,
    bytes: u64,
}

impl<'f> Union<'f> {
    /// Joins them. Name the newest first: a segment that wasn't full is longer there.
    pub fn new(parts: Vec<&'f dyn Files>) -> io::Result<Self> {
        let mut places = BTreeMap::new();
        for (part, files) in parts.iter().enumerate() {
            for file in files.list()? {
                places.entry(file.path).or_insert(Place { part, bytes: file.bytes });
            }
        }
        Ok(Self { parts, places })
    }
}

impl Files for Union<'_> {
    fn list(&self) -> io::Result<Vec<FileOf>> {
        let file = |(path, place): (&String, &Place)| FileOf { path: path.clone(), bytes: place.bytes };
        Ok(self.places.iter().map(file).collect())
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn Read + Send + '_>> {
        let part = self.places.get(path).and_then(|place| self.parts.get(place.part));
        part.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("{path} isn't there")))?.open(path)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::Union;
    use crate::files::{Files, FolderFiles};

    #[test]
    fn the_first_of_two_files_of_one_path_counts() {
        let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
        for (folder, files) in folders.iter().zip([[("a", "new"), ("b", "b")], [("a", "old"), ("c", "c")]]) {
            for (name, text) in files {
                std::fs::write(folder.path().join(name), text).expect("a file");
            }
        }
        let parts = folders.each_ref().map(|folder| FolderFiles::new(folder.path()));
        let union = Union::new(parts.iter().map(|part| -> &dyn Files { part }).collect()).expect("both");
        let paths: Vec<String> = union.list().expect("both").into_iter().map(|file| file.path).collect();
        assert_eq!(paths, ["a", "b", "c"]);
        let mut text = String::new();
        for path in paths {
            union.open(&path).expect("a file").read_to_string(&mut text).expect("text");
        }
        assert_eq!(text, "newbc");
        assert!(union.open("d").is_err());
    }
}
