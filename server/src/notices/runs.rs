//! What is told of runs: how they ended, with the figures of their reports.

use jiff::{SignedDuration, Timestamp};
use keepfast_config::config::Config;
use keepfast_engine::nouns::counted;
use keepfast_notify::{Condition, Content, Event, Fact, Kind, Note, Scope, Severity, Subject, Verdict, Work};
use keepfast_observe::errors::Category;
use keepfast_operations::units::bytes;
use keepfast_store::{Event as StoreEvent, HostId, Run, RunId, RunKind, Store, VerdictKind};
use serde::Deserialize;
use serde_json::Value;

use super::about::{note, page, scope, sequence, subject};
use crate::error::Result;
use crate::state::instant;

/// Problems of a report that a message quotes.
const PROBLEMS_QUOTED_MAX: usize = 3;

/// What the event of a run says.
struct RunNews<'e> {
    event: &'e StoreEvent,
    id: &'e str,
    plan: Option<&'e str>,
    repository: Option<&'e str>,
    host: Option<&'e str>,
    drill: Option<&'e str>,
    work: Work,
}

impl<'e> RunNews<'e> {
    fn of(event: &'e StoreEvent) -> Self {
        let text = |name: &str| event.document[name].as_str();
        let kind = RunKind::deserialize(&event.document["kind"]).unwrap_or(RunKind::Backup);
        Self {
            event,
            id: text("run").unwrap_or_default(),
            plan: text("plan"),
            repository: text("repository"),
            host: text("host"),
            drill: text("drill"),
            work: match kind {
                RunKind::Backup => Work::Backup,
                RunKind::Check => Work::Check,
                RunKind::Prune => Work::Prune,
                RunKind::Forget => Work::Forget,
                RunKind::Copy => Work::Copy,
                RunKind::Drill => Work::Drill,
                RunKind::Restore => Work::Restore,
            },
        }
    }

    fn text(&self, name: &str) -> Option<&'e str> {
        self.event.document[name].as_str()
    }

    fn about(&self) -> Subject {
        if let Some(drill) = self.drill {
            return Subject::Drill(drill.to_owned());
        }
        match (self.plan, self.repository) {
            (Some(plan), _) => Subject::Plan(plan.to_owned()),
            (None, Some(repository)) => Subject::Repository(repository.to_owned()),
            (None, None) => subject(self.event.subject.as_str()),
        }
    }

    fn scope(&self, config: &Config) -> Scope {
        scope(config, self.plan, self.repository, self.host)
    }

    /// As in "the backup of plan www".
    fn name(&self) -> String {
        let work = self.work.word();
        if let (Some(drill), Some(plan)) = (self.drill, self.plan) {
            return format!("the {work} {drill} of plan {plan}");
        }
        match (self.plan, self.repository) {
            (Some(plan), _) => format!("the {work} of plan {plan}"),
            (None, Some(repository)) if self.work == Work::Restore => {
                format!("the {work} from repository {repository}")
            }
            (None, Some(repository)) => format!("the {work} of repository {repository}"),
            (None, None) => format!("the {work} {}", self.id),
        }
    }

    fn event(&self, config: &Config, kind: Kind) -> Event {
        let about = self.about();
        let mut event = Event::new(sequence(self.event), instant(self.event.at), kind, about);
        event.scope = self.scope(config);
        event
    }
}

/// A run has its verdict. Skipped ones are no news, nor are those that will be tried again.
pub async fn ended(store: &Store, config: &Config, event: &StoreEvent) -> Result<Option<Event>> {
    let Ok(verdict) = VerdictKind::deserialize(&event.document["verdict"]) else { return Ok(None) };
    let verdict = match verdict {
        VerdictKind::Ok => Verdict::Ok,
        VerdictKind::Findings => Verdict::Findings,
        VerdictKind::Failed => Verdict::Failed,
        VerdictKind::Missed => Verdict::Missed,
        VerdictKind::Cancelled => Verdict::Cancelled,
        VerdictKind::Lost => Verdict::Lost,
        VerdictKind::Skipped => return Ok(None),
    };
    if event.document["will_retry"] == Value::Bool(true) {
        return Ok(None);
    }
    let news = RunNews::of(event);
    let mut told = news.event(config, Kind::Ended { work: news.work, verdict });
    let category = news.text("error_category").and_then(Category::named);
    let is_failure = verdict == Verdict::Failed;
    if is_failure && category == Some(Category::Network) {
        told.cause = news.repository.map(|repository| Subject::Repository(repository.to_owned()));
    }
    if category == Some(Category::Damage) && told.severity >= Severity::Warning {
        told.severity = Severity::Critical;
    }
    let id = RunId::new(news.id).ok();
    let (run, report) = match &id {
        Some(id) => (store.run(id).await?, store.run_report(id).await?.unwrap_or_default()),
        None => (None, Value::Null),
    };
    let error = news.text("error").or_else(|| report["error"].as_str());
    told.content = Content {
        summary: summary(&news, verdict, error, &report),
        facts: facts(&news, run.as_ref(), &report),
        advice: advice(&news, verdict, category),
        path: Some(format!("/runs/{}", news.id)),
        log_tail: None,
    };
    Ok(Some(told))
}

