//! Searching the logs of all runs, the newest lines first.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use keepfast_access::role::Right;
use keepfast_api::list::PageQuery;
use keepfast_api::log::{FoundLine, FoundLines, LogSearchQuery, Searched};
use keepfast_api::run::LogLevel;
use keepfast_server::runs;
use keepfast_server::state::{instant, stored};
use keepfast_store::{
    HostId, LogBody, LogFilter, LogFolder, LogKey, LogLine, Page, PageSize, PartOfRun, PlanId, RepositoryId,
    Run, RunId, ServerId,
};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::{Document, Failure, Pages, Result};
use crate::convert;
use crate::guard::Caller;
use crate::request::Query;
use crate::state::{Api, Shared};

/// Parts of logs (64 KiB each, about) that are read for one page, and their bytes.
const PARTS_PER_PAGE: usize = 64;
const BYTES_PER_PAGE: u64 = 8 << 20;
/// Words of a search, and bytes of them all.
const WORDS_MAX: usize = 16;
const SEARCH_BYTES_MAX: usize = 1000;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(logs))
}

/// Lines of the logs of all runs, the newest first.
///
/// Each request looks through a bounded part of the logs and says how much that was: a page may have no lines although there
/// are more, so go on until `next` is null. Logs have names of files: only those of runs whose names the caller may see are
/// looked through.
#[utoipa::path(get, path = "/logs", tag = "runs", params(LogSearchQuery, PageQuery),
    responses((status = 200, body = FoundLines)))]
async fn logs(
    State(api): State<Shared>,
    caller: Caller,
    Query(query): Query<LogSearchQuery>,
    pages: Pages,
) -> Result<Response> {
    let wanted = Arc::new(Wanted::new(query)?);
    let searched = Arc::new(Mutex::new(Searched::default()));
    let read = {
        let searched = Arc::clone(&searched);
        move |after: Option<At>, size| {
            let (api, caller, wanted) = (api.clone(), caller.clone(), Arc::clone(&wanted));
            let searched = Arc::clone(&searched);
            async move {
                let mut search = Search::new(&api, &caller, &wanted);
                let page = search.page(after, size).await?;
                *searched.lock().unwrap_or_else(PoisonError::into_inner) = search.searched;
                Ok(page)
            }
        }
    };
    if pages.is_file() {
        return Ok(pages.of("logs", read).await?.into_response());
    }
    let list = pages.page(read).await?;
    let searched = std::mem::take(&mut *searched.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Document::new(FoundLines { items: list.items, next: list.next, searched }).into_response())
}

/// A place in the logs: a part, and how many of its lines were looked at, from its last one on.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct At {
    part: LogKey,
    /// Nothing if all of them were.
    lines: Option<usize>,
}

/// Which lines are wanted.
struct Wanted {
    parts: LogFilter,
    words: Vec<String>,
}

impl Wanted {
    fn new(query: LogSearchQuery) -> Result<Self> {
        let LogSearchQuery { search, level, plan, repository, host, run, kind, from, until } = query;
        let search = search.unwrap_or_default().to_lowercase();
        let words: Vec<String> = search.split_whitespace().map(str::to_owned).collect();
        if words.len() > WORDS_MAX || search.len() > SEARCH_BYTES_MAX {
            let why = format!("`search` has at most {WORDS_MAX} words and {SEARCH_BYTES_MAX} bytes");
            return Err(Failure::unprocessable(&why));
        }
        let parts = LogFilter {
            run: run.map(RunId::new).transpose()?,
            plan: plan.map(PlanId::new).transpose()?,
            repository: repository.map(RepositoryId::new).transpose()?,
            host: host.map(HostId::new).transpose()?,
            kind: kind.map(convert::stored_kind),
            least: convert::stored_level(level.unwrap_or(LogLevel::Debug)),
            from: from.map(stored),
            until: until.map(stored),
        };
        Ok(Self { parts, words })
    }

    fn has(&self, line: &LogLine) -> bool {
        let LogFilter { from, until, .. } = &self.parts;
        if from.is_some_and(|from| line.at < from) || until.is_some_and(|until| line.at >= until) {
            return false;
        }
        if self.words.is_empty() {
            return true;
        }
        let message = line.message.to_lowercase();
        self.words.iter().all(|word| message.contains(word))
    }
}

