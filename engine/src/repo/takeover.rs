//! What a session may take over from its parent snapshot without looking it up.

use crate::sync::atomic::{AtomicU8, Ordering};

/// All of the parent; nothing has been taken over yet.
const OPEN: u8 = 0;
/// All of the parent; something has been taken over, and so any chunk below the parent may be referred to.
const TAKEN: u8 = 1;
/// All of the parent: each of its chunks has been looked up, and is referred to.
const HELD: u8 = 2;
/// Nothing: each chunk has to be looked up.
const CLOSED: u8 = 3;

/// What was taken over when the takeover was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// Nothing, or nothing that isn't looked up too.
    Nothing,
    /// Something: any chunk below the parent.
    Taken,
    /// Everything is looked up, and referred to.
    Held,
}

/// Whether content of the parent may be referred to as it is.
///
/// One byte decides, and each step on it is one atomic step. A thread that takes something over turns `OPEN` into
/// `TAKEN` *before* it refers to anything; the thread that answers an epoch turns it into `CLOSED` *before* it looks
/// what the session refers to. Whichever comes second sees the first: either the taking thread is refused, or the
/// answering thread learns that the whole parent is in use. All of it is `SeqCst`, as are the marks of packs
/// ([`super::marks`]): between them a thread that was refused here goes on to refer chunk by chunk, and no order of
/// the two may be seen differently by others.
pub struct Takeover(AtomicU8);

impl Takeover {
    /// Nothing may be taken over yet.
    pub fn closed() -> Self {
        Self(AtomicU8::new(CLOSED))
    }

    /// From now on all of the parent may be taken over.
    pub fn open(&self) {
        self.0.store(OPEN, Ordering::SeqCst);
    }

    /// Takes something over. `false` if it may not be.
    pub fn take(&self) -> bool {
        let take = |state| match state {
            OPEN => Some(TAKEN),
            TAKEN | HELD => Some(state),
            _ => None,
        };
        self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok()
    }

    /// From now on nothing may be taken over. Returns what was.
    pub fn close(&self) -> Before {
        match self.0.swap(CLOSED, Ordering::SeqCst) {
            TAKEN => Before::Taken,
            HELD => Before::Held,
            _ => Before::Nothing,
        }
    }

    /// Everything below the parent is looked up and referred to: it may be taken over again.
    pub fn hold(&self) {
        self.0.store(HELD, Ordering::SeqCst);
    }
}