fn summary(news: &RunNews<'_>, verdict: Verdict, error: Option<&str>, report: &Value) -> String {
    let mut name = news.name();
    if let Some(first) = name.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let reason = || news.text("reason").filter(|reason| !reason.is_empty());
    match verdict {
        Verdict::Ok => format!("{name} went well."),
        Verdict::Findings => {
            let problems: Vec<&str> = report["problems"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .take(PROBLEMS_QUOTED_MAX)
                .collect();
            let count = report["findings"].as_u64();
            let what = count.map_or_else(|| "findings".to_owned(), |count| counted(count, "finding"));
            match (problems.is_empty(), error) {
                (false, _) => format!("{name} was done, with {what}: {}", problems.join("; ")),
                (true, Some(error)) => format!("{name} was done, with {what}: {error}"),
                (true, None) => format!("{name} was done, with {what}."),
            }
        }
        Verdict::Failed => match error {
            Some(error) => format!("{name} failed: {error}"),
            None => format!("{name} failed."),
        },
        Verdict::Missed => match reason() {
            Some(reason) => format!("{name} should have run and did not: {reason}"),
            None => format!("{name} should have run and did not."),
        },
        Verdict::Lost => format!("{name} ended without a result: the program that ran it is gone."),
        Verdict::Cancelled => format!("{name} was cancelled."),
        Verdict::Skipped => format!("{name} was skipped."),
    }
}

fn facts(news: &RunNews<'_>, run: Option<&Run>, report: &Value) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut add = |name: &str, value: Option<String>| facts.extend(value.map(|value| Fact::new(name, value)));
    add("Repository", news.repository.map(str::to_owned));
    add("Host", news.host.map(str::to_owned));
    let slots = news.event.document["slots"].as_u64().filter(|slots| *slots > 1);
    add("Slots", slots.map(|slots| slots.to_string()));
    let attempt = news.event.document["attempt"].as_u64().filter(|attempt| *attempt > 1);
    add("Attempt", attempt.map(|attempt| attempt.to_string()));
    let times = run.and_then(|run| Some((instant(run.started?), instant(run.ended?))));
    add("Duration", times.map(|(started, ended)| length(started, ended)));
    let summary = &report["backup"]["summary"];
    let count = |names: &[&str]| {
        let counts: Vec<u64> = names.iter().filter_map(|name| summary[*name].as_u64()).collect();
        (!counts.is_empty()).then(|| counts.into_iter().fold(0, u64::saturating_add))
    };
    let files = count(&["files_new", "files_changed", "files_unchanged"]);
    let changed = count(&["files_new", "files_changed"]).unwrap_or_default();
    add("Files", files.map(|files| format!("{files}, of which {changed} are new or changed")));
    add("Size", count(&["bytes_total"]).map(bytes));
    add("New data", count(&["bytes_new"]).map(bytes));
    add("Stored", count(&["bytes_stored"]).map(bytes));
    add("Snapshot", report["backup"]["snapshot"]["id"].as_str().map(str::to_owned));
    let findings = report["findings"].as_u64().filter(|findings| *findings > 0);
    add("Findings", findings.map(|findings| findings.to_string()));
    add("Run", Some(news.id.to_owned()));
    facts
}

fn advice(news: &RunNews<'_>, verdict: Verdict, category: Option<Category>) -> Option<String> {
    let plan = news.plan;
    if news.work == Work::Restore && matches!(verdict, Verdict::Failed | Verdict::Lost) {
        let cause = category.map_or("See what the error names", |category| category.advice());
        let cause = cause.trim_end_matches('.');
        return Some(format!("{cause}. Then repeat the restore: it goes on where this one ended."));
    }
    let again = match (news.drill, plan) {
        (Some(drill), _) => Some(format!("`keepfast drill run {drill}`")),
        (None, Some(plan)) => Some(format!("`keepfast run {plan}`")),
        (None, None) => None,
    };
    match verdict {
        Verdict::Failed if news.work == Work::Drill && category == Some(Category::Damage) => Some(
            "Until a drill passes, don't rely on this plan's snapshots: look at the evidence, check the repository with all \
             of its data, and back up again."
                .to_owned(),
        ),
        Verdict::Failed => Some(match (category, again) {
            (Some(category), _) => category.advice().to_owned(),
            (None, Some(again)) => format!("Correct what the error names, then run {again}."),
            (None, None) => "Correct what the error names. The next run tries again.".to_owned(),
        }),
        Verdict::Findings => {
            Some("Look at what was found. What is not named in it was done.".to_owned())
        }
        Verdict::Missed => Some(match again {
            Some(again) => format!("See whether the server and the host were up. {again} runs it now."),
            None => "See whether the server was up at that time.".to_owned(),
        }),
        Verdict::Lost => Some(
            "See whether the machine was started again, or memory was short. The next run continues where this one \
             ended."
                .to_owned(),
        ),
        Verdict::Ok | Verdict::Skipped | Verdict::Cancelled => None,
    }
}

/// A run and its retries were lost too often.
pub fn quarantined(config: &Config, event: &StoreEvent) -> Event {
    let news = RunNews::of(event);
    let mut told = news.event(config, Kind::Began(Condition::Quarantined));
    told.content = Content {
        summary: format!(
            "A run was lost again and again, so it is not tried any more: {}. Something about it ends the program that \
             runs it.",
            news.name()
        ),
        facts: vec![Fact::new("Run", news.id)],
        advice: Some(
            "See in the system's journal why the program ended, often because memory was short. The plan's next run is \
             started as usual."
                .to_owned(),
        ),
        path: Some(format!("/runs/{}", news.id)),
        log_tail: None,
    };
    told
}

/// What undoes a hook was carried out. It is news if that failed.
pub async fn undone(store: &Store, config: &Config, event: &StoreEvent) -> Result<Option<Event>> {
    let Some(failure) = event.document["failure"].as_str() else { return Ok(None) };
    let run = match event.document["run"].as_str().and_then(|run| RunId::new(run).ok()) {
        Some(run) => store.run(&run).await?,
        None => None,
    };
    let subject_of_run = run.as_ref().map(|run| &run.subject);
    let plan = subject_of_run.and_then(|run| run.plan.as_ref()).map(|plan| plan.as_str());
    let repository = subject_of_run.and_then(|run| run.repository.as_ref()).map(|name| name.as_str());
    let host = subject_of_run.and_then(|run| run.host.as_ref()).map(HostId::as_str);
    let about = plan.map_or_else(|| subject(event.subject.as_str()), |plan| Subject::Plan(plan.to_owned()));
    let of_plan = plan.map(|plan| format!(" of plan {plan}")).unwrap_or_default();
    let content = Content {
        summary: format!("What undoes a hook{of_plan} failed: {failure}"),
        facts: host.map(|host| Fact::new("Host", host)).into_iter().collect(),
        advice: Some(
            "What the hook has done is still done: a service may be stopped, a volume mounted. Undo it by hand."
                .to_owned(),
        ),
        path: page(&about),
        log_tail: None,
    };
    Ok(Some(note(event, Note::UndoFailed, about, scope(config, plan, repository, host), content)))
}

/// An error was seen for the first time. The run with it is told by itself.
pub fn new_error(event: &StoreEvent) -> Event {
    let text = |name: &str| event.document[name].as_str().unwrap_or_default();
    let content = Content {
        summary: format!("An error was seen for the first time: {}", text("message")),
        facts: vec![Fact::new("Version", text("version")), Fact::new("Run", text("run"))],
        advice: Category::named(text("category")).map(|category| category.advice().to_owned()),
        path: Some("/problems".to_owned()),
        log_tail: None,
    };
    note(event, Note::NewError, Subject::Server, Scope::default(), content)
}

/// How long something took, in its two largest units.
fn length(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.duration_since(from).max(SignedDuration::ZERO).as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::length;

    #[test]
    fn times_have_units() {
        let start = Timestamp::constant(1_800_000_000, 0);
        let took = |seconds| length(start, start + SignedDuration::from_secs(seconds));
        assert_eq!([took(-5), took(59), took(61), took(7_260)], ["0 s", "59 s", "1 min 1 s", "2 h 1 min"]);
    }
}
