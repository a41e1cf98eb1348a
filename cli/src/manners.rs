//! How much of the machine a run takes: threads, memory, priority.

use anyhow::Result;

use crate::args::Common;
use crate::settings;
use crate::usage::Usage;

/// Packs on their way to a store at once, at most.
const UPLOADS_MAX: usize = 8;
/// Memory for packs on their way, unless less is said.
const PACKS_IN_FLIGHT_MIB: usize = 128;
/// Frames from a distant store that are read at once: most of the time they wait.
const REMOTE_READERS_MIN: usize = 4;
/// What a run takes besides its threads and packs: the index, trees, what is listed.
const BASE_MIB: usize = 80;

/// What a command does with packs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Fills and uploads them.
    Write,
    /// Reads some, and writes what is in them into others.
    Rewrite,
    /// Reads frames of them.
    ReadFrames,
    /// Reads them whole.
    ReadPacks,
}

/// What a run may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Threads that work.
    pub threads: usize,
    /// Packs that are uploaded at once.
    pub uploads: usize,
}

/// The threads that a run may have, as far as memory allows.
pub fn threads(common: &Common) -> usize {
    common.threads.map_or_else(|| std::thread::available_parallelism().map_or(2, usize::from), usize::from)
}

/// The share of a command, whose repository has packs of this size.
pub fn share(common: &Common, pack_bytes: u32, work: Work) -> Result<Share> {
    let wanted = threads(common);
    let remote = settings::is_remote(common);
    let wanted = if remote && work == Work::ReadFrames { wanted.max(REMOTE_READERS_MIN) } else { wanted };
    let pack_mib = (pack_bytes as usize).div_ceil(1 << 20);
    let memory_mib = common.memory.map(|mib| mib as usize);
    Ok(within(wanted, remote, pack_mib, memory_mib, work)?)
}

/// As many of the wanted threads as fit into the memory, by what they were seen to take.
fn within(
    wanted: usize,
    remote: bool,
    pack_mib: usize,
    memory_mib: Option<usize>,
    work: Work,
) -> Result<Share, Usage> {
    let thread_mib = match work {
        Work::Write => 32,
        Work::Rewrite => 52,
        Work::ReadFrames => 16,
        Work::ReadPacks => pack_mib + 4,
    };
    let free = memory_mib.map(|memory| memory.saturating_sub(BASE_MIB + thread_mib));
    let uploads = if remote {
        let in_flight = free.map_or(PACKS_IN_FLIGHT_MIB, |free| PACKS_IN_FLIGHT_MIB.min(free / 2));
        // One is being filled, and one waits with its thread for an upload to end.
        (in_flight / pack_mib.max(1)).saturating_sub(2).clamp(1, UPLOADS_MAX)
    } else {
        1
    };
    let writes = matches!(work, Work::Write | Work::Rewrite);
    let packs_mib = if writes { (uploads + 1) * pack_mib } else { 0 };
    let Some(memory) = memory_mib else { return Ok(Share { threads: wanted, uploads }) };
    let least = BASE_MIB + packs_mib + thread_mib;
    if memory < least {
        return Err(Usage(format!(
            "--memory {memory} is too little: with packs of {pack_mib} MiB this takes at least {least}"
        )));
    }
    Ok(Share { threads: wanted.min((memory - BASE_MIB - packs_mib) / thread_mib), uploads })
}

/// Leaves processor and disk to others. Linux takes the priority for disks from the one for
/// processors, unless somebody has set it (ioprio_set(2)).
pub fn be_nice() {
    // Nobody may be refused to become less important; if somebody is, the run goes on as it is.
    let _ = rustix::process::nice(19);
}

#[cfg(test)]
mod tests {
    use super::{Share, Work, within};

    #[test]
    fn packs_in_flight_fit_into_memory() {
        let uploads = |mib| within(2, true, mib, None, Work::Write).map(|share| share.uploads);
        assert_eq!([4, 16, 32, 64, 128].map(|mib| uploads(mib).unwrap_or(0)), [8, 6, 2, 1, 1]);
    }

    #[test]
    fn less_memory_means_fewer_threads_and_too_little_is_refused() {
        let threads = |memory, work| within(64, false, 32, Some(memory), work).map(|share| share.threads);
        assert_eq!(threads(256, Work::Write).unwrap_or(0), 3);
        assert_eq!(threads(1024, Work::Write).unwrap_or(0), 27);
        assert_eq!(threads(256, Work::ReadFrames).unwrap_or(0), 11);
        assert_eq!(threads(256, Work::ReadPacks).unwrap_or(0), 4);
        let refused = threads(150, Work::Write).err().map(|error| error.0).unwrap_or_default();
        assert!(refused.contains("at least 176"), "{refused}");
        let small = within(2, true, 4, Some(200), Work::Write);
        assert_eq!(small.unwrap_or(Share { threads: 0, uploads: 0 }), Share { threads: 2, uploads: 8 });
    }
}
