//! The two-person rule: requests that wait for a second person, and what that person decides.

use axum::extract::State;
use keepfast_access::authority::Authority;
use keepfast_access::role::Right;
use keepfast_api::approval::{Approval, ApprovalDone, ApprovalQuery, DecideApproval};
use keepfast_api::error::ErrorCode;
use keepfast_api::list::{List, PageQuery};
use keepfast_server::access::{Deciding, Decision, decide_approval, use_approval};
use keepfast_server::daemon::jobs::Job;
use keepfast_server::edits::Edit as SnapshotEdit;
use keepfast_server::managed::{ManagedName, Texts};
use keepfast_store::{Approval as Stored, ApprovalId, ApprovalKey, ApprovalState as StoredState, Run, RunId};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{edits, managed, runs, snapshots};
use crate::answer::{Document, Failure, Listed, Pages, Result};
use crate::deeds::{self, Deed, authority_of};
use crate::guard::Caller;
use crate::guard::about::About;
use crate::request::{Body, Name, Query};
use crate::state::{Api, Shared};
use crate::writing::{self, Edit};

/// Letters of what is said about a decision.
const REASON_LETTERS_MAX: usize = 1000;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(approvals))
        .routes(routes!(approval))
        .routes(routes!(agree_approval))
        .routes(routes!(refuse_approval))
        .routes(routes!(withdraw_approval))
}

/// Requests for a second person, the newest first: the caller's own, and those that the caller may decide.
#[utoipa::path(get, path = "/approvals", tag = "approvals", params(ApprovalQuery, PageQuery),
    responses((status = 200, body = List<Approval>)))]
async fn approvals(
    State(api): State<Shared>,
    caller: Caller,
    Query(wanted): Query<ApprovalQuery>,
    pages: Pages,
) -> Result<Listed> {
    let state = wanted.open.unwrap_or(false).then_some(StoredState::Open);
    pages
        .of("approvals", move |before: Option<ApprovalKey>, size| {
            let (api, caller) = (api.clone(), caller.clone());
            async move {
                let page = api.store().approvals(state, before.as_ref(), size).await?;
                let mut rows = Vec::new();
                for request in &page.rows {
                    let shown = visible(&api, &caller, request).await?;
                    let is_over = |shown: &Approval| {
                        state.is_some() && shown.state != keepfast_api::approval::ApprovalState::Open
                    };
                    rows.extend(shown.filter(|shown| !is_over(shown)));
                }
                Ok(keepfast_store::Page { rows, next: page.next })
            }
        })
        .await
}

/// A request for a second person.
#[utoipa::path(get, path = "/approvals/{approval}", tag = "approvals", params(("approval" = String, Path)),
    responses((status = 200, body = Approval)))]
async fn approval(State(api): State<Shared>, caller: Caller, Name(id): Name) -> Result<Document<Approval>> {
    let found = find(&api, &caller, &id).await?;
    Ok(Document::new(found.shown))
}

/// Agree to what another person asks for: just that is done, once, and at once.
#[utoipa::path(post, path = "/approvals/{approval}/agree", tag = "approvals", params(("approval" = String, Path)),
    request_body = DecideApproval, responses((status = 200, body = ApprovalDone)))]
async fn agree_approval(
    State(api): State<Shared>,
    caller: Caller,
    Name(id): Name,
    Body(said): Body<DecideApproval>,
) -> Result<Document<ApprovalDone>> {
    let Found { request, deed, may_do_it, .. } = find(&api, &caller, &id).await?;
    let deed = deed.ok_or_else(|| Failure::unprocessable("this version doesn't know what is asked for"))?;
    if may_do_it {
        caller.must_prove()?;
    }
    let asker_may = match authority_of(&api, &request.requested_by).await? {
        Some(authority) => may(&api, &authority, &deed).await?,
        None => false,
    };
    if !asker_may {
        let detail = format!("{} may not do this any more.", request.requested_by);
        return Err(Failure::new(ErrorCode::Conflict, detail));
    }
    // A server that ended between the yes and the deed leaves a request to which was agreed: the same person goes on.
    let has_agreed = request.state == StoredState::Granted
        && request.decided.as_ref().is_some_and(|(by, _)| by == caller.name());
    if !has_agreed {
        decide(&api, &caller, &request, Decision::Grant, said, may_do_it, &deed).await?;
    }
    use_approval(api.store(), &caller.known().actor, &request.id, &deed.matter()?, asker_may).await?;
    let (of, by, asked) = (api.clone(), caller.clone(), request.clone());
    // It is carried out to its end, also if no one waits for the answer.
    let doing = tokio::spawn(async move {
        let done = carry_out(&of, &by, &asked, &deed).await;
        if let Err(failure) = &done {
            let after = json!({ "request": asked.id, "error": failure.detail() });
            by.record(of.store(), "approval.fail", asked.object.as_str(), after).await?;
        }
        done
    });
    let result = doing.await.map_err(|error| Failure::internal(&error))??;
    let found = find(&api, &caller, &id).await?;
    Ok(Document::new(ApprovalDone { approval: found.shown, result }))
}

