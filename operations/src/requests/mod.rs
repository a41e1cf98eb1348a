//! Operations as plain data, and what carries each of them out.
//!
//! A request says what is wanted, a [`SharedRepository`](crate::open::SharedRepository) of what, and a
//! [`RunContext`] when it shall end and who hears of it. The report says what was done.

mod backup;
mod check;
mod prune;
mod restore;

use keepfast_engine::run::RunContext;

pub use backup::{Backup, backup, backup_with};
pub use check::{Check, ReadPacks, check};
pub use prune::{Prune, prune, prune_in};
pub use restore::{OverwriteWhen, Restore, restore};

use crate::error::Result;
use crate::host::SystemHost;
use crate::open::SharedRepository;
use crate::resources::{Demand, Resources, Share, Work};

/// The program's name and version, as snapshots and sessions have it.
const PROGRAM: &str = concat!("keepfast ", env!("CARGO_PKG_VERSION"));

/// What a run gets of the machine, in a repository with packs of this size.
fn share_of(resources: &Resources, work: Work, pack_bytes: u32, shared: &SharedRepository) -> Result<Share> {
    let is_remote = shared.target().place.is_remote();
    resources.share(Demand { work, pack_bytes, is_remote }, SystemHost.processors())
}

/// The same run, no faster than this.
fn limited(run: &RunContext, resources: &Resources) -> RunContext {
    run.clone().with_limits(resources.limits.for_backend())
}
