//! The audit: who did what.

use axum::extract::State;
use keepfast_access::role::Right;
use keepfast_api::access::{AuditEntry, AuditQuery, AuditVerdict};
use keepfast_api::list::{List, PageQuery};
use keepfast_server::access::{self, AuditDocument};
use keepfast_server::state::stored;
use keepfast_store::{AuditAction, AuditFilter, AuditOrder, Label, Sequence};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::{Document, Listed, Pages, Result};
use crate::guard::Caller;
use crate::guard::about::About;
use crate::request::Query;
use crate::state::Shared;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(audit)).routes(routes!(audit_verdict))
}

/// What users have done, the newest first.
#[utoipa::path(get, path = "/audit", tag = "access", params(AuditQuery, PageQuery),
    responses((status = 200, body = List<AuditEntry>)))]
async fn audit(
    State(api): State<Shared>,
    caller: Caller,
    Query(wanted): Query<AuditQuery>,
    pages: Pages,
) -> Result<Listed> {
    caller.must(Right::SeeAudit, &About::server())?;
    let AuditQuery { who, action, object, from, until } = wanted;
    let filter = AuditFilter {
        who: who.map(Label::from),
        action: action.map(AuditAction::new).transpose()?,
        object: object.map(Label::from),
        from: from.map(stored),
        until: until.map(stored),
    };
    pages
        .of("audit", move |before: Option<Sequence>, size| {
            let (api, filter) = (api.clone(), filter.clone());
            async move {
                let page =
                    access::audit_page(api.store(), &filter, AuditOrder::NewestFirst, before, size).await?;
                Ok(page.map(wire))
            }
        })
        .await
}

/// Whether the audit is as it was written: each entry has the hash of the one before it.
#[utoipa::path(get, path = "/audit/verdict", tag = "access", responses((status = 200, body = AuditVerdict)))]
async fn audit_verdict(State(api): State<Shared>, caller: Caller) -> Result<Document<AuditVerdict>> {
    caller.must(Right::SeeAudit, &About::server())?;
    let found = access::verify(api.store(), &[]).await?;
    let anchor = (found.sound && found.newest > 0).then(|| format!("{}:{}", found.newest, found.hash));
    let (is_sound, entries, fault) = (found.sound, found.entries, found.problem);
    Ok(Document::new(AuditVerdict { is_sound, entries, fault, anchor }))
}

fn wire(entry: AuditDocument) -> AuditEntry {
    AuditEntry {
        entry: entry.sequence,
        at: entry.at,
        who: entry.who,
        origin: entry.origin,
        action: entry.action,
        object: entry.object,
        before: entry.before,
        after: entry.after,
        hash: entry.hash,
    }
}
