//! `keepfast runs`, `keepfast pause`, `keepfast resume`: what the state knows of runs, and what people ask of it. All
//! of it works alike beside a server and without one: the state is what they share.

use std::time::Duration;

use anyhow::Result;
use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};
use keepfast_config::config::Config as Definitions;
use keepfast_operations::host::SystemHost;
use keepfast_server::runs::{self, Cancelled, LineDocument, RunDocument, Seriousness, Wanted};
use keepfast_server::{StateHandle, control, state};
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

use super::plans;
use crate::args::{Common, PausePlan, ResumePlan, RunsAction};
use crate::usage::Usage;
use crate::{Outcome, lines, render, secrets};

/// How often a log is read again while a run goes on.
const FOLLOW_EVERY: Duration = Duration::from_secs(2);

/// The state, and what waits for it.
struct Desk {
    config: Definitions,
    runtime: Runtime,
    store: StateHandle,
}

impl Desk {
    fn open(common: &Common) -> Result<Self> {
        let config = plans::read(common)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let store = runtime.block_on(state::open(&config, &secrets::children()))?;
        Ok(Self { config, runtime, store })
    }

    /// Tells a server of this machine, if there is one, to look at once.
    fn wake(&self) {
        // Without one it is looked at when there is.
        let _ = self.runtime.block_on(control::look(&state::folder(&self.config)));
    }
}

/// Does something with runs.
pub fn runs(common: &Common, action: &RunsAction) -> Result<Outcome> {
    let desk = Desk::open(common)?;
    match action {
        RunsAction::List { plan, repository, kind, verdict, open, count } => {
            let wanted = Wanted {
                plan: plan.clone(),
                repository: repository.clone(),
                kind: kind.clone(),
                verdict: verdict.clone(),
                open_only: *open,
            };
            let listed = runs::list(&desk.store, &wanted, usize::from(count.get()));
            let listed = desk.runtime.block_on(listed)?;
            match common.json {
                true => render::document(&listed),
                false => print_list(&listed),
            }
        }
        RunsAction::Show { run } => show(common, &desk, run)?,
        RunsAction::Logs { run, warnings, follow } => {
            let least = if *warnings { Seriousness::Warnings } else { Seriousness::Any };
            log(common, &desk, run, least, *follow)?;
        }
        RunsAction::Cancel { run } => {
            let run = desk.runtime.block_on(runs::find(&desk.store, run))?;
            let cancelled = desk.runtime.block_on(runs::cancel(&desk.store, &run.id))?;
            let text = match cancelled {
                Cancelled::Ended => "it waited, and is ended",
                Cancelled::Asked => "it is asked to end, which takes some seconds",
                Cancelled::Over => "it was over",
            };
            done(
                common,
                json!({ "run": run.id.as_str(), "cancelled": cancelled }),
                &format!("run {}: {text}", run.id),
            );
        }
        RunsAction::Retry { run } => {
            let run = desk.runtime.block_on(runs::find(&desk.store, run))?;
            let id = desk.runtime.block_on(runs::retry(&desk.store, &run))?;
            desk.wake();
            done(common, json!({ "run": id, "parent": run.id.as_str() }), &format!("run {id} waits"));
        }
        RunsAction::Start { plan } => {
            let host = SystemHost.name();
            let id = desk.runtime.block_on(runs::queue(&desk.config, &desk.store, plan, &host))?;
            desk.wake();
            done(common, json!({ "run": id, "plan": plan }), &format!("run {id} waits"));
        }
    }
    Ok(Outcome::Complete)
}

fn done(common: &Common, document: Value, text: &str) {
    match common.json {
        true => render::document(&document),
        false => render::line(text),
    }
}

fn print_list(listed: &[RunDocument]) {
    if listed.is_empty() {
        return render::line("no runs");
    }
    let rows = listed.iter().map(|run| {
        let at = run.began.or(run.slot).unwrap_or(run.created);
        let lasted = run.began.map(|began| plans::age(began, run.ended.unwrap_or_else(Timestamp::now)));
        let of = run.plan.clone().or_else(|| run.repository.clone()).unwrap_or_default();
        let slots = if run.slots > 1 { format!(" ({} slots)", run.slots) } else { String::new() };
        let why = run.error.as_ref().map(|error| error.message.clone()).or_else(|| run.reason.clone());
        [
            render::short(&run.run).to_owned(),
            run.kind.to_owned(),
            of,
            when(at),
            lasted.unwrap_or_default(),
            run.trigger.to_owned(),
            format!("{}{slots}", run.verdict.unwrap_or(run.state)),
            why.unwrap_or_default(),
        ]
    });
    plans::table(&["RUN", "DOES", "OF", "BEGAN", "TOOK", "BECAUSE", "CAME OF IT", ""], rows);
}

