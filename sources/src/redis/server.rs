//! What a server says of itself: its answer to INFO.

use std::collections::BTreeMap;

use crate::error::{Result, SourceError};

use super::connection::Connection;

/// More lines than any server says.
const LINES_MAX: usize = 100_000;

/// An answer to INFO.
pub struct Info(BTreeMap<String, String>);

impl Info {
    /// Asks for all of it.
    pub fn of(connection: &mut Connection) -> Result<Self> {
        connection.text(&["INFO"]).map(|text| Self::read(&text))
    }

    fn read(text: &str) -> Self {
        let fields = text.lines().take(LINES_MAX).filter_map(|line| line.split_once(':'));
        Self(fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// One of the facts.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// One that is a number.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }

    /// The version: `7.0.15`, or `valkey 8.1.0`.
    pub fn version(&self) -> String {
        match (self.get("valkey_version"), self.get("redis_version")) {
            (Some(version), _) => format!("valkey {version}"),
            (None, Some(version)) => version.to_owned(),
            (None, None) => "unknown".to_owned(),
        }
    }

    /// The databases that have keys, and how many.
    pub fn databases(&self) -> Vec<(u64, u64)> {
        let databases = self.0.iter().filter_map(|(name, value)| {
            let number = name.strip_prefix("db")?.parse().ok()?;
            let keys = value.split(',').find_map(|part| part.strip_prefix("keys="))?;
            Some((number, keys.parse().ok()?))
        });
        let mut databases: Vec<(u64, u64)> = databases.collect();
        databases.sort_unstable();
        databases
    }

    /// Why this kind of server can't be backed up or restored to.
    pub fn unsupported(&self) -> Option<&'static str> {
        match self.get("redis_mode") {
            Some("cluster") => Some(
                "it is a node of a cluster, and has only a part of the keys: clusters of Redis aren't supported",
            ),
            Some("sentinel") => Some("it is a sentinel, which has no data: give the address of a server"),
            _ => None,
        }
    }

    /// The same as an error.
    pub fn supported(&self, server: &str) -> Result<()> {
        match self.unsupported() {
            Some(why) => Err(SourceError::Unsupported { object: server.to_owned(), why: why.to_owned() }),
            None => Ok(()),
        }
    }
}

/// The first two numbers of a version, to compare.
pub fn release(version: &str) -> Option<(u32, u32)> {
    let digits = version.rsplit(' ').next()?;
    let mut numbers = digits.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// Whether a version is that of Valkey.
pub fn is_valkey(version: &str) -> bool {
    version.starts_with("valkey")
}

#[cfg(test)]
mod tests {
    use super::{Info, release};

    #[test]
    fn facts_are_read() {
        let text = "# Server\r\nredis_version:7.2.4\r\nvalkey_version:8.1.0\r\n\r\n# Keyspace\r\n\
                    db10:keys=3,expires=1,avg_ttl=0\r\ndb2:keys=1,expires=0\r\nredis_mode:cluster\r\n";
        let info = Info::read(text);
        assert_eq!((info.version().as_str(), info.databases()), ("valkey 8.1.0", vec![(2, 1), (10, 3)]));
        assert!(info.supported("redis://x").is_err());
        assert_eq!(
            (release("valkey 8.1.0"), release("7.0.15"), release("x")),
            (Some((8, 1)), Some((7, 0)), None)
        );
    }
}
