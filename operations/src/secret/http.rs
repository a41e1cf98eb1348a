//! One request over HTTP: no redirects, no proxies, bounded in what is read of the answer.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use reqwest::{Client, Method, StatusCode, Url, redirect};
use zeroize::Zeroizing;

use super::waiting::broken;
use crate::answer::{UnreadAnswer, read_whole};
use crate::error::{FetchError, with_causes};

/// An answer has at most this many bytes. A secret of Vault has up to 1 MiB, with all its fields.
pub const ANSWER_BYTES_MAX: usize = 2 << 20;
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// What is asked of a server.
pub struct Request {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// What it answered.
pub struct Answer {
    /// The server, for messages.
    pub server: String,
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// All of it. What the connection's own buffers have of it isn't wiped.
    pub body: Zeroizing<Vec<u8>>,
}

/// Reads an address of HTTP; `what` says which one it is.
pub fn address(text: &str, what: &'static str) -> Result<Url, FetchError> {
    let url = Url::parse(text.trim()).map_err(|_| FetchError::Address { what })?;
    let is_usable = matches!(url.scheme(), "http" | "https")
        && url.host_str().is_some_and(|host| !host.is_empty())
        && url.username().is_empty()
        && url.password().is_none();
    if is_usable { Ok(url) } else { Err(FetchError::Address { what }) }
}

/// Adds a header that isn't shown; `what` says what is in it.
pub fn add(
    headers: &mut HeaderMap,
    name: HeaderName,
    value: &str,
    what: &'static str,
) -> Result<(), FetchError> {
    let mut value = HeaderValue::from_str(value).map_err(|_| FetchError::Header { what })?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}

/// Sends a request and reads the answer.
pub async fn ask(request: Request) -> Result<Answer, FetchError> {
    let Request { method, url, mut headers, body } = request;
    let host = url.host_str().unwrap_or_default();
    let server = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("keepfast/", env!("CARGO_PKG_VERSION"))));
    let client = Client::builder().redirect(redirect::Policy::none()).no_proxy().connect_timeout(CONNECT_MAX);
    let client = client.build().map_err(broken)?;
    let sent = client.request(method, url).headers(headers).body(body).send().await;
    let mut answer = sent.map_err(|error| FetchError::Unreachable {
        server: server.clone(),
        why: with_causes(&error.without_url()),
    })?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    match read_whole(&mut answer, ANSWER_BYTES_MAX).await {
        Ok(body) => Ok(Answer { server, status, headers, body }),
        Err(UnreadAnswer::TooLarge { bytes_max }) => Err(FetchError::AnswerTooLarge { server, bytes_max }),
        Err(UnreadAnswer::CutOff(error)) => {
            Err(FetchError::CutOff { server, why: with_causes(&error.without_url()) })
        }
    }
}
