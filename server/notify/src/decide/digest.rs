//! Digests: what has happened since the last one, on schedule.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use crate::event::{Fact, Severity};
use crate::message::{Item, Tone};
use crate::names::{DigestName, Subject, TargetName};
use crate::route::Match;

use super::state::{State, Tally};
use super::{Context, Input, wording};

/// Problems that an overview names.
const PROBLEMS_NAMED_MAX: usize = 20;
/// Kinds of events that an overview counts by name.
const KINDS_COUNTED_MAX: usize = 12;

/// When a digest is due. Cron expressions are another crate's.
pub trait Calendar: Send + Sync {
    /// The first instant after this one at which it is due; `None` if there is none.
    fn next_after(&self, at: Timestamp) -> Option<Timestamp>;
}

/// An overview on schedule.
#[derive(Clone)]
pub struct Digest {
    /// Its name. Routes whose policy names it wait for it.
    pub name: DigestName,
    /// When it is due.
    pub calendar: Arc<dyn Calendar>,
    /// Which events it counts.
    pub matches: Match,
    /// Targets that get the overview.
    pub to: Vec<TargetName>,
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, calendar: _, matches, to } = self;
        f.debug_struct("Digest")
            .field("name", name)
            .field("matches", matches)
            .field("to", to)
            .finish_non_exhaustive()
    }
}

/// Overviews that are due, and when the next one is. With them the count begins again.
pub fn due(state: &mut State, input: &Input<'_>) -> (Vec<(TargetName, Item)>, Option<Timestamp>) {
    let mut items = Vec::new();
    let mut next: Option<Timestamp> = None;
    for digest in input.digests {
        let Some(tally) = state.tallies.get(&digest.name) else { continue };
        let Some(mut at) = digest.calendar.next_after(tally.since) else { continue };
        if at <= input.now {
            let item = overview(state, digest, tally, input);
            items.extend(digest.to.iter().map(|target| (target.clone(), item.clone())));
            state.tallies.insert(digest.name.clone(), Tally::new(input.now));
            let Some(after) = digest.calendar.next_after(input.now) else { continue };
            at = after;
        }
        next = Some(next.map_or(at, |next| next.min(at)));
    }
    (items, next)
}

fn overview(state: &State, digest: &Digest, tally: &Tally, input: &Input<'_>) -> Item {
    let Context { zone, .. } = input.context;
    let mut open: Vec<_> = state.all().filter(|(_, _, problem)| problem.open).collect();
    // Problems of a part of the installation: judged as their newest event would be, at whatever hour that came.
    open.retain(|(subject, _, problem)| {
        let event = problem.latest.as_event(subject);
        !matches!(digest.matches.mismatch(&event), Some(field) if field != "window")
    });
    open.sort_by_key(|(_, _, problem)| (std::cmp::Reverse(problem.latest.severity), problem.opened_at));
    let worst = open.iter().map(|(_, _, problem)| problem.latest.severity).max();
    let since = wording::instant(tally.since, zone);
    let summary = match open.len() {
        0 => format!("No problem is open. This is what has happened since {since}."),
        1 => format!("One problem is open. This is what has happened since {since}."),
        count => format!("{count} problems are open. This is what has happened since {since}."),
    };
    let mut facts: Vec<Fact> = open
        .iter()
        .take(PROBLEMS_NAMED_MAX)
        .map(|(subject, topic, problem)| {
            let what = wording::state(*topic, problem);
            Fact::new(
                wording::name(subject),
                format!("{what}, since {}", wording::instant(problem.opened_at, zone)),
            )
        })
        .collect();
    if open.len() > PROBLEMS_NAMED_MAX {
        facts.push(Fact::new("More open problems", (open.len() - PROBLEMS_NAMED_MAX).to_string()));
    }
    facts.push(Fact::new("Problems that began", tally.opened.to_string()));
    facts.push(Fact::new("Problems that are over", tally.closed.to_string()));
    let mut kinds: Vec<(&String, &u32)> = tally.events.iter().collect();
    kinds.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), (*name).clone()));
    let counted = kinds.iter().take(KINDS_COUNTED_MAX);
    facts.extend(counted.map(|(name, count)| Fact::new((*name).clone(), count.to_string())));
    Item {
        tone: worst.filter(|worst| *worst > Severity::Info).map_or(Tone::Info, Tone::from),
        subject: Subject::Server,
        kind: "digest".to_owned(),
        title: match open.len() {
            0 => format!("Digest {}: no open problem", digest.name),
            1 => format!("Digest {}: one open problem", digest.name),
            count => format!("Digest {}: {count} open problems", digest.name),
        },
        summary,
        facts,
        advice: (!open.is_empty()).then(|| "Look at the open problems, the first ones first.".to_owned()),
        link: input.context.public_url.clone(),
        log_tail: None,
    }
}
