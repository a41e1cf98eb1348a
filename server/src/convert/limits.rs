//! What a run may take of the machine and the network.

use keepfast_config::model::plan::Limits;
use keepfast_operations::resources::{RateLimits, Resources};

const MIB: u64 = 1 << 20;

/// The limits of a plan as operations take them. Limits of windows of time are those of [`super::schedule::bandwidth`].
#[must_use]
pub fn resources(limits: Option<&Limits>) -> Resources {
    let Some(limits) = limits else { return Resources::default() };
    Resources {
        threads: limits.threads,
        // Less than a mebibyte is one: there is no run that takes less.
        memory_mib: limits.memory.map(|size| u32::try_from(size.bytes.div_ceil(MIB)).unwrap_or(u32::MAX)),
        limits: RateLimits {
            upload_bytes_per_s: limits.upload.map(|rate| rate.bytes_per_s),
            download_bytes_per_s: limits.download.map(|rate| rate.bytes_per_s),
        },
        nice: limits.nice.0 > 0,
    }
}
