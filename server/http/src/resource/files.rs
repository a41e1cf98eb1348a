//! What is in snapshots: their folders, and what is different between two of them.

use std::sync::Arc;

use axum::extract::State;
use keepfast_access::role::Right;
use keepfast_api::error::ErrorCode;
use keepfast_api::list::{List, PageQuery, Row};
use keepfast_api::path;
use keepfast_api::snapshot::{Change, ChangeKind, DiffQuery, Entry, EntryType, PathQuery};
use keepfast_engine::diff::{self, Part};
use keepfast_format::node::{Node, NodeKind};
use keepfast_server::ServerError;
use keepfast_server::browse::{Browser, Paged};
use keepfast_store::Page;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::snapshots::must;
use crate::answer::{Failure, Listed, Pages, Result};
use crate::convert::entries::{instant, kind_of, size_of};
use crate::guard::Caller;
use crate::looking::look;
use crate::request::{Pair, Query};
use crate::state::Shared;

/// Bytes of a path in a query, at most.
const PATH_BYTES_MAX: usize = 16 << 10;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(files)).routes(routes!(changes))
}

/// The entries of a folder of a snapshot, in the order of their names as bytes.
#[utoipa::path(get, path = "/snapshots/{repository}/{snapshot}/files", tag = "snapshots",
    params(("repository" = String, Path), ("snapshot" = String, Path), PathQuery, PageQuery),
    responses((status = 200, body = List<Entry>)))]
async fn files(
    State(api): State<Shared>,
    caller: Caller,
    Pair(repository, snapshot): Pair,
    Query(wanted): Query<PathQuery>,
    pages: Pages,
) -> Result<Listed> {
    must(&api, &caller, Right::SeeNames, &repository, &snapshot).await?;
    let folder = path_of(wanted.path.as_deref())?;
    listed(&api, pages, "files", repository, move |browser, after, size| {
        let Paged { rows, has_more } = browser.entries(&snapshot, &folder, after, size)?;
        let next = rows.last().filter(|_| has_more).map(|node| path::exact(&node.name));
        Ok(Page { rows: rows.iter().map(|node| entry(&folder, node)).collect(), next })
    })
    .await
}

/// What is different in another snapshot of the same repository.
///
/// The changes are in the order of their paths, name by name; a folder comes before what is in it.
#[utoipa::path(get, path = "/snapshots/{repository}/{snapshot}/diff", tag = "snapshots",
    params(("repository" = String, Path), ("snapshot" = String, Path), DiffQuery, PageQuery),
    responses((status = 200, body = List<Change>)))]
async fn changes(
    State(api): State<Shared>,
    caller: Caller,
    Pair(repository, snapshot): Pair,
    Query(wanted): Query<DiffQuery>,
    pages: Pages,
) -> Result<Listed> {
    must(&api, &caller, Right::SeeNames, &repository, &snapshot).await?;
    must(&api, &caller, Right::SeeNames, &repository, &wanted.with).await?;
    let below = path_of(wanted.path.as_deref())?;
    listed(&api, pages, "changes", repository, move |browser, after, size| {
        let part = Part { path: &below, after };
        let Paged { rows, has_more } = browser.changes([&snapshot, &wanted.with], part, size)?;
        let next = rows.last().filter(|_| has_more).map(|change| path::exact(&change.path));
        Ok(Page { rows: rows.iter().map(change).collect(), next })
    })
    .await
}

/// A list that is read from a repository page by page; each goes on after a name or a path, which `read` is given as bytes
/// and gives back as documents have it.
async fn listed<T, F>(api: &Shared, pages: Pages, name: &str, repository: String, read: F) -> Result<Listed>
where
    T: Row + Send + 'static,
    F: Fn(&Browser<'_>, Option<&[u8]>, usize) -> Result<Page<T, String>, ServerError> + Send + Sync + 'static,
{
    let (api, read) = (api.clone(), Arc::new(read));
    pages
        .of(name, move |after: Option<String>, size| {
            let (api, repository, read) = (api.clone(), repository.clone(), Arc::clone(&read));
            async move {
                let after = after.as_deref().map(|name| path_of(Some(name))).transpose()?;
                look(&api, &repository, move |browser| read(browser, after.as_deref(), size.get())).await
            }
        })
        .await
}

/// The bytes of a path of a query; those of the root if it says none.
///
/// # Errors
/// It is no path.
pub fn path_of(text: Option<&str>) -> Result<Vec<u8>> {
    let text = text.unwrap_or("/");
    let bytes = path::bytes(text).filter(|_| text.len() <= PATH_BYTES_MAX);
    bytes.filter(|bytes| !bytes.contains(&0)).ok_or_else(|| {
        let detail = "A path is as documents have it: bytes that are no text, and `%`, stand as `%` and two \
                      hexadecimal digits.";
        Failure::new(ErrorCode::Unprocessable, detail)
    })
}

fn entry(folder: &[u8], node: &Node) -> Entry {
    let mut whole = keepfast_engine::list::normal(folder);
    whole.push(b'/');
    whole.extend_from_slice(&node.name);
    let target = match &node.kind {
        NodeKind::Symlink { target } => Some(path::shown(target)),
        _ => None,
    };
    Entry {
        name: path::shown(&node.name),
        path: path::exact(&whole),
        kind: kind_of(node),
        size: size_of(node),
        mode: format!("{:04o}", node.mode),
        uid: node.uid,
        gid: node.gid,
        mtime: instant(node.mtime),
        target,
    }
}

fn change(change: &diff::Change) -> Change {
    let name = change.path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let node = change.after.as_ref().or(change.before.as_ref());
    Change {
        name: path::shown(name),
        path: path::exact(&change.path),
        change: match change.kind {
            diff::ChangeKind::Added => ChangeKind::Added,
            diff::ChangeKind::Removed => ChangeKind::Removed,
            diff::ChangeKind::Content => ChangeKind::Content,
            diff::ChangeKind::Metadata => ChangeKind::Metadata,
            diff::ChangeKind::Kind => ChangeKind::Type,
        },
        kind: node.map_or(EntryType::File, kind_of),
        size_before: change.before.as_ref().and_then(size_of),
        size_after: change.after.as_ref().and_then(size_of),
    }
}
