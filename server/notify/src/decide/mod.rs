//! From events to messages: what is told to whom, and when. Pure: the caller hands in the events that it has committed,
//! and stores the state and the deliveries that come of them in one transaction.
//!
//! - A problem (a subject and what is wrong with it) is told when it begins, when it becomes worse, again after a while,
//!   and when it is over. What changes is counted until a message tells it, and each change is counted by one message.
//! - A message waits a little for others to the same target (the group window), for the end of quiet hours, or for a
//!   digest. It is held back, never dropped; what is over by then is told as over.
//! - While a problem's cause is a problem of its own that the target hears of, the cause's message counts it.
//! - Nothing storms: about one subject, a target gets at most [`MESSAGES_PER_SUBJECT_AND_DAY_MAX`] messages in 24 hours,
//!   at growing distances, and at most [`MESSAGES_PER_HOUR_MAX`] messages in all in an hour.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::event::{Event, Kind, Sequence};
use crate::message::Message;
use crate::names::{DigestName, Subject, TargetName};
use crate::route::{Route, Terms, who_hears};

use state::{Effects, Latest, Problem, Tally, Thread};

pub use digest::{Calendar, Digest};
pub(crate) use state::later;
pub use state::{Changes, MESSAGES_PER_HOUR_MAX, State, Topic};

mod digest;
mod flush;
mod state;
mod wording;

/// Messages about one subject that a target gets in any 24 hours, at most.
pub const MESSAGES_PER_SUBJECT_AND_DAY_MAX: usize = 12;

/// What messages say about the server.
#[derive(Debug, Clone)]
pub struct Context {
    /// The server's name.
    pub server: String,
    /// Where its pages are, without a slash at the end.
    pub public_url: Option<String>,
    /// The zone of times in messages.
    pub zone: TimeZone,
}

/// What decisions are made from.
pub struct Input<'a> {
    /// New events, in their order. Such that were looked at before are passed over. Several may have one place: what
    /// was committed at once, and what is said of it.
    pub events: &'a [Event],
    /// All routes.
    pub routes: &'a [Route],
    /// All digests.
    pub digests: &'a [Digest],
    /// All targets. What waits for others is given up.
    pub targets: &'a BTreeSet<TargetName>,
    /// What messages say about the server.
    pub context: &'a Context,
    /// Now.
    pub now: Timestamp,
}

/// A message that has to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// To this target.
    pub target: TargetName,
    /// What it says.
    pub message: Message,
    /// What it tells, for the log of deliveries.
    pub tells: Vec<Telling>,
    /// The event that it is about, if it is about one alone: a test of the target.
    pub event: Option<Sequence>,
}

/// What a message tells about a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Telling {
    /// About this subject.
    pub subject: Subject,
    /// About this topic.
    pub topic: Topic,
    /// Whether it is open, according to the message.
    pub open: bool,
    /// Changes that no message before has told. None if it is told again.
    pub changes: Changes,
    /// Problems of others that no message before has counted, and that it is the cause of.
    pub affected: u32,
}

/// What has to be done.
#[derive(Debug)]
pub struct Decision {
    /// Messages to send, at once.
    pub deliveries: Vec<Delivery>,
    /// When to decide again if no event comes before.
    pub look_again_at: Option<Timestamp>,
}

/// Takes new events into the state, and makes the messages that are due.
pub fn decide(state: &mut State, input: &Input<'_>) -> Decision {
    state.tidy(input.now);
    for digest in input.digests {
        state.tallies.entry(digest.name.clone()).or_insert_with(|| Tally::new(input.now));
    }
    let names: BTreeSet<&DigestName> = input.digests.iter().map(|digest| &digest.name).collect();
    state.tallies.retain(|name, _| names.contains(name));
    let mut deliveries = Vec::new();
    let seen = state.seen;
    for event in input.events {
        if seen.is_some_and(|seen| event.sequence <= seen) {
            continue;
        }
        state.seen = state.seen.max(Some(event.sequence));
        if let Some(target) = &event.addressed_to {
            if input.targets.contains(target) {
                deliveries.push(flush::deliver_alone(state, input, event, target));
            }
        } else {
            take(state, input, event);
        }
    }
    let mut decision = flush::flush(state, input);
    deliveries.append(&mut decision.deliveries);
    state.tidy(input.now);
    Decision { deliveries, ..decision }
}

