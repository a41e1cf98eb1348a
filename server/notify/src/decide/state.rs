//! What the decisions remember: problems, and what each target was told of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::event::{Condition, Content, Event, Kind, Scope, Sequence, Severity, Verdict, Work};
use crate::names::{DigestName, RouteName, Subject, TargetName};

/// What about a subject is wrong, or worth a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Topic {
    /// Runs don't succeed.
    Failing(Work),
    /// Runs are completed with findings.
    Findings(Work),
    /// A condition holds.
    Condition(Condition),
    /// Something happened that is no problem.
    Note(Kind),
}

/// A run that ends well shows that runs are started again.
const QUARANTINED: Topic = Topic::Condition(Condition::Quarantined);

/// What an event says about topics.
pub struct Effects {
    /// What is the case.
    pub holds: Option<Topic>,
    /// What isn't the case any more.
    pub over: Vec<Topic>,
    /// What is noted.
    pub note: Option<Topic>,
}

impl Effects {
    /// Those of an event of this kind. Each verdict but "ok" leaves something open: "with findings" ends that runs
    /// fail, and isn't "ok" for that reason.
    pub fn of(kind: Kind) -> Self {
        let none = || Self { holds: None, over: Vec::new(), note: None };
        let note = || Some(Topic::Note(kind));
        match kind {
            Kind::Ended { work, verdict } => match verdict {
                Verdict::Ok => Self {
                    over: vec![Topic::Failing(work), QUARANTINED, Topic::Findings(work)],
                    note: note(),
                    ..none()
                },
                Verdict::Findings => Self {
                    holds: Some(Topic::Findings(work)),
                    over: vec![Topic::Failing(work), QUARANTINED],
                    ..none()
                },
                Verdict::Failed | Verdict::Missed | Verdict::Lost => {
                    Self { holds: Some(Topic::Failing(work)), ..none() }
                }
                Verdict::Skipped | Verdict::Cancelled => Self { note: note(), ..none() },
            },
            Kind::Began(condition) => Self { holds: Some(Topic::Condition(condition)), ..none() },
            Kind::Over(condition) => Self { over: vec![Topic::Condition(condition)], ..none() },
            Kind::Noted(_) => Self { note: note(), ..none() },
        }
    }
}

/// The newest that was said about a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latest {
    pub kind: Kind,
    pub severity: Severity,
    pub at: Timestamp,
    pub scope: Scope,
    pub cause: Option<Subject>,
    pub content: Content,
}

impl Latest {
    pub fn of(event: &Event) -> Self {
        Self {
            kind: event.kind,
            severity: event.severity,
            at: event.at,
            scope: event.scope.clone(),
            cause: event.cause.clone(),
            content: event.content.bounded(),
        }
    }

    /// An event that routes and digests see as the newest one.
    pub fn as_event(&self, subject: &Subject) -> Event {
        let mut event = Event::new(Sequence(0), self.at, self.kind, subject.clone());
        event.severity = self.severity;
        event.scope = self.scope.clone();
        event
    }
}

/// One thing that is or was wrong with a subject.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Problem {
    pub open: bool,
    pub opened_at: Timestamp,
    /// Events in a row that said that it holds.
    pub in_a_row: u32,
    pub latest: Latest,
    /// A person knows: it isn't repeated.
    pub acknowledged: bool,
    /// A person wants to hear nothing of it until then.
    pub muted_until: Option<Timestamp>,
    /// What each target knows of it.
    pub threads: BTreeMap<TargetName, Thread>,
}

/// What a target knows of a problem, and what it is yet to be told.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Thread {
    /// Routes that led here. They are looked up when it counts, so that a new configuration applies at once.
    pub routes: BTreeSet<RouteName>,
    /// Whether the problem is open, as far as this target is concerned.
    pub open: bool,
    /// What it was told last.
    pub told: Option<Told>,
    /// What it is yet to be told.
    pub untold: Option<Untold>,
    /// It is told under another problem, that of its cause.
    pub absorbed: bool,
    /// Others that are told under this one.
    pub affected: Affected,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    pub open: bool,
    pub severity: Severity,
    pub at: Timestamp,
}

/// Changes of state that no message has told yet. Each is counted by one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Untold {
    pub since: Timestamp,
    pub changes: Changes,
    /// The worst of it.
    pub severity: Severity,
}

