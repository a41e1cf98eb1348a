//! Which of what is untold is due, and the messages that tell it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::event::{Event, Severity};
use crate::message::{Item, Message, Tone};
use crate::names::{Subject, TargetName};
use crate::route::Terms;

use super::state::{
    Affected, Changes, DAY, Latest, Problem, State, Thread, Told, Topic, Voice, gap_after, later,
};
use super::wording::{self, Entry};
use super::{Decision, Delivery, Input, Telling, digest};

/// Items that a message has room for.
const ITEMS_MAX: usize = 50;
/// How far a cause is followed to its own cause.
const CAUSES_MAX: usize = 4;

type Key = (Subject, Topic);

/// When something is to be told.
#[derive(Debug, Clone, Copy)]
struct Due {
    /// Nothing holds it back any more, but that others may join it.
    ripe: Timestamp,
    /// It waits no longer for others.
    at: Timestamp,
}

/// Makes all messages that are due.
pub fn flush(state: &mut State, input: &Input<'_>) -> Decision {
    let (overviews, mut look_again_at) = digest::due(state, input);
    let mut deliveries = Vec::new();
    for target in input.targets {
        let overviews =
            overviews.iter().filter(|(to, _)| to == target).map(|(_, item)| item.clone()).collect();
        let (delivery, next) = flush_target(state, input, target, overviews);
        deliveries.extend(delivery);
        look_again_at = [look_again_at, next].into_iter().flatten().min();
    }
    for topics in state.problems.values_mut() {
        for problem in topics.0.values_mut() {
            problem.threads.retain(|target, _| input.targets.contains(target));
        }
    }
    Decision { deliveries, look_again_at }
}

fn flush_target(
    state: &mut State,
    input: &Input<'_>,
    target: &TargetName,
    overviews: Vec<Item>,
) -> (Option<Delivery>, Option<Timestamp>) {
    let now = input.now;
    drop_unwanted(state, input, target);
    absorb(state, target, &mut |state, key| due(state, input, target, key).is_some_and(|due| due.at <= now));
    let free = state.voices.get(target).and_then(Voice::free).filter(|free| *free > now);
    let all = all_due(state, input, target);
    let speaks = !overviews.is_empty() || (free.is_none() && all.iter().any(|(_, due)| due.at <= now));
    if !speaks {
        let next = all.iter().map(|(_, due)| due.at.max(free.unwrap_or(now))).min();
        return (None, next.filter(|next| *next > now));
    }
    absorb(state, target, &mut |state, key| {
        due(state, input, target, key).is_some_and(|due| due.ripe <= now)
    });
    let told: Vec<Key> = all_due(state, input, target)
        .into_iter()
        .filter_map(|(key, due)| (due.ripe <= now).then_some(key))
        .collect();
    let entries: Vec<Entry> = told.into_iter().filter_map(|key| tell(state, target, key, now)).collect();
    let delivery = compose(state, input, target, entries, overviews);
    let next = all_due(state, input, target).iter().map(|(_, due)| due.at).min();
    (Some(delivery), next)
}

/// Keys of problems that a target has to do with.
fn keys(state: &State, target: &TargetName) -> Vec<Key> {
    let has = state.all().filter(|(_, _, problem)| problem.threads.contains_key(target));
    has.map(|(subject, topic, _)| (subject.clone(), topic)).collect()
}

fn all_due(state: &State, input: &Input<'_>, target: &TargetName) -> Vec<(Key, Due)> {
    let due = |key: Key| due(state, input, target, &key).map(|due| (key, due));
    keys(state, target).into_iter().filter_map(due).collect()
}

fn problem<'s>(state: &'s State, (subject, topic): &Key) -> Option<&'s Problem> {
    state.problems.get(subject)?.0.get(topic)
}

fn thread_mut<'s>(
    state: &'s mut State,
    target: &TargetName,
    (subject, topic): &Key,
) -> Option<&'s mut Thread> {
    state.problems.get_mut(subject)?.0.get_mut(topic)?.threads.get_mut(target)
}

