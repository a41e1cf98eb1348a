//! The words of messages: what a problem is called, and what is said when it begins and is over.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::event::{Condition, Fact, Kind, Note, Severity, Verdict, Work};
use crate::message::{Item, Tone};
use crate::names::Subject;
use crate::text::clip;

use super::Context;
use super::state::{Affected, Changes, Latest, Problem, Told, Topic};

/// Subjects that a line names.
const SUBJECTS_NAMED_MAX: usize = 10;
/// Characters of a name in a title.
const NAME_CHARS_MAX: usize = 80;

/// What is said of a problem.
pub struct Entry {
    pub subject: Subject,
    pub topic: Topic,
    pub problem: Problem,
    pub open: bool,
    pub severity: Severity,
    pub changes: Changes,
    pub told_before: Option<Told>,
    pub affected: Affected,
}

impl Entry {
    pub fn tone(&self) -> Tone {
        match self.topic {
            Topic::Note(_) => self.severity.into(),
            _ if self.open => self.severity.into(),
            _ => Tone::Resolved,
        }
    }
}

/// A subject as people call it.
pub fn name(subject: &Subject) -> String {
    match subject {
        Subject::Server => "Server".to_owned(),
        other => clip(other.name(), NAME_CHARS_MAX),
    }
}

/// An instant with its zone, as in `2026-03-01 02:30 CET`.
pub fn instant(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M %Z").to_string()
}

/// A span as people say it: the largest unit, and the one below it.
pub fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let units = [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)];
    let first = units.iter().position(|(_, unit)| seconds >= *unit).unwrap_or(3);
    let of =
        |(name, unit): &(&str, u64), seconds: u64| (format!("{} {name}", seconds / unit), seconds % unit);
    let (large, rest) = of(&units[first], seconds);
    match units.get(first + 1).map(|unit| of(unit, rest)) {
        Some((small, _)) if !small.starts_with("0 ") => format!("{large} {small}"),
        _ => large,
    }
}

/// What is the case, in a few words that follow a name and a colon.
pub fn state(topic: Topic, problem: &Problem) -> String {
    match topic {
        Topic::Failing(work) => failing(work, problem.latest.kind),
        Topic::Findings(work) => format!("{} with findings", work.word()),
        Topic::Condition(Condition::Quota) if problem.latest.severity >= Severity::Error => {
            "over its quota".to_owned()
        }
        Topic::Condition(condition) => begun(condition).to_owned(),
        Topic::Note(kind) => noted(kind),
    }
}

fn failing(work: Work, kind: Kind) -> String {
    let work = work.word();
    match kind {
        Kind::Ended { verdict: Verdict::Missed, .. } => format!("{work} missed"),
        Kind::Ended { verdict: Verdict::Lost, .. } => format!("{work} ended without a result"),
        _ => format!("{work} failed"),
    }
}

fn begun(condition: Condition) -> &'static str {
    match condition {
        Condition::Overdue => "backup overdue",
        Condition::Quota => "quota nearly used",
        Condition::Anomaly => "unusual run",
        Condition::RetentionIdle => "retention removes nothing",
        Condition::Unreachable => "can't be reached",
        Condition::Offline => "offline",
        Condition::ConfigInvalid => "configuration not valid",
        Condition::ConfigDiffers => "configuration differs from that of other servers",
        Condition::DeliveryFailed => "messages don't arrive",
        Condition::HeartbeatFailed => "heartbeat doesn't arrive",
        Condition::Quarantined => "not started any more",
        Condition::Clock => "clock is wrong or was set",
        Condition::Disk => "little room on a disk",
        Condition::Other => "problem",
    }
}

fn over(topic: Topic) -> String {
    match topic {
        Topic::Failing(work) => format!("{} works again", work.word()),
        Topic::Findings(work) => format!("{} without findings again", work.word()),
        Topic::Condition(condition) => match condition {
            Condition::Overdue => "no longer overdue",
            Condition::Quota => "below its quota again",
            Condition::Anomaly => "runs as usual again",
            Condition::RetentionIdle => "retention removes again",
            Condition::Unreachable => "reachable again",
            Condition::Offline => "online again",
            Condition::ConfigInvalid => "configuration valid again",
            Condition::ConfigDiffers => "configuration is that of other servers again",
            Condition::DeliveryFailed => "messages arrive again",
            Condition::HeartbeatFailed => "heartbeat arrives again",
            Condition::Quarantined => "started again",
            Condition::Clock => "clock is right again",
            Condition::Disk => "enough room again",
            Condition::Other => "problem is over",
        }
        .to_owned(),
        Topic::Note(kind) => noted(kind),
    }
}

fn noted(kind: Kind) -> String {
    match kind {
        Kind::Ended { work, verdict } => format!("{} {}", work.word(), verdict.word()),
        Kind::Noted(Note::NewError) => "new error".to_owned(),
        Kind::Noted(Note::UndoFailed) => "a hook was not undone".to_owned(),
        Kind::Noted(Note::ConfigApplied) => "new configuration in use".to_owned(),
        Kind::Noted(Note::Test) => "test message".to_owned(),
        Kind::Began(condition) | Kind::Over(condition) => begun(condition).to_owned(),
    }
}

