//! How much is stored, and how much of it only some snapshots need.

use keepfast_engine::forget::Freed;
use keepfast_engine::run::Troubles;
use keepfast_engine::stats::RepositoryStats;
use serde::Serialize;

/// Sums over a repository.
#[derive(Debug, Clone, Serialize)]
pub struct StatsReport {
    /// Snapshots.
    pub snapshots: u64,
    /// Bytes of all files in all snapshots, as a restore of each would write them.
    pub bytes_total: u64,
    /// Data chunks.
    pub chunks: u64,
    /// Bytes of data chunks, each counted once.
    pub bytes_unique: u64,
    /// Bytes of metadata chunks.
    pub bytes_metadata: u64,
    /// Packs.
    pub packs: u64,
    /// Packs that no index segment lists: an interrupted run left them.
    pub packs_unlisted: u64,
    /// Objects stored.
    pub objects: u64,
    /// Bytes stored, all objects together.
    pub bytes_stored: u64,
    /// What was found damaged.
    #[serde(skip)]
    pub troubles: Troubles,
}

/// What would be freed if snapshots were forgotten.
#[derive(Debug, Clone, Default, Serialize)]
pub struct FreedReport {
    /// How many snapshots.
    pub snapshots: usize,
    /// Chunks that only they need.
    pub chunks: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// About how many bytes are stored for them.
    pub bytes_stored: u64,
    /// Stored bytes of packs that have nothing else in them.
    pub bytes_in_whole_packs: u64,
    /// What was found damaged.
    #[serde(skip)]
    pub troubles: Troubles,
}

/// What snapshots need.
#[derive(Debug, Clone, Serialize)]
pub struct NeededReport {
    /// How many snapshots.
    pub snapshots: usize,
    /// Stored bytes of what they need.
    pub bytes_stored: u64,
    /// What was found damaged.
    #[serde(skip)]
    pub troubles: Troubles,
}

impl StatsReport {
    /// These sums.
    pub(crate) fn new(sums: &RepositoryStats, troubles: Troubles) -> Self {
        Self {
            snapshots: sums.snapshots,
            bytes_total: sums.bytes_total,
            chunks: sums.chunks,
            bytes_unique: sums.bytes_unique,
            bytes_metadata: sums.bytes_metadata,
            packs: sums.packs,
            packs_unlisted: sums.packs_unlisted,
            objects: sums.objects,
            bytes_stored: sums.bytes_stored,
            troubles,
        }
    }
}

impl FreedReport {
    /// What this many snapshots would free.
    pub(crate) fn new(snapshots: usize, freed: Freed, troubles: Troubles) -> Self {
        Self {
            snapshots,
            chunks: freed.chunks,
            bytes: freed.bytes,
            bytes_stored: freed.stored_bytes,
            bytes_in_whole_packs: freed.packs_bytes,
            troubles,
        }
    }
}
