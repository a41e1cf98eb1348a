//! What a dump says of itself: a file of JSON that lies beside its data.

use std::collections::BTreeMap;
use std::io::Read;

use serde::{Deserialize, Serialize};

use crate::address::Engine;
use crate::error::{Result, SourceError};
use crate::files::Files;
use crate::sink::{NewFile, Sink};

/// The file's name in the dump.
pub const MANIFEST: &str = "keepfast.json";
/// The version of this text that is written, and the newest that is read.
pub const VERSION: u32 = 1;
/// A longer manifest isn't read: a server with a million tables needs a tenth of it.
const MANIFEST_BYTES_MAX: u64 = 256 << 20;

/// What was dumped, from where, and what isn't there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this text.
    pub version: u32,
    /// Which kind of database.
    pub engine: Engine,
    /// How it was dumped.
    pub form: Form,
    /// The version that the server says.
    pub server: String,
    /// What tells this server from others: PostgreSQL's system identifier, the UUID of MySQL, the run id of Redis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_id: Option<String>,
    /// The programs that were used, and their versions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tools: BTreeMap<String, String>,
    /// The moment that the dump shows, by the server's clock (RFC 3339, UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moment: Option<String>,
    /// Where the dump stands in the server's log of changes: a name and a value for each part, such as `lsn` and `0/16B3748`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub position: BTreeMap<String, String>,
    /// The databases.
    pub databases: Vec<Database>,
    /// The files in the order in which they are read back, if that matters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<String>,
    /// What was asked for and isn't there, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Missing>,
}

/// How a dump is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// What the server answers to queries: any version can read it.
    Logical,
    /// The server's own files: for the same kind and version.
    Physical,
}

/// A database in a dump.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    /// Its name.
    pub name: String,
    /// The folder in the dump, if the database has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Tables, collections or keyspaces.
    pub tables: Vec<Table>,
}

/// A table in a dump. What it is called depends on the engine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// The schema, where the engine has such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The name.
    pub name: String,
    /// The file in the dump that has its rows, if it has one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// How its rows are read back, such as `COPY public.orders (id, name) FROM stdin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<String>,
    /// How many rows, documents or keys it had, if that was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// The bytes of its file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// Something that was asked for and isn't in the dump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// Which object, such as `table shop.public.orders`.
    pub object: String,
    /// Why.
    pub why: String,
}

impl Manifest {
    /// Nothing was dumped yet.
    #[must_use]
    pub fn new(engine: Engine, form: Form, server: String) -> Self {
        Self {
            version: VERSION,
            engine,
            form,
            server,
            server_id: None,
            tools: BTreeMap::new(),
            moment: None,
            position: BTreeMap::new(),
            databases: Vec::new(),
            order: Vec::new(),
            missing: Vec::new(),
        }
    }

    /// Writes it into a dump: last, when all else is there.
    pub fn write(&self, sink: &dyn Sink) -> Result<()> {
        let failed = |source| SourceError::Transfer { object: MANIFEST.to_owned(), source };
        let text = serde_json::to_vec_pretty(self).map_err(|error| failed(error.into()))?;
        sink.file(&NewFile::new(MANIFEST), &mut text.as_slice()).map_err(failed)?;
        Ok(())
    }

    /// Reads it from a dump.
    pub fn read(files: &dyn Files) -> Result<Self> {
        let failed = |source| SourceError::Transfer { object: MANIFEST.to_owned(), source };
        let wrong = |why: String| SourceError::Dump { object: MANIFEST.to_owned(), why };
        let mut text = Vec::new();
        let read = files.open(MANIFEST).map_err(failed)?.take(MANIFEST_BYTES_MAX + 1).read_to_end(&mut text);
        read.map_err(failed)?;
        if u64::try_from(text.len()).is_ok_and(|bytes| bytes > MANIFEST_BYTES_MAX) {
            return Err(wrong("it is longer than any that is written".to_owned()));
        }
        let manifest: Self = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        if manifest.version > VERSION {
            return Err(SourceError::Unsupported {
                object: MANIFEST.to_owned(),
                why: format!("version {} was written by a newer program", manifest.version),
            });
        }
        Ok(manifest)
    }
}
