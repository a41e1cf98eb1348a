//! The rules that can be weakened, one at a time, to see that the checker would notice.

/// A protocol that lacks one rule. The number is the trap's, where the design's list of traps has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mutant {
    // ---- the writer ----
    /// Acks say that an epoch was seen, and object to nothing (10).
    AckWithoutObjections,
    /// Objections are collected before the session stops referring to what is condemned (4).
    ObjectionsBeforeStopping,
    /// The newest epoch is read before the session object is created (10).
    EpochReadBeforeSession,
    /// Verdicts filter what is in the index when they are read, not the segments loaded later (2).
    LateSegmentsUnfiltered,
    /// A cache's word on which verdicts it has applied is believed although its content was rolled back.
    CacheAheadOfItsContent,
    /// Only the newest epoch counts; what earlier verdicts named is taken for usable again.
    VerdictsForgotten,
    /// Whether a pack is usable is told by looking for the object (3).
    ProbesForPacks,
    /// The index keeps one location per chunk, and the newest replaces the one that a reference rests on (7).
    OneLocationPerChunk,
    /// Chunks below a subtree taken over from the parent aren't objected for (9).
    SubtreesNotObjected,
    /// A parent listed once serves for the whole session, and isn't looked up when an epoch is seen.
    ParentNotLookedUp,
    /// A parent listed before the session began serves though there is an epoch.
    ParentListedTooEarly,
    /// A chunk below the parent that the index doesn't know isn't objected for.
    UnknownNotObjected,
    /// A subtree rests on any pack that the index knows, also on a dead one.
    DeadSupport,
    /// The snapshot is created while the session's own pack is still under way.
    CommitBeforePack,
    /// The commit overwrites whatever the register holds.
    FenceOverwritten,
    /// Success is reported without reading the catalogue after the commit (6).
    CatalogueNotRead,
    /// Snapshots are listed without reading the catalogue after it: those in freed registers count.
    GhostsListed,
    // ---- the collector ----
    /// The sessions to wait for are those listed before `condemned` is created (10).
    SessionsListedBeforeCondemned,
    /// Packs of undecided sessions are condemned too (8).
    CondemnsUndecided,
    /// The names of a finished epoch become free, so that a stale collector can publish under them what
    /// everyone seems to have acked (6).
    EpochNamesFreed,
    /// A session silent for long is passed over: by the clock it must be gone.
    ClockTrusted,
    /// A silent session's session object is removed, as one breaks a lock; its register stays empty.
    LockBroken,
    /// The verdict is given as soon as all have acked, without the second listing (10).
    NoSecondListing,
    /// The second listing doesn't spare what snapshots forgotten meanwhile refer to.
    ForgottenNotSpared,
    /// Each sweeper removes what it computed itself (1).
    NoVerdict,
    /// Who takes an epoch over believes that its predecessor waited for the acks.
    TakeoverWithoutWaiting,
    /// A rewriting session isn't fenced before `condemned` is created (5).
    RepackNotFenced,
    /// A pack is condemned as rewritten before the new one is indexed.
    RepackNotIndexed,
    /// A pack is removed when it is condemned; the epoch follows.
    RemovalBeforeVerdict,
    // ---- who may only create ----
    /// A verdict buries every pack that has the id of one that it names.
    VerdictById,
    /// What a verdict names is removed together with all names of the same id.
    RemovalById,
    /// Objections name a pack by its id and the session that a listing last had beside that id.
    OneNamePerId,
    /// An index that was rebuilt from packs lets a reference rest on a pack that no segment names.
    UnlistedSupports,
    /// A live chunk counts in a pack that no segment names.
    UnlistedCounts,
    /// Whatever lies under a session's name below `acks/` is an answer.
    JunkAnswers,
    /// Whatever lies in a session's register decides it.
    JunkDecides,
    /// A verdict that isn't authentic counts as one that names nothing.
    JunkSparesAll,
    /// Who can't read the verdict that is there goes by its own opinion.
    JunkOverruled,
    /// The removal of what isn't authentic takes effect once more, when the name has been used again.
    JunkRemovedTwice,
    // ---- compaction ----
    /// Registers are removed first, the catalogue is written after (6).
    RemovalBeforeCatalogue,
    /// A forgotten snapshot is compacted though no finished epoch names it.
    CompactionBeforeEpoch,
    // ---- the others ----
    /// Undelete takes the forgetting back instead of committing the tree in a new session.
    UndeleteWithoutSession,
    /// A reader that misses a pack doesn't load the index again.
    ReaderNeverReloads,
    /// A reader that misses a pack loads the index again once, and then gives up.
    ReaderReloadsOnce,
}
