//! Telling a service outside that this server lives and how its runs end, so that someone hears of it when it doesn't.
//! The addresses are those of Healthchecks and of what understands the same: `URL`, `URL/start` and `URL/fail`.

use std::time::Duration;

use jiff::Timestamp;

use crate::decide::later;
use crate::event::Verdict;
use crate::target::SecretRef;

/// How it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// By the address alone.
    Get,
    /// With a sentence that says more.
    Post,
}

/// Where, and how often.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    /// The address. Anyone that knows it may say that all is well, so it is a secret.
    pub url: SecretRef,
    /// At least this often.
    pub every: Duration,
    /// How.
    pub method: Method,
    /// The certificates, as PEM, of authorities that the server's may be signed by, besides those of the system.
    pub authorities: Option<String>,
    /// For all of a request, at most this long.
    pub timeout: Duration,
}

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    /// A run begins.
    Start,
    /// All is well.
    Success,
    /// A run failed.
    Fail,
}

impl Beat {
    /// What a verdict says. Only a verdict says it: no hook, exit code or phase of a run does. A run that wasn't to be
    /// (skipped, cancelled) says nothing, so that silence stays silence.
    #[must_use]
    pub fn of(verdict: Verdict) -> Option<Self> {
        match verdict {
            Verdict::Ok | Verdict::Findings => Some(Self::Success),
            Verdict::Failed | Verdict::Missed | Verdict::Lost => Some(Self::Fail),
            Verdict::Skipped | Verdict::Cancelled => None,
        }
    }

    /// The part of the address that stands for it.
    pub(crate) fn part(self) -> Option<&'static str> {
        match self {
            Self::Start => Some("start"),
            Self::Success => None,
            Self::Fail => Some("fail"),
        }
    }
}

/// When the next beat of a server that lives is due. A last one in the future was told before the clock was set back.
#[must_use]
pub fn due(last: Option<Timestamp>, every: Duration, now: Timestamp) -> Timestamp {
    last.filter(|last| *last <= now).map_or(now, |last| later(last, every))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::{SignedDuration, Timestamp};

    use super::{Beat, due};
    use crate::event::Verdict;

    #[test]
    fn only_the_verdict_says_how_a_run_ended() {
        assert_eq!(Beat::of(Verdict::Ok), Some(Beat::Success));
        assert_eq!(Beat::of(Verdict::Findings), Some(Beat::Success));
        for verdict in [Verdict::Failed, Verdict::Missed, Verdict::Lost] {
            assert_eq!(Beat::of(verdict), Some(Beat::Fail));
        }
        for verdict in [Verdict::Skipped, Verdict::Cancelled] {
            assert_eq!(Beat::of(verdict), None);
        }
    }

    #[test]
    fn a_clock_that_was_set_back_doesnt_silence_it() {
        let now = Timestamp::constant(1_767_225_600, 0);
        let every = Duration::from_secs(300);
        assert_eq!(due(None, every, now), now);
        assert_eq!(due(Some(now), every, now), now + SignedDuration::from_secs(300));
        assert_eq!(due(Some(now + SignedDuration::from_hours(9_000)), every, now), now);
    }
}
