//! Secrets in Vault or OpenBao: one GET of a secret of KV version 2.

use reqwest::header::{HeaderMap, HeaderName};
use reqwest::{Method, StatusCode, Url};
use zeroize::Zeroizing;

use super::http::{Answer, Request, add, address, ask};
use super::json::{Found, find};
use super::source::VaultReference;
use super::waiting::Patience;
use crate::error::FetchError;

/// What else a request needs.
pub struct Access {
    /// The server.
    pub address: String,
    /// The namespace.
    pub namespace: Option<String>,
    /// The token; an agent needs none.
    pub token: Option<Zeroizing<String>>,
}

/// Fetches the field of a secret.
pub fn fetch(
    reference: &VaultReference,
    access: Access,
    patience: Patience<'_>,
) -> Result<Zeroizing<Vec<u8>>, FetchError> {
    let Access { address: server, namespace, token } = access;
    let url = url_of(&address(&server, "address of Vault")?, &reference.path)?;
    let mut headers = HeaderMap::new();
    let has_token = token.is_some();
    if let Some(token) = token {
        add(&mut headers, HeaderName::from_static("x-vault-token"), &token, "token for Vault")?;
    }
    if let Some(namespace) = namespace {
        add(&mut headers, HeaderName::from_static("x-vault-namespace"), &namespace, "namespace of Vault")?;
    }
    // The server's own sign that no page in a browser has sent this.
    add(&mut headers, HeaderName::from_static("x-vault-request"), "true", "header of Vault")?;
    let request = Request { method: Method::GET, url, headers, body: Vec::new() };
    let answer = patience.wait_for(async || ask(request).await)?;
    read(&answer, &reference.field, has_token)
}

fn url_of(server: &Url, path: &str) -> Result<Url, FetchError> {
    let parts = || path.trim_matches('/').split('/');
    // These would lead elsewhere, in our library or in the server's.
    if parts().any(|part| matches!(part, "" | "." | "..")) {
        return Err(FetchError::Path);
    }
    let mut url = server.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.path_segments_mut()
        .map_err(|()| FetchError::Address { what: "address of Vault" })?
        .pop_if_empty()
        .push("v1")
        .extend(parts());
    Ok(url)
}

fn read(answer: &Answer, field: &str, has_token: bool) -> Result<Zeroizing<Vec<u8>>, FetchError> {
    let Answer { server, status, body, .. } = answer;
    let server = || server.clone();
    let not_understood =
        || FetchError::NotUnderstood { server: server(), expected: "that of a secret of KV version 2" };
    match *status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => {
            let deleted = find(body, &["data", "metadata", "deletion_time"]);
            let is_deleted = matches!(deleted, Ok(Found::Text(at)) if !at.is_empty());
            return Err(if is_deleted {
                FetchError::Deleted
            } else {
                FetchError::NoSuchPath { server: server() }
            });
        }
        // Without a token, some versions call the request bad.
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED | StatusCode::BAD_REQUEST if !has_token => {
            return Err(FetchError::NoToken { server: server() });
        }
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => {
            return Err(FetchError::Denied { server: server() });
        }
        status if status.is_redirection() => return Err(FetchError::Redirected { server: server() }),
        // 472 and 473 are those of a server that only stands by.
        status if status.is_server_error() || matches!(status.as_u16(), 408 | 412 | 429 | 472 | 473) => {
            let is_sealed = status == StatusCode::SERVICE_UNAVAILABLE && says_sealed(body);
            return Err(FetchError::Unavailable { server: server(), status: status.as_u16(), is_sealed });
        }
        status => {
            return Err(FetchError::Refused { server: server(), status: status.as_u16(), code: None });
        }
    }
    match find(body, &["data", "data", field]).map_err(|_| not_understood())? {
        Found::Text(text) => Ok(Zeroizing::new(text.as_bytes().to_owned())),
        Found::Other => Err(FetchError::NotText),
        Found::Nothing { keys: 2 } => Err(FetchError::NoSuchField),
        Found::Nothing { .. } => Err(not_understood()),
    }
}

/// Whether the server says that it is sealed, in words that its own programs look for too.
fn says_sealed(body: &[u8]) -> bool {
    String::from_utf8_lossy(body).to_ascii_lowercase().contains("is sealed")
}
