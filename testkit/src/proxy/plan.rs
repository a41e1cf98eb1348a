//! Which requests are hit by which fault.

use std::collections::HashSet;
use std::time::Duration;

/// What goes wrong with one request. Positions in bodies come from the plan's seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The request reaches the server so much later.
    Delay(Duration),
    /// Its body and the answer's trickle through.
    Slow {
        /// For each of the two directions.
        bytes_per_s: u64,
    },
    /// The connection ends before the server hears of the request.
    CutBefore,
    /// The connection ends in the middle of the request's body.
    CutInRequest,
    /// The server does what it was asked for, and the connection ends before its answer.
    AnswerLost,
    /// The connection ends in the middle of the answer's body.
    CutInAnswer,
    /// The answer's body lacks its second half, and its head agrees.
    ShortAnswer,
    /// A bit of the answer's body is another.
    CorruptAnswer,
    /// A bit of the request's body is another.
    CorruptRequest,
    /// The server gets the request twice; the second answer counts.
    Duplicate,
    /// The server never hears of the request; an error of this status answers it.
    Refuse(Status),
    /// The server does what it was asked for, but an error of this status answers it.
    DoneButRefused(Status),
    /// The request's body stops at its middle for so long, then the connection ends.
    StallRequest(Duration),
    /// The answer's body stops at its middle for so long, then the connection ends.
    StallAnswer(Duration),
}

/// Errors as S3 has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// 500 InternalError
    InternalError,
    /// 503 SlowDown
    SlowDown,
    /// 409 ConditionalRequestConflict
    Conflict,
    /// 403 AccessDenied
    AccessDenied,
}

impl Status {
    /// The number.
    #[must_use]
    pub fn number(self) -> u16 {
        match self {
            Self::InternalError => 500,
            Self::SlowDown => 503,
            Self::Conflict => 409,
            Self::AccessDenied => 403,
        }
    }

    /// S3's word for it.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::InternalError => "InternalError",
            Self::SlowDown => "SlowDown",
            Self::Conflict => "ConditionalRequestConflict",
            Self::AccessDenied => "AccessDenied",
        }
    }
}

/// Some of the requests.
#[derive(Debug, Clone, Copy)]
pub struct Requests {
    /// Only of this method; any if empty.
    pub method: &'static str,
    /// Only those whose target, query included and encoded as sent, has this in it; any if empty.
    pub path: &'static str,
}

impl Requests {
    /// Every one.
    pub const ALL: Self = Self { method: "", path: "" };
    /// Objects, parts of objects.
    pub const PUTS: Self = Self { method: "PUT", path: "" };
    /// Objects, listings.
    pub const GETS: Self = Self { method: "GET", path: "" };

    fn include(self, method: &str, target: &str) -> bool {
        (self.method.is_empty() || self.method == method) && target.contains(self.path)
    }
}

/// Which of the requests that a rule is about, in the order in which they come.
#[derive(Debug, Clone, Copy)]
pub enum When {
    /// Each.
    Always,
    /// One, counted from 1.
    Nth(u64),
    /// The first ones: this many.
    First(u64),
    /// Each with a chance of one in this many.
    OneIn(u64),
    /// All but the first ones: this many.
    After(u64),
    /// The first for each object or listing.
    FirstOfEach,
}

struct Rule {
    requests: Requests,
    when: When,
    fault: Fault,
    /// How many requests it was about.
    seen: u64,
    /// What these were for, if it matters.
    targets: HashSet<String>,
}

/// Decides what becomes of each request. The same seed and the same order of requests lead to the
/// same faults; requests that run side by side may change places.
pub struct Plan {
    seed: u64,
    requests: u64,
    rules: Vec<Rule>,
}

/// A fault, and a number that chance is taken from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fate {
    pub fault: Fault,
    pub chance: u64,
}

impl Plan {
    /// No fault.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, requests: 0, rules: Vec::new() }
    }

    /// One more rule; a request falls to the first rule that hits it.
    #[must_use]
    pub fn on(mut self, requests: Requests, when: When, fault: Fault) -> Self {
        self.rules.push(Rule { requests, when, fault, seen: 0, targets: HashSet::new() });
        self
    }

    pub(super) fn decide(&mut self, method: &str, target: &str) -> Option<Fate> {
        self.requests += 1;
        let chance = mix(self.seed ^ mix(self.requests));
        let mut fate = None;
        for (number, rule) in (0_u64..).zip(&mut self.rules) {
            if !rule.requests.include(method, target) {
                continue;
            }
            // Each rule counts and throws its dice whatever the others do, so that they don't shift.
            rule.seen += 1;
            let hits = match rule.when {
                When::Always => true,
                When::Nth(n) => rule.seen == n,
                When::First(n) => rule.seen <= n,
                When::After(n) => rule.seen > n,
                When::FirstOfEach => rule.targets.insert(target.to_owned()),
                When::OneIn(n) => mix(self.seed ^ mix(number << 32 ^ rule.seen)).is_multiple_of(n),
            };
            if hits && fate.is_none() {
                fate = Some(Fate { fault: rule.fault, chance });
            }
        }
        fate
    }
}

/// SplitMix64's last step: every bit depends on every bit.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::{Fault, Plan, Requests, When};

    fn hits(plan: &mut Plan, requests: u64) -> Vec<u64> {
        (1..=requests).filter(|_| plan.decide("PUT", "/b/packs/x").is_some()).collect()
    }

    #[test]
    fn a_seed_replays() {
        let plan = |seed| Plan::new(seed).on(Requests::PUTS, When::OneIn(4), Fault::CutBefore);
        let first = hits(&mut plan(7), 400);
        assert_eq!(first, hits(&mut plan(7), 400));
        assert_ne!(first, hits(&mut plan(8), 400));
        assert!((60..140).contains(&first.len()), "{}", first.len());
    }

    #[test]
    fn the_first_rule_that_hits_decides() {
        let puts = Requests { method: "PUT", path: "/packs/" };
        let mut plan = Plan::new(1)
            .on(Requests::GETS, When::Always, Fault::CutInAnswer)
            .on(puts, When::Nth(2), Fault::AnswerLost)
            .on(Requests::ALL, When::After(2), Fault::CutBefore);
        let mut fault = |method, target| plan.decide(method, target).map(|fate| fate.fault);
        assert_eq!(fault("PUT", "/b/packs/1"), None);
        assert_eq!(fault("PUT", "/b/packs/2"), Some(Fault::AnswerLost));
        assert_eq!(fault("PUT", "/b/packs/3"), Some(Fault::CutBefore));
        assert_eq!(fault("GET", "/b/packs/3"), Some(Fault::CutInAnswer));
    }

    #[test]
    fn the_first_of_each_is_hit_and_its_repeat_is_not() {
        let mut plan = Plan::new(1).on(Requests::GETS, When::FirstOfEach, Fault::CutBefore);
        let targets = ["/b/1", "/b/2", "/b/1", "/b/2", "/b/3"];
        assert_eq!(
            targets.map(|target| plan.decide("GET", target).is_some()),
            [true, true, false, false, true]
        );
    }
}