/// How often something changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// It began.
    pub openings: u32,
    /// It was over.
    pub closings: u32,
    /// It became worse.
    pub worsenings: u32,
    /// It was noted.
    pub notes: u32,
}

/// Subjects whose problem has this one as its cause.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Affected {
    /// Some of them.
    pub subjects: BTreeSet<Subject>,
    /// Problems that no message has counted yet.
    pub untold: u32,
    /// All of them.
    pub all: u32,
}

impl Affected {
    pub const SUBJECTS_MAX: usize = 50;

    pub fn add(&mut self, subject: &Subject, count: u32) {
        if self.subjects.len() < Self::SUBJECTS_MAX {
            self.subjects.insert(subject.clone());
        }
        self.untold = self.untold.saturating_add(count);
        self.all = self.all.saturating_add(count);
    }
}

impl Thread {
    /// Adds a change that is to be told.
    pub fn note(&mut self, at: Timestamp, severity: Severity, change: impl Fn(&mut Changes)) {
        let new = Untold { since: at, changes: Changes::default(), severity };
        let untold = self.untold.get_or_insert(new);
        untold.severity = untold.severity.max(severity);
        change(&mut untold.changes);
    }

    /// How bad what it tells is.
    pub fn severity(&self, problem: &Latest) -> Severity {
        match (&self.untold, &self.told) {
            (Some(untold), _) => untold.severity,
            (None, Some(told)) if self.open => told.severity,
            _ => problem.severity,
        }
    }

    fn is_idle(&self) -> bool {
        !self.open && !self.absorbed && self.untold.is_none() && self.affected.untold == 0
    }
}

/// Messages to a target that are still remembered, so that there aren't too many.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Voice {
    /// When a message told something about a subject, in the last day.
    pub subjects: BTreeMap<Subject, Vec<Timestamp>>,
    /// When messages were made, in the last hour.
    pub messages: Vec<Timestamp>,
}

pub const DAY: Duration = Duration::from_secs(24 * 3_600);
pub const HOUR: Duration = Duration::from_secs(3_600);
/// Messages to a target in an hour. What is more waits and is told together.
pub const MESSAGES_PER_HOUR_MAX: usize = 20;

/// How long after the last message about a subject the next one may be, when there were this many in the last day. At
/// most twelve in any 24 hours come of it, and nothing waits longer than four.
pub fn gap_after(messages: usize) -> Duration {
    let minutes = match messages {
        0..=2 => 0,
        3 => 15,
        4 => 30,
        5 => 60,
        6 => 120,
        _ => 240,
    };
    Duration::from_secs(minutes * 60)
}

impl Voice {
    /// From when on there may be a message about a subject.
    pub fn free_for(&self, subject: &Subject) -> Option<Timestamp> {
        let told = self.subjects.get(subject)?;
        Some(later(*told.last()?, gap_after(told.len())))
    }

    /// From when on there may be a message.
    pub fn free(&self) -> Option<Timestamp> {
        let oldest = self.messages.len().checked_sub(MESSAGES_PER_HOUR_MAX)?;
        self.messages.get(oldest).map(|at| later(*at, HOUR))
    }

    /// Remembers a message.
    pub fn spoke<'s>(&mut self, now: Timestamp, subjects: impl Iterator<Item = &'s Subject>) {
        for subject in subjects.collect::<BTreeSet<_>>() {
            self.subjects.entry(subject.clone()).or_default().push(now);
        }
        self.messages.push(now);
    }

    /// Forgets what is long ago, and what a clock that was set back has left in the future.
    fn forget(&mut self, now: Timestamp) {
        let is_within = |at: &Timestamp, span| *at <= now && now < later(*at, span);
        for told in self.subjects.values_mut() {
            told.retain(|at| is_within(at, DAY));
        }
        self.subjects.retain(|_, told| !told.is_empty());
        self.messages.retain(|at| is_within(at, HOUR));
    }
}

/// What has happened since a digest's last message.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tally {
    pub since: Timestamp,
    /// Events by their kind, those that end a condition left out.
    pub events: BTreeMap<String, u32>,
    /// Problems that began.
    pub opened: u32,
    /// Problems that are over.
    pub closed: u32,
}

