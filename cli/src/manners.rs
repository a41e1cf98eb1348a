//! How much of the machine a run takes, by the command line.

use anyhow::Result;
use keepfast_operations::host::SystemHost;
pub use keepfast_operations::resources::Work;
use keepfast_operations::resources::{Demand, Share};

use crate::args::Common;
use crate::settings;

/// The share of a command, whose repository has packs of this size.
pub fn share(common: &Common, pack_bytes: u32, work: Work) -> Result<Share> {
    let demand = Demand { work, pack_bytes, is_remote: settings::place(common)?.is_remote() };
    Ok(common.resources().share(demand, SystemHost.processors())?)
}