fn show(common: &Common, desk: &Desk, id: &str) -> Result<()> {
    let run = desk.runtime.block_on(runs::find(&desk.store, id))?;
    let report = desk.runtime.block_on(runs::report(&desk.store, &run.id))?;
    let document = RunDocument::from(&run);
    if common.json {
        let mut whole = match serde_json::to_value(&document)? {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        whole.insert("report".to_owned(), report.unwrap_or(Value::Null));
        render::document(&whole);
        return Ok(());
    }
    let row = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            render::line(&format!("{name:<11}{value}"));
        }
    };
    row("run", Some(document.run.clone()));
    row("does", Some(document.kind.to_owned()));
    row("plan", document.plan.clone());
    row("repository", document.repository.clone());
    row("host", document.host.clone());
    row("because", Some(document.trigger.to_owned()));
    row("slot", document.slot.map(when));
    row("repeats", document.parent.clone().map(|parent| format!("{parent} (attempt {})", document.attempt)));
    row("state", Some(document.state.to_owned()));
    row("verdict", document.verdict.map(str::to_owned));
    row("reason", document.reason.clone());
    row("phase", document.phase.clone().filter(|_| document.verdict.is_none()));
    row("began", document.began.map(when));
    row("ended", document.ended.map(when));
    row("took", document.began.zip(document.ended).map(|(began, ended)| plans::age(began, ended)));
    row("error", document.error.as_ref().map(|error| format!("{} ({})", error.message, error.category)));
    let Some(report) = report else { return Ok(()) };
    let number = |path: &str| report.pointer(path).and_then(Value::as_u64);
    row("snapshot", report.pointer("/backup/snapshot/id").and_then(Value::as_str).map(str::to_owned));
    row("size", number("/backup/summary/bytes_total").map(render::bytes));
    row("new", number("/backup/summary/bytes_new").map(render::bytes));
    row("stored", number("/backup/summary/bytes_stored").map(render::bytes));
    row("findings", number("/findings").filter(|findings| *findings > 0).map(render::count));
    let problems = report.pointer("/problems").and_then(Value::as_array);
    for problem in problems.into_iter().flatten().filter_map(Value::as_str) {
        row("problem", Some(problem.to_owned()));
    }
    Ok(())
}

fn log(common: &Common, desk: &Desk, id: &str, least: Seriousness, follow: bool) -> Result<()> {
    let folder = state::folder(&desk.config);
    let run = desk.runtime.block_on(runs::find(&desk.store, id))?;
    let mut shown = 0;
    loop {
        // Before the lines: what comes after it has ended is not missed.
        let now = desk.runtime.block_on(runs::find(&desk.store, run.id.as_str()))?;
        let read = desk.runtime.block_on(runs::log(&desk.store, &folder, &now, least))?;
        for line in read.iter().skip(shown) {
            print_line(common, line);
        }
        shown = shown.max(read.len());
        if !follow || now.verdict.is_some() || lines::is_lost() {
            return Ok(());
        }
        std::thread::sleep(FOLLOW_EVERY);
    }
}

fn print_line(common: &Common, line: &LineDocument) {
    if common.json {
        return render::document(line);
    }
    let level = serde_json::to_value(line.level).ok();
    let level = level.as_ref().and_then(Value::as_str).unwrap_or_default();
    render::line(&format!("{}  {level:<7}  {}", when(line.at), line.message));
}

/// Pauses a plan.
pub fn pause(common: &Common, options: &PausePlan) -> Result<Outcome> {
    let desk = Desk::open(common)?;
    let until = options.until.as_deref().map(|text| moment(text, Timestamp::now())).transpose()?;
    let by = SystemHost.user();
    let PausePlan { plan, reason, .. } = options;
    let paused = runs::pause(&desk.config, &desk.store, plan, until, &by, reason.as_deref());
    desk.runtime.block_on(paused)?;
    desk.wake();
    let text = match until {
        Some(until) => format!("plan {plan} is paused until {}", when(until)),
        None => format!("plan {plan} is paused until it is resumed"),
    };
    done(common, json!({ "plan": plan, "until": until }), &text);
    Ok(Outcome::Complete)
}

/// Lets a plan go on.
pub fn resume(common: &Common, options: &ResumePlan) -> Result<Outcome> {
    let desk = Desk::open(common)?;
    let plan = &options.plan;
    let was_paused = desk.runtime.block_on(runs::resume(&desk.config, &desk.store, plan))?;
    desk.wake();
    let text = if was_paused { "goes on, from its next slot" } else { "was not paused" };
    done(common, json!({ "plan": plan, "was_paused": was_paused }), &format!("plan {plan} {text}"));
    Ok(Outcome::Complete)
}

/// An instant on this machine's clock.
fn when(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// An instant from what a person writes: a date, a date and a time of day, or a length of time from now.
pub fn moment(text: &str, now: Timestamp) -> Result<Timestamp> {
    let wrong = || Usage(format!("{text:?} is no time: write 2027-01-02, 2027-01-02 08:00, 3d or 12h"));
    let zone = TimeZone::system();
    let local = |moment: civil::DateTime| moment.to_zoned(zone.clone()).map(|zoned| zoned.timestamp()).ok();
    if let Ok(moment) = civil::DateTime::strptime("%Y-%m-%d %H:%M", text) {
        return Ok(local(moment).ok_or_else(wrong)?);
    }
    if let Ok(date) = civil::Date::strptime("%Y-%m-%d", text) {
        return Ok(local(date.at(0, 0, 0, 0)).ok_or_else(wrong)?);
    }
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return Err(wrong().into()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    let length = number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)?;
    Ok(now.checked_add(length).map_err(|_| wrong())?)
}

#[cfg(test)]
mod tests {
    use super::moment;
    use jiff::Timestamp;

    #[test]
    fn moments_are_dates_times_or_lengths() {
        let now: Timestamp = "2026-11-29T12:00:00Z".parse().expect("an instant");
        let after = |text: &str| moment(text, now).expect(text).as_second() - now.as_second();
        assert_eq!([after("30m"), after("12h"), after("3d"), after("1w")], [1800, 43_200, 259_200, 604_800]);
        assert!(moment("2027-01-02", now).is_ok() && moment("2027-01-02 08:00", now).is_ok());
        for text in ["", "3", "d", "-1d", "3y", "tomorrow", "99999999999999999999d", "é"] {
            assert!(moment(text, now).is_err(), "{text}");
        }
    }
}
