//! Lists: a page as JSON, or all rows as CSV.

use std::future::Future;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::header::{ACCEPT, CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64URL_NOPAD;
use futures_util::stream::{self, StreamExt};
use keepfast_api::error::ErrorCode;
use keepfast_api::list::{LIMIT_MAX, LIMIT_USUAL, List, PageQuery, Row};
use keepfast_store::{Page, PageSize};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::csv;
use super::document::Document;
use super::failure::{Failure, Result};
use crate::query::query;

/// Rows of a table in CSV, at most: what a spreadsheet can show.
const CSV_ROWS_MAX: u32 = 1_000_000;

/// Which part of a list is wanted, and in which form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pages {
    after: Option<String>,
    limit: Option<u32>,
    as_csv: bool,
}

impl<S: Sync> FromRequestParts<S> for Pages {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let PageQuery { after, limit } = query(&parts.uri)?;
        let accepted = parts.headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let mut accepted = accepted.flat_map(|value| value.split(','));
        let is_csv = |range: &str| {
            range.split(';').next().is_some_and(|name| name.trim().eq_ignore_ascii_case("text/csv"))
        };
        let as_csv = accepted.any(is_csv);
        let limit_max = if as_csv { CSV_ROWS_MAX } else { u32::from(LIMIT_MAX) };
        if limit.is_some_and(|limit| limit == 0 || limit > limit_max) {
            let detail = format!("`limit` is a number from 1 to {limit_max}.");
            return Err(Failure::new(ErrorCode::InvalidRequest, detail));
        }
        Ok(Self { after, limit, as_csv })
    }
}

/// A list as an answer.
#[derive(Debug)]
pub struct Listed(Response);

impl IntoResponse for Listed {
    fn into_response(self) -> Response {
        self.0
    }
}

impl Pages {
    /// The part that is wanted of a list that `read` reads page by page, from after a key or from the beginning. The
    /// list's name is that of the file in which a table is kept.
    ///
    /// # Errors
    /// What `after` says is no key; or `read` fails.
    pub async fn of<T, K, F, R>(self, name: &str, read: F) -> Result<Listed>
    where
        T: Row + Send + 'static,
        K: Serialize + DeserializeOwned + Send + 'static,
        F: Fn(Option<K>, PageSize) -> R + Send + 'static,
        R: Future<Output = Result<Page<T, K>>> + Send,
    {
        if self.as_csv {
            let after = self.after.as_deref().map(key_of).transpose()?;
            return table(name, after, self.limit.unwrap_or(CSV_ROWS_MAX), read).await;
        }
        Ok(Listed(Document::new(self.page(read).await?).into_response()))
    }

    /// Whether a table is wanted.
    #[must_use]
    pub fn is_table(&self) -> bool {
        self.as_csv
    }

    /// The page that is wanted of such a list, for an answer that says more than it.
    ///
    /// # Errors
    /// What `after` says is no key; or `read` fails.
    pub async fn page<T, K, F, R>(self, read: F) -> Result<List<T>>
    where
        K: Serialize + DeserializeOwned,
        F: FnOnce(Option<K>, PageSize) -> R,
        R: Future<Output = Result<Page<T, K>>>,
    {
        let after = self.after.as_deref().map(key_of).transpose()?;
        let limit = self.limit.unwrap_or_else(|| u32::from(LIMIT_USUAL));
        let page = read(after, PageSize::at_most(usize::try_from(limit).unwrap_or(usize::MAX))).await?;
        let next = page.next.as_ref().map(text_of).transpose()?;
        Ok(List { items: page.rows, next })
    }

    /// The part that is wanted of a list that is in memory, because it is short.
    ///
    /// # Errors
    /// What `after` says is no key.
    pub async fn of_all<T: Row + Clone + Send + Sync + 'static>(
        self,
        name: &str,
        all: Vec<T>,
    ) -> Result<Listed> {
        self.of(name, move |after: Option<usize>, size: PageSize| {
            let begin = after.unwrap_or(0).min(all.len());
            let end = begin.saturating_add(size.get()).min(all.len());
            let (rows, next) = (all[begin..end].to_vec(), (end < all.len()).then_some(end));
            async move { Ok(Page { rows, next }) }
        })
        .await
    }
}

/// The key that a text from a page before stands for.
fn key_of<K: DeserializeOwned>(text: &str) -> Result<K> {
    let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok();
    let key = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    key.ok_or_else(|| {
        let detail = "`after` takes what the page before has as `next`, and nothing else.";
        Failure::new(ErrorCode::Unprocessable, detail)
    })
}

fn text_of<K: Serialize>(key: &K) -> Result<String> {
    let bytes = serde_json::to_vec(key).map_err(|error| Failure::internal(&error))?;
    Ok(BASE64URL_NOPAD.encode(&bytes))
}

/// Where a table goes on.
enum Next<K> {
    At(Option<K>),
    End,
}

/// A table, read while it is sent. Its first page is read before, so that what can't be read is an error and no table that
/// breaks off.
async fn table<T, K, F, R>(name: &str, after: Option<K>, limit: u32, read: F) -> Result<Listed>
where
    T: Row + Send + 'static,
    K: Send + 'static,
    F: Fn(Option<K>, PageSize) -> R + Send + 'static,
    R: Future<Output = Result<Page<T, K>>> + Send,
{
    let size = |left: u32| PageSize::at_most(usize::try_from(left).unwrap_or(usize::MAX));
    let first = read(after, size(limit)).await?;
    let (first, left, next) = lines(first, limit)?;
    let rest = stream::try_unfold((next, left, read), move |(next, left, read)| async move {
        let Next::At(after) = next else { return Ok(None) };
        if left == 0 {
            return Ok(None);
        }
        let page = read(after, size(left)).await.map_err(|failure| broken(&failure))?;
        let (text, left, next) = lines(page, left).map_err(|failure| broken(&failure))?;
        Ok::<_, std::io::Error>(Some((text, (next, left, read))))
    });
    let begin = csv::header::<T>() + &first;
    let body = stream::once(async move { Ok(begin) }).chain(rest);
    let mut response = Body::from_stream(body).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(csv::CONTENT_TYPE));
    let disposition = format!("attachment; filename=\"{name}.csv\"");
    if let Ok(disposition) = HeaderValue::from_str(&disposition) {
        headers.insert(CONTENT_DISPOSITION, disposition);
    }
    Ok(Listed(response))
}

fn lines<T: Row, K>(page: Page<T, K>, left: u32) -> Result<(String, u32, Next<K>)> {
    let mut text = String::new();
    for row in &page.rows {
        text.push_str(&csv::row(row).map_err(|error| Failure::internal(&error))?);
    }
    let left = left.saturating_sub(u32::try_from(page.rows.len()).unwrap_or(u32::MAX));
    Ok((text, left, page.next.map_or(Next::End, |next| Next::At(Some(next)))))
}

/// A table that has begun can only break off.
fn broken(failure: &Failure) -> std::io::Error {
    std::io::Error::other(failure.code().title())
}
