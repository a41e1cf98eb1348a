//! The two-person rule over the state: asking, deciding, and using up what was agreed to.

use std::time::Duration;

use jiff::Timestamp;
use keepfast_access::approval::{Person, Refusal, Request, Stage, Step, WAITS};
use keepfast_access::role::Right;
use keepfast_store::{
    Approval, ApprovalId, ApprovalState, ApprovalStep, EventKind, Label, NewEvent, Store, Subject, Text,
    UserName, UtcTime,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::actor::Actor;
use super::error::{AccessError, Result};
use super::gate::{Caller, Proof};
use super::moment;
use crate::state::{instant, now, random_name};

/// What is asked for, and what is carried out in the end: both have to be the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Matter {
    /// The action, for example `prune`.
    pub action: String,
    /// Its object, for example `repository:main`.
    pub object: String,
    /// Everything else that matters: which snapshots, which limits.
    pub document: Value,
}

/// What people are told of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// In a sentence, what is asked for.
    pub summary: String,
    /// What it is about, for those who may hear of it.
    pub about: Subject,
    /// The right that a second person needs: whoever has none doesn't hear of it.
    pub right: Right,
}

/// A step that a person takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The yes of a second person.
    Grant,
    /// The no of a second person, also after a yes.
    Deny,
    /// The person who asked takes it back.
    Withdraw,
}

/// A request, as people see it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ApprovalDocument {
    /// Its id.
    pub id: String,
    /// What is asked for.
    pub action: String,
    /// With what.
    pub object: String,
    /// How.
    pub document: Value,
    /// How far it is: `open`, `granted`, `denied`, `withdrawn`, `used`, `expired`.
    pub state: &'static str,
    /// Who asked.
    pub requested_by: String,
    /// When.
    pub requested: Timestamp,
    /// From when on nothing can follow.
    pub expires: Timestamp,
    /// Who decided.
    pub decided_by: Option<String>,
    /// When.
    pub decided: Option<Timestamp>,
    /// What the decision said.
    pub reason: Option<String>,
}

impl From<&Approval> for ApprovalDocument {
    fn from(request: &Approval) -> Self {
        let waits = matches!(request.state, ApprovalState::Open | ApprovalState::Granted);
        let state = if waits && now() >= request.expires { "expired" } else { request.state.as_str() };
        Self {
            id: request.id.to_string(),
            action: request.action.to_string(),
            object: request.object.to_string(),
            document: request.document.clone(),
            state,
            requested_by: request.requested_by.to_string(),
            requested: instant(request.requested),
            expires: instant(request.expires),
            decided_by: request.decided.as_ref().map(|(by, _)| by.to_string()),
            decided: request.decided.as_ref().map(|(_, at)| instant(*at)),
            reason: request.reason.as_ref().map(ToString::to_string),
        }
    }
}

/// Asks for a second person. Whether the person who asks may do it alone is for the caller to check first.
pub async fn ask_approval(store: &Store, caller: &Caller, matter: Matter, told: Told) -> Result<Approval> {
    let Matter { action, object, document } = matter;
    let now = now();
    let name = random_name().map_err(|_| AccessError::Stopping)?;
    let request = Approval {
        id: ApprovalId::new(name.as_str()).map_err(AccessError::name(&name))?,
        action: Label::from(action),
        object: Label::from(object),
        document,
        state: ApprovalState::Open,
        requested_by: caller.user.name.clone(),
        requested: now,
        expires: now.plus(WAITS),
        decided: None,
        reason: None,
        used: None,
    };
    let after = json!({ "action": request.action, "document": request.document });
    let note = caller.actor.note(now, "approval.ask", request.object.as_str(), None, Some(after));
    let event = event(&request, EventKind::APPROVAL_ASKED, now, &told, None);
    store.request_approval(&request, &note, event).await?;
    Ok(request)
}

/// A step of a request that a person takes.
pub struct Deciding<'d> {
    /// The request.
    pub id: &'d ApprovalId,
    /// The step.
    pub decision: Decision,
    /// What the person says about it.
    pub reason: Option<String>,
    /// Whether the person may do what is asked for, the two-person rule aside.
    pub may_do_it: bool,
}

/// Takes a step of a request.
pub async fn decide_approval(
    store: &Store,
    caller: &Caller,
    deciding: Deciding<'_>,
    told: &Told,
) -> Result<()> {
    let Deciding { id, decision, reason, may_do_it } = deciding;
    let (step, action) = match decision {
        Decision::Grant => (Step::Grant, "approval.grant"),
        Decision::Deny => (Step::Deny, "approval.deny"),
        Decision::Withdraw => (Step::Withdraw, "approval.withdraw"),
    };
    let request = found(store, id).await?;
    let is_token = matches!(caller.proof, Proof::Token(_));
    let by = Person { id: caller.user.name.as_str(), is_token, may_do_it };
    take(store, &caller.actor, &request, Taken { step, by, action, reason }, Some(told)).await
}

