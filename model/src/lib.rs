//! The write-once protocol as a model: sessions, snapshots and garbage collections around one object store,
//! every history of which is followed within given bounds.
//!
//! # The protocol, step by step
//!
//! The store has objects that are created if absent, read, listed and removed; a finished create is seen by
//! all ([`store`]). Two kinds of objects are registers, decided by the first create: `snapshots/<sid>` holds
//! a snapshot or a FENCE, and `epochs/<g>/done` holds a verdict.
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
//!   without live chunks and with a decided owner. For live ones it opens a session, writes and indexes a new
//!   pack, fences that session ([`FenceOwnSession`](collector::CollectorStep::FenceOwnSession)) and condemns
//!   the old ones ([`CondemnRewritten`](collector::CollectorStep::CondemnRewritten)).
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
//! catalogue after. Its packs stay what they are. **A reader** ([`reader`]) chooses a snapshot with an index from any time before, and reloads
//! it when packs are missing. **Users** forget snapshots. Undelete is a writer that dedups the chunk of a
//! forgotten snapshot against the index.
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
//! - *Who made an object.* Ill-signed objects are ignored, so they aren't here. Trust isn't modelled.
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
