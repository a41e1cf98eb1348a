//! The creator: anyone who may create objects, and has no key. And the operator, who removes what it made
//! where that stops the others.
//!
//! A creator sees every name that is there, so it knows the ids of packs and sessions; it can make up none
//! that others will use. It has no state: whatever it may do, it may do at any time.

use crate::mutant::Mutant;
use crate::rules::{Rules, Step};
use crate::store::{Epoch, Pack, Packs, Place, Register, Sid, Store};

/// What a twin has in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Content {
    /// Any bytes. They aren't those that the pack id is the hash of.
    Junk,
    /// The bytes of the pack.
    Copy,
}

/// What a creator or an operator can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CreatorStep {
    /// The id of a pack beside another session's id; from then on that create may take effect again at any
    /// time, also after a removal.
    CreateTwin(Pack, Content),
    /// Bytes that nobody has signed.
    CreateJunk(Place),
    /// The same, under `acks/<g>/<sid>`. It is no answer, and the session's own goes under another name: only
    /// a mutant knows this step.
    CreateJunkAck(Epoch, Sid),
    /// The operator removes what a message named.
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

/// It may know a pack's id before the pack is stored: others could have seen the create on its way.
fn create_twin(twin: Pack, content: Content, store: &mut Store, rules: &Rules) -> Step {
    let written = twin.writer().pack();
    let known = store.packs_sent.has(written) && store.sessions.with(store.catalogue).has(twin.owner());
    let readable = content == Content::Junk || store.packs.has(written);
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
            store.sessions.with(store.catalogue).has(sid) && store.register(sid) == Register::Empty
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
    let possible = rules.lacks(Mutant::JunkAnswers) && store.sessions.has(sid);
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
