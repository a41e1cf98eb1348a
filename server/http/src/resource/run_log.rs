//! The log of a run: by pages, searched, and as one text.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use keepfast_access::role::Right;
use keepfast_api::list::{List, PageQuery};
use keepfast_api::path;
use keepfast_api::run::{LogLevel, LogLine, LogQuery};
use keepfast_server::runs;
use keepfast_server::state::instant;
use keepfast_store::{Level, LogBody, LogFolder, LogPart, Page, PageSize, RunId};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::runs::find;
use crate::answer::{Listed, Pages, Result};
use crate::convert;
use crate::guard::Caller;
use crate::request::{Name, Query};
use crate::state::Shared;

/// Parts of a log (64 KiB each, about) that are looked through for one page: a search of a long log has several pages, of
/// which some may be empty.
const PARTS_PER_PAGE: usize = 64;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(run_log)).routes(routes!(run_log_text))
}

/// A place in a log: how many lines of the part are read.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Line {
    part: u32,
    lines: usize,
}

/// Which lines are wanted.
#[derive(Clone)]
struct Wanted {
    least: Level,
    search: Option<String>,
}

impl Wanted {
    fn new(query: LogQuery) -> Self {
        Self {
            least: convert::stored_level(query.level.unwrap_or(LogLevel::Debug)),
            search: query.search.map(|text| text.to_lowercase()),
        }
    }

    fn has(&self, line: &LogLine) -> bool {
        self.search.as_ref().is_none_or(|text| line.message.to_lowercase().contains(text))
    }
}

/// The log of a run, the first line first.
///
/// A page of a search may have no lines although there are more: go on until `next` is null.
#[utoipa::path(get, path = "/runs/{run}/log", tag = "runs",
    params(("run" = String, Path), LogQuery, PageQuery), responses((status = 200, body = List<LogLine>)))]
async fn run_log(
    State(api): State<Shared>,
    caller: Caller,
    Name(id): Name,
    Query(query): Query<LogQuery>,
    pages: Pages,
) -> Result<Listed> {
    let run = find(&api, &caller, &id).await?;
    // Logs have names of files.
    caller.must(Right::SeeNames, &api.about(&run))?;
    let logs = runs::logs(api.store(), &api.inside.folder, &run).await?;
    let wanted = Wanted::new(query);
    pages
        .of(&format!("log-{id}"), move |after: Option<Line>, size| {
            let (logs, wanted, id) = (logs.clone(), wanted.clone(), run.id.clone());
            async move {
                match logs {
                    Some(logs) => page(&logs, &id, &wanted, after, size).await,
                    None => Ok(Page { rows: Vec::new(), next: None }),
                }
            }
        })
        .await
}

/// The log of a run as a text to keep.
#[utoipa::path(get, path = "/runs/{run}/log.txt", tag = "runs", params(("run" = String, Path), LogQuery),
    responses((status = 200, body = String, content_type = "text/plain")))]
async fn run_log_text(
    State(api): State<Shared>,
    caller: Caller,
    Name(id): Name,
    Query(query): Query<LogQuery>,
) -> Result<Response> {
    let run = find(&api, &caller, &id).await?;
    // Logs have names of files.
    caller.must(Right::SeeNames, &api.about(&run))?;
    let logs = runs::logs(api.store(), &api.inside.folder, &run).await?;
    let wanted = Wanted::new(query);
    let (run, begin) = (run.id.clone(), logs.map(|logs| (logs, None)));
    let text = stream::try_unfold(begin, move |at| {
        let (run, wanted) = (run.clone(), wanted.clone());
        async move {
            let Some((logs, after)) = at else { return Ok(None) };
            let page = page(&logs, &run, &wanted, after, PageSize::MAX).await;
            let page = page.map_err(|failure| std::io::Error::other(failure.code().title()))?;
            let text: String = page.rows.iter().map(text_of).collect();
            Ok::<_, std::io::Error>(Some((text, page.next.map(|next| (logs, Some(next))))))
        }
    });
    let mut response = Body::from_stream(text).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if let Ok(name) = HeaderValue::from_str(&format!("attachment; filename=\"log-{id}.txt\"")) {
        headers.insert(CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

/// A line for people. What a file's name or a hook's output has of control characters could lead a terminal to do
/// something, or look like another line or another text.
fn text_of(line: &LogLine) -> String {
    let word = match line.level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warning => "warning",
        LogLevel::Error => "error",
    };
    format!("{} {word:<7} {}\n", line.at, path::shown(line.message.as_bytes()))
}

async fn page(
    logs: &LogFolder,
    run: &RunId,
    wanted: &Wanted,
    after: Option<Line>,
    size: PageSize,
) -> Result<Page<LogLine, Line>> {
    let mut rows = Vec::new();
    // The part in which the page before ended is read again, and its lines up to there are passed over.
    let begin = after.map(|after| after.part.saturating_sub(1));
    let parts = logs.read(run, begin, wanted.least, PageSize::at_most(PARTS_PER_PAGE)).await?;
    let is_last = parts.len() < PARTS_PER_PAGE;
    let mut last = None;
    for part in parts {
        let number = part.part;
        let done = after.filter(|after| after.part == number).map_or(0, |after| after.lines);
        for (at, line) in lines(part).into_iter().enumerate().skip(done) {
            if rows.len() == size.get() {
                return Ok(Page { rows, next: Some(Line { part: number, lines: at }) });
            }
            if wanted.has(&line) {
                rows.push(line);
            }
        }
        last = Some(Line { part: number.saturating_add(1), lines: 0 });
    }
    Ok(Page { rows, next: last.filter(|_| !is_last) })
}

/// The lines of a part; one that says so if it is elsewhere or can't be read.
fn lines(part: LogPart) -> Vec<LogLine> {
    let note = |message: String| {
        vec![LogLine {
            at: instant(part.first),
            level: LogLevel::Warning,
            message,
            fields: Default::default(),
        }]
    };
    match part.body {
        LogBody::Lines(lines) => lines.into_iter().map(convert::log_line).collect(),
        LogBody::Elsewhere(server) => note(format!("this part of the log is at {server}")),
        LogBody::Unreadable(why) => note(format!("a part of the log can't be read: {why}")),
    }
}
