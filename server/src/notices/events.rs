//! From events of the state to what is told: what a message says, how bad it is, and what it belongs to. Most events are
//! no news.

use jiff::Timestamp;
use keepfast_config::config::Config;
use keepfast_notify::{
    Condition, Content, Event, Fact, Kind, Scope, Sequence, Severity, Subject, TargetName,
};
use keepfast_store::{Event as StoreEvent, EventKind, Problem, Store, UtcTime};
use serde_json::Value;

use super::about::{page, scope, sequence, subject};
use super::heartbeat::HEARTBEAT_PROBLEM;
use super::runs;
use super::sender::DELIVERY_PROBLEM;
use crate::error::Result;
use crate::idle;
use crate::state::instant;

/// The kind of the event that asks for a message to test a target.
pub const TEST: &str = "notify.test";

/// What an event of the state comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// Something that is told to those who want to hear it.
    Event(Box<Event>),
    /// A person knows of a subject's problems.
    Acknowledged(Subject),
    /// A person wants to hear nothing of a subject's problems until then; nothing ends that.
    Muted(Subject, Option<Timestamp>),
}

/// What an event comes to; nothing if it is no news.
pub async fn news(store: &Store, config: &Config, event: &StoreEvent) -> Result<Option<News>> {
    let told = |event: Option<Event>| event.map(|event| News::Event(Box::new(event)));
    let kind = &event.kind;
    Ok(if *kind == EventKind::RUN_ENDED {
        told(runs::ended(store, config, event).await?)
    } else if *kind == EventKind::RUN_QUARANTINED {
        told(Some(runs::quarantined(config, event)))
    } else if *kind == EventKind::PROBLEM_OPENED || *kind == EventKind::PROBLEM_REPEATED {
        told(Some(problem_event(config, event, Kind::Began)))
    } else if *kind == EventKind::PROBLEM_RESOLVED {
        told(Some(problem_event(config, event, Kind::Over)))
    } else if *kind == EventKind::PROBLEM_ACKNOWLEDGED {
        Some(News::Acknowledged(subject(event.subject.as_str())))
    } else if *kind == EventKind::PROBLEM_MUTED {
        let until =
            event.document["muted_until"].as_i64().map(|micros| instant(UtcTime::from_micros(micros)));
        Some(News::Muted(subject(event.subject.as_str()), until))
    } else if *kind == EventKind::DELIVERY_UNDELIVERABLE {
        told(undeliverable(config, event))
    } else if *kind == EventKind::UNDO_DONE {
        told(runs::undone(store, config, event).await?)
    } else if *kind == EventKind::ERROR_FIRST_SEEN {
        told(Some(runs::new_error(event)))
    } else if kind.as_str() == TEST {
        let target = event.document["target"].as_str();
        told(target.map(|target| Event::test(sequence(event), instant(event.at), TargetName::new(target))))
    } else {
        None
    })
}

/// A problem that is there, told at a place in the sequence.
pub fn standing(config: &Config, problem: &Problem, at: keepfast_store::Sequence) -> Event {
    let (about, kind) = (problem.subject.as_str(), problem.kind.as_str());
    let told = Told { sequence: Sequence(at.number()), at: instant(problem.opened), about, kind };
    of_problem(config, told, Kind::Began, &problem.document)
}

/// The condition that a problem of the state is.
pub fn condition(kind: &str, about: &Subject) -> Condition {
    match kind {
        "overdue" => Condition::Overdue,
        "anomaly" => Condition::Anomaly,
        "quota" => Condition::Quota,
        idle::KIND => Condition::RetentionIdle,
        "config" | "schedule" => Condition::ConfigInvalid,
        "config differs" => Condition::ConfigDiffers,
        "clock" => Condition::Clock,
        "disk" => Condition::Disk,
        "unreachable" if matches!(about, Subject::Host(_)) => Condition::Offline,
        "unreachable" => Condition::Unreachable,
        DELIVERY_PROBLEM => Condition::DeliveryFailed,
        HEARTBEAT_PROBLEM => Condition::HeartbeatFailed,
        _ => Condition::Other,
    }
}

/// What an event about a subject belongs to.
fn scope_of(config: &Config, subject: &Subject) -> Scope {
    match subject {
        Subject::Plan(plan) => scope(config, Some(plan), None, None),
        Subject::Repository(repository) => scope(config, None, Some(repository), None),
        Subject::Host(host) => scope(config, None, None, Some(host)),
        Subject::Drill(drill) => {
            let plan = config.drills.get(drill).map(|drill| drill.value.plan.name.as_str());
            scope(config, plan, None, None)
        }
        Subject::Target(_) | Subject::Server => Scope::default(),
    }
}

