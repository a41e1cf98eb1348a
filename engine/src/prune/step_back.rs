//! Stepping back: while backups run, a prune leaves disk and processor to them, as long as it still gets
//! done.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use keepfast_format::ids::SessionId;
use keepfast_format::node::Timestamp;

use super::Prune;
use crate::error::Result;
use crate::repo::read_session;

/// How long to rest before looking again, and how long to work, at least.
const TURN: Duration = Duration::from_millis(250);
/// Looking takes no more than this part of the time: where there are ten thousand sessions, it isn't for free.
const LOOK_PART: u32 = 20;
/// A prune may rest this long at first, and by working earns a rest this many times as long as the work.
/// So a prune that always finds someone writing still works a fifth of the time.
const REST_AT_FIRST: Duration = Duration::from_secs(60);
const REST_PER_WORK: u32 = 4;
/// A rest is never longer than this at a stretch, however long the work before: a backup may have died
/// without a word.
const REST_MAX: Duration = Duration::from_secs(600);
/// Work between two looks that is counted at most. The clock may have jumped.
const WORK_MAX: Duration = Duration::from_secs(10);

/// What a prune remembers of its work and its rests.
#[derive(Default)]
pub struct StepBack(Mutex<WorkAndRest>);

struct WorkAndRest {
    looked_at: Option<Timestamp>,
    next_look_after: Duration,
    /// How long it may rest.
    budget: Duration,
    has_said_so: bool,
    /// Sessions whose objects were read, and when they began. `None`: the prune doesn't rest for it.
    begun: HashMap<SessionId, Option<i64>>,
}

impl Default for WorkAndRest {
    fn default() -> Self {
        Self {
            looked_at: None,
            next_look_after: TURN,
            budget: REST_AT_FIRST,
            has_said_so: false,
            begun: HashMap::new(),
        }
    }
}

impl WorkAndRest {
    /// Counts the work since the last look. Whether it is time for another one.
    fn is_due(&mut self, now: Timestamp) -> bool {
        let since = self.looked_at.and_then(|before| elapsed(before, now));
        if since.is_some_and(|since| since < self.next_look_after) {
            return false;
        }
        let earned = REST_PER_WORK * since.unwrap_or_default().min(WORK_MAX);
        self.budget = (self.budget + earned).min(REST_MAX);
        true
    }
}

impl Prune<'_> {
    /// Between two pieces of work: ends the prune if it was cancelled, and lets backups go first. Only where
    /// they share a disk: how a store that is far serves its callers is its own matter.
    pub(super) fn step_back(&self) -> Result<()> {
        self.stop_if_asked()?;
        if !self.options.step_back || self.repository.backend().is_far() {
            return Ok(());
        }
        // Other threads of this prune wait here, and so rest too.
        let mut state = self.step_back.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.is_due(self.run.now()) {
            return Ok(());
        }
        while !state.budget.is_zero() && self.is_anyone_writing(&mut state)? {
            if !state.has_said_so {
                self.say("a backup seems to be running: this steps back for it".to_owned());
                state.has_said_so = true;
            }
            let rest = state.next_look_after.min(state.budget);
            self.run.host().sleep(rest, self.run.cancel());
            state.budget -= rest;
            self.stop_if_asked()?;
        }
        state.looked_at = Some(self.run.now());
        Ok(())
    }

    /// Whether there is a session that may commit yet. Collectors don't, and one that is older than
    /// the timeout has probably ended without a word.
    fn is_anyone_writing(&self, state: &mut WorkAndRest) -> Result<bool> {
        let before = self.run.now();
        let mut open = self.sessions_not_known_decided()?;
        self.drop_decided(&mut open)?;
        let timeout = self.options.session_timeout;
        let is_writing = |session: &SessionId| {
            let begun = *state.begun.entry(*session).or_insert_with(|| {
                let session = read_session(self.repository, *session)?;
                session.begun_unix_s.filter(|_| !session.is_collector)
            });
            begun.is_some_and(|begun| before.seconds.abs_diff(begun) < timeout.as_secs())
        };
        let found = open.iter().any(is_writing);
        let look = elapsed(before, self.run.now()).unwrap_or_default().min(WORK_MAX);
        state.next_look_after = TURN.max(LOOK_PART * look);
        Ok(found)
    }
}

/// The time from one moment to another; none if that is earlier.
fn elapsed(from: Timestamp, to: Timestamp) -> Option<Duration> {
    let since_1970 = |time: Timestamp| Some(Duration::new(time.seconds.try_into().ok()?, time.nanos));
    since_1970(to)?.checked_sub(since_1970(from)?)
}

#[cfg(test)]
mod tests {
    use super::{REST_AT_FIRST, REST_MAX, REST_PER_WORK, TURN, WORK_MAX, WorkAndRest};
    use keepfast_format::node::Timestamp;
    use std::time::Duration;

    fn at(seconds: i64, nanos: u32) -> Timestamp {
        Timestamp { seconds, nanos }
    }

    fn having_looked_at(time: Timestamp) -> WorkAndRest {
        WorkAndRest { looked_at: Some(time), ..WorkAndRest::default() }
    }

    #[test]
    fn the_first_look_is_due_and_earns_nothing() {
        let mut state = WorkAndRest::default();
        assert!(state.is_due(at(1_700_000_000, 0)));
        assert_eq!(state.budget, REST_AT_FIRST);
    }

    #[test]
    fn it_looks_again_after_a_turn_and_earns_by_the_work_between() {
        let mut state = having_looked_at(at(100, 0));
        assert!(!state.is_due(at(100, 100_000_000)));
        assert!(state.is_due(at(100, 300_000_000)));
        assert_eq!(state.budget, REST_AT_FIRST + REST_PER_WORK * Duration::from_millis(300));
    }

    #[test]
    fn a_clock_that_jumps_is_no_work_and_no_reason_to_look_no_more() {
        let mut state = having_looked_at(at(100, 0));
        assert!(state.is_due(at(50, 0)));
        assert_eq!(state.budget, REST_AT_FIRST);
        assert!(state.is_due(at(1 << 40, 0)));
        assert_eq!(state.budget, REST_AT_FIRST + REST_PER_WORK * WORK_MAX);
    }

    #[test]
    fn however_long_it_has_worked_it_rests_only_so_long() {
        let mut state = WorkAndRest::default();
        for second in (0..100_000).step_by(5) {
            state.looked_at = Some(at(second, 0));
            assert!(state.is_due(at(second + 5, 0)));
        }
        assert_eq!((state.budget, state.next_look_after), (REST_MAX, TURN));
    }
}
