//! What a session that makes a snapshot from another one may refer to: what it holds, chunk by chunk, or
//! all of its parent without a look.

use keepfast_format::snapshot::SnapshotBody;

use super::frames::FrameCache;
use super::reach::{Reach, Seen};
use super::session::{Session, Stores};
use crate::error::{EngineError, Result};
use crate::run::RunContext;

/// Holds every chunk that a snapshot refers to, state trees included. `false` if one can't be held: a
/// garbage collection has removed it, or is about to.
pub fn hold_all(session: &Session<'_>, body: &SnapshotBody, run: &RunContext) -> Result<bool> {
    let Stores { repository, index } = session.stores();
    let frames = FrameCache::without_refresh(repository, index, run);
    let seen = Seen::of(index)?;
    let mut all = true;
    let walked = Reach::new(&frames).walk([body], &seen, &mut |reached| {
        session.poll_if_due()?;
        all = session.hold(&reached.wanted, |_| false)?;
        // The rest is of no use.
        if all { Ok(()) } else { Err(FrameCache::missing(&reached.wanted.id)) }
    });
    match walked {
        Err(EngineError::Missing { .. }) => Ok(false),
        other => other.map(|()| all),
    }
}

/// Whether content of the session's parent may be referred to without looking its chunks up: if all
/// that snapshots refer to is known to be stored.
#[must_use]
pub fn may_take_over(session: &Session<'_>) -> bool {
    !session.stores().index.is_doubtful() && session.may_take_over()
}
