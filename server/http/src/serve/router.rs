//! All that is answered at the server's address, with what it goes through.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::Uri;
use axum::http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use keepfast_api::error::ErrorCode;
use serde_json::Value;
use tower::Layer;
use tower::util::MapRequestLayer;

use super::conditions::Conditions;
use super::limit::RequestLimit;
use super::shield::{Shield, shield, signed_in};
use crate::answer::Failure;
use crate::answer::file::AllAsJson;
use crate::description::{self, BASE};
use crate::state::Shared;

/// What a list's path ends with where all its rows are wanted as a table, or in JSON.
const CSV: &str = ".csv";
const JSON: &str = ".json";

/// All that is answered. `pages` is asked for what isn't of the API.
pub fn router(api: Shared, conditions: &Conditions, pages: Option<Router>) -> Router {
    let document = description::document();
    let lists = Arc::new(lists(&document));
    let (open, closed) = description::routers();
    let closed = closed.split_for_parts().0.layer(from_fn_with_state(Arc::clone(&api), signed_in));
    let document = document.to_string();
    let all = Router::new()
        .merge(open.split_for_parts().0)
        .merge(closed)
        .route(
            &format!("{BASE}/openapi.json"),
            get(async move || ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], document)),
        )
        .with_state(Arc::clone(&api))
        .method_not_allowed_fallback(async || {
            Failure::new(ErrorCode::MethodNotAllowed, "See openapi.json for what can be done here.")
        });
    let missing = async || Failure::new(ErrorCode::NotFound, "There is nothing at this path.");
    let all = match pages {
        Some(pages) => all.nest(BASE, Router::new().fallback(missing)).fallback_service(pages),
        None => all.fallback(missing),
    };
    let shielded =
        Shield { api, conditions: Arc::new(conditions.clone()), limit: Arc::new(RequestLimit::new()) };
    let all = all.layer(from_fn_with_state(shielded, shield));
    // Before the path is looked up.
    let renamed = MapRequestLayer::new(move |request: Request| as_file(request, &lists)).layer(all);
    Router::new().fallback_service(renamed)
}

/// The paths of lists.
fn lists(document: &Value) -> BTreeSet<String> {
    let paths = document["paths"].as_object().into_iter().flatten();
    let is_list = |item: &Value| item["get"]["responses"]["200"]["content"].get("text/csv").is_some();
    paths.filter(|(_, item)| is_list(item)).map(|(path, _)| path.clone()).collect()
}

/// A request for `runs.csv` is one for `runs` as a table, and one for `runs.json` for all its rows in JSON.
fn as_file(mut request: Request, lists: &BTreeSet<String>) -> Request {
    let uri = request.uri();
    let as_table = uri.path().strip_suffix(CSV);
    let Some(list) = as_table.or_else(|| uri.path().strip_suffix(JSON)) else { return request };
    if !lists.iter().any(|path| matches(path, list)) {
        return request;
    }
    let is_table = as_table.is_some();
    let path = match uri.query() {
        Some(query) => format!("{list}?{query}"),
        None => list.to_owned(),
    };
    if let Ok(uri) = path.parse::<Uri>() {
        *request.uri_mut() = uri;
        if is_table {
            request.headers_mut().insert(ACCEPT, HeaderValue::from_static("text/csv"));
        } else {
            request.extensions_mut().insert(AllAsJson);
        }
    }
    request
}

/// Whether a path is one that has a name in place of each `{…}`.
fn matches(pattern: &str, path: &str) -> bool {
    let (mut parts, mut names) = (pattern.split('/'), path.split('/'));
    loop {
        match (parts.next(), names.next()) {
            (None, None) => return true,
            (Some(part), Some(name)) if part == name || (part.starts_with('{') && !name.is_empty()) => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn paths_of_lists_are_known_with_any_names() {
        assert!(matches("/api/v1/runs/{run}/log", "/api/v1/runs/ab/log"));
        assert!(!matches("/api/v1/runs/{run}/log", "/api/v1/runs//log"));
        assert!(!matches("/api/v1/runs", "/api/v1/runs/ab"));
    }
}
