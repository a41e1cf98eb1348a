//! The creator: a process that may create objects and has no key. And the operator, who removes what the
//! creator made where that stops other processes.
//!
//! A creator sees every name in the store, so it knows the ids of packs and sessions. It can't guess ids that
//! others will use. It has no state: it may take each of its steps at any time.

use crate::mutant::Mutant;
use crate::rules::{Rules, Step};
use crate::store::{Epoch, Pack, Packs, Place, Register, Sid, Store};

/// The content of a twin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Content {
    /// Any bytes whose hash isn't the pack id.
    Junk,
    /// The bytes of the pack.
    Copy,
}

/// What a creator or an operator can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CreatorStep {
    /// Create a name with the id of one pack and the id of another session. From then on that create may take
    /// effect again at any time, also after a removal.
    CreateTwin(Pack, Content),
    /// Create bytes without a valid signature.
    CreateJunk(Place),
    /// The same, under `acks/<g>/<sid>`. It doesn't count as an answer, and the session's own ack gets
    /// another name. So only a mutant has this step.
    CreateJunkAck(Epoch, Sid),
    /// The operator removes the junk that a process has reported.
    RemoveJunk(Place),
}

impl CreatorStep {
    /// Runs the step, if it is possible now.
    pub fn run(self, store: &mut Store, rules: &Rules) -> Step {
        match self {
            Self::CreateTwin(twin, content) => create_twin(twin, content, store, rules),
            Self::CreateJunk(place) => create_junk(place, store, rules),
            Self::CreateJunkAck(epoch, sid) => create_junk_ack(epoch, sid, store, rules),
            Self::RemoveJunk(place) => remove_junk(place, store, rules),
        }
    }
}

/// It may know a pack's id before the pack is stored: it could have seen the create on its way.
fn create_twin(twin: Pack, content: Content, store: &mut Store, rules: &Rules) -> Step {
    let written = twin.writer().pack();
    let known =
        store.packs_sent.contains(written) && store.sessions.union(store.catalogue).contains(twin.owner());
    let readable = content == Content::Junk || store.packs.contains(written);
    let used = store.packs_sent.twins().iter().count() >= usize::from(rules.bounds.twins);
    if !twin.is_twin() || !known || !readable || used || !store.packs_sent.insert(twin) {
        return Step::Impossible;
    }
    store.packs.insert(twin);
    if content == Content::Copy {
        store.copies.insert(twin);
    }
    Step::Done
}

fn create_junk(place: Place, store: &mut Store, rules: &Rules) -> Step {
    let free = match place {
        Place::Register(sid) => {
            store.sessions.union(store.catalogue).contains(sid) && store.register(sid) == Register::Empty
        }
        Place::Condemned(epoch) => store.epoch(epoch).condemned.is_none(),
        Place::Done(epoch) => store.epoch(epoch).done.is_none(),
    };
    if !free || store.junk_made >= rules.bounds.junk || !store.junk.insert(place) {
        return Step::Impossible;
    }
    store.junk_made += 1;
    if let (Place::Done(epoch), true) = (place, rules.lacks(Mutant::JunkSparesAll)) {
        store.junk.remove(place);
        store.epoch_mut(epoch).done = Some(Packs::default());
    }
    Step::Done
}

fn create_junk_ack(epoch: Epoch, sid: Sid, store: &mut Store, rules: &Rules) -> Step {
    let possible = rules.lacks(Mutant::JunkAnswers) && store.sessions.contains(sid);
    if !possible || !store.epoch_mut(epoch).acks.insert(sid) {
        return Step::Impossible;
    }
    Step::Done
}

fn remove_junk(place: Place, store: &mut Store, rules: &Rules) -> Step {
    let authentic = match place {
        Place::Done(epoch) if store.junk_made > 0 => match &mut store.epoch_mut(epoch).done {
            done if rules.lacks(Mutant::JunkRemovedTwice) => done.take(),
            done if rules.lacks(Mutant::JunkSparesAll) => done.take_if(|verdict| verdict.is_empty()),
            _ => None,
        },
        _ => None,
    };
    if authentic.is_some() || store.junk.remove(place) { Step::Done } else { Step::Impossible }
}
