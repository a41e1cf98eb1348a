//! How much of the machine and of the network a run takes: plain data, and what follows from it.

use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};

use crate::error::{ResourcesError, Result};

/// Packs on their way to a store at once, at most.
const UPLOADS_MAX: usize = 8;
/// Memory for packs on their way, unless less is said.
const PACKS_IN_FLIGHT_MIB: usize = 128;
/// Frames from a distant store that are read at once: most of the time they wait.
const REMOTE_READERS_MIN: usize = 4;
/// What a run takes besides its threads and packs: the index, trees, what is listed.
const BASE_MIB: usize = 80;

/// What a run may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Resources {
    /// Threads that work; else one per processor.
    pub threads: Option<NonZeroU16>,
    /// Memory, in MiB; with fewer threads, if need be.
    pub memory_mib: Option<u32>,
    /// How fast bytes may go to the store and come from it.
    pub limits: RateLimits,
    /// By how many steps of `nice` the run leaves processor and disk to other programs ([`crate::priority::be_nice`]).
    pub nice: u8,
}

/// Bytes in a second, at most; any number where there is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimits {
    /// To the store.
    pub upload_bytes_per_s: Option<u64>,
    /// From the store.
    pub download_bytes_per_s: Option<u64>,
}

impl RateLimits {
    /// As a store takes them.
    #[must_use]
    pub fn for_backend(self) -> keepfast_backend::RateLimits {
        keepfast_backend::RateLimits {
            upload_bytes_per_s: self.upload_bytes_per_s,
            download_bytes_per_s: self.download_bytes_per_s,
        }
    }
}

/// What a run does with packs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// It fills and uploads them.
    Write,
    /// It reads some, and writes what is in them into others.
    Rewrite,
    /// It reads frames of them.
    ReadFrames,
    /// It reads them whole.
    ReadPacks,
}

/// What a run needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// What it does.
    pub work: Work,
    /// The size of the repository's packs.
    pub pack_bytes: u32,
    /// Whether the store is beyond a network.
    pub is_remote: bool,
}

/// What a run gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Threads that work.
    pub threads: usize,
    /// Packs that are uploaded at once.
    pub uploads: usize,
}

impl Resources {
    /// The threads that a run may have on a machine with this many processors, as far as memory allows.
    #[must_use]
    pub fn threads(&self, processors: usize) -> usize {
        self.threads.map_or(processors.max(1), |threads| usize::from(threads.get()))
    }

    /// As many of the wanted threads as fit into the memory, by what they were seen to take, on a machine with this
    /// many processors. Fails if not even one fits.
    pub fn share(&self, demand: Demand, processors: usize) -> Result<Share> {
        let Demand { work, pack_bytes, is_remote } = demand;
        let wanted = self.threads(processors);
        let reads_far = is_remote && work == Work::ReadFrames;
        let wanted = if reads_far { wanted.max(REMOTE_READERS_MIN) } else { wanted };
        let pack_mib = mebibytes(pack_bytes.div_ceil(1 << 20));
        let thread_mib = match work {
            Work::Write => 32,
            Work::Rewrite => 52,
            Work::ReadFrames => 16,
            Work::ReadPacks => pack_mib + 4,
        };
        let memory_mib = self.memory_mib.map(mebibytes);
        let free = memory_mib.map(|memory| memory.saturating_sub(BASE_MIB + thread_mib));
        let uploads = if is_remote {
            let in_flight = free.map_or(PACKS_IN_FLIGHT_MIB, |free| PACKS_IN_FLIGHT_MIB.min(free / 2));
            // One is being filled, and one waits with its thread for an upload to end.
            (in_flight / pack_mib.max(1)).saturating_sub(2).clamp(1, UPLOADS_MAX)
        } else {
            1
        };
        let writes = matches!(work, Work::Write | Work::Rewrite);
        let packs_mib = if writes { (uploads + 1) * pack_mib } else { 0 };
        let Some(memory_mib) = memory_mib else { return Ok(Share { threads: wanted, uploads }) };
        let least_mib = BASE_MIB + packs_mib + thread_mib;
        if memory_mib < least_mib {
            return Err(ResourcesError::Memory { memory_mib, pack_mib, least_mib }.into());
        }
        Ok(Share { threads: wanted.min((memory_mib - BASE_MIB - packs_mib) / thread_mib), uploads })
    }
}

/// A number of MiB as numbers of threads and packs are. Where it doesn't fit, it is more than any machine has.
fn mebibytes(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Demand, NonZeroU16, Resources, Share, Work};
    use crate::error::Result;

    fn share(threads: u16, memory_mib: Option<u32>, demand: Demand) -> Result<Share> {
        let threads = NonZeroU16::new(threads);
        Resources { threads, memory_mib, ..Resources::default() }.share(demand, 1)
    }

    fn demand(work: Work, pack_mib: u32, is_remote: bool) -> Demand {
        Demand { work, pack_bytes: pack_mib << 20, is_remote }
    }

    #[test]
    fn packs_in_flight_fit_into_memory() {
        let uploads =
            |mib| share(2, None, demand(Work::Write, mib, true)).map(|share| share.uploads).unwrap_or(0);
        assert_eq!([4, 16, 32, 64, 128].map(uploads), [8, 6, 2, 1, 1]);
    }

    #[test]
    fn less_memory_means_fewer_threads_and_too_little_is_refused() {
        let threads =
            |memory, work| share(64, Some(memory), demand(work, 32, false)).map(|share| share.threads);
        assert_eq!(threads(256, Work::Write).unwrap_or(0), 3);
        assert_eq!(threads(1024, Work::Write).unwrap_or(0), 27);
        assert_eq!(threads(256, Work::ReadFrames).unwrap_or(0), 11);
        assert_eq!(threads(256, Work::ReadPacks).unwrap_or(0), 4);
        let refused = threads(150, Work::Write).expect_err("too little");
        assert!(refused.to_string().contains("at least 176 MiB") && refused.is_wrong_input(), "{refused}");
        let small = share(2, Some(200), demand(Work::Write, 4, true));
        assert_eq!(small.expect("enough"), Share { threads: 2, uploads: 8 });
    }

    #[test]
    fn without_a_number_there_is_a_thread_per_processor_and_a_far_store_has_some_that_wait() {
        let on = |processors, work, is_remote| {
            let share = Resources::default().share(demand(work, 32, is_remote), processors);
            share.expect("no limit").threads
        };
        assert_eq!([on(3, Work::Write, true), on(0, Work::Write, false)], [3, 1]);
        assert_eq!([on(2, Work::ReadFrames, true), on(2, Work::ReadFrames, false)], [4, 2]);
    }

    #[test]
    fn they_are_data_of_which_any_part_may_be_left_out() {
        let text = r#"{"threads": 3, "limits": {"upload_bytes_per_s": 1024}}"#;
        let resources: Resources = serde_json::from_str(text).expect("resources");
        assert_eq!(
            (resources.threads, resources.limits.upload_bytes_per_s),
            (NonZeroU16::new(3), Some(1024))
        );
        assert!(serde_json::from_str::<Resources>(r#"{"thread": 3}"#).is_err(), "a slip of the pen");
    }
}
