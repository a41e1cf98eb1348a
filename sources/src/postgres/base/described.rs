//! A base backup by what its manifest says.

use jiff::Timestamp;

use super::super::lsn::{Lsn, SegmentBytes, Timeline};
use super::super::segment::WalName;
use crate::error::{Result, SourceError};
use crate::manifest::{Form, MANIFEST, Manifest};

/// A base backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// The version of the server.
    pub server: String,
    /// What tells the server and its copies from all others.
    pub system: u64,
    /// In which history it was made.
    pub timeline: Timeline,
    /// From where on the log is needed.
    pub start: Lsn,
    /// Where the files become one state: nothing before that can be restored from this one.
    pub stop: Lsn,
    /// A moment by the server's clock at which that had happened.
    pub stopped: Timestamp,
    /// The length of a segment.
    pub segment_bytes: SegmentBytes,
    /// Whether pages have checksums.
    pub has_checksums: bool,
    /// Tablespaces that lie outside of the server's folder.
    pub tablespaces: Vec<Tablespace>,
}

/// A tablespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tablespace {
    /// Its number.
    pub oid: u32,
    /// Where it was on the server that was backed up.
    pub path: String,
}

const TIMELINE: &str = "timeline";
const START: &str = "start_lsn";
const STOP: &str = "stop_lsn";
const START_WAL: &str = "start_wal";
const STOP_WAL: &str = "stop_wal";
const SEGMENT_BYTES: &str = "wal_segment_bytes";
const CHECKSUMS: &str = "data_checksums";
const TABLESPACE: &str = "tablespace.";

impl Base {
    /// The number in front of the first point of the server's version.
    #[must_use]
    pub fn major(&self) -> u32 {
        let digits = self.server.split(|sign: char| !sign.is_ascii_digit()).next();
        digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
    }

    /// Reads what [`Self::note`] wrote.
    pub fn of(manifest: &Manifest) -> Result<Self> {
        let wrong = |why: String| SourceError::Dump { object: MANIFEST.to_owned(), why };
        if manifest.form != Form::Physical {
            return Err(wrong("it isn't of a server's own files".to_owned()));
        }
        let value =
            |name: &str| manifest.position.get(name).ok_or_else(|| wrong(format!("it doesn't say {name}")));
        let tablespace = |(name, path): (&String, &String)| {
            let oid = name.strip_prefix(TABLESPACE)?;
            Some(oid.parse().map(|oid| Tablespace { oid, path: path.clone() }))
        };
        let tablespaces: Result<Vec<_>, _> = manifest.position.iter().filter_map(tablespace).collect();
        let bytes = value(SEGMENT_BYTES)?.parse().ok().and_then(SegmentBytes::new);
        let moment = manifest.moment.as_ref().and_then(|moment| moment.parse().ok());
        let system = manifest.server_id.as_ref().and_then(|system| system.parse().ok());
        Ok(Self {
            server: manifest.server.clone(),
            system: system.ok_or_else(|| wrong("it doesn't say of which server it is".to_owned()))?,
            timeline: value(TIMELINE)?.parse().map_err(wrong)?,
            start: value(START)?.parse().map_err(wrong)?,
            stop: value(STOP)?.parse().map_err(wrong)?,
            stopped: moment.ok_or_else(|| wrong("it doesn't say when it was made".to_owned()))?,
            segment_bytes: bytes.ok_or_else(|| wrong("its segments have no length".to_owned()))?,
            has_checksums: value(CHECKSUMS)? == "on",
            tablespaces: tablespaces.map_err(|error| wrong(error.to_string()))?,
        })
    }

    /// Writes it into a manifest.
    pub(super) fn note(&self, manifest: &mut Manifest) {
        let wal = |number| WalName::segment(self.timeline, number, self.segment_bytes).to_string();
        manifest.server_id = Some(self.system.to_string());
        manifest.moment = Some(self.stopped.to_string());
        let mut say = |name: &str, value: String| manifest.position.insert(name.to_owned(), value);
        say(TIMELINE, self.timeline.to_string());
        say(START, self.start.to_string());
        say(STOP, self.stop.to_string());
        say(START_WAL, wal(self.segment_bytes.of(self.start)));
        say(STOP_WAL, wal(self.segment_bytes.before(self.stop)));
        say(SEGMENT_BYTES, self.segment_bytes.get().to_string());
        say(CHECKSUMS, if self.has_checksums { "on" } else { "off" }.to_owned());
        for tablespace in &self.tablespaces {
            say(&format!("{TABLESPACE}{}", tablespace.oid), tablespace.path.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Base, Tablespace};
    use crate::address::Engine;
    use crate::manifest::{Form, Manifest};
    use crate::postgres::lsn::{Lsn, SegmentBytes, Timeline};

    #[test]
    fn a_manifest_says_all_of_a_base_backup() {
        let base = Base {
            server: "15.20 (Debian)".to_owned(),
            system: 7_000_000_000_000_000_000,
            timeline: Timeline::FIRST,
            start: Lsn(0x200_0028),
            stop: Lsn(0x300_0000),
            stopped: "2026-11-28T10:23:40Z".parse().expect("a moment"),
            segment_bytes: SegmentBytes::default(),
            has_checksums: true,
            tablespaces: vec![Tablespace { oid: 16_388, path: "/srv/fast".to_owned() }],
        };
        let mut manifest = Manifest::new(Engine::Postgres, Form::Physical, base.server.clone());
        base.note(&mut manifest);
        assert_eq!(Base::of(&manifest).expect("what was written"), base);
        assert_eq!(base.major(), 15);
        assert_eq!(manifest.position["start_wal"], "000000010000000000000002");
        assert_eq!(
            manifest.position["stop_wal"], "000000010000000000000002",
            "nothing of the next one is needed"
        );
        for name in ["timeline", "start_lsn", "stop_lsn", "wal_segment_bytes", "data_checksums"] {
            let mut less = manifest.clone();
            less.position.remove(name);
            assert!(Base::of(&less).is_err(), "{name}");
        }
        manifest.form = Form::Logical;
        assert!(Base::of(&manifest).is_err());
    }
}