/// When the next message about a problem is due; `None` if there is nothing to say.
fn due(state: &State, input: &Input<'_>, target: &TargetName, key: &Key) -> Option<Due> {
    let problem = problem(state, key)?;
    let thread = problem.threads.get(target)?;
    let terms = Terms::of(input.routes, &thread.routes);
    // A target that waits for a digest hears everything with it.
    let digest =
        terms.digest.as_ref().and_then(|name| input.digests.iter().find(|digest| digest.name == *name));
    let with_digest =
        |at: Timestamp| digest.and_then(|digest| digest.calendar.next_after(at)).map(|at| (at, at));
    let (ripe, at) = if let Some(untold) = &thread.untold {
        with_digest(untold.since).unwrap_or_else(|| (untold.since, later(untold.since, terms.group)))
    } else {
        let news = thread.affected.untold > 0;
        let told = thread.told.filter(|told| told.open && thread.open && (news || !problem.acknowledged))?;
        // The cause is told again; what comes of it is not.
        if root_of(state, target, &key.0, problem.latest.cause.as_ref()).is_some() {
            return None;
        }
        // What else the problem is the cause of is told some time, even to those who want nothing to be repeated.
        let repeat = later(told.at, terms.repeat.or(news.then_some(DAY))?);
        with_digest(told.at).unwrap_or((repeat, repeat))
    };
    let severity = thread.severity(&problem.latest);
    let held = |at: Timestamp| held_until(state, &terms, target, key, problem, severity, at.max(input.now));
    Some(Due { ripe: held(ripe), at: held(at) })
}

/// The first instant from this one on at which nothing holds a message back.
fn held_until(
    state: &State,
    terms: &Terms,
    target: &TargetName,
    key: &Key,
    problem: &Problem,
    severity: Severity,
    at: Timestamp,
) -> Timestamp {
    let free = state.voices.get(target).and_then(|voice| voice.free_for(&key.0));
    let mut at = [Some(at), problem.muted_until, free].into_iter().flatten().fold(at, Timestamp::max);
    // Each of several routes has to be quiet. The first to end ends it; it may begin again, with another.
    for _ in 0..8 {
        let quiet = !terms.quiet.is_empty() && terms.quiet.iter().all(|quiet| quiet.holds(severity, at));
        let end = terms.quiet.iter().map(|quiet| quiet.window.end(at)).min();
        match end.filter(|end| quiet && *end > at) {
            Some(end) => at = end,
            None => break,
        }
    }
    at
}

/// Drops that a problem is over for a target that doesn't want to hear it, if there is nothing else to say.
fn drop_unwanted(state: &mut State, input: &Input<'_>, target: &TargetName) {
    for key in keys(state, target) {
        let Some(thread) = thread_mut(state, target, &key) else { continue };
        let Some(untold) = thread.untold else { continue };
        let only_over = untold.changes == Changes { closings: untold.changes.closings, ..Changes::default() };
        if only_over
            && !thread.open
            && thread.affected.untold == 0
            && !Terms::of(input.routes, &thread.routes).resolved
        {
            thread.untold = None;
        }
    }
}

/// The problem under which those that have this cause are told: an open one of that subject, of which the target hears
/// too, or of that one's cause.
fn root_of(
    state: &State,
    target: &TargetName,
    subject: &Subject,
    cause: Option<&Subject>,
) -> Option<(Key, Severity)> {
    let mut found: Option<(Key, Severity)> = None;
    let mut cause = cause?;
    let mut seen = BTreeSet::from([subject]);
    for _ in 0..CAUSES_MAX {
        if !seen.insert(cause) {
            break;
        }
        let topics = state.problems.get(cause).into_iter().flat_map(|topics| &topics.0);
        let heard = topics.filter_map(|(topic, problem)| {
            let thread = problem.threads.get(target).filter(|thread| thread.open)?;
            Some((*topic, problem, thread.severity(&problem.latest)))
        });
        let Some((topic, problem, severity)) = heard.max_by_key(|(_, _, severity)| *severity) else { break };
        found = Some(((cause.clone(), topic), severity));
        match &problem.latest.cause {
            Some(next) => cause = next,
            None => break,
        }
    }
    found
}

/// Targets that hear of the problem that has made an event happen.
pub fn roots_for(state: &State, event: &Event) -> BTreeSet<TargetName> {
    let topics = event.cause.as_ref().and_then(|cause| state.problems.get(cause));
    let targets =
        topics.into_iter().flat_map(|topics| topics.0.values()).flat_map(|problem| problem.threads.keys());
    let has_root =
        |target: &&TargetName| root_of(state, target, &event.subject, event.cause.as_ref()).is_some();
    targets.filter(has_root).cloned().collect()
}