/// The work for one page.
struct Search<'a> {
    api: &'a Api,
    caller: &'a Caller,
    wanted: &'a Wanted,
    searched: Searched,
    folders: BTreeMap<ServerId, LogFolder>,
    rows: Vec<FoundLine>,
}

impl<'a> Search<'a> {
    fn new(api: &'a Api, caller: &'a Caller, wanted: &'a Wanted) -> Self {
        Self {
            api,
            caller,
            wanted,
            searched: Searched::default(),
            folders: BTreeMap::new(),
            rows: Vec::new(),
        }
    }

    async fn page(&mut self, after: Option<At>, size: PageSize) -> Result<Page<FoundLine, At>> {
        let next = self.look(after, size).await?;
        self.searched.back_to = next.as_ref().map(|next| instant(next.part.last()));
        Ok(Page { rows: std::mem::take(&mut self.rows), next })
    }

    /// Looks through parts until there are enough lines, or enough was looked through. Returns where to go on.
    async fn look(&mut self, after: Option<At>, size: PageSize) -> Result<Option<At>> {
        let begin = after.as_ref().map(|after| match after.lines {
            // The part in which the page before ended is read again.
            Some(_) => after.part.with_itself(),
            None => after.part.clone(),
        });
        let parts = PageSize::at_most(PARTS_PER_PAGE);
        let found = self.api.store().log_parts(&self.wanted.parts, begin.as_ref(), parts).await?;
        for part in &found.parts {
            let done = after.as_ref().filter(|after| after.part == *part.key()).and_then(|after| after.lines);
            let about = self.api.about(&part.run);
            if !self.caller.sees(&about) || !self.caller.may(Right::SeeNames, &about) {
                continue;
            }
            if let Some(lines) = self.read(part, done.unwrap_or(0), size).await? {
                return Ok(Some(At { part: part.key().clone(), lines: Some(lines) }));
            }
            if self.searched.bytes >= BYTES_PER_PAGE {
                return Ok(Some(At { part: part.key().clone(), lines: None }));
            }
        }
        Ok(found.next.map(|part| At { part, lines: None }))
    }

    /// Takes the lines of a part that are wanted, from the last one on. If there is no room for all of them, returns how many
    /// lines were looked at.
    async fn read(&mut self, part: &PartOfRun, done: usize, size: PageSize) -> Result<Option<usize>> {
        let Some(folder) = self.folder(&part.run).await? else { return Ok(None) };
        let lines = match folder.body(part, self.wanted.parts.least).await? {
            LogBody::Lines(lines) => lines,
            LogBody::Elsewhere(server) => {
                self.searched.elsewhere += 1;
                let name = server.to_string();
                if !self.searched.servers.contains(&name) {
                    self.searched.servers.push(name);
                }
                return Ok(None);
            }
            LogBody::Unreadable(_) => {
                self.searched.unreadable += 1;
                return Ok(None);
            }
        };
        if done == 0 {
            self.searched.parts += 1;
            self.searched.lines += u64::from(part.lines);
            self.searched.bytes += part.bytes;
        }
        for (at, line) in lines.into_iter().rev().enumerate().skip(done) {
            if self.rows.len() == size.get() {
                return Ok(Some(at));
            }
            if self.wanted.has(&line) {
                self.rows.push(found(&part.run, line));
            }
        }
        Ok(None)
    }

    async fn folder(&mut self, run: &Run) -> Result<Option<LogFolder>> {
        let Some(executor) = &run.executor else { return Ok(None) };
        if let Some(folder) = self.folders.get(&executor.server) {
            return Ok(Some(folder.clone()));
        }
        let folder = runs::logs(self.api.store(), &self.api.inside.folder, run).await?;
        self.folders.extend(folder.clone().map(|folder| (executor.server.clone(), folder)));
        Ok(folder)
    }
}

fn found(run: &Run, line: LogLine) -> FoundLine {
    let line = convert::log_line(line);
    FoundLine {
        at: line.at,
        level: line.level,
        message: line.message,
        fields: line.fields,
        run: run.id.to_string(),
        kind: convert::run_kind(run.kind),
        plan: run.subject.plan.as_ref().map(ToString::to_string),
        repository: run.subject.repository.as_ref().map(ToString::to_string),
        host: run.subject.host.as_ref().map(ToString::to_string),
    }
}
