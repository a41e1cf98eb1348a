//! A model of the write-once protocol: sessions, snapshots and garbage collections around one object store. A
//! checker explores every history within given bounds.
//!
//! # The protocol, step by step
//!
//! The store has objects that are created if absent, read, listed and removed. All processes see a finished
//! create ([`store`]). Two kinds of objects are registers, which the first create decides: `snapshots/<sid>`
//! holds a snapshot or a FENCE, and `epochs/<g>/done` holds a verdict. A pack's name has two parts, the pack
//! id and the id of the session that wrote it. References, objections, what is condemned, verdicts, dead
//! packs and removals all use the whole name ([`Pack`](store::Pack)).
//!
//! **A writer** ([`writer`]) is one session.
//! 1. [`CreateSession`](writer::WriterStep::CreateSession): `sessions/<sid>`.
//! 2. [`ReadNewestEpoch`](writer::WriterStep::ReadNewestEpoch), *then*
//!    [`CreateAck`](writer::WriterStep::CreateAck). Before the first ack the session refers to nothing.
//! 3. It comes to refer to the chunk in one of three ways. The reference depends on one pack, its support.
//!    [`ReferToKnownChunk`](writer::WriterStep::ReferToKnownChunk) deduplicates against the index, minus dead
//!    packs and minus what an unfinished epoch condemned; any pack that is left is the support.
//!    [`ListParent`](writer::WriterStep::ListParent) and
//!    [`TakeOverSubtree`](writer::WriterStep::TakeOverSubtree) don't look the chunk up, so there is no
//!    support. [`SendPack`](writer::WriterStep::SendPack),
//!    [`LearnThatPackIsStored`](writer::WriterStep::LearnThatPackIsStored) and
//!    [`WriteSegment`](writer::WriterStep::WriteSegment) upload the chunk, while other steps continue. A
//!    support is never replaced.
//! 4. When there is a newer epoch, the session may see it with `ReadNewestEpoch`. From then to the ack it
//!    takes over nothing. *First*, [`LookUpSubtree`](writer::WriterStep::LookUpSubtree) finds a support for
//!    what was or may be taken over from the parent. *Then* the session stops referring to what that epoch
//!    condemned ([`StopReferring`](writer::WriterStep::StopReferring)), *then* it objects for its support
//!    ([`CollectObjections`](writer::WriterStep::CollectObjections)), *then* `CreateAck`. It may refer to
//!    chunks between these steps, because other threads do so.
//! 5. [`CreateSnapshot`](writer::WriterStep::CreateSnapshot), then
//!    [`ReadCatalogue`](writer::WriterStep::ReadCatalogue). The model doesn't require a writer to look for
//!    epochs before it commits: safety doesn't depend on that. Until it has sent the snapshot, it may
//!    [`GiveUp`](writer::WriterStep::GiveUp) with a FENCE of its own. When it finds a verdict that it hasn't
//!    acked, it may [`CheckRegister`](writer::WriterStep::CheckRegister).
//!
//! **A collector** ([`collector`]) runs one epoch after the other. In a crash it forgets everything and
//! begins again.
//! - 0, 1: [`Begin`](collector::CollectorStep::Begin) takes over an epoch without a verdict at step 4, or
//!   lists sessions and snapshots for the next epoch.
//! - 1, 2: [`Mark`](collector::CollectorStep::Mark) *then* reads decisions and catalogue, and chooses packs
//!   without live chunks and with a decided owner. A live chunk counts in a pack that a segment lists. A name
//!   isn't chosen if another name with the same id, which a segment lists, is alive. For live packs the
//!   collector opens a session, writes and indexes a new pack, fences that session
//!   ([`FenceOwnSession`](collector::CollectorStep::FenceOwnSession)) and condemns the old packs
//!   ([`CondemnRewritten`](collector::CollectorStep::CondemnRewritten)).
//! - 3: [`CreateCondemned`](collector::CollectorStep::CreateCondemned). On a conflict the collector begins
//!   again.
//! - 4: [`ListSessions`](collector::CollectorStep::ListSessions). Each undecided session must ack, or it gets
//!   a [`Fence`](collector::CollectorStep::Fence), which may also come at any other time.
//! - 5: [`ListAgain`](collector::CollectorStep::ListAgain) spares the packs that objections name, and the
//!   packs of all snapshots that `condemned` doesn't name, whether these are forgotten or not.
//! - 6: [`CreateDone`](collector::CollectorStep::CreateDone): the verdict, its own or the one that it finds.
//! - 7: [`Remove`](collector::CollectorStep::Remove), pack by pack.
//!   [`SweepDead`](collector::CollectorStep::SweepDead) is for packs that reappear: they are dead for ever.
//!   Segments of dead packs are removed, too ([`RemoveSegment`](state::Action::RemoveSegment)).
//!
//! **A compactor** ([`compactor`]) writes a decided session into the catalogue, and removes its objects after
//! that. What is found in the register of such a session is a ghost, which all processes ignore: they list
//! first and read the catalogue after that. The session's packs stay unchanged. **A reader** ([`reader`])
//! chooses a snapshot with an index from any earlier time, and loads the index again when packs are missing.
//! **Users** forget snapshots. Undelete is a writer that deduplicates the chunk of a forgotten snapshot
//! against the index.
//!
//! **A creator** ([`creator`]) may create any object and has no key. It makes *twins*: names with the id of
//! one session's pack and the id of another session. A twin is junk or a copy of the pack. No segment lists
//! it, so no index has it and no reference depends on it. Collectors list it, condemn it and remove it like
//! any other name. A creator may also make *junk*, bytes without a valid signature, under names of registers
//! and epochs:
//!
//! - In a session's register, junk decides nothing: the session isn't decided, but it can't commit. Its
//!   writer finds the name taken and gives up. Collectors begin no epoch, and a second listing spares
//!   everything.
//! - As `condemned` of the next epoch, or as `done` of an epoch that exists, it stops all processes that
//!   would read that epoch. A process that was about to create the object finds the name taken, and stops.
//!   Under a later number, junk has no effect until that number is the next one.
//!
//! **An operator** removes junk ([`RemoveJunk`](creator::CreatorStep::RemoveJunk)) once, at any moment, and
//! all processes continue with what is stored. A removal that takes effect again, after the name was used,
//! would undo objects that all processes rely on ([`JunkRemovedTwice`](mutant::Mutant::JunkRemovedTwice)). So
//! no process may run before the removal is answered.
//!
//! # What goes wrong at every step
//!
//! - *Pause:* between any two steps of a process, all others may take any number of steps.
//! - *Crash:* a process that takes no more steps has crashed. A collector or compactor may begin again with
//!   no knowledge. A writer that does so is the other writer, with any cache.
//! - *Timeouts and clocks:* there are none. A FENCE for a silent session may come at any time, so the
//!   histories include all that any clock could cause.
//! - *Ambiguous create:* with [`Answer::Lost`](rules::Answer::Lost), the create took effect, its sender
//!   doesn't know it and sends it again. *Late and duplicate creates:* packs that were ever sent may appear
//!   again at any time, also after their removal. So may segments of dead packs, and snapshots whose name
//!   compaction has made free. (Other late creates are those of a paused process.)
//! - *A hostile create:* twins and junk, as above, at any moment and before the create of any process. A twin
//!   may also appear repeatedly, and after its removal.
//! - *Stale local state:* a writer's index has what it loaded at any moment before its session began, or
//!   nothing.
//!
//! The invariants I1 to I6 and the events that must occur are in [`properties`]. Weakened rules, each of
//! which must break an invariant, are in [`mutant`]. `tests/sound.rs` says what each of the bounds covers.
//!
//! # What is left out, and why that is safe
//!
//! - *More than one chunk.* A loss is the loss of one chunk, in the packs that have it, so it is enough to
//!   look at that chunk. Other chunks of these packs and trees only keep packs that could have been
//!   condemned, which a collector may do here anyway (`any_subset`), or spare packs, as if they hadn't been
//!   condemned.
//! - *More than one pack per session, more than two sessions.* The rules never compare packs of one session,
//!   and they compare two sessions only through the store. This is a bound, not a proof; so is the number of
//!   epochs.
//! - *Other objects without a valid signature.* Below `states/` and `index/` they are ignored, and no process
//!   waits for their numbers. Below `catalogue/`, `config/` and `keyring/` they may stop a process, which is
//!   a crash. A session object that no session made is a silent session, which gets a FENCE. Junk under the
//!   name of an ack isn't an answer ([`JunkAnswers`](mutant::Mutant::JunkAnswers)), and the session's own ack
//!   gets another name of its own: other processes see the same ack as without the junk, later. All authentic
//!   acks of a session count. A second ack could only object to more packs, which spares more.
//! - *Junk under the name of a session's own pack.* A pack's id is a hash of its bytes, so no one can guess
//!   the name before the pack is sent. After that the session finds other bytes there and fails, as in a
//!   crash.
//! - *Damage.* Junk exists only where no object was. The rule that collectors stop and spare everything
//!   because of a register that they can't read is for a damaged snapshot, which they can't distinguish from
//!   junk.
//! - *Trust.* Writers and owners here follow the protocol.
//! - *Objections and verdicts of older programs,* which name pack ids. Such an objection spares all names
//!   with that id ([`objections_by_id`](Bounds::objections_by_id)): more than necessary, as if less had been
//!   condemned. Such a verdict is read as the names in its own epoch's `condemned` that have the id. All
//!   processes that read it so get the same names.
//! - *Indexes that are rebuilt from packs.* They find packs that no segment lists, including copies. A
//!   process may read from such a pack. The pack must not be a support
//!   ([`UnlistedSupports`](mutant::Mutant::UnlistedSupports)), and a live chunk must not count in it
//!   ([`UnlistedCounts`](mutant::Mutant::UnlistedCounts)): other processes don't know of it. So in the
//!   protocol a rebuilt index is only useful for what the segments list.
//! - *Steps 0 and 1 at two moments.* If an epoch appears between them, step 3 finds its name taken.
//! - *The two listings of step 5 at two moments.* By then every session that could refer to a condemned pack
//!   has acked, committed or been fenced, and none of these states ever ends.
//! - *Acks of the time before the first epoch,* which no process reads.
//! - *Removal of the acks of an epoch that has a verdict.* Only late collectors of that epoch still read
//!   them. If they miss some, they fence sessions, which may happen at any time, or compute another verdict
//!   and find the first.
//! - *Loading all segments before a subtree is looked up.* It may happen, because an index may be loaded at
//!   any time. Safety doesn't depend on it. With an index that knows none of the chunk's packs, a session
//!   objects to everything that is condemned.
//! - *The knowledge of fenced sessions when no further epoch can follow:* other processes see only their
//!   packs.
//! - *A whole machine that is set back to an earlier moment* while its session continues. The two copies then
//!   race for the names of one session. Foreign bytes under its own name end a session.
//! - *I7, I8,* and everything about the bytes: tests of the format and the engine show these.

pub mod collector;
pub mod compactor;
pub mod creator;
pub mod mutant;
pub mod properties;
pub mod protocol;
pub mod reader;
pub mod rules;
pub mod state;
pub mod store;
pub mod writer;

pub use mutant::Mutant;
pub use protocol::{Exploration, Protocol};
pub use rules::Bounds;