/// Refuse what another person asks for.
#[utoipa::path(post, path = "/approvals/{approval}/refuse", tag = "approvals", params(("approval" = String, Path)),
    request_body = DecideApproval, responses((status = 200, body = Approval)))]
async fn refuse_approval(
    State(api): State<Shared>,
    caller: Caller,
    Name(id): Name,
    Body(said): Body<DecideApproval>,
) -> Result<Document<Approval>> {
    end(&api, &caller, &id, Decision::Deny, said).await
}

/// Take back what one has asked for.
#[utoipa::path(post, path = "/approvals/{approval}/withdraw", tag = "approvals", params(("approval" = String, Path)),
    request_body = DecideApproval, responses((status = 200, body = Approval)))]
async fn withdraw_approval(
    State(api): State<Shared>,
    caller: Caller,
    Name(id): Name,
    Body(said): Body<DecideApproval>,
) -> Result<Document<Approval>> {
    end(&api, &caller, &id, Decision::Withdraw, said).await
}

async fn end(
    api: &Shared,
    caller: &Caller,
    id: &str,
    decision: Decision,
    said: DecideApproval,
) -> Result<Document<Approval>> {
    let Found { request, deed, may_do_it, .. } = find(api, caller, id).await?;
    let deed = deed.ok_or_else(|| Failure::unprocessable("this version doesn't know what is asked for"))?;
    decide(api, caller, &request, decision, said, may_do_it, &deed).await?;
    Ok(Document::new(find(api, caller, id).await?.shown))
}

async fn decide(
    api: &Shared,
    caller: &Caller,
    request: &Stored,
    decision: Decision,
    DecideApproval { reason }: DecideApproval,
    may_do_it: bool,
    deed: &Deed,
) -> Result<()> {
    if reason.as_ref().is_some_and(|reason| reason.chars().count() > REASON_LETTERS_MAX) {
        return Err(Failure::unprocessable(&format!("a reason has at most {REASON_LETTERS_MAX} letters")));
    }
    let deciding = Deciding { id: &request.id, decision, reason, may_do_it };
    Ok(decide_approval(api.store(), caller.known(), deciding, &deed.told()).await?)
}

/// A request that the caller may see.
struct Found {
    request: Stored,
    /// What is asked for, if this version knows it.
    deed: Option<Deed>,
    /// Whether the caller may do it, the two-person rule aside.
    may_do_it: bool,
    shown: Approval,
}

async fn find(api: &Shared, caller: &Caller, id: &str) -> Result<Found> {
    let missing = || Failure::not_found("request", id);
    let id = ApprovalId::new(id).map_err(|_| missing())?;
    let request = api.store().approval(&id).await?.ok_or_else(missing)?;
    let deed = Deed::kept(&request);
    let may_do_it = may_decide(api, caller, deed.as_ref()).await?;
    if !may_do_it && request.requested_by != *caller.name() {
        return Err(missing());
    }
    let shown = deeds::wire(&request, caller, may_do_it);
    Ok(Found { request, deed, may_do_it, shown })
}

/// A request as a row; nothing if the caller may not see it.
async fn visible(api: &Shared, caller: &Caller, request: &Stored) -> Result<Option<Approval>> {
    let may_do_it = may_decide(api, caller, Deed::kept(request).as_ref()).await?;
    let is_seen = may_do_it || request.requested_by == *caller.name();
    Ok(is_seen.then(|| deeds::wire(request, caller, may_do_it)))
}

