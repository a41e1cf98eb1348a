//! How a dump lies in files: as `mongodump` writes it, so that `mongorestore` can read it.

use std::fmt::Write as _;
use std::io::{self, Read};

use mongodb::bson::{Bson, Document, RawDocumentBuf};

use crate::error::{Result, SourceError};
use crate::files::Files;

/// The file of changes that were made while it was dumped.
pub const OPLOG: &str = "oplog.bson";
/// A larger document is in no database; entries of the oplog are a little larger than others.
const DOCUMENT_BYTES_MAX: u32 = 17 << 20;
/// The shortest document: its length and its end.
const DOCUMENT_BYTES_MIN: u32 = 5;
/// Longer metadata isn't read.
const METADATA_BYTES_MAX: u64 = 64 << 20;

/// A name as a part of a path.
fn escaped(name: &str) -> String {
    let mut path = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => path.push(char::from(byte)),
            b'-' | b'_' | b'.' | b'~' | b'$' | b'&' | b'+' | b'=' | b':' | b'@' => {
                path.push(char::from(byte))
            }
            other => {
                // Writing into a text doesn't fail.
                let _ = write!(path, "%{other:02X}");
            }
        }
    }
    path
}

/// The file of a collection's documents.
pub fn documents(database: &str, collection: &str) -> String {
    format!("{}/{}.bson", escaped(database), escaped(collection))
}

/// The file of a collection's options and indexes.
pub fn metadata(database: &str, collection: &str) -> String {
    format!("{}/{}.metadata.json", escaped(database), escaped(collection))
}

/// Reads options and indexes.
pub fn read_metadata(files: &dyn Files, path: &str) -> Result<Document> {
    let failed = |source| SourceError::Transfer { object: path.to_owned(), source };
    let wrong = |why: String| SourceError::Dump { object: path.to_owned(), why };
    let mut text = Vec::new();
    files.open(path).map_err(failed)?.take(METADATA_BYTES_MAX).read_to_end(&mut text).map_err(failed)?;
    let json: serde_json::Value = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
    match Bson::try_from(json) {
        Ok(Bson::Document(document)) => Ok(document),
        Ok(_) => Err(wrong("it isn't a document".to_owned())),
        Err(error) => Err(wrong(error.to_string())),
    }
}

/// Reads documents, one after the other.
pub struct Documents<'f> {
    input: io::BufReader<Box<dyn Read + Send + 'f>>,
    path: String,
    /// Bytes that were read.
    pub bytes: u64,
}

impl<'f> Documents<'f> {
    /// Those of a file.
    pub fn open(files: &'f dyn Files, path: &str) -> Result<Self> {
        let input = files.open(path);
        let input = input.map_err(|source| SourceError::Transfer { object: path.to_owned(), source })?;
        Ok(Self { input: io::BufReader::with_capacity(256 << 10, input), path: path.to_owned(), bytes: 0 })
    }

    /// The next one.
    pub fn next(&mut self) -> Result<Option<RawDocumentBuf>> {
        let failed = |path: &str, source: io::Error| match source.kind() {
            io::ErrorKind::UnexpectedEof => {
                SourceError::Dump { object: path.to_owned(), why: "it ends in a document".to_owned() }
            }
            _ => SourceError::Transfer { object: path.to_owned(), source },
        };
        let mut first = [0; 1];
        loop {
            match self.input.read(&mut first) {
                Ok(0) => return Ok(None),
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(&self.path, error)),
            }
        }
        let mut rest = [0; 3];
        self.input.read_exact(&mut rest).map_err(|error| failed(&self.path, error))?;
        let length = u32::from_le_bytes([first[0], rest[0], rest[1], rest[2]]);
        let wrong = |path: &str, why: String| SourceError::Dump { object: path.to_owned(), why };
        if !(DOCUMENT_BYTES_MIN..=DOCUMENT_BYTES_MAX).contains(&length) {
            return Err(wrong(
                &self.path,
                format!("it has a document of {length} bytes, which no database has"),
            ));
        }
        let mut bytes = length.to_le_bytes().to_vec();
        let left = u64::from(length) - 4;
        self.input.by_ref().take(left).read_to_end(&mut bytes).map_err(|error| failed(&self.path, error))?;
        self.bytes += u64::from(length);
        if bytes.len() != usize::try_from(length).unwrap_or_default() {
            return Err(failed(&self.path, io::ErrorKind::UnexpectedEof.into()));
        }
        let document =
            RawDocumentBuf::from_bytes(bytes).map_err(|error| wrong(&self.path, error.to_string()))?;
        // Each of its fields must be readable, so that no server is given what it can't.
        match document.iter().find_map(std::result::Result::err) {
            Some(error) => Err(wrong(&self.path, format!("it has a document that can't be read: {error}"))),
            None => Ok(Some(document)),
        }
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::rawdoc;

    use super::{Documents, documents, metadata};
    use crate::files::FolderFiles;

    #[test]
    fn paths_are_those_of_mongodump() {
        assert_eq!(documents("shop", "system.js"), "shop/system.js.bson");
        assert_eq!(metadata("shop", "a/b c%"), "shop/a%2Fb%20c%25.metadata.json");
    }

    #[test]
    fn documents_are_read_and_others_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = FolderFiles::new(folder.path());
        let read = |bytes: &[u8]| {
            std::fs::write(folder.path().join("a.bson"), bytes).expect("a file");
            let mut documents = Documents::open(&files, "a.bson").expect("a file");
            let mut count = 0;
            while documents.next().map_err(|error| error.to_string())?.is_some() {
                count += 1;
            }
            Ok::<usize, String>(count)
        };
        let one = rawdoc! { "a": 1, "b": "text" };
        let two = [one.as_bytes(), one.as_bytes()].concat();
        assert_eq!((read(&two), read(b"")), (Ok(2), Ok(0)));
        for at in 1..one.as_bytes().len() {
            assert!(read(&one.as_bytes()[..at]).is_err(), "{at}");
        }
        assert!(read(&[255, 255, 255, 127, 0]).is_err_and(|error| error.contains("which no database has")));
        let mut flipped = one.into_bytes();
        flipped[4] = 0x7a;
        assert!(read(&flipped).is_err());
    }
}