/// Lets messages of causes count what has come of them, of those problems that are chosen.
fn absorb(state: &mut State, target: &TargetName, chosen: &mut dyn FnMut(&State, &Key) -> bool) {
    for key in keys(state, target) {
        let Some(problem) = problem(state, &key) else { continue };
        let Some(thread) = problem.threads.get(target) else { continue };
        let Some(untold) = thread.untold else { continue };
        let is_new = thread.open && !thread.told.is_some_and(|told| told.open);
        let is_note = matches!(key.1, Topic::Note(_));
        let root = root_of(state, target, &key.0, problem.latest.cause.as_ref());
        // What is worse than its cause is told by itself: the cause may be held back, for the night say.
        let Some((root, _)) = root.filter(|(_, severity)| untold.severity <= *severity) else { continue };
        if !(is_new || is_note) || !chosen(state, &key) {
            continue;
        }
        if let Some(thread) = thread_mut(state, target, &key) {
            thread.untold = None;
            thread.absorbed = thread.open;
            thread.open = false;
            let below = std::mem::take(&mut thread.affected);
            let count = untold.changes.openings + untold.changes.notes;
            if let Some(root) = thread_mut(state, target, &root) {
                root.affected.add(&key.0, count);
                // It may have been the cause of others itself.
                for subject in &below.subjects {
                    root.affected.add(subject, 0);
                }
                root.affected.untold += below.untold;
                root.affected.all += below.all;
            }
        }
    }
}

/// Marks a problem as told, and gives what is to be said.
fn tell(state: &mut State, target: &TargetName, key: Key, now: Timestamp) -> Option<Entry> {
    let (subject, topic) = key.clone();
    let copy = problem(state, &key)?.clone();
    let thread = thread_mut(state, target, &key)?;
    let severity = thread.severity(&copy.latest);
    let changes = thread.untold.take().map(|untold| untold.changes).unwrap_or_default();
    let told_before = thread.told;
    thread.told = Some(Told { open: thread.open, severity, at: now });
    let affected = thread.affected.clone();
    thread.affected.untold = 0;
    if !thread.open {
        thread.affected = Affected::default();
    }
    let open = thread.open;
    Some(Entry { subject, topic, problem: copy, open, severity, changes, told_before, affected })
}

fn compose(
    state: &mut State,
    input: &Input<'_>,
    target: &TargetName,
    entries: Vec<Entry>,
    overviews: Vec<Item>,
) -> Delivery {
    let mut entries = entries;
    entries.sort_by_key(|entry| (!entry.open, std::cmp::Reverse(entry.tone()), entry.subject.clone()));
    let voice = state.voices.entry(target.clone()).or_default();
    voice.spoke(input.now, entries.iter().map(|entry| &entry.subject));
    let subjects: BTreeMap<&Subject, usize> = entries
        .iter()
        .map(|entry| (&entry.subject, voice.subjects.get(&entry.subject).map_or(0, Vec::len)))
        .collect();
    let remark = subjects
        .into_iter()
        .map(|(subject, count)| (gap_after(count), subject))
        .max()
        .filter(|(gap, _)| !gap.is_zero())
        .map(|(gap, subject)| wording::flaps(subject, gap));
    let tells = entries.iter().map(|entry| Telling {
        subject: entry.subject.clone(),
        topic: entry.topic,
        open: entry.open,
        changes: entry.changes,
        affected: entry.affected.untold,
    });
    let tells = tells.collect();
    let items: Vec<Item> = overviews
        .into_iter()
        .chain(entries.iter().map(|entry| wording::item(entry, input.context)))
        .collect();
    let message = message(state, input, items, remark);
    Delivery { target: target.clone(), message, tells, event: None }
}

fn message(state: &mut State, input: &Input<'_>, items: Vec<Item>, remark: Option<String>) -> Message {
    state.messages += 1;
    let mut items = items;
    let subjects: BTreeSet<&Subject> = items.iter().map(|item| &item.subject).collect();
    let thread = (subjects.len() == 1).then(|| subjects.first().map(|subject| subject.to_string())).flatten();
    let title = wording::title(&items);
    let tone = items.iter().map(|item| item.tone).max().unwrap_or(Tone::Info);
    let left_out = items.len().saturating_sub(ITEMS_MAX);
    items.truncate(ITEMS_MAX);
    Message {
        id: format!("{}-{}", input.now.as_millisecond(), state.messages),
        thread,
        at: input.now,
        when: wording::instant(input.now, &input.context.zone),
        title,
        tone,
        items,
        left_out,
        remark,
        server: input.context.server.clone(),
        link: input.context.public_url.clone(),
    }
}

/// A message about one event that goes to a target at once.
pub fn deliver_alone(state: &mut State, input: &Input<'_>, event: &Event, target: &TargetName) -> Delivery {
    let latest = Latest::of(event);
    let item = wording::item_of(&event.subject, &latest, event.severity.into(), input.context);
    let message = message(state, input, vec![item], None);
    Delivery { target: target.clone(), message, tells: Vec::new(), event: Some(event.sequence) }
}
