//! Patterns: errors with the same cause.

use axum::extract::State;
use keepfast_access::role::Right;
use keepfast_api::list::{List, PageQuery};
use keepfast_api::problem::Pattern;
use keepfast_store::PatternKey;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::{Listed, Pages, Result};
use crate::convert;
use crate::guard::Caller;
use crate::guard::about::About;
use crate::state::Shared;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(patterns))
}

/// Errors by what they have in common, those that were seen last first.
#[utoipa::path(get, path = "/patterns", tag = "problems", params(PageQuery),
    responses((status = 200, body = List<Pattern>)))]
async fn patterns(State(api): State<Shared>, caller: Caller, pages: Pages) -> Result<Listed> {
    caller.must(Right::See, &About::server())?;
    pages
        .of("patterns", move |before: Option<PatternKey>, size| {
            let api = api.clone();
            async move {
                let page = api.store().error_patterns(before.as_ref(), size).await?;
                Ok(page.map(|pattern| convert::pattern(&pattern)))
            }
        })
        .await
}
