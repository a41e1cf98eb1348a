//! Plans and templates: what is backed up where, when, how long it is kept, and within which limits.

use std::num::NonZeroU16;

use crate::decode::{Context, Decode, Located, OneOrMore};
use crate::model::hook::Hook;
use crate::model::project::Project;
use crate::model::reference::{Definable, Reference};
use crate::model::repository::Repository;
use crate::model::retention::Retention;
use crate::model::schedule::{Overlap, Schedule};
use crate::model::source::{ChangedBy, Source};
use crate::schema::Shape;
use crate::tree::Node;
use crate::values::amount::{CompressionLevel, Niceness, Rate, Share, Size, Threshold};
use crate::values::name::{ExcludePattern, Label, Name, Tag};
use crate::values::time::{Length, ZoneName};
use crate::values::window::Window;

table! {
    /// What is backed up where, when, how long it is kept. A template has the same keys, all of them optional.
    #[inherits(true)]
    pub struct Plan {
        /// What it is, for people.
        description: Option<String>,
        /// Templates, the later ones over the earlier: tables merge, everything else replaces. A list is changed instead
        /// by `{ add = […], remove = […] }`. An effective plan names none any more.
        inherits: Vec<Located<Name>>,
        /// Keys that templates give and that are not wanted: `limits`, `retention.daily`.
        unset: Vec<Located<String>>,
        /// Whether it runs.
        enabled: bool = "true",
        /// The project that it belongs to.
        project: Option<Reference<Project>>,
        /// The repository that snapshots go to.
        repository: Reference<Repository>,
        /// The hosts that it runs on; else the server's own.
        hosts: Option<Hosts>,
        /// What is backed up, all in one snapshot.
        source: OneOrMore<Source>,
        /// Patterns of what to leave out of files.
        exclude: Vec<ExcludePattern>,
        /// Leave out directories that are marked as caches.
        exclude_caches: bool = "false",
        /// Leave out what is in directories that have an entry of one of these names.
        exclude_if_present: Vec<String>,
        /// Leave out files that are larger than this.
        exclude_larger_than: Option<Size>,
        /// Leave out what `chattr +d` has marked.
        exclude_nodump: bool = "false",
        /// Leave out what files named `.keepfastignore` say.
        ignore_files: bool = "true",
        /// Stay within the file systems of the paths.
        one_file_system: bool = "false",
        /// How a changed file is known. Every snapshot is whole, and only what is new is stored, whichever is chosen:
        /// there is no difference between full, incremental and differential backups.
        changed_by: ChangedBy = "'ctime'",
        /// Make no snapshot if nothing has changed.
        skip_if_unchanged: bool = "false",
        /// The level of zstd compression.
        compression_level: Option<CompressionLevel>,
        /// Labels for the snapshots.
        tags: Vec<Tag>,
        /// The time zone of the schedule and the retention alike; else the server's.
        timezone: Option<ZoneName>,
        /// When it runs; else only when it is told to.
        schedule: Option<Schedule>,
        /// The promise: a good snapshot is never older than this. Else the longest gap of the schedule, and its deadline.
        rpo: Option<Located<Length>>,
        /// What a slot does when the run before it isn't over.
        overlap: Overlap = "'skip'",
        /// What happens after a run that failed for a reason that may pass.
        retry: Option<Retry>,
        /// A run is ended after this.
        timeout: Option<Length>,
        /// What is kept; else everything.
        retention: Option<Located<Retention>>,
        /// What a run may take of the machine and the network.
        limits: Option<Limits>,
        /// What is unusual.
        anomaly: Option<Anomaly>,
        /// Commands around a backup, in this order.
        hook: Vec<Hook>,
        /// Further repositories that get a copy.
        copy_to: Vec<CopyTo>,
        /// Runs and their logs are remembered for this long; else as the server says.
        keep_runs: Option<Length>,
    }
}

table! {
    /// Which hosts. A host is chosen by its name, or by having all of these labels.
    pub struct Hosts {
        /// By name.
        names: Vec<String>,
        /// By label.
        labels: Vec<Label>,
    }
}

table! {
    /// What happens after a run that failed for a reason that may pass.
    pub struct Retry {
        /// Attempts in all.
        attempts: NonZeroU16 = "3",
        /// The time before the second.
        first: Length = "'2m'",
        /// Each further time is this many times as long.
        factor: NonZeroU16 = "2",
        /// But no longer than this.
        longest: Length = "'1h'",
    }
}

table! {
    /// What a run may take. A key that is a window of time, such as `"mon-fri 08:00-18:00"`, has limits for that time.
    pub struct Limits {
        /// Bytes to the store.
        upload: Option<Rate>,
        /// Bytes from the store.
        download: Option<Rate>,
        /// How far the run stands back for other programs.
        nice: Niceness = "0",
        /// Threads that work; else one for each processor.
        threads: Option<NonZeroU16>,
        /// Memory.
        memory: Option<Size>,
    }
    others
        /// Limits for a time: a rate for what goes to the store, or a table. Of several that hold at once, the lowest counts.
        windows: Window => WindowLimits;
}

table! {
    /// Limits for a time.
    pub struct WindowTable {
        /// Bytes to the store.
        upload: Option<Rate>,
        /// Bytes from the store.
        download: Option<Rate>,
    }
}

/// Limits for a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowLimits {
    /// Bytes to the store.
    pub upload: Option<Rate>,
    /// Bytes from the store.
    pub download: Option<Rate>,
}

impl Decode for WindowLimits {
    fn shape() -> Shape {
        Shape::AnyOf(vec![Rate::shape(), WindowTable::shape()])
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        if node.table().is_some() {
            let WindowTable { upload, download } = WindowTable::decode(node, context)?;
            return Some(Self { upload, download });
        }
        Rate::decode(node, context).map(|rate| Self { upload: Some(rate), download: None })
    }
}

table! {
    /// What is unusual. It is told, and may keep retention from removing anything.
    pub struct Anomaly {
        /// New bytes in one snapshot.
        new_bytes: Option<Threshold>,
        /// Files that are gone.
        deleted_files: Option<Threshold>,
        /// Files that have changed.
        changed_files: Option<Threshold>,
        /// How long a run takes.
        duration: Option<Threshold>,
        /// Less than this in all is unusual.
        size_at_least: Option<Size>,
        /// New data that doesn't compress, as encrypted data doesn't: a share of what is new.
        incompressible: Option<Share>,
        /// Nothing is removed while something unusual is open.
        pause_retention: bool = "true",
    }
}

table! {
    /// Another repository that gets a copy of each snapshot.
    pub struct CopyTo {
        /// Which.
        repository: Reference<Repository>,
        /// After which runs.
        after: CopyAfter = "'success'",
        /// What is kept there; else as here.
        retention: Option<Retention>,
    }
}

choice! {
    /// After which runs a snapshot is copied.
    pub enum CopyAfter {
        /// Those without findings.
        Success = "success",
        /// All that made a snapshot.
        Snapshot = "snapshot",
    }
}

impl Definable for Plan {
    const KEY: &'static str = "plan";
}
