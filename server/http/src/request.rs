//! What requests say: paths, queries, bodies. What isn't as it has to be is answered as any other error is.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path as AxumPath, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use keepfast_api::error::ErrorCode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

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

impl<T: DeserializeOwned + Serialize, S: Send + Sync> FromRequest<S> for Body<T> {
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
        document(&bytes).map(Self)
    }
}

/// What a body says. Where the description has an object, a list would be read as its fields, in their order: that is
/// refused, at any depth.
fn document<T: DeserializeOwned + Serialize>(bytes: &[u8]) -> Result<T> {
    let unreadable = |error: serde_json::Error| invalid("The body", &error.to_string());
    // Not by way of the value below, in which a name that comes twice is there once.
    let document: T = serde_json::from_slice(bytes).map_err(unreadable)?;
    let sent: Value = serde_json::from_slice(bytes).map_err(unreadable)?;
    let read = serde_json::to_value(&document).map_err(|error| Failure::internal(&error))?;
    match misfit(&sent, &read).as_deref().map(|place| place.trim_start_matches('.')) {
        None => Ok(document),
        Some("") => Err(invalid("The body", "it isn't an object")),
        Some(place) => Err(invalid("The body", &format!("`{place}` is a list or an object of another kind"))),
    }
}

/// The first place at which a list or an object was sent, and something else was read from it.
fn misfit(sent: &Value, read: &Value) -> Option<String> {
    match (sent, read) {
        (Value::Array(sent), Value::Array(read)) => {
            let mut pairs = sent.iter().zip(read).enumerate();
            pairs.find_map(|(at, (sent, read))| Some(format!("[{at}]{}", misfit(sent, read)?)))
        }
        (Value::Object(sent), Value::Object(read)) => {
            sent.iter().find_map(|(name, sent)| Some(format!(".{name}{}", misfit(sent, read.get(name)?)?)))
        }
        (Value::Array(_) | Value::Object(_), _) => Some(String::new()),
        _ => None,
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

#[cfg(test)]
mod tests {
    use keepfast_api::access::NewUser;
    use keepfast_api::restore::RestoreRequest;
    use keepfast_api::run::StartRun;
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use super::document;

    fn is_read<T: DeserializeOwned + Serialize>(text: &str) {
        assert!(document::<T>(text.as_bytes()).is_ok(), "{text}");
    }

    fn is_refused<T: DeserializeOwned + Serialize>(text: &str, why: &str) {
        let refused = document::<T>(text.as_bytes()).err().expect(text);
        assert!(format!("{refused:?}").contains(why), "{text}: {refused:?}");
    }

    #[test]
    fn a_list_is_no_document_at_any_depth() {
        is_read::<NewUser>(
            r#"{"user": "bob", "grants": [{"role": "viewer", "scope": "all", "see_names": false, "read_content": false}]}"#,
        );
        is_refused::<NewUser>(
            r#"{"user": "bob", "grants": [["viewer", "all", false, false]]}"#,
            "`grants[0]` is a list",
        );
        is_refused::<NewUser>(r#"["bob", null, [], null]"#, "isn't an object");
        is_read::<StartRun>(r#"{"kind": "check", "repository": "main"}"#);
        is_refused::<StartRun>(r#"["check", "main"]"#, "The body");
        let restore = |rest: &str| {
            format!("{{\"repository\": \"main\", \"snapshot\": \"4f\", \"destination\": {rest}}}")
        };
        is_read::<RestoreRequest>(&restore(
            r#"{"to": "original"}, "paths": ["/a", "/b"], "overwrite": "never""#,
        ));
        is_refused::<RestoreRequest>(&restore(r#"["original"]"#), "The body");
        is_refused::<RestoreRequest>(&restore(r#"["folder", "/srv/restore"]"#), "The body");
        is_refused::<RestoreRequest>(
            &restore(r#"{"to": "original"}, "overwrite": {"never": null}"#),
            "`overwrite`",
        );
    }
}
