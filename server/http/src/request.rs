//! What requests say: paths, queries, bodies. What isn't as it has to be is answered as any other error is.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path as AxumPath, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use keepfast_api::error::ErrorCode;
use serde::de::DeserializeOwned;

use crate::answer::{Failure, Result};
use crate::query::query;

/// A name in the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let read = AxumPath::<String>::from_request_parts(parts, state).await;
        let AxumPath(name) = read.map_err(|error| invalid("The path", &error.body_text()))?;
        if name.chars().any(char::is_control) {
            return Err(Failure::new(ErrorCode::NotFound, "No name has control characters."));
        }
        Ok(Self(name))
    }
}

/// Two names in the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair(pub String, pub String);

impl<S: Send + Sync> FromRequestParts<S> for Pair {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let read = AxumPath::<(String, String)>::from_request_parts(parts, state).await;
        let AxumPath((one, other)) = read.map_err(|error| invalid("The path", &error.body_text()))?;
        if one.chars().chain(other.chars()).any(char::is_control) {
            return Err(Failure::new(ErrorCode::NotFound, "No name has control characters."));
        }
        Ok(Self(one, other))
    }
}

/// What stands behind the question mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        query(&parts.uri).map(Self)
    }
}

/// A document as the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        if !is_json(request.headers()) {
            let detail = "A body is a document of the type application/json.";
            return Err(Failure::new(ErrorCode::UnsupportedMediaType, detail));
        }
        let bytes =
            Bytes::from_request(request, state).await.map_err(|error| match error.status().as_u16() {
                413 => Failure::new(ErrorCode::TooLarge, "Send a smaller body."),
                _ => invalid("The body", &error.body_text()),
            })?;
        // A list would be read as the fields of a document, in their order.
        if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
            return Err(invalid("The body", "it isn't an object"));
        }
        let read = serde_json::from_slice(&bytes);
        read.map(Self).map_err(|error| invalid("The body", &error.to_string()))
    }
}

/// A page of another site can't send this type without asking the server first.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn invalid(what: &str, why: &str) -> Failure {
    Failure::new(ErrorCode::InvalidRequest, format!("{what} can't be read: {why}."))
}
