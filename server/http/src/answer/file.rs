//! All rows of a list as a file: a table in CSV, or a document in JSON. It is read while it is sent.

use std::future::Future;

use axum::body::Body;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64URL_NOPAD;
use futures_util::stream::{self, StreamExt};
use keepfast_api::list::Row;
use keepfast_store::{Page, PageSize};
use serde::Serialize;

use super::csv;
use super::failure::{Failure, Result};

/// Rows of a file, at most: what a spreadsheet can show.
pub const ROWS_MAX: u32 = 1_000_000;

/// A request for all rows in JSON; other requests for JSON are for a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AllAsJson;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A table.
    Csv,
    /// A document like that of a page.
    Json,
}

impl Format {
    const fn content_type(self) -> &'static str {
        match self {
            Self::Csv => csv::CONTENT_TYPE,
            Self::Json => "application/json",
        }
    }

    const fn ending(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
        }
    }
}

/// A file of this name with at most `limit` rows from after a key on. Its first page is read before, so that what can't be
/// read is an error and no file that breaks off.
///
/// # Errors
/// `read` fails.
pub async fn answer<T, K, F, R>(
    format: Format,
    name: &str,
    after: Option<K>,
    limit: u32,
    read: F,
) -> Result<Response>
where
    T: Row + Send + 'static,
    K: Serialize + Send + 'static,
    F: Fn(Option<K>, PageSize) -> R + Send + 'static,
    R: Future<Output = Result<Page<T, K>>> + Send,
{
    let mut writing = Writing { format, left: limit, has_rows: false };
    let first = read(after, writing.size()).await?;
    let (first, next) = writing.step(first)?;
    let begin = writing.begin::<T>() + &first;
    let rest = stream::try_unfold((next, writing, read), move |(next, mut writing, read)| async move {
        let Some(after) = next else { return Ok(None) };
        let page = read(Some(after), writing.size()).await.map_err(|failure| broken(&failure))?;
        let (text, next) = writing.step(page).map_err(|failure| broken(&failure))?;
        Ok::<_, std::io::Error>(Some((text, (next, writing, read))))
    });
    let body = stream::once(async move { Ok(begin) }).chain(rest);
    let mut response = Body::from_stream(body).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    let disposition = format!("attachment; filename=\"{name}.{}\"", format.ending());
    if let Ok(disposition) = HeaderValue::from_str(&disposition) {
        headers.insert(CONTENT_DISPOSITION, disposition);
    }
    Ok(response)
}

/// A file that is being written.
struct Writing {
    format: Format,
    /// Rows that it may still have.
    left: u32,
    has_rows: bool,
}

impl Writing {
    fn size(&self) -> PageSize {
        PageSize::at_most(usize::try_from(self.left).unwrap_or(usize::MAX))
    }

    fn begin<T: Row>(&self) -> String {
        match self.format {
            Format::Csv => csv::header::<T>(),
            Format::Json => "{\"items\":[".to_owned(),
        }
    }

    /// The text of a page, and where the file goes on; with its end, if it ends here.
    fn step<T: Row, K: Serialize>(&mut self, page: Page<T, K>) -> Result<(String, Option<K>)> {
        let mut text = String::new();
        for row in &page.rows {
            match self.format {
                Format::Csv => text.push_str(&csv::row(row).map_err(|error| Failure::internal(&error))?),
                Format::Json => {
                    text.push_str(if self.has_rows { ",\n" } else { "\n" });
                    let row = serde_json::to_string(row).map_err(|error| Failure::internal(&error))?;
                    text.push_str(&row);
                }
            }
            self.has_rows = true;
        }
        self.left = self.left.saturating_sub(u32::try_from(page.rows.len()).unwrap_or(u32::MAX));
        let next = match page.next {
            Some(next) if self.left > 0 => return Ok((text, Some(next))),
            next => next,
        };
        if self.format == Format::Json {
            let next = next.as_ref().map(text_of).transpose()?;
            let next = serde_json::to_string(&next).map_err(|error| Failure::internal(&error))?;
            text.push_str("\n],\"next\":");
            text.push_str(&next);
            text.push_str("}\n");
        }
        Ok((text, None))
    }
}

/// A key as a text that lists take as `after`.
///
/// # Errors
/// It can't be written as JSON.
pub fn text_of<K: Serialize>(key: &K) -> Result<String> {
    let bytes = serde_json::to_vec(key).map_err(|error| Failure::internal(&error))?;
    Ok(BASE64URL_NOPAD.encode(&bytes))
}

/// A file that has begun can only break off.
fn broken(failure: &Failure) -> std::io::Error {
    std::io::Error::other(failure.code().title())
}
