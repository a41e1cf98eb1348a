//! Whether what came is what the server sent: its list of files has a checksum for each.

use std::collections::BTreeMap;
use std::io;

use data_encoding::HEXLOWER_PERMISSIVE;
use serde::Deserialize;

use super::super::lsn::{Lsn, Timeline};
use super::super::sum::Sum;
use super::BACKUP_MANIFEST;
use crate::error::{Result, SourceError};

/// A longer list of files isn't kept: it would be one of two million files.
pub(super) const LIST_BYTES_MAX: usize = 512 << 20;
/// The part of the data that the server's list leaves out.
const WAL: &str = "pg_wal/";

/// The files that came, with their lengths and SHA-256 sums, by the paths that the server's list has.
#[derive(Debug, Default)]
pub(super) struct Arrived(BTreeMap<String, (u64, Sum)>);

impl Arrived {
    /// Notes a file. No path comes twice.
    pub(super) fn note(&mut self, path: String, bytes: u64, digest: Sum) -> io::Result<()> {
        match self.0.entry(path) {
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert((bytes, digest));
                Ok(())
            }
            std::collections::btree_map::Entry::Occupied(entry) => {
                let why = format!("the server sends {} twice", entry.key());
                Err(io::Error::new(io::ErrorKind::InvalidData, why))
            }
        }
    }

    /// How many.
    pub(super) fn count(&self) -> u64 {
        self.0.len().try_into().unwrap_or(u64::MAX)
    }

    /// Compares with the server's list, and returns the range of the log that makes the files one state.
    pub(super) fn compare(&self, list: &[u8]) -> Result<Vec<WalRange>> {
        let wrong =
            |object: &str, why: &str| SourceError::Dump { object: object.to_owned(), why: why.to_owned() };
        let list: List =
            serde_json::from_slice(list).map_err(|error| wrong(BACKUP_MANIFEST, &error.to_string()))?;
        let mut left = self.0.keys().filter(|path| !path.starts_with(WAL)).count();
        for file in &list.files {
            let path = file.path()?;
            let (bytes, digest) = self
                .0
                .get(&path)
                .ok_or_else(|| wrong(&path, "the server's list has it, and it didn't come"))?;
            if *bytes != file.size {
                return Err(wrong(&path, &format!("{} bytes were sent and {bytes} came", file.size)));
            }
            let sent = file.checksum.as_ref().and_then(|sum| HEXLOWER_PERMISSIVE.decode(sum.as_bytes()).ok());
            if file.checksum_algorithm.as_deref() != Some("SHA256") || sent.as_deref() != Some(digest) {
                return Err(wrong(&path, "it isn't what the server's checksum says"));
            }
            left = left.saturating_sub(usize::from(!path.starts_with(WAL)));
        }
        if left > 0 {
            return Err(wrong(BACKUP_MANIFEST, &format!("{left} files came that it doesn't have")));
        }
        Ok(list.wal_ranges)
    }
}

/// The server's list of files.
#[derive(Deserialize)]
struct List {
    #[serde(rename = "Files")]
    files: Vec<Listed>,
    #[serde(rename = "WAL-Ranges")]
    wal_ranges: Vec<WalRange>,
}

/// A part of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct WalRange {
    /// In which history.
    #[serde(rename = "Timeline")]
    pub timeline: Timeline,
    /// From here.
    #[serde(rename = "Start-LSN")]
    pub start: Lsn,
    /// Up to here.
    #[serde(rename = "End-LSN")]
    pub end: Lsn,
}

/// A file in the server's list.
#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "Path")]
    path: Option<String>,
    #[serde(rename = "Encoded-Path")]
    encoded_path: Option<String>,
    #[serde(rename = "Size")]
    size: u64,
    #[serde(rename = "Checksum-Algorithm")]
    checksum_algorithm: Option<String>,
    #[serde(rename = "Checksum")]
    checksum: Option<String>,
}

impl Listed {
    fn path(&self) -> Result<String> {
        let encoded = self.encoded_path.as_ref();
        let decoded = encoded.and_then(|path| HEXLOWER_PERMISSIVE.decode(path.as_bytes()).ok());
        let path = self.path.clone().or_else(|| String::from_utf8(decoded?).ok());
        path.ok_or_else(|| {
            let why = "a file in it has a name that isn't text".to_owned();
            SourceError::Dump { object: BACKUP_MANIFEST.to_owned(), why }
        })
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::Arrived;
    use crate::postgres::sum::sum_of;

    fn sum(text: &str) -> [u8; 32] {
        sum_of(text.as_bytes(), text.len().try_into().expect("a length")).expect("memory")
    }

    fn list(files: &str) -> Vec<u8> {
        let ranges = r#"[{"Timeline": 1, "Start-LSN": "0/2000028", "End-LSN": "0/2000100"}]"#;
        format!(r#"{{"PostgreSQL-Backup-Manifest-Version": 1, "Files": [{files}], "WAL-Ranges": {ranges}}}"#)
            .into_bytes()
    }

    fn listed(path: &str, text: &str) -> String {
        let (size, sum) = (text.len(), HEXLOWER.encode(&sum(text)));
        format!(r#"{{{path}, "Size": {size}, "Checksum-Algorithm": "SHA256", "Checksum": "{sum}"}}"#)
    }

    #[test]
    fn each_file_is_compared_with_the_servers_list() {
        let mut arrived = Arrived::default();
        arrived.note("base/1".to_owned(), 3, sum("one")).expect("new");
        arrived.note("pg_wal/0001".to_owned(), 3, sum("two")).expect("new");
        assert!(arrived.note("base/1".to_owned(), 3, sum("one")).is_err(), "twice");
        let one = listed(r#""Path": "base/1""#, "one");
        let ranges = arrived.compare(&list(&one)).expect("the same");
        assert_eq!(ranges.first().map(|range| range.end.to_string()).as_deref(), Some("0/2000100"));
        arrived.compare(&list(&listed(r#""Encoded-Path": "626173652f31""#, "one"))).expect("the same");
        for (files, why) in [
            (String::new(), "1 files came"),
            (listed(r#""Path": "base/1""#, "onE"), "checksum"),
            (listed(r#""Path": "base/1""#, "o"), "1 bytes were sent and 3 came"),
            (format!("{one}, {}", listed(r#""Path": "base/2""#, "one")), "base/2"),
            ("7".to_owned(), "backup_manifest"),
        ] {
            let error = arrived.compare(&list(&files)).expect_err(why).to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
