//! One request over HTTP: no redirects, no proxies, bounded in time and in what is read of the answer.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use reqwest::{Certificate, Client, Method, StatusCode, Url, redirect};

use super::address::{NotPublic, PublicOnly, is_public};
use super::{Failure, said, with_causes};
use crate::beginning::beginning_of;

/// Of an answer, this much is looked at.
const ANSWER_BYTES_MAX: usize = 16 * 1_024;
const CLIENTS_MAX: usize = 32;

/// What is asked of another program.
pub struct Request<'r> {
    pub method: Method,
    pub url: Url,
    pub headers: Vec<(HeaderName, String)>,
    pub body: Vec<u8>,
    pub reach: Reach<'r>,
    pub timeout: Duration,
    /// What must not be in an error.
    pub secrets: Vec<&'r str>,
}

/// Where a request may lead.
#[derive(Clone, Copy)]
pub struct Reach<'r> {
    pub public_only: bool,
    pub authorities: Option<&'r str>,
}

/// What it answered.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// The beginning of it.
    pub body: String,
}

/// Clients by where they may lead: reading the system's certificates takes a while.
#[derive(Debug, Default)]
pub struct Clients(Mutex<Vec<(bool, Option<String>, Client)>>);

impl Clients {
    fn client(&self, reach: Reach<'_>) -> Result<Client, Failure> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |(public_only, authorities, _): &&(bool, Option<String>, Client)| {
            *public_only == reach.public_only && authorities.as_deref() == reach.authorities
        };
        if let Some((_, _, client)) = known.iter().find(is_it) {
            return Ok(client.clone());
        }
        // Messages are rare: a connection that was left open would be gone when the next one wants it.
        let mut builder =
            Client::builder().redirect(redirect::Policy::none()).no_proxy().pool_max_idle_per_host(0);
        if reach.public_only {
            builder = builder.dns_resolver(PublicOnly);
        }
        let unreadable = |error: reqwest::Error| {
            Failure::refused(
                format!(
                    "the certificates of the target's authorities can't be read: {}",
                    with_causes(&error)
                ),
                "Give them as PEM: blocks that begin with -----BEGIN CERTIFICATE-----.",
            )
        };
        if let Some(pem) = reach.authorities {
            builder =
                builder.tls_certs_merge(Certificate::from_pem_bundle(pem.as_bytes()).map_err(unreadable)?);
        }
        let client = builder.build().map_err(unreadable)?;
        if known.len() >= CLIENTS_MAX {
            known.clear();
        }
        known.push((reach.public_only, reach.authorities.map(str::to_owned), client.clone()));
        Ok(client)
    }

    /// Sends a request. A failure says nothing of the address but its host.
    pub async fn send(&self, request: Request<'_>) -> Result<Answer, Failure> {
        let Request { method, url, headers, body, reach, timeout, secrets } = request;
        let host = url.host_str().unwrap_or_default().to_owned();
        if reach.public_only
            && let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>()
            && !is_public(address)
        {
            return Err(not_public(&NotPublic { host, address }));
        }
        let mut fields = HeaderMap::new();
        fields.insert(USER_AGENT, HeaderValue::from_static(concat!("keepfast/", env!("CARGO_PKG_VERSION"))));
        for (name, value) in headers {
            let Ok(mut value) = HeaderValue::from_str(&value) else {
                return Err(Failure::refused(
                    format!("the value of {name} has signs that a header can't have"),
                    "Check the secret that the target names: it may end with a line break or have one inside.",
                ));
            };
            value.set_sensitive(true);
            fields.insert(name, value);
        }
        let client = self.client(reach)?;
        let failed = |error: reqwest::Error| {
            if let Some(private) = NotPublic::among(&error) {
                return not_public(private);
            }
            let what = if error.is_timeout() {
                format!("{host} didn't answer within {} s", timeout.as_secs())
            } else {
                format!("{host} can't be reached")
            };
            let why = with_causes(&error.without_url());
            Failure::later(format!("{what}: {}", said(&why, &secrets)))
        };
        let sent = client.request(method, url).headers(fields).body(body).timeout(timeout).send().await;
        let mut answer = sent.map_err(failed)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = beginning_of(&mut answer, ANSWER_BYTES_MAX).await;
        Ok(Answer { status, headers, body })
    }
}

fn not_public(error: &NotPublic) -> Failure {
    Failure::refused(
        error.to_string(),
        "Use a public address, or remove public_only from the target if it may lead to this network.",
    )
}

/// An address of HTTP. What is wrong with it isn't quoted: it may be a secret.
pub fn address(text: &str) -> Result<Url, Failure> {
    let refused = |reason: &str| {
        Failure::refused(reason, "Check the target's address: it has to begin with https:// or http://.")
    };
    let url = Url::parse(text.trim()).map_err(|_| refused("the target's address can't be read"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(refused("the target's address isn't one of HTTP"));
    }
    Ok(url)
}
