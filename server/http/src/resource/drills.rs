//! Drills: what each has shown last, its runs, and their evidence.

use axum::extract::State;
use keepfast_access::role::Right;
use keepfast_api::drill::{Drill, DrillCheck, DrillEvidence, DrillPart, DrillRun, DrillTime, DrillVerdict};
use keepfast_api::list::{List, PageQuery};
use keepfast_drills::goal::Measured;
use keepfast_drills::verdict::Verdict;
use keepfast_server::drills::{self, DrillStatus, LastDrill};
use keepfast_server::{definitions, runs};
use keepfast_store::{DrillId, Run, RunFilter, RunId, RunKind, RunNumber};
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::{Document, Failure, Listed, Pages, Result};
use crate::convert;
use crate::guard::Caller;
use crate::request::{Name, Pair};
use crate::state::{Api, Shared};

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(drills))
        .routes(routes!(drill))
        .routes(routes!(drill_runs))
        .routes(routes!(drill_evidence))
}

/// All drills, in the order of their names.
#[utoipa::path(get, path = "/drills", tag = "drills", params(PageQuery),
    responses((status = 200, body = List<Drill>)))]
async fn drills(State(api): State<Shared>, caller: Caller, pages: Pages) -> Result<Listed> {
    let config = api.config();
    let mut all = Vec::new();
    for status in drills::all(&config, api.store()).await? {
        if caller.sees(&api.plan(&status.plan)) {
            all.push(document(&api, &caller, status));
        }
    }
    pages.of_all("drills", all).await
}

/// A drill.
#[utoipa::path(get, path = "/drills/{drill}", tag = "drills", params(("drill" = String, Path)),
    responses((status = 200, body = Drill)))]
async fn drill(State(api): State<Shared>, caller: Caller, Name(name): Name) -> Result<Document<Drill>> {
    let config = api.config();
    let definition = definitions::drill(&config, &name)?;
    caller.must(Right::See, &api.plan(&definition.value.plan.name))?;
    let status = drills::one(&config, api.store(), definition).await?;
    Ok(Document::new(document(&api, &caller, status)))
}

/// The runs of a drill, the newest first.
#[utoipa::path(get, path = "/drills/{drill}/runs", tag = "drills", params(("drill" = String, Path), PageQuery),
    responses((status = 200, body = List<DrillRun>)))]
async fn drill_runs(
    State(api): State<Shared>,
    caller: Caller,
    Name(name): Name,
    pages: Pages,
) -> Result<Listed> {
    let plan = definitions::drill(&api.config(), &name)?.value.plan.name.clone();
    caller.must(Right::See, &api.plan(&plan))?;
    let names = caller.may(Right::SeeNames, &api.plan(&plan));
    let filter =
        RunFilter { drill: Some(DrillId::new(&*name)?), kind: Some(RunKind::Drill), ..RunFilter::default() };
    pages
        .of(&format!("drill-{name}"), move |before: Option<RunNumber>, size| {
            let (api, filter) = (api.clone(), filter.clone());
            async move {
                let page = api.store().reported_runs(&filter, before, size).await?;
                Ok(page.map(|(run, report)| of_run(&run, report.as_ref(), names)))
            }
        })
        .await
}

/// The evidence of a run of a drill, to be kept elsewhere.
#[utoipa::path(get, path = "/drills/{drill}/evidence/{run}", tag = "drills",
    params(("drill" = String, Path), ("run" = String, Path)), responses((status = 200, body = DrillEvidence)))]
async fn drill_evidence(
    State(api): State<Shared>,
    caller: Caller,
    Pair(name, id): Pair,
) -> Result<Document<DrillEvidence>> {
    let plan = definitions::drill(&api.config(), &name)?.value.plan.name.clone();
    caller.must(Right::See, &api.plan(&plan))?;
    // It names files.
    caller.must(Right::SeeNames, &api.plan(&plan))?;
    let missing = || Failure::not_found("run", &id);
    let run = api.store().run(&RunId::new(&*id).map_err(|_| missing())?).await?.ok_or_else(missing)?;
    if run.subject.drill.as_ref().is_none_or(|drill| drill.as_str() != name) {
        return Err(missing());
    }
    let report = runs::report(api.store(), &run.id).await?.unwrap_or_default();
    let evidence = report.get("evidence").filter(|evidence| !evidence.is_null()).cloned();
    Ok(Document::new(DrillEvidence {
        run: run.id.to_string(),
        kept: report.get("kept").and_then(Value::as_str).map(str::to_owned),
        evidence: evidence.ok_or_else(|| Failure::not_found("evidence of run", &id))?,
    }))
}

fn document(api: &Api, caller: &Caller, status: DrillStatus) -> Drill {
    let DrillStatus { drill, description, plan, repository, last, passed } = status;
    let names = caller.may(Right::SeeNames, &api.plan(&plan));
    let cron = api.config().drills.get(&drill).map(|drill| drill.value.schedule.cron.0.clone());
    let cron = cron.unwrap_or_default();
    let last = last.map(|last| shown(last, names));
    Drill { drill, description, plan, repository, cron, last, passed }
}

fn of_run(run: &Run, report: Option<&Value>, names: bool) -> DrillRun {
    let outcome = run.verdict.as_ref().map(|verdict| convert::verdict(verdict.kind()));
    let none = DrillTime { measured_s: None, goal_s: None, missed: false };
    let without = || DrillRun {
        run: run.id.to_string(),
        outcome,
        ended: run.ended.map(keepfast_server::state::instant),
        verdict: None,
        snapshot: None,
        of: None,
        restore: none,
        age: none,
        parts: Vec::new(),
        problems: Vec::new(),
        kept: None,
    };
    let last = report.and_then(|report| drills::of_report(run, report));
    last.map_or_else(without, |last| shown(last, names))
}

/// What a run has shown, for a caller that may see names of files, or may not.
fn shown(last: LastDrill, names: bool) -> DrillRun {
    let LastDrill { run, outcome, ended, evidence, kept, problems } = last;
    let parts = evidence.parts.into_iter().map(|part| DrillPart {
        name: if names { part.name } else { part.name.split(' ').next().unwrap_or_default().to_owned() },
        verdict: word(part.verdict),
        why: part.why.filter(|_| names),
        checks: part
            .checks
            .into_iter()
            .filter(|_| names)
            .map(|check| DrillCheck {
                name: check.name,
                expected: check.expected,
                found: check.found,
                right: check.is_right,
            })
            .collect(),
    });
    DrillRun {
        run,
        outcome: outcome.map(convert::verdict),
        ended,
        verdict: Some(word(evidence.verdict)),
        snapshot: evidence.snapshot.as_ref().map(|tested| tested.id.clone()),
        of: evidence.snapshot.as_ref().map(|tested| tested.time),
        restore: time(evidence.restore),
        age: time(evidence.age),
        parts: parts.collect(),
        problems: if names { problems } else { Vec::new() },
        kept,
    }
}

fn word(verdict: Verdict) -> DrillVerdict {
    match verdict {
        Verdict::Pass => DrillVerdict::Pass,
        Verdict::Fail => DrillVerdict::Fail,
        Verdict::NotTested => DrillVerdict::NotTested,
    }
}

fn time(measured: Measured) -> DrillTime {
    let seconds = |ms: u64| std::time::Duration::from_millis(ms).as_secs_f64();
    DrillTime {
        measured_s: measured.measured_ms.map(seconds),
        goal_s: measured.goal_ms.map(seconds),
        missed: measured.is_missed(),
    }
}