async fn may_decide(api: &Shared, caller: &Caller, deed: Option<&Deed>) -> Result<bool> {
    match deed {
        Some(deed) => may(api, caller.authority(), deed).await,
        None => Ok(false),
    }
}

/// Whether rights include a deed, the two-person rule aside.
async fn may(api: &Shared, authority: &Authority, deed: &Deed) -> Result<bool> {
    let about = match deed {
        Deed::Forget { repository, snapshot }
        | Deed::Unprotect { repository, snapshot }
        | Deed::Tag { repository, snapshot, .. } => match snapshots::row(api, repository, snapshot).await? {
            Some(row) => snapshots::about(api, &row),
            None => api.repository(repository),
        },
        Deed::Prune { repository } => api.repository(repository),
        Deed::PruneAgain { run, .. } => match run_of(api, run).await? {
            Some(run) => api.about(&run),
            None => return Ok(false),
        },
        Deed::Write { .. } => {
            let edit = edit_of(deed)?;
            // What has changed since can't be agreed to any more, and can still be seen by those who could.
            let free = Edit { basis: Default::default(), ..edit };
            let looked = writing::look(api, &free).await?;
            return Ok(writing::needs(api, authority, &free, &looked).refusal.is_none());
        }
    };
    let allows = |right: Right, about: &About| authority.allows(right, &about.object());
    Ok(allows(Right::See, &about) && allows(deed.right(), &about))
}

async fn run_of(api: &Api, id: &str) -> Result<Option<Run>> {
    match RunId::new(id) {
        Ok(id) => Ok(api.store().run(&id).await?),
        Err(_) => Ok(None),
    }
}

fn edit_of(deed: &Deed) -> Result<Edit> {
    let Deed::Write { texts, basis } = deed else {
        return Ok(Edit { texts: Texts::new(), basis: Texts::new() });
    };
    let named = |map: &std::collections::BTreeMap<String, Option<String>>| {
        let pairs = map.iter().map(|(name, text)| {
            let known = ManagedName::new(name).ok_or_else(|| Failure::not_found("managed file", name))?;
            Ok((known, text.clone()))
        });
        pairs.collect::<Result<Texts>>()
    };
    Ok(Edit { texts: named(texts)?, basis: named(basis)? })
}

/// Does what was agreed to. A run has the id of the request, so that it is one, whatever happens.
async fn carry_out(api: &Shared, caller: &Caller, request: &Stored, deed: &Deed) -> Result<Value> {
    let id = || RunId::new(request.id.as_str());
    match deed {
        Deed::Forget { repository, snapshot } => {
            let of = (repository.as_str(), snapshot.as_str());
            document(&edits::carry_out(api, caller, of, deed.action(), SnapshotEdit::Forget).await?)
        }
        Deed::Unprotect { repository, snapshot } => {
            let of = (repository.as_str(), snapshot.as_str());
            document(&edits::carry_out(api, caller, of, deed.action(), SnapshotEdit::Unprotect).await?)
        }
        Deed::Tag { repository, snapshot, add, remove } => {
            let of = (repository.as_str(), snapshot.as_str());
            let edit = SnapshotEdit::Tags { add: add.clone(), remove: remove.clone() };
            document(&edits::carry_out(api, caller, of, deed.action(), edit).await?)
        }
        Deed::Prune { repository } => {
            let job = Job::Prune { repository: repository.clone() };
            document(&runs::begin(api, caller, &job, id()?).await?)
        }
        Deed::PruneAgain { run, .. } => {
            let missing = || Failure::not_found("run", run);
            let run = run_of(api, run).await?.ok_or_else(missing)?;
            document(&runs::begin_again(api, caller, &run, id()?).await?)
        }
        Deed::Write { .. } => {
            let edit = edit_of(deed)?;
            let why = json!({ "request": request.id, "requested_by": request.requested_by });
            let (again, who, may) = (api.clone(), caller.clone(), edit.clone());
            let must = move |looked: &writing::Looked| writing::must_write(&again, &who, &may, looked);
            let written = writing::write(api, caller, edit.clone(), why, must).await?;
            document(&managed::answer(api, caller, &edit, written)?)
        }
    }
}

fn document<T: Serialize>(value: &T) -> Result<Value> {
    serde_json::to_value(value).map_err(|error| Failure::internal(&error))
}