/// Where and when something is told, and about what.
struct Told<'e> {
    sequence: Sequence,
    at: Timestamp,
    about: &'e str,
    kind: &'e str,
}

fn problem_event(config: &Config, event: &StoreEvent, which: fn(Condition) -> Kind) -> Event {
    let kind = event.document["kind"].as_str().unwrap_or_default();
    let (sequence, at, about) = (sequence(event), instant(event.at), event.subject.as_str());
    of_problem(config, Told { sequence, at, about, kind }, which, &event.document["document"])
}

/// `document` is that of the problem: a `summary`, and maybe `advice`, `facts` and a `severity` that isn't the usual one;
/// or, of an anomaly, what was found and whether it is about data.
fn of_problem(config: &Config, told: Told<'_>, which: fn(Condition) -> Kind, document: &Value) -> Event {
    let Told { sequence, at, about, kind } = told;
    let about = subject(about);
    let scope = scope_of(config, &about);
    let path = page(&about);
    let mut event = Event::new(sequence, at, which(condition(kind, &about)), about);
    event.scope = scope;
    let is_harmless = event.kind == Kind::Began(Condition::Anomaly) && document["about_data"] == false;
    let severity = document["severity"].as_str().and_then(|word| word.parse::<Severity>().ok());
    let severity = severity.or(is_harmless.then_some(Severity::Warning));
    // That a problem is over is told to those who heard of it, whatever its severity.
    if let (Kind::Began(_), Some(severity)) = (event.kind, severity) {
        event.severity = severity;
    }
    let mut facts: Vec<Fact> = Vec::new();
    if event.kind == Kind::Began(Condition::Other) {
        facts.push(Fact::new("Kind", kind));
    }
    let defined = document["facts"].as_object().into_iter().flatten();
    facts.extend(defined.map(|(name, value)| Fact::new(name.as_str(), text_of(value))));
    let is_over = matches!(event.kind, Kind::Over(_));
    event.content = Content {
        // The problem's own sentence says what is wrong, which isn't so any more.
        summary: if is_over { String::new() } else { summary(document) },
        facts: if is_over { Vec::new() } else { facts },
        advice: document["advice"]
            .as_str()
            .map_or_else(|| usual_advice(&event, document), |advice| Some(advice.to_owned())),
        path,
        log_tail: None,
    };
    event
}

/// What to do next about a problem whose document doesn't say it.
fn usual_advice(event: &Event, document: &Value) -> Option<String> {
    match (event.kind, &event.subject) {
        (Kind::Began(Condition::Anomaly), Subject::Plan(plan)) if document["about_data"] == true => {
            Some(format!(
                "Look at what has changed. If all is as it should be, say so with `keepfast accept-anomaly {plan}`."
            ))
        }
        _ => None,
    }
}

/// What is wrong, as a sentence.
fn summary(document: &Value) -> String {
    let found = document["anomalies"].as_array().into_iter().flatten();
    let found: Vec<&str> = found.filter_map(|anomaly| anomaly["text"].as_str()).collect();
    document["summary"].as_str().map_or_else(|| found.join("; "), str::to_owned)
}

/// A value as people read it.
fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A message was given up. About a target that was removed meanwhile there is nothing to tell.
fn undeliverable(config: &Config, event: &StoreEvent) -> Option<Event> {
    let target = event.document["target"].as_str().filter(|target| config.targets.contains_key(*target))?;
    let error = event.document["error"].as_str().unwrap_or("it is not known why");
    let about = Subject::Target(TargetName::new(target));
    let path = page(&about);
    let mut told =
        Event::new(sequence(event), instant(event.at), Kind::Began(Condition::DeliveryFailed), about);
    told.content = Content {
        summary: format!("Messages to the target {target} don't arrive: {error}"),
        facts: vec![Fact::new("Attempts", text_of(&event.document["attempts"]))],
        advice: Some(format!(
            "Correct what the error names, test the target with `keepfast notify test {target}`, and send the message \
             again with `keepfast notify retry {}`.",
            text_of(&event.document["delivery"])
        )),
        path,
        log_tail: None,
    };
    Some(told)
}
