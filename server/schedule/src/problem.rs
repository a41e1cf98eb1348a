//! A subject's problem: it opens once, is repeated now and then, and is resolved once.

use std::time::Duration;

use jiff::Timestamp;

use crate::span::between;

/// A subject's problem, open or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Problem {
    /// What is known while it is open.
    pub open: Option<OpenProblem>,
}

/// A problem that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenProblem {
    /// Since when it lasts.
    pub since: Timestamp,
    /// When someone was last told.
    pub told: Timestamp,
    /// How often someone was told again.
    pub repeats: u32,
}

/// What to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemEvent {
    /// It has begun.
    Opened {
        /// When.
        since: Timestamp,
    },
    /// It still lasts.
    Repeated {
        /// Since when.
        since: Timestamp,
        /// How often this was said: 1 for the first time.
        repeats: u32,
    },
    /// It is over.
    Resolved {
        /// Since when it lasted.
        since: Timestamp,
        /// For how long.
        lasted: Duration,
    },
}

impl Problem {
    /// Looks at the subject again. `broken_since` is `None` if all is well; `repeat` is the time between two
    /// reminders, or `None` for no reminder.
    pub fn observe(
        self,
        broken_since: Option<Timestamp>,
        repeat: Option<Duration>,
        now: Timestamp,
    ) -> (Self, Option<ProblemEvent>) {
        match (self.open, broken_since) {
            (None, None) => (self, None),
            (None, Some(since)) => {
                let open = OpenProblem { since, told: now, repeats: 0 };
                (Self { open: Some(open) }, Some(ProblemEvent::Opened { since }))
            }
            (Some(OpenProblem { since, .. }), None) => {
                let lasted = between(since, now);
                (Self::default(), Some(ProblemEvent::Resolved { since, lasted }))
            }
            (Some(open), Some(_)) => {
                // After the clock was set back, the next reminder is counted from now.
                let open = OpenProblem { told: open.told.min(now), ..open };
                if repeat.is_none_or(|repeat| between(open.told, now) < repeat) {
                    return (Self { open: Some(open) }, None);
                }
                let open = OpenProblem { told: now, repeats: open.repeats.saturating_add(1), ..open };
                let event = ProblemEvent::Repeated { since: open.since, repeats: open.repeats };
                (Self { open: Some(open) }, Some(event))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Problem, ProblemEvent};
    use jiff::Timestamp;
    use std::time::Duration;

    const DAY: Duration = Duration::from_secs(86_400);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("an instant")
    }

    /// What is told when a subject is looked at, at these times.
    fn told(looks: &[(i64, Option<i64>)], repeat: Option<Duration>) -> Vec<ProblemEvent> {
        let mut problem = Problem::default();
        let mut events = Vec::new();
        for (now, broken_since) in looks {
            let (next, event) = problem.observe(broken_since.map(at), repeat, at(*now));
            problem = next;
            events.extend(event);
        }
        events
    }

    #[test]
    fn a_problem_opens_once_and_is_resolved_once() {
        let looks = [(0, None), (30, Some(10)), (60, Some(10)), (90, None), (120, None)];
        let resolved = ProblemEvent::Resolved { since: at(10), lasted: Duration::from_secs(80) };
        assert_eq!(told(&looks, Some(DAY)), [ProblemEvent::Opened { since: at(10) }, resolved]);
    }

    #[test]
    fn reminders_come_at_their_interval() {
        let looks: Vec<_> = (0..=72).map(|hour| (hour * 3600, Some(0))).collect();
        let repeated = |repeats| ProblemEvent::Repeated { since: at(0), repeats };
        let opened = ProblemEvent::Opened { since: at(0) };
        assert_eq!(told(&looks, Some(DAY)), [opened, repeated(1), repeated(2), repeated(3)]);
        assert_eq!(told(&looks, None), [opened]);
    }

    #[test]
    fn a_clock_that_is_set_brings_neither_a_storm_nor_silence() {
        let day = 86_400;
        let looks = [
            (400 * day, Some(0)),
            (day, Some(0)),
            (day + 30, Some(0)),
            (2 * day, Some(0)),
            (2 * day + 30, Some(0)),
        ];
        assert_eq!(told(&looks, Some(DAY)).len(), 2, "opened, and reminded once");
    }
}
