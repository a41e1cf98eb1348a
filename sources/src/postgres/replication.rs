//! Commands of the replication protocol: who a server is, what it is set to, its slots and its histories.

use std::fmt;
use std::time::Duration;

use keepfast_process::Cancel;

use super::lsn::{Lsn, SegmentBytes, Timeline};
use super::wire::{Connection, Mode, Table, connect};
use crate::address::Address;
use crate::error::{Result, SourceError};

/// The oldest version whose replication protocol has what is needed here.
pub const MAJOR_MIN: u32 = 15;
/// The longest name of a slot.
const SLOT_NAME_MAX: usize = 63;

/// A server by what `IDENTIFY_SYSTEM` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct System {
    /// What tells it and its copies from all others.
    pub identifier: u64,
    /// Its history.
    pub timeline: Timeline,
    /// How far its log is written.
    pub position: Lsn,
}

/// The name of a replication slot, by which a server keeps what a receiver hasn't confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotName(String);

impl SlotName {
    /// A name that PostgreSQL takes: small letters of ASCII, digits and underscores.
    pub fn new(name: &str) -> Result<Self> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if (1..=SLOT_NAME_MAX).contains(&name.len()) && name.bytes().all(is_plain) {
            return Ok(Self(name.to_owned()));
        }
        let why = "the name of a slot has small letters, digits and underscores, at most 63".to_owned();
        Err(SourceError::Unsupported { object: name.to_owned(), why })
    }
}

impl fmt::Display for SlotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a slot holds back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SlotState {
    /// From where on the log is kept; none if that is lost or was never reserved.
    pub restart: Option<(Lsn, Timeline)>,
}

/// A connection in which a server takes commands of replication.
pub(crate) struct Replication {
    /// The connection itself, for streams.
    pub connection: Connection,
}

impl Replication {
    /// Connects to a server of a version that is supported.
    pub fn connect(to: &Address, patience: Duration, cancel: &Cancel) -> Result<Self> {
        let connection = connect(to, Mode::Replication, patience, cancel)?;
        let major = connection.major();
        if major < MAJOR_MIN {
            let why = format!(
                "PostgreSQL {major} can be dumped, but its files and its log can't be read from afar: that takes {MAJOR_MIN}"
            );
            return Err(SourceError::Unsupported { object: connection.server.clone(), why });
        }
        Ok(Self { connection })
    }

    /// The version that the server says.
    pub fn version(&self) -> String {
        self.connection.settings.get("server_version").cloned().unwrap_or_default()
    }

    /// Who it is, and where its log stands.
    pub fn identify(&mut self) -> Result<System> {
        const WHAT: &str = "IDENTIFY_SYSTEM";
        let table = self.connection.query(WHAT, WHAT)?;
        let system = (|| {
            let [identifier, timeline, position, ..] = table.first()?.as_slice() else { return None };
            Some(System {
                identifier: identifier.as_ref()?.parse().ok()?,
                timeline: timeline.as_ref()?.parse().ok()?,
                position: position.as_ref()?.parse().ok()?,
            })
        })();
        system.ok_or_else(|| self.strange(WHAT))
    }

    /// A setting.
    pub fn show(&mut self, name: &str) -> Result<String> {
        let what = format!("SHOW {name}");
        let table = self.connection.query(&what, &what)?;
        single(table).ok_or_else(|| self.strange(&what))
    }

    /// The length of the server's segments.
    pub fn segment_bytes(&mut self) -> Result<SegmentBytes> {
        let shown = self.show("wal_segment_size")?;
        SegmentBytes::shown(&shown).ok_or_else(|| {
            self.connection.refused("SHOW wal_segment_size", format!("{shown} isn't a length of segments"))
        })
    }

    /// What a slot holds; none if it isn't there.
    pub fn slot(&mut self, name: &SlotName) -> Result<Option<SlotState>> {
        let what = format!("READ_REPLICATION_SLOT {name}");
        let table = self.connection.query(&what, &what)?;
        let row = table.into_iter().next().unwrap_or_default();
        let [kind, lsn, timeline, ..] = row.as_slice() else { return Err(self.strange(&what)) };
        match kind.as_deref() {
            None => return Ok(None),
            Some("physical") => {}
            Some(other) => {
                let why = format!("the slot is {other}, and a receiver needs a physical one");
                return Err(self.connection.refused(&what, why));
            }
        }
        let lsn = lsn.as_deref().and_then(|lsn| lsn.parse().ok());
        let timeline = timeline.as_deref().and_then(|timeline| timeline.parse().ok());
        Ok(Some(SlotState { restart: lsn.zip(timeline) }))
    }

    /// Makes a slot that holds back the log from now on.
    pub fn create_slot(&mut self, name: &SlotName) -> Result<()> {
        self.make_slot(&format!("CREATE_REPLICATION_SLOT {name} PHYSICAL (RESERVE_WAL)"))
    }

    /// Makes a slot that ends with this connection.
    pub fn create_temporary_slot(&mut self, name: &SlotName) -> Result<()> {
        self.make_slot(&format!("CREATE_REPLICATION_SLOT {name} TEMPORARY PHYSICAL (RESERVE_WAL)"))
    }

    /// Removes a slot: the server keeps nothing for it any more.
    pub fn drop_slot(&mut self, name: &SlotName) -> Result<()> {
        let command = format!("DROP_REPLICATION_SLOT {name}");
        self.connection.query(&command, &command).map(|_| ())
    }

    fn make_slot(&mut self, command: &str) -> Result<()> {
        self.connection.query(command, command).map(|_| ())
    }

    /// The history file of a timeline: its name and its text.
    pub fn history(&mut self, timeline: Timeline) -> Result<(String, String)> {
        let what = format!("TIMELINE_HISTORY {timeline}");
        let table = self.connection.query(&what, &what)?;
        let row = table.into_iter().next().unwrap_or_default();
        let mut values = row.into_iter().flatten();
        values.next().zip(values.next()).ok_or_else(|| self.strange(&what))
    }

    fn strange(&self, what: &str) -> SourceError {
        self.connection.refused(what, "the server answers what no server should")
    }
}

fn single(table: Table) -> Option<String> {
    table.into_iter().next()?.into_iter().next()?
}

#[cfg(test)]
mod tests {
    use super::SlotName;

    #[test]
    fn a_name_that_would_be_more_than_a_name_in_a_command_is_refused() {
        for name in ["keepfast", "a_1"] {
            assert_eq!(SlotName::new(name).expect(name).to_string(), name);
        }
        for name in ["", "Keepfast", "a b", "a;DROP", "a\"", &"a".repeat(64)] {
            assert!(SlotName::new(name).is_err(), "{name}");
        }
    }
}
