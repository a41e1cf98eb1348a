//! The write-once protocol as a model: sessions, snapshots and garbage collections around one object store,
//! every history of which is followed within given bounds.
//!
//! # The protocol, step by step
//!
//! The store has objects that are created if absent, read, listed and removed; a finished create is seen by
//! all ([`store`]). Two kinds of objects are registers, decided by the first create: `snapshots/<sid>` holds
//! a snapshot or a FENCE, and `epochs/<g>/done` holds a verdict. A pack's name has two parts, the pack id and
//! the id of the session that wrote it; references, objections, what is condemned, verdicts, dead packs and
//! removals all go by the whole name ([`Pack`](store::Pack)).
//!
//! **A writer** ([`writer`]) is one session.
//! 1. [`CreateSession`](writer::WriterStep::CreateSession): `sessions/<sid>`.
//! 2. [`ReadNewestEpoch`](writer::WriterStep::ReadNewestEpoch), *then*
//!    [`CreateAck`](writer::WriterStep::CreateAck). Before the first ack it refers to nothing.
//! 3. It comes to refer to the chunk in one of three ways, and the reference rests on one pack, its support.
//!    [`ReferToKnownChunk`](writer::WriterStep::ReferToKnownChunk): dedup against the index minus dead packs
//!    and minus what an unfinished epoch condemned; any pack that is left is the support.
//!    [`ListParent`](writer::WriterStep::ListParent), [`TakeOverSubtree`](writer::WriterStep::TakeOverSubtree):
//!    without looking the chunk up, and so without support. Or by [`SendPack`](writer::WriterStep::SendPack),
//!    [`HearThatPackIsStored`](writer::WriterStep::HearThatPackIsStored) and
//!    [`WriteSegment`](writer::WriterStep::WriteSegment), while other steps go on. A support is never replaced.
//! 4. Whenever there is a newer epoch it may see it with `ReadNewestEpoch`, and takes over nothing from then
//!    to the ack. *First* [`LookUpSubtree`](writer::WriterStep::LookUpSubtree) finds a support for what was
//!    taken over from the parent, or may be; *then* it stops referring to what that epoch condemned
//!    ([`StopReferring`](writer::WriterStep::StopReferring)), *then* it objects for its support
//!    ([`CollectObjections`](writer::WriterStep::CollectObjections)), *then* `CreateAck`. References in between
//!    are possible, as other threads make them.
//! 5. [`CreateSnapshot`](writer::WriterStep::CreateSnapshot), then
//!    [`ReadCatalogue`](writer::WriterStep::ReadCatalogue). The model doesn't oblige a writer to look for
//!    epochs before it commits: safety doesn't rest on that. Until it has sent the snapshot, it may
//!    [`GiveUp`](writer::WriterStep::GiveUp) with a FENCE of its own; when it finds a verdict that it hasn't
//!    acked it may [`CheckRegister`](writer::WriterStep::CheckRegister).
//!
//! **A collector** ([`collector`]) plays one epoch after the other, forgets all in a crash and begins again.
//! - 0, 1: [`Begin`](collector::CollectorStep::Begin) takes an epoch without verdict over at step 4, or lists
//!   sessions and snapshots for the next epoch.
//! - 1, 2: [`Mark`](collector::CollectorStep::Mark) reads states and catalogue *then*, and chooses packs
//!   without live chunks and with a decided owner; a live chunk counts in a pack that a segment names. No name
//!   is chosen whose id another name holds alive that a segment has. For live packs it opens a session,
//!   writes and indexes a new pack, fences that session
//!   ([`FenceOwnSession`](collector::CollectorStep::FenceOwnSession)) and condemns the old ones
//!   ([`CondemnRewritten`](collector::CollectorStep::CondemnRewritten)).
//! - 3: [`CreateCondemned`](collector::CollectorStep::CreateCondemned), on conflict all over.
//! - 4: [`ListSessions`](collector::CollectorStep::ListSessions); whoever is undecided must ack, or gets a
//!   [`Fence`](collector::CollectorStep::Fence), which may also come at any other time.
//! - 5: [`ListAgain`](collector::CollectorStep::ListAgain) spares what objections name and what snapshots not
//!   named in `condemned` refer to, forgotten or not.
//! - 6: [`CreateDone`](collector::CollectorStep::CreateDone): the verdict, its own or the one it finds.
//! - 7: [`Remove`](collector::CollectorStep::Remove), pack by pack.
//!   [`SweepDead`](collector::CollectorStep::SweepDead) is for packs that come back: dead for ever. Segments of
//!   dead packs go, too ([`RemoveSegment`](state::Action::RemoveSegment)).
//!
//! **A compactor** ([`compactor`]) writes a decided session into the catalogue, and removes after that. What
//! is found in the register of such a session is a ghost, ignored by all: they list first, and read the
//! catalogue after. Its packs stay what they are. **A reader** ([`reader`]) chooses a snapshot with an index
//! from any time before, and reloads it when packs are missing. **Users** forget snapshots. Undelete is a
//! writer that dedups the chunk of a forgotten snapshot against the index.
//!
//! **A creator** ([`creator`]) may create any object and has no key. It makes *twins*: names with the id of one
//! session's pack and the id of another session. A twin is junk or a copy of the pack; no segment names it, so
//! that no index has it and nothing comes to rest on it; collectors list it, condemn and remove it like any
//! other name. It may also make *junk*, bytes that nobody has signed, under names of registers and epochs:
//!
//! - In a session's register, junk decides nothing: the session isn't decided, but can't commit. Its writer
//!   finds the name taken and gives up; collectors begin no epoch, and a second listing spares everything.
//! - As `condemned` of the next epoch or `done` of an epoch that exists, it stops all who would read that
//!   epoch. Who was about to create the object finds the name taken, and stops. Under later numbers it waits
//!   until that number is the next one.
//!
//! **An operator** removes junk ([`RemoveJunk`](creator::CreatorStep::RemoveJunk)) once, at any moment, and all
//! go on from what is stored. A removal that takes effect again, when the name has been used, would undo what
//! all rely on ([`JunkRemovedTwice`](mutant::Mutant::JunkRemovedTwice)): nothing may run before it is answered.
//!
//! # What goes wrong at every step
//!
//! - *Pause:* between any two steps of a process, all others may take any number of steps.
//! - *Crash:* a process that takes no more steps has crashed. A collector or compactor may begin again with
//!   nothing; a writer that does so is the other writer, with whatever cache.
//! - *Timeouts and clocks:* none. A FENCE for a silent session may come at any time, so whatever a clock says
//!   is among the histories.
//! - *Ambiguous create:* [`Answer::Lost`](rules::Answer::Lost): it took effect, its sender knows nothing and
//!   sends it again. *Late and duplicate creates:* packs that were ever sent may appear again at any time,
//!   also after their removal; so may segments of dead packs, and snapshots whose name compaction has made
//!   free. (Other creates that come late are those of a paused process.)
//! - *A hostile create:* twins and junk, as above, at any moment and in front of any process; a twin also again
//!   and again, and after its removal.
//! - *Stale local state:* a writer's index has what it loaded at any moment before its session began, or
//!   nothing.
//!
//! The invariants I1 to I6 and the events that must occur are in [`properties`]; weakened rules, each of
//! which has to break an invariant, in [`mutant`]. `tests/sound.rs` says what each of the bounds covers.
//!
//! # What is left out, and why that is safe
//!
//! - *More than one chunk.* Whatever is lost is one chunk, in the packs that hold it; so look at that one
//!   only. Other chunks of these packs and trees only keep packs that could have been condemned, which a
//!   collector does here as it likes (`any_subset`), or spare packs, as if they hadn't been condemned.
//! - *More than one pack per session, more than two sessions.* The rules never compare packs of one session,
//!   nor two sessions with each other but through the store. This is a bound, not a proof; so is the number
//!   of epochs.
//! - *Other objects that nobody has signed.* Below `states/` and `index/` they are ignored, and their numbers
//!   are never waited for; below `catalogue/`, `config/` and `keyring/` they may stop a process, which is a
//!   crash. A session object that nobody opened is a silent session, which gets a FENCE. Junk under the name of
//!   an ack is no answer ([`JunkAnswers`](mutant::Mutant::JunkAnswers)), and the session's own ack goes under
//!   another name of its own: others see the same ack as without the junk, later. All authentic acks of a
//!   session count; that a second one could only object to more spares more.
//! - *Junk under a session's own pack's name.* A pack's id is a hash of its bytes, so nobody makes the name up
//!   before the pack is sent; after that the session finds other bytes there and is lost, as if it crashed.
//! - *Damage.* Junk lies only where nothing was. That collectors stop and spare everything for a register that
//!   they can't read is for a damaged snapshot, which they can't tell from junk.
//! - *Whom to trust.* Writers and owners here do what the protocol says.
//! - *Objections and verdicts of older programs,* which name pack ids. Such an objection spares all names with
//!   that id ([`objections_by_id`](Bounds::objections_by_id)): more than it has to, as if less had been
//!   condemned. Such a verdict is read as the names of its own epoch's `condemned` that have the id; all who
//!   read it so agree on them.
//! - *Indexes that are rebuilt from packs.* They find packs that no segment names, copies among them. Such a
//!   pack may be read from. It must not be a support ([`UnlistedSupports`](mutant::Mutant::UnlistedSupports)),
//!   nor may a live chunk count in it ([`UnlistedCounts`](mutant::Mutant::UnlistedCounts)): others don't know
//!   of it. So all that a rebuilt index is good for in the protocol is what the segments give.
//! - *Steps 0 and 1 at two moments.* If an epoch appears between them, step 3 finds its name taken.
//! - *The two listings of step 5 at two moments.* By then every session that could refer to a condemned pack
//!   has acked, committed or been fenced, and none of that ever ends.
//! - *Acks of the time before the first epoch,* which nobody reads.
//! - *Removal of the acks of an epoch that has a verdict.* Only its late sweepers still read them. If they miss
//!   some, they fence sessions, which may happen at any time, or compute another verdict, and find the first.
//! - *Loading all segments before a subtree is looked up.* It may happen, as an index may be loaded at any
//!   time; safety doesn't rest on it. With an index that knows none of the chunk's packs a session objects to
//!   all that is condemned.
//! - *What fenced sessions know when no further epoch can follow:* nobody sees more of them than their packs.
//! - *A whole machine set back to an earlier moment* while its session goes on. The two copies then race for
//!   the names of one session; foreign bytes under one's own name end it.
//! - *I7, I8,* and all that is in the bytes: tests of the format and the engine show these.

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
