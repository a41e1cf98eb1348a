//! Lists: a page as JSON, or all rows as a file.

use std::future::Future;

use axum::extract::FromRequestParts;
use axum::http::header::ACCEPT;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64URL_NOPAD;
use keepfast_api::error::ErrorCode;
use keepfast_api::list::{LIMIT_MAX, LIMIT_USUAL, List, PageQuery, Row};
use keepfast_store::{Page, PageSize};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::document::Document;
use super::failure::{Failure, Result};
use super::file::{self, AllAsJson, Format, text_of};
use crate::query::query;

/// Which part of a list is wanted, and in which form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pages {
    after: Option<String>,
    limit: Option<u32>,
    /// Of a file with all rows, if one is wanted.
    file: Option<Format>,
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
        let file = match parts.extensions.get::<AllAsJson>() {
            Some(AllAsJson) => Some(Format::Json),
            None => accepted.any(is_csv).then_some(Format::Csv),
        };
        let limit_max = if file.is_some() { file::ROWS_MAX } else { u32::from(LIMIT_MAX) };
        if limit.is_some_and(|limit| limit == 0 || limit > limit_max) {
            let detail = format!("`limit` is a number from 1 to {limit_max}.");
            return Err(Failure::new(ErrorCode::InvalidRequest, detail));
        }
        Ok(Self { after, limit, file })
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
    /// list's name is that of the file.
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
        if let Some(format) = self.file {
            let after = self.after.as_deref().map(key_of).transpose()?;
            let limit = self.limit.unwrap_or(file::ROWS_MAX);
            return file::answer(format, name, after, limit, read).await.map(Listed);
        }
        Ok(Listed(Document::new(self.page(read).await?).into_response()))
    }

    /// Whether a file with all rows is wanted.
    #[must_use]
    pub fn is_file(&self) -> bool {
        self.file.is_some()
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
