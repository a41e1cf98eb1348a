//! Databases and collections of a server, and which of them are meant.

use futures_util::StreamExt;
use globset::{Glob, GlobSet, GlobSetBuilder};
use mongodb::bson::{Bson, Document, doc};

use crate::address::Address;
use crate::error::{Result, SourceError};

use super::link::{GRANT, Link, lacks_rights};

/// Databases of the server itself, which no one backs up: the log of changes, and how it is spread.
const INTERNAL: [&str; 2] = ["local", "config"];
/// Collections of the server that are backed up, in the database of users and in each other.
const SYSTEM: [&str; 4] = ["system.users", "system.roles", "system.version", "system.js"];
/// Those of them that have users and their rights, in the database `admin`.
pub const USERS: [&str; 3] = ["system.users", "system.roles", "system.version"];
/// More collections than a server can have.
const COLLECTIONS_MAX: usize = 1_000_000;

/// A collection, or what looks like one.
#[derive(Debug, Clone, PartialEq)]
pub struct Collection {
    /// Its database.
    pub database: String,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// How it was made.
    pub options: Document,
    /// By what the server knows it.
    pub uuid: Option<String>,
}

/// What a collection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One that has documents.
    Plain,
    /// A question about others.
    View,
    /// Measurements, which lie in a collection of buckets.
    TimeSeries,
}

impl Kind {
    /// As the server calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "collection",
            Self::View => "view",
            Self::TimeSeries => "timeseries",
        }
    }

    /// From that name.
    pub fn of(name: &str) -> Option<Self> {
        [Self::Plain, Self::View, Self::TimeSeries].into_iter().find(|kind| kind.name() == name)
    }
}

impl Collection {
    /// `shop.orders`
    pub fn path(&self) -> String {
        format!("{}.{}", self.database, self.name)
    }

    /// The collection in which its documents lie.
    pub fn stored_in(&self) -> String {
        stored_in(&self.name, self.kind)
    }
}

/// The collection in which the documents of one lie.
pub fn stored_in(name: &str, kind: Kind) -> String {
    if kind == Kind::TimeSeries { format!("system.buckets.{name}") } else { name.to_owned() }
}

/// Names, of which a list of patterns chooses some; an empty list chooses all.
pub struct Chosen(Option<GlobSet>);

impl Chosen {
    /// Reads patterns.
    pub fn new(patterns: &[String]) -> Result<Self> {
        let mut set = GlobSetBuilder::new();
        for pattern in patterns {
            let bad = |error: globset::Error| SourceError::Unsupported {
                object: format!("the pattern {pattern}"),
                why: error.to_string(),
            };
            set.add(Glob::new(pattern).map_err(bad)?);
        }
        let set = set.build().map_err(|error| SourceError::Unsupported {
            object: "the patterns".to_owned(),
            why: error.to_string(),
        })?;
        Ok(Self((!patterns.is_empty()).then_some(set)))
    }

    /// Whether a name is chosen.
    pub fn has(&self, name: &str) -> bool {
        self.0.as_ref().is_none_or(|set| set.is_match(name))
    }

    /// Whether nothing was chosen by name.
    pub fn is_all(&self) -> bool {
        self.0.is_none()
    }
}

/// The databases that the user can see, but the server's own.
pub fn databases(link: &Link, of: &Address, chosen: &Chosen) -> Result<Vec<String>> {
    if let Some(name) = &of.database {
        return Ok(vec![name.clone()]);
    }
    let users = link.database("admin");
    let command = users.run_command(doc! { "listDatabases": 1, "nameOnly": true });
    let answer = link.attempt(command.into_future())?;
    let answer = answer.map_err(|error| unseen(link, "the databases", &error))?;
    let list = answer.get_array("databases").map(Vec::as_slice).unwrap_or_default();
    let names = list.iter().filter_map(|entry| entry.as_document()?.get_str("name").ok().map(str::to_owned));
    let mut names: Vec<String> =
        names.filter(|name| !INTERNAL.contains(&name.as_str()) && chosen.has(name)).collect();
    names.sort();
    Ok(names)
}

/// All collections of a database that a dump has.
pub fn collections(link: &Link, database: &str) -> Result<Vec<Collection>> {
    let what = format!("the collections of {database}");
    let source = link.database(database);
    let listed = link.attempt(async {
        let mut cursor = source.run_cursor_command(doc! { "listCollections": 1, "cursor": {} }).await?;
        let mut listed = Vec::new();
        while let Some(entry) = cursor.next().await {
            listed.push(entry?);
            if listed.len() >= COLLECTIONS_MAX {
                break;
            }
        }
        Ok(listed)
    })?;
    let listed = listed.map_err(|error| unseen(link, &what, &error))?;
    let mut collections: Vec<Collection> =
        listed.into_iter().filter_map(|entry| collection(database, &entry)).collect();
    collections.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(collections)
}

/// A list can't be had: what isn't known can't be reported as missing.
fn unseen(link: &Link, what: &str, error: &mongodb::error::Error) -> SourceError {
    if lacks_rights(error) {
        let why = format!("{}: allow it, by {GRANT}", link.shown(error));
        return SourceError::Missing { object: what.to_owned(), why };
    }
    link.refused(what, error)
}

fn collection(database: &str, entry: &Document) -> Option<Collection> {
    let name = entry.get_str("name").ok()?.to_owned();
    if name.starts_with("system.") && !SYSTEM.contains(&name.as_str()) {
        return None;
    }
    let kind = Kind::of(entry.get_str("type").unwrap_or("collection"))?;
    let options = entry.get_document("options").cloned().unwrap_or_default();
    let uuid = match entry.get_document("info").ok().and_then(|info| info.get("uuid")) {
        Some(Bson::Binary(binary)) => Some(binary.bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        _ => None,
    };
    Some(Collection { database: database.to_owned(), name, kind, options, uuid })
}