/// Begins with what a second person has agreed to, once, for the person who asked. What is carried out then has to be this.
/// `may_do_it` says whether the person who asked still may do it.
pub async fn use_approval(
    store: &Store,
    actor: &Actor,
    id: &ApprovalId,
    matter: &Matter,
    may_do_it: bool,
) -> Result<()> {
    let Matter { action, object, document } = matter;
    let subject =
        subject_of(Label::from(action.as_str()).as_str(), Label::from(object.as_str()).as_str(), document);
    let request = found(store, id).await?;
    let by = Person { id: request.requested_by.as_str(), is_token: false, may_do_it };
    let step = Step::Use { subject: &subject };
    take(store, actor, &request, Taken { step, by, action: "approval.use", reason: None }, None).await
}

/// A request. Of one that isn't there, no one learns more than of one that is over.
async fn found(store: &Store, id: &ApprovalId) -> Result<Approval> {
    Ok(store.approval(id).await?.ok_or(Refusal::Over)?)
}

/// A step, and how it is recorded.
struct Taken<'t> {
    step: Step<'t>,
    by: Person<'t>,
    action: &'static str,
    reason: Option<String>,
}

async fn take(
    store: &Store,
    actor: &Actor,
    request: &Approval,
    taken: Taken<'_>,
    told: Option<&Told>,
) -> Result<()> {
    let Taken { step, by, action, reason } = taken;
    let now = now();
    let subject = subject_of(request.action.as_str(), request.object.as_str(), &request.document);
    let known = Request {
        subject: &subject,
        requested_by: request.requested_by.as_str(),
        granted_by: request.decided.as_ref().map(|(by, _)| by.as_str()),
        stage: stage(request.state),
        expires: moment(request.expires),
    };
    let to = state_of(known.step(step, by, moment(now))?);
    let after = json!({
        "request": request.id, "action": request.action, "requested_by": request.requested_by, "reason": reason,
    });
    let note = actor.note(now, action, request.object.as_str(), None, Some(after));
    let name = UserName::new(by.id.to_owned()).map_err(AccessError::name(by.id))?;
    let step = ApprovalStep { from: request.state, to, by: name, reason: reason.map(Text::from) };
    let event = told.map(|told| event(request, EventKind::APPROVAL_DECIDED, now, told, Some(&step)));
    match store.step_approval(now, &request.id, &step, &note, event).await? {
        true => Ok(()),
        false => Err(Refusal::Over.into()),
    }
}

/// What people hear of a request, or of a step of it.
fn event(
    request: &Approval,
    kind: EventKind,
    at: UtcTime,
    told: &Told,
    step: Option<&ApprovalStep>,
) -> NewEvent {
    let Told { summary, about, right } = told;
    let summary = match step {
        None => format!("{} asks for a second person: {summary}", request.requested_by),
        Some(step) => {
            let word = match step.to {
                ApprovalState::Granted => "agreed to",
                ApprovalState::Withdrawn => "withdrawn",
                _ => "refused",
            };
            format!("{word} by {}: {summary}", step.by)
        }
    };
    let document = json!({
        "approval": request.id,
        "action": request.action,
        "requested_by": request.requested_by,
        "decided_by": step.map(|step| &step.by),
        "right": right,
        "document": { "summary": summary, "severity": "info" },
    });
    NewEvent { at, kind, subject: about.clone(), document }
}

/// How long a request waits.
#[must_use]
pub fn approval_waits() -> Duration {
    WAITS
}

/// One text for what is asked for, whatever the order of the fields.
fn subject_of(action: &str, object: &str, document: &Value) -> String {
    let mut document = document.clone();
    document.sort_all_objects();
    json!([action, object, document]).to_string()
}

fn stage(state: ApprovalState) -> Stage {
    match state {
        ApprovalState::Open => Stage::Open,
        ApprovalState::Granted => Stage::Granted,
        ApprovalState::Denied => Stage::Denied,
        ApprovalState::Withdrawn => Stage::Withdrawn,
        ApprovalState::Used => Stage::Used,
    }
}

fn state_of(stage: Stage) -> ApprovalState {
    match stage {
        Stage::Open => ApprovalState::Open,
        Stage::Granted => ApprovalState::Granted,
        Stage::Denied => ApprovalState::Denied,
        Stage::Withdrawn => ApprovalState::Withdrawn,
        Stage::Used => ApprovalState::Used,
    }
}
