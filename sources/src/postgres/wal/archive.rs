//! What an archive of the log has.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use super::super::lsn::{SegmentBytes, SegmentNumber, Timeline};
use super::super::segment::{SegmentName, WalName};
use super::header::{HEADER_BYTES, Header};
use super::history::{HISTORY_BYTES_MAX, History};
use super::spool::SystemOf;
use crate::error::{Result, SourceError};
use crate::files::Files;

/// The files of a log that are there, by their names, and the histories by their content.
#[derive(Debug, Clone, Default)]
pub struct Archive {
    names: BTreeSet<WalName>,
    histories: BTreeMap<Timeline, History>,
}

impl Archive {
    /// Lists what is there: in `wal/`, and in the folder of the log of a base backup.
    pub fn read(files: &dyn Files) -> Result<Self> {
        let failed = |object: &str, source| SourceError::Transfer { object: object.to_owned(), source };
        let mut archive = Self::default();
        for file in files.list().map_err(|source| failed("wal", source))? {
            let Some(name) = WalName::of_path(&file.path) else { continue };
            archive.names.insert(name);
            if let WalName::History(timeline) = name {
                let mut text = String::new();
                let input = files.open(&file.path).map_err(|source| failed(&file.path, source))?;
                let read = input.take(HISTORY_BYTES_MAX).read_to_string(&mut text);
                read.map_err(|source| failed(&file.path, source))?;
                archive.histories.insert(timeline, History::parse(timeline, &text)?);
            }
        }
        Ok(archive)
    }

    /// An archive of files with these names and histories.
    #[must_use]
    pub fn of(
        names: impl IntoIterator<Item = WalName>,
        histories: impl IntoIterator<Item = History>,
    ) -> Self {
        let histories = histories.into_iter().map(|history| (history.of, history)).collect();
        Self { names: names.into_iter().collect(), histories }
    }

    /// With what another one has.
    #[must_use]
    pub fn with(mut self, other: Self) -> Self {
        self.names.extend(other.names);
        self.histories.extend(other.histories);
        self
    }

    /// Whether a file is there.
    #[must_use]
    pub fn has(&self, name: WalName) -> bool {
        self.names.contains(&name)
    }

    /// Whether a segment is there, or what there is of it.
    #[must_use]
    pub fn has_part_of(&self, name: SegmentName) -> bool {
        self.has(WalName::Segment(name)) || self.has(WalName::Partial(name))
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = WalName> {
        self.names.iter().copied()
    }

    /// The history of a timeline, if its file is there or it needs none.
    #[must_use]
    pub fn history(&self, timeline: Timeline) -> Option<History> {
        let found = self.histories.get(&timeline).cloned();
        found.or_else(|| (timeline == Timeline::FIRST).then(History::of_first))
    }

    /// Timelines that branched off from one, directly or not.
    #[must_use]
    pub fn descendants(&self, of: Timeline) -> Vec<Timeline> {
        let knows = |history: &&History| history.of != of && history.knows(of);
        self.histories.values().filter(knows).map(|history| history.of).collect()
    }

    /// All histories that are there.
    pub(super) fn histories(&self) -> impl Iterator<Item = &History> {
        self.histories.values()
    }

    /// The numbers of a timeline's segments that are there, partial ones too.
    pub(super) fn numbers(&self, timeline: Timeline, bytes: SegmentBytes) -> BTreeSet<SegmentNumber> {
        let number = |name: &WalName| match name {
            WalName::Segment(name) | WalName::Partial(name) if name.timeline() == timeline => {
                name.number(bytes)
            }
            _ => None,
        };
        self.names.iter().filter_map(number).collect()
    }

    /// The timelines of which something is there.
    pub(super) fn timelines(&self) -> BTreeSet<Timeline> {
        self.names.iter().map(|name| name.timeline()).collect()
    }
}

/// Of which server the log in these files is, by the first page of its newest whole segment, or else of what there is of one;
/// none if there is nothing.
pub fn system_of(files: &dyn Files) -> Result<Option<SystemOf>> {
    let failed = |object: &str, source| SourceError::Transfer { object: object.to_owned(), source };
    let listed = files.list().map_err(|source| failed("wal", source))?;
    let segments = listed.iter().filter_map(|file| match WalName::of_path(&file.path)? {
        name @ WalName::Segment(_) => Some((true, name, file.path.as_str())),
        name @ WalName::Partial(_) => Some((false, name, file.path.as_str())),
        _ => None,
    });
    let newest = segments.max_by_key(|(is_whole, name, _)| (*is_whole, *name));
    let Some((is_whole, name, path)) = newest else { return Ok(None) };
    let mut first = [0; HEADER_BYTES];
    let read = files.open(path).and_then(|mut input| input.read_exact(&mut first));
    read.map_err(|source| failed(path, source))?;
    match Header::parse(&first) {
        Ok(header) => Ok(Some(SystemOf { system: header.system, segment_bytes: header.segment_bytes })),
        // A receiver makes the file before it writes its begin.
        Err(_) if !is_whole => Ok(None),
        Err(why) => Err(SourceError::Dump { object: name.to_string(), why }),
    }
}