/// Takes one event into the state.
fn take(state: &mut State, input: &Input<'_>, event: &Event) {
    let at = event.at.min(input.now);
    let heard = who_hears(input.routes, event);
    let Effects { holds, over, note } = Effects::of(event.kind);
    let mut tally = (0, 0);
    let mut resolved = BTreeSet::new();
    for topic in over {
        tally.1 += u32::from(close(state, event, topic, at, &mut resolved));
    }
    if let Some(topic) = holds {
        let roots = flush::roots_for(state, event);
        let problem = problem_of(state, event, topic, at);
        if !problem.open {
            tally.0 += 1;
            *problem = Problem { threads: std::mem::take(&mut problem.threads), ..new_problem(event, at) };
            problem.open = true;
        }
        problem.in_a_row = problem.in_a_row.saturating_add(1);
        problem.latest = Latest::of(event);
        for (target, routes) in heard.clone() {
            let after =
                if matches!(topic, Topic::Condition(_)) { 1 } else { Terms::of(input.routes, &routes).after };
            let thread = problem.threads.entry(target.clone()).or_default();
            thread.routes = routes;
            if problem.in_a_row >= after {
                hold(thread, event, at, roots.contains(&target));
            }
        }
    }
    if let Some(topic) = note {
        // That a problem is over says as well that all is well.
        let heard: BTreeMap<_, _> =
            heard.into_iter().filter(|(target, _)| !resolved.contains(target)).collect();
        if !heard.is_empty() {
            let problem = problem_of(state, event, topic, at);
            problem.latest = Latest::of(event);
            for (target, routes) in heard {
                let thread = problem.threads.entry(target).or_default();
                thread.routes = routes;
                thread.note(at, event.severity, |changes| changes.notes = changes.notes.saturating_add(1));
            }
        }
    }
    for digest in input.digests.iter().filter(|digest| digest.matches.matches(event)) {
        if let Some(count) = state.tallies.get_mut(&digest.name) {
            count.opened += tally.0;
            count.closed += tally.1;
            if !matches!(event.kind, Kind::Over(_)) {
                *count.events.entry(event.kind.to_string()).or_default() += 1;
            }
        }
    }
}

/// Says that a problem is over, if it was open.
fn close(
    state: &mut State,
    event: &Event,
    topic: Topic,
    at: Timestamp,
    resolved: &mut BTreeSet<TargetName>,
) -> bool {
    let topics = state.problems.get_mut(&event.subject);
    let Some(problem) = topics.and_then(|topics| topics.0.get_mut(&topic)).filter(|problem| problem.open)
    else {
        return false;
    };
    problem.open = false;
    problem.latest = Latest::of(event);
    for (target, thread) in &mut problem.threads {
        thread.absorbed = false;
        if thread.open {
            thread.open = false;
            // As bad as the problem was: a message that it is over is held back no longer than that it began.
            let severity = thread.told.map_or(event.severity, |told| told.severity);
            thread.note(at, severity, |changes| changes.closings = changes.closings.saturating_add(1));
            resolved.insert(target.clone());
        }
    }
    true
}

/// Says to a target's thread that its problem holds; `root` says whether the target hears of its cause.
fn hold(thread: &mut Thread, event: &Event, at: Timestamp, root: bool) {
    if thread.absorbed && root {
        return;
    }
    thread.absorbed = false;
    if !thread.open {
        thread.open = true;
        thread.note(at, event.severity, |changes| changes.openings = changes.openings.saturating_add(1));
        return;
    }
    let known = [
        thread.told.filter(|told| told.open).map(|told| told.severity),
        thread.untold.map(|untold| untold.severity),
    ];
    if known.into_iter().flatten().max().is_none_or(|known| known < event.severity) {
        thread.note(at, event.severity, |changes| changes.worsenings = changes.worsenings.saturating_add(1));
    }
}

fn problem_of<'s>(state: &'s mut State, event: &Event, topic: Topic, at: Timestamp) -> &'s mut Problem {
    let topics = state.problems.entry(event.subject.clone()).or_default();
    topics.0.entry(topic).or_insert_with(|| new_problem(event, at))
}

fn new_problem(event: &Event, at: Timestamp) -> Problem {
    Problem {
        open: false,
        opened_at: at,
        in_a_row: 0,
        latest: Latest::of(event),
        acknowledged: false,
        muted_until: None,
        threads: BTreeMap::new(),
    }
}
