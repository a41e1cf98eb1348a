//! Asking the issuer: no redirects, no proxies, bounded in time and in what is read.

use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Certificate, Client, RequestBuilder, Url, redirect};
use serde::de::DeserializeOwned;

use crate::error::OidcError;

/// An answer may take this long.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of an answer, at most.
const ANSWER_BYTES_MAX: usize = 512 << 10;

/// A client that trusts the system's authorities, and those in `authorities` (PEM) besides.
pub fn client(authorities: Option<&str>) -> Result<Client, OidcError> {
    let mut builder = Client::builder().redirect(redirect::Policy::none()).no_proxy().timeout(TIMEOUT);
    if let Some(pem) = authorities {
        let more = Certificate::from_pem_bundle(pem.as_bytes()).map_err(OidcError::Authorities)?;
        builder = builder.tls_certs_merge(more);
    }
    builder.build().map_err(OidcError::Authorities)
}

/// An address to which secrets may go: protected, or on this machine.
pub fn address(what: &'static str, text: &str) -> Result<Url, OidcError> {
    let wrong = || OidcError::Address { what, address: text.to_owned() };
    let url = Url::parse(text).map_err(|_| wrong())?;
    let is_here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    let is_protected = url.scheme() == "https" || (url.scheme() == "http" && is_here);
    let is_plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    if is_protected && is_plain && url.host_str().is_some() { Ok(url) } else { Err(wrong()) }
}

/// A document from the issuer.
pub async fn get<T: DeserializeOwned>(
    client: &Client,
    url: &Url,
    what: &'static str,
) -> Result<T, OidcError> {
    read(client.get(url.clone()), url, what).await
}

/// A document that the issuer hands out to who has this access token.
pub async fn get_by<T: DeserializeOwned>(
    client: &Client,
    url: &Url,
    what: &'static str,
    access: &str,
) -> Result<T, OidcError> {
    read(client.get(url.clone()).bearer_auth(access), url, what).await
}

/// A document in answer to a form.
pub async fn post<T: DeserializeOwned>(
    client: &Client,
    url: &Url,
    what: &'static str,
    user: Option<(&str, &str)>,
    fields: &[(&str, &str)],
) -> Result<T, OidcError> {
    let mut request = client
        .post(url.clone())
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(encoded(fields));
    if let Some((name, password)) = user {
        // RFC 6749, section 2.3.1: both are encoded as in a form.
        request = request.basic_auth(one(name), Some(one(password)));
    }
    read(request, url, what).await
}

/// A form, or a query.
fn encoded(fields: &[(&str, &str)]) -> String {
    let pairs: Vec<String> =
        fields.iter().map(|(name, value)| format!("{}={}", one(name), one(value))).collect();
    pairs.join("&")
}

fn one(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

async fn read<T: DeserializeOwned>(
    request: RequestBuilder,
    url: &Url,
    what: &'static str,
) -> Result<T, OidcError> {
    let host = url.host_str().unwrap_or_default().to_owned();
    let unreachable = |error: reqwest::Error| OidcError::Unreachable {
        host: host.clone(),
        what,
        source: error.without_url(),
    };
    let mut answer = request.header(ACCEPT, "application/json").send().await.map_err(unreachable)?;
    if !answer.status().is_success() {
        return Err(OidcError::Refused { host, what, status: answer.status().as_u16() });
    }
    let wrong = |problem: String| OidcError::Answer { host: host.clone(), what, problem };
    let mut bytes = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(unreachable)? {
        if bytes.len() + part.len() > ANSWER_BYTES_MAX {
            return Err(wrong(format!("it has more than {ANSWER_BYTES_MAX} bytes")));
        }
        bytes.extend_from_slice(&part);
    }
    // What it has is not part of the message: it may be a token.
    serde_json::from_slice(&bytes).map_err(|error| wrong(format!("at line {}", error.line())))
}
