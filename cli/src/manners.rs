//! How much of the machine a run takes, by the command line.

use std::num::NonZeroU16;

use anyhow::Result;
use keepfast_operations::host::SystemHost;
pub use keepfast_operations::resources::Work;
use keepfast_operations::resources::{Demand, RateLimits, Resources, Share};

use crate::args::Common;
use crate::settings;

/// The share of a command, whose repository has packs of this size.
pub fn share(common: &Common, pack_bytes: u32, work: Work) -> Result<Share> {
    let demand = Demand { work, pack_bytes, is_remote: settings::place(common)?.is_remote() };
    Ok(resources(common).share(demand, SystemHost.processors())?)
}

/// What the command line lets a run use.
pub fn resources(common: &Common) -> Resources {
    Resources {
        threads: common.threads.and_then(NonZeroU16::new),
        memory_mib: common.memory,
        limits: RateLimits {
            upload_bytes_per_s: common.upload_bytes_per_s(),
            download_bytes_per_s: common.download_bytes_per_s(),
        },
        nice: common.nice,
    }
}
