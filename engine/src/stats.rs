//! How much there is in a repository.

use std::collections::HashSet;

use keepfast_backend::Listed;
use keepfast_format::keys::ChunkKind;
use keepfast_format::names;
use keepfast_format::numbers::u64_of;

use crate::error::Result;
use crate::repo::{Index, Repository, Snapshots};

/// Sums over a repository.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct RepositoryStats {
    /// Snapshots.
    pub snapshots: u64,
    /// Bytes of all files in all snapshots, as a restore of each would write them.
    pub bytes_total: u64,
    /// Packs.
    pub packs: u64,
    /// Data chunks.
    pub chunks: u64,
    /// Bytes of data chunks, each counted once.
    pub bytes_unique: u64,
    /// Bytes of metadata chunks.
    pub bytes_metadata: u64,
    /// Objects stored.
    pub objects: u64,
    /// Bytes stored, all objects together.
    pub bytes_stored: u64,
    /// Packs that no index segment lists: an interrupted run left them.
    pub packs_unlisted: u64,
}

/// Sums up a repository.
pub fn stats(repository: &Repository, index: &Index, snapshots: &Snapshots) -> Result<RepositoryStats> {
    let mut stats = RepositoryStats {
        snapshots: u64_of(snapshots.all.len()),
        bytes_total: snapshots
            .all
            .iter()
            .fold(0, |sum, stored| sum.saturating_add(stored.snapshot.body.statistics.bytes_total)),
        ..RepositoryStats::default()
    };
    let mut known = HashSet::new();
    index.for_each_pack(|number, pack| {
        known.insert(pack.name);
        if index.is_dead(number) {
            return;
        }
        let plain: u64 = pack.frames.iter().map(|frame| u64::from(frame.plain_bytes)).sum();
        match pack.kind {
            ChunkKind::Data => {
                stats.bytes_unique += plain;
                stats.chunks += pack.frames.iter().map(|frame| u64::from(frame.chunks)).sum::<u64>();
            }
            ChunkKind::Metadata => stats.bytes_metadata += plain,
        }
    })?;
    for prefix in names::FOLDERS {
        repository.backend().list(prefix, &mut |Listed { name, bytes }| {
            stats.objects += 1;
            stats.bytes_stored += bytes;
            if let Some(pack) = names::parse_pack(&name) {
                stats.packs += 1;
                stats.packs_unlisted += u64::from(!known.contains(&pack));
            }
        })?;
    }
    Ok(stats)
}
