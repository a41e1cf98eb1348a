//! An installation with routes, and a clock that the test moves.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use keepfast_notify::decide::{Calendar, Context, Delivery, Digest, Input, State, decide};
use keepfast_notify::{
    Condition, Content, DigestName, Event, Kind, Match, Pattern, Policy, Route, RouteName, Sequence,
    Severity, Subject, TargetName, Verdict, Work,
};

pub const MINUTE: u64 = 60;
pub const HOUR: u64 = 60 * MINUTE;
pub const DAY: u64 = 24 * HOUR;

pub fn failed() -> Kind {
    backup(Verdict::Failed)
}

pub fn backup(verdict: Verdict) -> Kind {
    Kind::Ended { work: Work::Backup, verdict }
}

pub fn plan(name: &str) -> Subject {
    Subject::Plan(name.to_owned())
}

pub fn repository(name: &str) -> Subject {
    Subject::Repository(name.to_owned())
}

/// Warnings and what is worse go to these targets.
pub fn route(name: &str, to: &[&str], policy: Policy) -> Route {
    let matches = Match { severity: vec![Severity::Warning, Severity::Error], ..Match::default() };
    let to = to.iter().map(|name| TargetName::new(*name)).collect();
    Route { name: RouteName::new(name), matches, to, policy }
}

pub fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern::new(text).expect("a pattern")).collect()
}

/// Due each time this many seconds have passed, counted from the epoch.
pub struct Every(pub i64);

impl Calendar for Every {
    fn next_after(&self, at: Timestamp) -> Option<Timestamp> {
        Timestamp::from_second((at.as_second().div_euclid(self.0) + 1) * self.0).ok()
    }
}

pub fn digest(name: &str, to: &[&str], seconds: i64) -> Digest {
    let to = to.iter().map(|name| TargetName::new(*name)).collect();
    Digest { name: DigestName::new(name), calendar: Arc::new(Every(seconds)), matches: Match::default(), to }
}

pub struct Lab {
    pub state: State,
    pub routes: Vec<Route>,
    pub digests: Vec<Digest>,
    pub targets: BTreeSet<TargetName>,
    pub context: Context,
    pub now: Timestamp,
    pub look_again_at: Option<Timestamp>,
    sequence: u64,
}

impl Lab {
    /// Monday morning.
    pub fn new(routes: Vec<Route>) -> Self {
        let targets = routes.iter().flat_map(|route| route.to.clone()).collect();
        Self {
            state: State::default(),
            routes,
            digests: Vec::new(),
            targets,
            context: Context {
                server: "backup1".to_owned(),
                public_url: Some("https://backup.example.org".to_owned()),
                zone: TimeZone::UTC,
            },
            now: "2026-03-02T08:00:00Z".parse().expect("an instant"),
            look_again_at: None,
            sequence: 0,
        }
    }

    pub fn event(&mut self, subject: &Subject, kind: Kind) -> Event {
        self.sequence += 1;
        let mut event = Event::new(Sequence(self.sequence), self.now, kind, subject.clone());
        match subject {
            Subject::Plan(name) => event.scope.plan = Some(name.clone()),
            Subject::Repository(name) => event.scope.repository = Some(name.clone()),
            _ => {}
        }
        event.content = Content { path: Some("/runs/1".to_owned()), ..Content::sentence("It went wrong.") };
        event
    }

    /// Something happens now.
    pub fn happens(&mut self, subject: &Subject, kind: Kind) -> Vec<Delivery> {
        let event = self.event(subject, kind);
        self.decide(&[event])
    }

    /// A plan fails because its repository can't be reached.
    pub fn fails_because_of(&mut self, subject: &Subject, cause: &Subject) -> Vec<Delivery> {
        let event = Event { cause: Some(cause.clone()), ..self.event(subject, failed()) };
        self.decide(&[event])
    }

    pub fn decide(&mut self, events: &[Event]) -> Vec<Delivery> {
        let (routes, digests, targets, context) = (&self.routes, &self.digests, &self.targets, &self.context);
        let input = Input { events, routes, digests, targets, context, now: self.now };
        let decision = decide(&mut self.state, &input);
        assert!(decision.look_again_at.is_none_or(|at| at > self.now), "it would be asked again at once");
        self.look_again_at = decision.look_again_at;
        decision.deliveries
    }

    /// The clock goes on, and the caller decides again whenever it was told to.
    pub fn wait(&mut self, seconds: u64) -> Vec<(Timestamp, Delivery)> {
        let end = self.now + SignedDuration::try_from(Duration::from_secs(seconds)).expect("a span");
        let mut all = Vec::new();
        while let Some(at) = self.look_again_at.filter(|at| *at <= end) {
            self.now = at;
            all.extend(self.decide(&[]).into_iter().map(|delivery| (at, delivery)));
        }
        self.now = end;
        all
    }

    /// The same; titles of the messages alone.
    pub fn titles_after(&mut self, seconds: u64) -> Vec<String> {
        self.wait(seconds).into_iter().map(|(_, delivery)| delivery.message.title).collect()
    }
}

pub fn unreachable(began: bool) -> Kind {
    if began { Kind::Began(Condition::Unreachable) } else { Kind::Over(Condition::Unreachable) }
}
