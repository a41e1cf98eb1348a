//! Problems: what is wrong until it isn't any more, and who has seen it.

use axum::extract::State;
use axum::http::StatusCode;
use keepfast_access::role::Right;
use keepfast_api::error::ErrorCode;
use keepfast_api::list::{List, PageQuery};
use keepfast_api::problem::{Mute, Problem, ProblemQuery, ProblemState};
use keepfast_server::state::stored;
use keepfast_store::ProblemNumber;
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::{Document, Failure, Listed, Pages, Result};
use crate::convert;
use crate::guard::Caller;
use crate::request::{Body, Name, Query};
use crate::state::{Api, Shared};

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(problems))
        .routes(routes!(problem))
        .routes(routes!(acknowledge_problem))
        .routes(routes!(mute_problem, unmute_problem))
}

/// The problems that there are, or that there were.
#[utoipa::path(get, path = "/problems", tag = "problems", params(ProblemQuery, PageQuery),
    responses((status = 200, body = List<Problem>)))]
async fn problems(
    State(api): State<Shared>,
    caller: Caller,
    Query(wanted): Query<ProblemQuery>,
    pages: Pages,
) -> Result<Listed> {
    let of = api.clone();
    let is_wanted = move |problem: &Problem| {
        wanted.subject.as_ref().is_none_or(|subject| problem.subject == *subject)
            && caller.sees(&of.subject(&problem.subject))
    };
    if wanted.state.unwrap_or_default() == ProblemState::Open {
        let open = api.store().open_problems().await?;
        let open: Vec<Problem> = open.iter().map(convert::problem).filter(is_wanted).collect();
        return pages.of_all("problems", open).await;
    }
    pages
        .of("problems", move |before, size| {
            let (api, is_wanted) = (api.clone(), is_wanted.clone());
            async move {
                let page = api.store().resolved_problems(before, size).await?;
                Ok(page.map(|problem| convert::problem(&problem)).only(is_wanted))
            }
        })
        .await
}

/// A problem.
#[utoipa::path(get, path = "/problems/{problem}", tag = "problems", params(("problem" = u64, Path)),
    responses((status = 200, body = Problem)))]
async fn problem(State(api): State<Shared>, caller: Caller, Name(name): Name) -> Result<Document<Problem>> {
    find(&api, &caller, &name).await.map(|(_, problem)| Document::new(problem))
}

/// Say that one has seen it: it isn't repeated any more.
#[utoipa::path(post, path = "/problems/{problem}/acknowledge", tag = "problems", params(("problem" = u64, Path)),
    responses((status = 200, body = Problem)))]
async fn acknowledge_problem(
    State(api): State<Shared>,
    caller: Caller,
    Name(name): Name,
) -> Result<Document<Problem>> {
    let (number, before) = find(&api, &caller, &name).await?;
    caller.must(Right::Run, &api.subject(&before.subject))?;
    let done = api.store().acknowledge_problem(stored(api.now()), number, caller.name()).await?;
    after(&api, &caller, &name, "problem.acknowledge", done).await
}

/// Hear nothing of it until then.
#[utoipa::path(put, path = "/problems/{problem}/mute", tag = "problems", params(("problem" = u64, Path)),
    request_body = Mute, responses((status = 200, body = Problem)))]
async fn mute_problem(
    State(api): State<Shared>,
    caller: Caller,
    Name(name): Name,
    Body(mute): Body<Mute>,
) -> Result<Document<Problem>> {
    let (number, before) = find(&api, &caller, &name).await?;
    caller.must(Right::Run, &api.subject(&before.subject))?;
    if mute.until <= api.now() {
        return Err(Failure::new(ErrorCode::Unprocessable, "`until` has passed."));
    }
    let done = api.store().mute_problem(stored(api.now()), number, Some(stored(mute.until))).await?;
    after(&api, &caller, &name, "problem.mute", done).await
}

/// Hear of it again.
#[utoipa::path(delete, path = "/problems/{problem}/mute", tag = "problems", params(("problem" = u64, Path)),
    responses((status = 204)))]
async fn unmute_problem(State(api): State<Shared>, caller: Caller, Name(name): Name) -> Result<StatusCode> {
    let (number, before) = find(&api, &caller, &name).await?;
    caller.must(Right::Run, &api.subject(&before.subject))?;
    if api.store().mute_problem(stored(api.now()), number, None).await? {
        caller.record(api.store(), "problem.unmute", &format!("problem:{name}"), Value::Null).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn find(api: &Api, caller: &Caller, name: &str) -> Result<(ProblemNumber, Problem)> {
    let missing = || Failure::not_found("problem", name);
    let number = ProblemNumber::from_number(name.parse().map_err(|_| missing())?);
    let found = api.store().problem(number).await?.ok_or_else(missing)?;
    let problem = convert::problem(&found);
    if !caller.sees(&api.subject(&problem.subject)) {
        return Err(missing());
    }
    Ok((number, problem))
}

async fn after(
    api: &Api,
    caller: &Caller,
    name: &str,
    action: &'static str,
    done: bool,
) -> Result<Document<Problem>> {
    if !done {
        return Err(Failure::new(ErrorCode::Conflict, "The problem is gone."));
    }
    caller.record(api.store(), action, &format!("problem:{name}"), Value::Null).await?;
    find(api, caller, name).await.map(|(_, problem)| Document::new(problem))
}