impl Tally {
    pub fn new(since: Timestamp) -> Self {
        Self { since, events: BTreeMap::new(), opened: 0, closed: 0 }
    }
}

/// Everything that decisions remember. It is data that the caller stores in the transaction in which it stores the
/// deliveries.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct State {
    /// The newest event that was looked at.
    pub(super) seen: Option<Sequence>,
    /// Messages made so far.
    pub(super) messages: u64,
    pub(super) problems: BTreeMap<Subject, Topics>,
    pub(super) voices: BTreeMap<TargetName, Voice>,
    pub(super) tallies: BTreeMap<DigestName, Tally>,
}

/// A subject's problems. As a list when it is stored: keys of JSON are texts.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "Vec<(Topic, Problem)>", into = "Vec<(Topic, Problem)>")]
pub struct Topics(pub BTreeMap<Topic, Problem>);

impl From<Vec<(Topic, Problem)>> for Topics {
    fn from(list: Vec<(Topic, Problem)>) -> Self {
        Self(list.into_iter().collect())
    }
}

impl From<Topics> for Vec<(Topic, Problem)> {
    fn from(topics: Topics) -> Self {
        topics.0.into_iter().collect()
    }
}

impl State {
    /// How many changes of problems targets are yet to be told, each target's counted by itself.
    #[must_use]
    pub fn untold(&self) -> usize {
        let threads = self.all().flat_map(|(_, _, problem)| problem.threads.values());
        threads.filter(|thread| thread.untold.is_some()).count()
    }

    /// The newest event that was looked at: the caller goes on after it.
    #[must_use]
    pub fn seen(&self) -> Option<Sequence> {
        self.seen
    }

    /// What is open about subjects, with the instant at which it began.
    pub fn open_problems(&self) -> impl Iterator<Item = (&Subject, Topic, Timestamp)> {
        self.all()
            .filter(|(_, _, problem)| problem.open)
            .map(|(subject, topic, problem)| (subject, topic, problem.opened_at))
    }

    /// A person has seen the open problems of a subject: they aren't repeated until they are over.
    pub fn acknowledge(&mut self, subject: &Subject) {
        for problem in self.of_subject(subject).filter(|problem| problem.open) {
            problem.acknowledged = true;
        }
    }

    /// A person wants to hear nothing of the open problems of a subject until then. What happens meanwhile is told
    /// afterwards.
    pub fn mute(&mut self, subject: &Subject, until: Timestamp) {
        for problem in self.of_subject(subject).filter(|problem| problem.open) {
            problem.muted_until = Some(until);
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&Subject, Topic, &Problem)> {
        self.problems.iter().flat_map(|(subject, topics)| {
            topics.0.iter().map(move |(topic, problem)| (subject, *topic, problem))
        })
    }

    fn of_subject(&mut self, subject: &Subject) -> impl Iterator<Item = &mut Problem> {
        self.problems.get_mut(subject).into_iter().flat_map(|topics| topics.0.values_mut())
    }

    /// Forgets what no decision needs, and brings instants that lie in the future back: after a clock was set back,
    /// nothing has to wait until it is that late again.
    pub(super) fn tidy(&mut self, now: Timestamp) {
        for voice in self.voices.values_mut() {
            voice.forget(now);
        }
        self.voices.retain(|_, voice| !voice.subjects.is_empty() || !voice.messages.is_empty());
        for tally in self.tallies.values_mut() {
            tally.since = tally.since.min(now);
        }
        for topics in self.problems.values_mut() {
            for problem in topics.0.values_mut() {
                for thread in problem.threads.values_mut() {
                    if let Some(told) = &mut thread.told {
                        told.at = told.at.min(now);
                    }
                    if let Some(untold) = &mut thread.untold {
                        untold.since = untold.since.min(now);
                    }
                }
                problem.threads.retain(|_, thread| !thread.is_idle());
            }
            topics.0.retain(|_, problem| problem.open || !problem.threads.is_empty());
        }
        self.problems.retain(|_, topics| !topics.0.is_empty());
    }
}

/// An instant this much later; the last one that there is if there is none.
pub fn later(at: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| at.checked_add(by).ok()).unwrap_or(Timestamp::MAX)
}
