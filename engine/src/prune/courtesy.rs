//! Stepping back: while backups run, a prune leaves disk and processor to them, as far as it gets
//! done all the same.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use keepfast_format::ids::SessionId;
use keepfast_format::names;
use keepfast_format::node::Timestamp;

use super::Prune;
use crate::error::Result;
use crate::repo::{list_sessions, read_session};

/// How long to rest before looking again, and how long to work at least.
const TURN: Duration = Duration::from_millis(250);
/// Looking takes no more than this part of the time: where there are ten thousand sessions, it isn't for free.
const LOOK_PART: u32 = 20;
/// A prune rests this long for whatever backup, and so many times as long as it has worked: so
/// one that always finds somebody writing still has a fifth of the time.
const REST_AT_FIRST: Duration = Duration::from_secs(60);
const REST_PER_WORK: u32 = 4;
/// Work between two looks that is counted at most. The clock may have jumped.
const WORK_MAX: Duration = Duration::from_secs(10);

/// What a prune remembers of its work and its rests.
#[derive(Default)]
pub struct Courtesy(Mutex<State>);

#[derive(Default)]
struct State {
    looked_at: Timestamp,
    next_look_after: Duration,
    worked: Duration,
    rested: Duration,
    told: bool,
    /// Sessions whose objects were read, and when they began. None: nobody rests for it.
    begun: HashMap<SessionId, Option<i64>>,
}

impl State {
    /// Counts the work since the last look. Whether it is time for another one.
    fn is_due(&mut self, now: Timestamp) -> bool {
        let since = elapsed(self.looked_at, now);
        if since.is_some_and(|since| since < self.next_look_after) {
            return false;
        }
        self.worked += since.unwrap_or_default().min(WORK_MAX);
        true
    }

    fn may_rest(&self) -> bool {
        self.rested < REST_AT_FIRST + REST_PER_WORK * self.worked
    }
}

impl Prune<'_> {
    /// Between two pieces of work: ends it if that was asked for, and lets backups go first. Only where
    /// they share a disk: how a store that is far serves its callers is its own matter.
    pub(super) fn step_back(&self) -> Result<()> {
        self.stop_if_asked()?;
        if !self.options.step_back || self.repository.backend().is_far() {
            return Ok(());
        }
        // Other threads of this prune wait here, and so rest too.
        let mut state = self.courtesy.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.is_due((self.options.clock)()) {
            return Ok(());
        }
        while state.may_rest() && self.is_anybody_writing(&mut state)? {
            if !state.told {
                self.say("a backup is running: this steps back until it has ended".to_owned());
                state.told = true;
            }
            (self.options.sleep)(TURN);
            state.rested += TURN;
            self.stop_if_asked()?;
        }
        state.looked_at = (self.options.clock)();
        Ok(())
    }

    /// Whether there is a session that may commit yet. Collectors don't, and one that is older than
    /// the timeout has probably ended without a word.
    fn is_anybody_writing(&self, state: &mut State) -> Result<bool> {
        let before = (self.options.clock)();
        let mut open = list_sessions(self.repository, names::SESSIONS)?;
        open.retain(|session| !self.known.decided.contains(session));
        if !open.is_empty() {
            let decided = self.decided_sessions()?;
            open.retain(|session| !decided.contains(session));
        }
        let timeout = self.options.session_timeout;
        let mut is_writing = |session: &SessionId| {
            let begun = *state.begun.entry(*session).or_insert_with(|| {
                let session = read_session(self.repository, *session)?;
                session.begun_unix_s.filter(|_| !session.is_collector)
            });
            begun.is_some_and(|begun| before.seconds.abs_diff(begun) < timeout.as_secs())
        };
        let found = open.iter().any(&mut is_writing);
        let look = elapsed(before, (self.options.clock)()).unwrap_or_default().min(WORK_MAX);
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
    use super::{REST_AT_FIRST, REST_PER_WORK, State, TURN, WORK_MAX};
    use keepfast_format::node::Timestamp;
    use std::time::Duration;

    fn at(seconds: i64, nanos: u32) -> Timestamp {
        Timestamp { seconds, nanos }
    }

    #[test]
    fn it_looks_again_after_a_turn_and_counts_the_work_between() {
        let mut state = State { looked_at: at(100, 0), next_look_after: TURN, ..State::default() };
        assert!(!state.is_due(at(100, 100_000_000)));
        assert!(state.is_due(at(100, 300_000_000)));
        assert_eq!(state.worked, Duration::from_millis(300));
    }

    #[test]
    fn a_clock_that_jumps_is_no_work_and_no_reason_to_look_no_more() {
        let mut state = State { looked_at: at(100, 0), next_look_after: TURN, ..State::default() };
        assert!(state.is_due(at(50, 0)) && state.worked.is_zero());
        assert!(state.is_due(at(1 << 40, 0)) && state.worked == WORK_MAX);
    }

    #[test]
    fn it_always_has_a_fifth_of_the_time() {
        let worked = Duration::from_secs(600);
        let rested = REST_AT_FIRST + REST_PER_WORK * worked;
        let state = State { worked, rested, ..State::default() };
        assert!(!state.may_rest());
        assert!(State { rested: rested - TURN, ..state }.may_rest());
    }
}
