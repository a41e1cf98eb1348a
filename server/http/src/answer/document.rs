//! A document as an answer, with the tag by which a caller that edits it shows which state it has seen.

use axum::http::header::{CONTENT_TYPE, ETAG, HeaderValue, IF_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use data_encoding::HEXLOWER;
use keepfast_api::error::ErrorCode;
use serde::Serialize;

use super::failure::{Failure, Result};

/// Bytes of a hash that a tag has: collisions would have to be made on purpose, by someone who may edit anyway.
const TAG_BYTES: usize = 16;

/// A document as an answer.
#[derive(Debug)]
pub struct Document<T> {
    status: StatusCode,
    value: T,
    tag: Tag,
}

/// The tag that is told with a document.
#[derive(Debug)]
enum Tag {
    None,
    Own,
    Other(String),
}

impl<T> Document<T> {
    /// What is there.
    pub fn new(value: T) -> Self {
        Self { status: StatusCode::OK, value, tag: Tag::None }
    }

    /// What is there and can be edited: its tag is told.
    pub fn editable(value: T) -> Self {
        Self { tag: Tag::Own, ..Self::new(value) }
    }

    /// What came of a change, with the tag of what was changed, if it is still there.
    pub fn tagged(value: T, tag: Option<String>) -> Self {
        Self { tag: tag.map_or(Tag::None, Tag::Other), ..Self::new(value) }
    }

    /// What was made.
    pub fn created(value: T) -> Self {
        Self { status: StatusCode::CREATED, ..Self::new(value) }
    }

    /// What was begun and goes on.
    pub fn accepted(value: T) -> Self {
        Self { status: StatusCode::ACCEPTED, ..Self::new(value) }
    }
}

impl<T: Serialize> IntoResponse for Document<T> {
    fn into_response(self) -> Response {
        let Self { status, value, tag } = self;
        let body = match serde_json::to_vec(&value) {
            Ok(body) => body,
            Err(error) => return Failure::internal(&error).into_response(),
        };
        let tag = match tag {
            Tag::None => None,
            Tag::Own => Some(tag_of(&body)),
            Tag::Other(tag) => Some(tag),
        };
        let mut response = (status, body).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(tag) = tag.and_then(|tag| HeaderValue::from_str(&tag).ok()) {
            response.headers_mut().insert(ETAG, tag);
        }
        response
    }
}

fn tag_of(body: &[u8]) -> String {
    format!("\"{}\"", HEXLOWER.encode(&blake3::hash(body).as_bytes()[..TAG_BYTES]))
}

/// The tag of a document.
///
/// # Errors
/// It can't be written as JSON.
pub fn tag<T: Serialize>(value: &T) -> Result<String> {
    let body = serde_json::to_vec(value).map_err(|error| Failure::internal(&error))?;
    Ok(tag_of(&body))
}

fn tags_shown(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers.get_all(IF_MATCH).iter().filter_map(|value| value.to_str().ok())
}

/// Refuses an edit whose caller doesn't say what they have seen, before anything is said of what is there.
///
/// # Errors
/// There is no If-Match.
pub fn must_show(headers: &HeaderMap) -> Result<()> {
    if tags_shown(headers).next().is_some() {
        return Ok(());
    }
    let detail = "Send If-Match with the ETag that came with the resource when you read it.";
    Err(Failure::new(ErrorCode::PreconditionNeeded, detail))
}

/// Refuses an edit of a document that isn't what its caller has seen. A caller says so by `If-Match`, with the tag that came
/// with the document, or `*` for whatever it is.
///
/// # Errors
/// The header is missing, or the document is another one now.
pub fn check_match<T: Serialize>(headers: &HeaderMap, present: &T) -> Result<()> {
    must_show(headers)?;
    let tag = tag(present)?;
    let mut tags = tags_shown(headers).flat_map(|tags| tags.split(',')).map(str::trim);
    if tags.any(|shown| shown == "*" || shown == tag) {
        return Ok(());
    }
    Err(Failure::new(ErrorCode::Changed, "Read it again, and decide again whether to change it."))
}
