//! What each request goes through before its handler, and each answer after it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderName, HeaderValue, ORIGIN, STRICT_TRANSPORT_SECURITY,
    USER_AGENT, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use keepfast_api::error::ErrorCode;
use keepfast_server::daemon::outside::Level;
use keepfast_server::listen::Client;
use tokio::time::timeout;

use super::conditions::Conditions;
use super::limit::RequestLimit;
use crate::answer::failure::Fault;
use crate::answer::{Failure, Result};
use crate::description::BASE;
use crate::guard::check_in;
use crate::guard::cookie::Cookie;
use crate::guard::from::From;
use crate::state::Shared;

/// How long a handler may take until its answer begins.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// What a page of the dashboard may load: nothing from elsewhere, and no script or style that is written into a page.
const PAGE_POLICY: &str = "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; \
                           frame-ancestors 'none'";
/// A document of the API is no page.
const API_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// What all requests go through.
#[derive(Clone)]
pub struct Shield {
    /// What handlers work with.
    pub api: Shared,
    /// How callers reach the server.
    pub conditions: Arc<Conditions>,
    /// How many requests an address may send.
    pub limit: Arc<RequestLimit>,
}

/// Lets requests past that may come from where they say, and gives answers the headers that browsers heed.
pub async fn shield(State(shield): State<Shield>, mut request: Request, next: Next) -> Response {
    let is_api = request.uri().path().starts_with(BASE);
    let mut response = match shield.admit(&mut request) {
        Ok(()) => match timeout(ANSWER_WITHIN, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Failure::new(ErrorCode::TimedOut, "Ask for less, or try again later.").into_response(),
        },
        Err(failure) => failure.into_response(),
    };
    if let Some(Fault(fault)) = response.extensions_mut().remove() {
        shield.api.inside.voice.say(Level::Error, &format!("the API: {fault}"));
    }
    protect(response.headers_mut(), is_api, shield.conditions.is_secure());
    response
}

/// Lets no one past who isn't signed in.
pub async fn signed_in(State(api): State<Shared>, mut request: Request, next: Next) -> Response {
    match check_in(&api.gate, &mut request).await {
        Ok(()) => next.run(request).await,
        Err(failure) => failure.into_response(),
    }
}

impl Shield {
    fn admit(&self, request: &mut Request) -> Result<()> {
        let address = self.address(request);
        if address.is_some_and(|address| !self.limit.takes(address)) {
            let failure = Failure::new(ErrorCode::TooManyRequests, "Wait a second between requests.");
            return Err(failure.retry_after_s(1));
        }
        let headers = request.headers();
        self.check_host(headers)?;
        if !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
            self.check_site(headers)?;
        }
        let agent =
            headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default().to_owned();
        let from = From { agent, ..From::default() };
        let from = address.map_or_else(|| from.clone(), |address| From { address, ..from.clone() });
        request.extensions_mut().insert(from);
        request.extensions_mut().insert(Cookie { is_secure: self.conditions.is_secure() });
        Ok(())
    }

    /// The address that a request comes from. What a proxy says is believed where there is one: it lets nothing past, and
    /// adds the address that it sees as the last.
    fn address(&self, request: &Request) -> Option<IpAddr> {
        let direct = request.extensions().get::<Client>().and_then(|client| client.0);
        let forwarded = request.headers().get_all("x-forwarded-for").iter().next_back();
        let forwarded = forwarded.filter(|_| self.conditions.behind_proxy);
        let last = forwarded.and_then(|list| list.to_str().ok()?.rsplit(',').next()?.trim().parse().ok());
        last.or(direct)
    }

    /// On an address of this machine, a page of elsewhere could get here under a name of its own, by pointing that name to
    /// this machine.
    fn check_host(&self, headers: &HeaderMap) -> Result<()> {
        if !self.conditions.is_local || self.conditions.behind_proxy {
            return Ok(());
        }
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let public = self.conditions.public_url.as_deref().map(host_of);
        match is_of_this_machine(host) || public == Some(host) || host.is_empty() {
            true => Ok(()),
            false => Err(Failure::new(
                ErrorCode::CrossSite,
                "Use the name localhost, or that of `public_url` in [server].",
            )),
        }
    }

    /// A page of another site can make a browser send requests with this site's cookies. Browsers say where a request comes
    /// from; programs that are none don't, and have no cookies of others.
    fn check_site(&self, headers: &HeaderMap) -> Result<()> {
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let is_own = |origin: &str| {
            let host = text(&HOST).unwrap_or_default();
            // Anyone on the way can be a page of the same name that isn't encrypted.
            let is_trusted = !self.conditions.is_secure() || origin.starts_with("https://");
            self.conditions.public_url.as_deref().is_some_and(|url| origin_of(url) == origin)
                || (is_trusted && origin.contains("://") && host_of(origin) == host)
        };
        let site = headers.get("sec-fetch-site").map(|site| site.to_str().unwrap_or("?"));
        let is_fine = match (site, headers.get(ORIGIN)) {
            (Some("same-origin" | "none"), _) => true,
            (Some(_), _) => false,
            (None, Some(origin)) => origin.to_str().is_ok_and(is_own),
            (None, None) => true,
        };
        match is_fine {
            true => Ok(()),
            false => Err(Failure::new(ErrorCode::CrossSite, "A page of another site has sent this.")),
        }
    }
}

fn is_of_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The host of an address, with its port.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default()
}

/// An address without its path.
fn origin_of(url: &str) -> &str {
    let begin = url.find("://").map_or(0, |at| at + 3);
    let end = url[begin..].find('/').map_or(url.len(), |at| begin + at);
    &url[..end]
}

fn protect(headers: &mut HeaderMap, is_api: bool, is_secure: bool) {
    let policy = if is_api { API_POLICY } else { PAGE_POLICY };
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    for (name, value) in [
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
        ("x-frame-options", "DENY"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if is_secure {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    if is_api {
        // What is answered is for this caller, at this moment.
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    }
}

#[cfg(test)]
mod tests {
    use super::{host_of, is_of_this_machine, origin_of};

    #[test]
    fn hosts_and_origins_are_told_apart() {
        for own in ["localhost", "localhost:8400", "127.0.0.1:8400", "[::1]:8400", "127.8.0.1"] {
            assert!(is_of_this_machine(own), "{own}");
        }
        for other in
            ["localhost.example.org", "example.org:127", "10.0.0.1", "", "[fe80::1]:1", "127.0.0.1.nip.io"]
        {
            assert!(!is_of_this_machine(other), "{other}");
        }
        assert_eq!(host_of("https://a.example:8443/x"), "a.example:8443");
        assert_eq!(origin_of("https://a.example:8443/x"), "https://a.example:8443");
        assert_eq!(origin_of("https://a.example"), "https://a.example");
    }
}
