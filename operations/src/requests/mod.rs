//! Operations as plain data, and what carries each of them out.
//!
//! A request says what is wanted, a [`SharedRepository`](crate::open::SharedRepository) of what, and a
//! [`RunContext`] when it shall end and who hears of it. The report says what was done.
//!
//! Where the name of a function ends in `_with`, the caller hears of each result as soon as it is there; where it ends
//! in `_in`, the caller has opened the repository for this run.

mod backup;
mod cache;
mod check;
mod contents;
mod diff;
mod doctor;
mod drill;
mod edit;
mod forecast;
mod forget;
mod init;
mod prune;
mod restore;
mod retention;
mod snapshots;
mod stats;

use keepfast_engine::run::RunContext;

pub use backup::{Backup, backup, backup_with};
pub use cache::{Accept, Cache, CacheAction, accept, cache};
pub use check::{CIRCLE, Check, ReadPacks, check};
pub use contents::{Dump, ListEntries, dump, list_entries, list_entries_with};
pub use diff::{Diff, diff, diff_with};
pub use doctor::{Doctor, doctor, doctor_with};
pub use drill::{Drill, DrillReport, LivePlace, drill, drill_with};
pub use edit::{Rewrite, Tag, rewrite, rewrite_with, tag, tag_with};
pub use forecast::{Forecast, forecast, keeping};
pub use forget::{
    Forget, ForgetWhich, NamedSnapshots, Protect, Undelete, forget, forget_in, protect, undelete,
    undelete_with,
};
pub use init::{Init, init};
pub use prune::{Prune, prune, prune_in};
pub use restore::{OverwriteWhen, Restore, restore, restore_in};
pub use retention::Retention;
pub use snapshots::{ListSnapshots, list_snapshots};
pub use stats::{Freed, Needed, Stats, freed, needed, stats};

use crate::error::Result;
use crate::host::SystemHost;
use crate::open::SharedRepository;
use crate::resources::{Demand, RateLimits, Resources, Share, Work};

/// The program's name and version, as snapshots and sessions have it.
const PROGRAM: &str = concat!("keepfast ", env!("CARGO_PKG_VERSION"));

/// What a run gets of the machine, in a repository with packs of this size.
fn share_of(resources: &Resources, work: Work, pack_bytes: u32, shared: &SharedRepository) -> Result<Share> {
    let is_remote = shared.target().place.is_remote();
    resources.share(Demand { work, pack_bytes, is_remote }, SystemHost.processors())
}

/// The same run, no faster than this. Where nothing is said, the run keeps the limits that its caller gave it.
fn limited(run: &RunContext, resources: &Resources) -> RunContext {
    match resources.limits {
        RateLimits { upload_bytes_per_s: None, download_bytes_per_s: None } => run.clone(),
        limits => run.clone().with_limits(limits.for_backend()),
    }
}