/// What a message says about an event alone.
pub fn item_of(subject: &Subject, latest: &Latest, tone: Tone, context: &Context) -> Item {
    let Latest { kind, content, .. } = latest;
    let what = noted(*kind);
    let link = context.public_url.as_ref().map(|url| match content.path.as_deref() {
        Some(path) => format!("{url}/{}", path.trim_start_matches('/')),
        None => url.clone(),
    });
    let summary = if content.summary.is_empty() {
        format!("{}: {what}.", name(subject))
    } else {
        content.summary.clone()
    };
    Item {
        tone,
        subject: subject.clone(),
        kind: kind.to_string(),
        title: format!("{}: {what}", name(subject)),
        summary,
        facts: content.facts.clone(),
        advice: content.advice.clone(),
        link,
        log_tail: content.log_tail.clone(),
    }
}

/// What a message says about a problem.
pub fn item(entry: &Entry, context: &Context) -> Item {
    let Entry { subject, topic, problem, open, changes, told_before, affected, .. } = entry;
    let mut item = item_of(subject, &problem.latest, entry.tone(), context);
    let is_note = matches!(topic, Topic::Note(_));
    let is_told = told_before.is_some_and(|told| told.open);
    let what = match (is_note, open) {
        (true, _) => noted(problem.latest.kind),
        (false, true) if *changes == Changes::default() => format!("still {}", state(*topic, problem)),
        (false, true) if is_told && changes.openings == 0 => format!("worse: {}", state(*topic, problem)),
        (false, true) => state(*topic, problem),
        (false, false) => over(*topic),
    };
    let times = match (is_note, changes.notes, problem.in_a_row) {
        (true, notes @ 2.., _) => format!(" ({notes} times)"),
        (false, _, in_a_row @ 2..) if *open && !matches!(topic, Topic::Condition(_)) => {
            format!(" ({in_a_row} in a row)")
        }
        _ => String::new(),
    };
    item.title = format!("{}: {what}{times}", name(subject));
    let mut facts = Vec::new();
    if !is_note {
        facts.push(Fact::new("Since", instant(problem.opened_at, &context.zone)));
        if !open {
            let ended = instant(problem.latest.at, &context.zone);
            let lasted = problem.latest.at.duration_since(problem.opened_at);
            let lasted = span(Duration::try_from(lasted).unwrap_or_default());
            facts.push(Fact::new("Until", format!("{ended} ({lasted})")));
        }
        // More than one change: a message was held back meanwhile.
        if changes.openings + changes.closings > 1 {
            let text =
                format!("began {}, was over {}", times_of(changes.openings), times_of(changes.closings));
            facts.push(Fact::new("Since the last message", text));
        }
    }
    if affected.all > 0 {
        facts.push(Fact::new("Also affects", subjects(affected)));
    }
    facts.append(&mut item.facts);
    item.facts = facts;
    if !open && !is_note {
        item.advice = None;
        item.log_tail = None;
    }
    item
}

fn times_of(count: u32) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        count => format!("{count} times"),
    }
}

fn subjects(affected: &Affected) -> String {
    let named: Vec<String> = affected.subjects.iter().take(SUBJECTS_NAMED_MAX).map(name).collect();
    let known = affected.subjects.len();
    // A subject may have several problems; past the bound of names only their number is known.
    let full = known >= Affected::SUBJECTS_MAX;
    match known.saturating_sub(SUBJECTS_NAMED_MAX) {
        0 => named.join(", "),
        more if full => format!("{} and at least {more} more", named.join(", ")),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// The title of a message with these items: that of its item, or how many there are.
pub fn title(items: &[Item]) -> String {
    let [first, rest @ ..] = items else { return String::new() };
    let digest = first.kind == "digest";
    if rest.is_empty() || digest {
        return first.title.clone();
    }
    let count = |tone: fn(Tone) -> bool| items.iter().filter(|item| tone(item.tone)).count();
    let problems = count(|tone| tone >= Tone::Warning);
    let resolved = count(|tone| tone == Tone::Resolved);
    let parts = [
        (problems, "problem", "problems"),
        (resolved, "resolved", "resolved"),
        (items.len() - problems - resolved, "note", "notes"),
    ];
    let parts = parts.iter().filter(|(count, _, _)| *count > 0);
    let counts: Vec<String> =
        parts.map(|(count, one, many)| format!("{count} {}", if *count == 1 { one } else { many })).collect();
    let mut names: Vec<String> = Vec::new();
    for name in items.iter().map(|item| name(&item.subject)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let shown = names.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
    let more = if names.len() > 3 { ", …" } else { "" };
    format!("{}: {shown}{more}", counts.join(", "))
}

/// Said when a subject has had many messages.
pub fn flaps(subject: &Subject, gap: Duration) -> String {
    format!(
        "There were many messages about {} in the last day. The next one comes in {} at the earliest, and counts what \
         happens until then.",
        name(subject),
        span(gap)
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::span;

    #[test]
    fn spans_have_two_units_at_most() {
        let text = |seconds| span(Duration::from_secs(seconds));
        assert_eq!(text(0), "0 s");
        assert_eq!(text(90), "1 min 30 s");
        assert_eq!(text(3_600), "1 h");
        assert_eq!(text(90_061), "1 d 1 h");
    }
}
