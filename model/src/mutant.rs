//! The rules that can be weakened, one at a time, to test that the checker notices it.

/// A protocol without one rule. A number in parentheses is that of the trap in the design's list of traps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mutant {
    // ---- the writer ----
    /// Acks confirm that an epoch was seen, and object to nothing (10).
    AckWithoutObjections,
    /// Objections are collected before the session stops referring to what is condemned (4).
    ObjectionsBeforeStopping,
    /// The newest epoch is read before the session object is created (10).
    EpochReadBeforeSession,
    /// A verdict removes packs from the index when it is read, and not from segments that are loaded later
    /// (2).
    LateSegmentsUnfiltered,
    /// A session trusts the cache's record of the verdicts that it has applied, although the cache's content
    /// was rolled back.
    CacheAheadOfItsContent,
    /// Only the newest epoch counts: packs that earlier verdicts named are used again.
    VerdictsForgotten,
    /// A session decides whether a pack is usable by looking for the object (3).
    ProbesForPacks,
    /// The index keeps one location per chunk, and a newer one replaces the one that a reference depends on
    /// (7).
    OneLocationPerChunk,
    /// A session doesn't object for chunks below a subtree that was taken over from the parent (9).
    SubtreesNotObjected,
    /// A parent is listed once for the whole session, and its chunks aren't looked up when an epoch is seen.
    ParentNotLookedUp,
    /// A parent that was listed before the session began is used even if there is an epoch.
    ParentListedTooEarly,
    /// A session doesn't object for a chunk below the parent that the index doesn't know.
    UnknownNotObjected,
    /// A subtree may depend on any pack that the index knows, even on a dead one.
    DeadSupport,
    /// The snapshot is created while the session's own pack is still being uploaded.
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
    /// The names of a finished epoch become free, so that a stale collector can publish under them, and every
    /// session seems to have acked (6).
    EpochNamesFreed,
    /// A collector ignores a session that has been silent for long: according to the clock, it must have
    /// ended.
    ClockTrusted,
    /// A silent session's session object is removed, as if a lock were broken. Its register stays empty.
    LockBroken,
    /// The verdict is given as soon as all have acked, without the second listing (10).
    NoSecondListing,
    /// The second listing doesn't spare the packs of snapshots that were forgotten meanwhile.
    ForgottenNotSpared,
    /// Each collector removes what it computed itself (1).
    NoVerdict,
    /// A collector that takes over an epoch assumes that its predecessor waited for the acks.
    TakeoverWithoutWaiting,
    /// A rewriting session isn't fenced before `condemned` is created (5).
    RepackNotFenced,
    /// A pack is condemned as rewritten before the new one is indexed.
    RepackNotIndexed,
    /// A pack is removed when it is condemned, before the epoch is published.
    RemovalBeforeVerdict,
    // ---- creators ----
    /// A verdict kills every pack that has the id of a pack that it names.
    VerdictById,
    /// A pack that a verdict names is removed together with all names of the same id.
    RemovalById,
    /// An objection names a pack by its id and by the session that a listing had last with that id.
    OneNamePerId,
    /// With an index that was rebuilt from packs, a reference may depend on a pack that no segment lists.
    UnlistedSupports,
    /// A live chunk counts in a pack that no segment lists.
    UnlistedCounts,
    /// Any object under a session's name below `acks/` counts as its answer.
    JunkAnswers,
    /// Any object in a session's register decides the session.
    JunkDecides,
    /// A verdict that isn't authentic counts as a verdict that names nothing.
    JunkSparesAll,
    /// A collector that can't read the stored verdict uses the one that it computed.
    JunkOverruled,
    /// The removal of an object that isn't authentic takes effect again after the name was used again.
    JunkRemovedTwice,
    // ---- compaction ----
    /// Registers are removed first, the catalogue is written after (6).
    RemovalBeforeCatalogue,
    /// A forgotten snapshot is compacted although no finished epoch names it.
    CompactionBeforeEpoch,
    // ---- the others ----
    /// Undelete takes the forgetting back instead of committing the tree in a new session.
    UndeleteWithoutSession,
    /// A reader that misses a pack doesn't load the index again.
    ReaderNeverReloads,
    /// A reader that misses a pack loads the index again once, and then gives up.
    ReaderReloadsOnce,
}
