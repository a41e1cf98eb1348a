//! The rules of the histories: their bounds, and the rule that is missing.

use crate::mutant::Mutant;
use crate::store::Epoch;

/// What may happen in the histories that are explored. Crashes, pauses and late creates are never bounded.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// 1 or 2 sessions, numbered from 1, all of the same kind; 0 for none.
    pub writers: u8,
    /// 1 or 2 collectors, all of the same kind; 0 for none.
    pub collectors: u8,
    /// Whether there is a reader.
    pub reader: bool,
    /// Epochs, at most [`EPOCHS_MAX`](crate::store::EPOCHS_MAX).
    pub epochs: Epoch,
    /// Sessions for collectors that rewrite packs, numbered after those of the writers. Together with the
    /// writers and the first session, there are at most [`SIDS_MAX`](crate::store::SIDS_MAX).
    pub repacks: u8,
    /// Sessions that a compactor may compact; 0 for none.
    pub compactions: u8,
    /// Whether the answer to a create may be lost, so that the create is sent again.
    pub lost_answers: bool,
    /// Collectors may leave out packs that they could condemn, as if those packs had other, live chunks.
    pub any_subset: bool,
    /// Writers may take over subtrees from a parent.
    pub parents: bool,
    /// Writers may also write a pack of their own.
    pub uploads: bool,
    /// Sessions may be fenced by a collector or by themselves, even if no collector waits for them.
    pub early_fences: bool,
    /// Segments of dead packs may be removed, and may reappear.
    pub segments_removed: bool,
    /// Names that a creator uses for twins of packs; 0 for none. Each may reappear at any time.
    pub twins: u8,
    /// Twins may also be copies of the packs whose ids they have.
    pub copies: bool,
    /// Collectors may condemn a name even if another name, which a segment lists, keeps its id alive. The
    /// protocol forbids that, but its safety doesn't depend on it.
    pub twins_condemned_alone: bool,
    /// Acks name pack ids, as the acks of older programs do.
    pub objections_by_id: bool,
    /// Objects without a valid signature, under the names of registers and epochs; 0 for none. An operator
    /// may remove each of them at any time.
    pub junk: u8,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            writers: 1,
            collectors: 1,
            reader: false,
            epochs: 1,
            repacks: 0,
            compactions: 0,
            lost_answers: true,
            any_subset: true,
            parents: true,
            uploads: true,
            early_fences: true,
            segments_removed: true,
            twins: 0,
            copies: false,
            twins_condemned_alone: false,
            objections_by_id: false,
            junk: 0,
        }
    }
}

/// The rules of one exploration.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The bounds of the histories.
    pub bounds: Bounds,
    /// The rule that is missing, if any.
    pub mutant: Option<Mutant>,
}

impl Rules {
    /// Whether this rule is the missing one.
    #[must_use]
    pub fn lacks(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }
}

/// Whether the answer to a create arrives. A create whose answer is lost has taken effect nevertheless; its
/// sender doesn't know that, and sends it again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// It arrives.
    Received,
    /// It doesn't.
    Lost,
}

/// Whether a step could be taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Step {
    /// It was.
    Done,
    /// It can't be taken now; nothing has changed.
    Impossible,
}
