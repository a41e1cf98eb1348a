//! Requests to services: their addresses, headers and bodies.

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
use reqwest::{Method, Url};
use serde_json::Value;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::heartbeat::{self, Beat, Heartbeat};
use crate::message::Message;
use crate::render::{View, discord, generic, gotify, ntfy, slack, teams, telegram};
use crate::target::{GenericHook, SecretRef, Webhook, WebhookKind};
use crate::text::{clip, lines};

use super::answer;
use super::http::{Clients, Reach, Request, address};
use super::{Failure, Outcome, Secrets};

const NOTE_CHARS_MAX: usize = 2_000;

/// What a service is sent.
struct Parcel {
    url: Url,
    headers: Vec<(HeaderName, String)>,
    body: Vec<u8>,
    secrets: Vec<Zeroizing<String>>,
}

/// Sends a message to a service.
pub async fn send(
    clients: &Clients,
    webhook: &Webhook,
    message: &Message,
    view: &View,
    secrets: &dyn Secrets,
    now: Timestamp,
) -> Result<Outcome, Failure> {
    let parcel = parcel(webhook, message, view, secrets, now).await?;
    let reach = Reach { public_only: webhook.public_only, authorities: webhook.authorities.as_deref() };
    let known: Vec<&str> = parcel.secrets.iter().map(|secret| secret.as_str()).collect();
    let request = Request {
        method: Method::POST,
        url: parcel.url,
        headers: parcel.headers,
        body: parcel.body,
        reach,
        timeout: webhook.timeout,
        secrets: known.clone(),
    };
    answer::outcome(&clients.send(request).await?, now, &known)
}

async fn parcel(
    webhook: &Webhook,
    message: &Message,
    view: &View,
    secrets: &dyn Secrets,
    now: Timestamp,
) -> Result<Parcel, Failure> {
    let url = secrets.secret(&webhook.url).await?;
    let mut at = address(&url)?;
    let mut known = hidden(url, &at);
    let mut headers = more_headers(webhook)?;
    let bearer = |token: &str| (AUTHORIZATION, format!("Bearer {token}"));
    let optional = async |token: &Option<SecretRef>| match token {
        Some(token) => secrets.secret(token).await.map(Some),
        None => Ok(None),
    };
    let body = match &webhook.kind {
        WebhookKind::Slack => slack(view),
        WebhookKind::Discord => discord(view),
        WebhookKind::Teams => teams(view),
        WebhookKind::Ntfy { topic, token } => {
            let topic = match topic {
                Some(topic) => topic.clone(),
                None => take_topic(&mut at)?,
            };
            if let Some(token) = optional(token).await? {
                headers.push(bearer(&token));
                known.push(token);
            }
            ntfy(view, &topic)
        }
        WebhookKind::Gotify { token } => {
            let token = secrets.secret(token).await?;
            headers.push((HeaderName::from_static("x-gotify-key"), token.to_string()));
            known.push(token);
            add_parts(&mut at, &["message"]);
            gotify(view)
        }
        WebhookKind::Telegram { token, chat } => {
            let token = secrets.secret(token).await?;
            add_parts(&mut at, &[&format!("bot{}", token.as_str()), "sendMessage"]);
            known.push(token);
            telegram(view, chat)
        }
        WebhookKind::Generic(GenericHook { signing_key, bearer: token }) => {
            let body = generic(view);
            if let Some(token) = optional(token).await? {
                headers.push(bearer(&token));
                known.push(token);
            }
            if let Some(key) = optional(signing_key).await? {
                headers.extend(signature(&key, &message.id, now, &bytes(&body))?);
                known.push(key);
            }
            body
        }
    };
    headers.push((CONTENT_TYPE, "application/json".to_owned()));
    Ok(Parcel { url: at, headers, body: bytes(&body), secrets: known })
}

/// The headers that the target adds. What a request needs comes after them, and so counts.
fn more_headers(webhook: &Webhook) -> Result<Vec<(HeaderName, String)>, Failure> {
    let header = |(name, value): (&String, &String)| match HeaderName::try_from(name) {
        Ok(name) => Ok((name, value.clone())),
        Err(_) => Err(Failure::refused(
            format!("{name:?} can't be the name of a header"),
            "Correct the target's `headers`: a name has letters, digits and hyphens.",
        )),
    };
    webhook.headers.iter().map(header).collect()
}

fn bytes(body: &Value) -> Vec<u8> {
    body.to_string().into_bytes()
}

/// What of an address must not be said: it as a whole, and its parts that may give access. An answer may repeat any.
fn hidden(text: Zeroizing<String>, url: &Url) -> Vec<Zeroizing<String>> {
    let whole = [Some(url.path()), url.query(), url.password()].into_iter().flatten();
    let segments = url.path_segments().into_iter().flatten();
    // A part as short as that is no secret, and may stand in any error.
    let parts =
        whole.chain(segments).filter(|part| part.len() > 8).map(|part| Zeroizing::new(part.to_owned()));
    // The longest first: what is hidden in part isn't found as a whole any more.
    std::iter::once(text).chain(parts).collect()
}

/// The last part of an address, which is the topic; the address is that of the server afterwards.
fn take_topic(url: &mut Url) -> Result<String, Failure> {
    let path = url.path().trim_end_matches('/').to_owned();
    let (server, topic) = path.rsplit_once('/').unwrap_or(("", ""));
    if topic.is_empty() {
        return Err(Failure::refused(
            "the target's address has no topic",
            "Put the topic at the end of the address, as in https://ntfy.example.org/backups.",
        ));
    }
    url.set_path(&format!("{server}/"));
    Ok(topic.to_owned())
}

fn add_parts(url: &mut Url, parts: &[&str]) {
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(parts);
    }
}

/// The headers of a signed request, as the Standard Webhooks specification has them: HMAC-SHA-256 over the message's
/// id, the instant of sending and the body. The id is the same for each attempt, so that a receiver can tell that it
/// has a message already.
fn signature(key: &str, id: &str, now: Timestamp, body: &[u8]) -> Result<[(HeaderName, String); 3], Failure> {
    let refused = || {
        Failure::refused(
            "the signing key of the target begins with whsec_ and goes on with what isn't Base64",
            "Use a key of the form whsec_ and Base64, or any other text.",
        )
    };
    let key = match key.strip_prefix("whsec_") {
        Some(encoded) => Zeroizing::new(BASE64.decode(encoded.as_bytes()).map_err(|_| refused())?),
        None => Zeroizing::new(key.as_bytes().to_vec()),
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes keys of any length");
    let seconds = now.as_second();
    mac.update(format!("{id}.{seconds}.").as_bytes());
    mac.update(body);
    let code = BASE64.encode(&mac.finalize().into_bytes());
    Ok([
        (HeaderName::from_static("webhook-id"), id.to_owned()),
        (HeaderName::from_static("webhook-timestamp"), seconds.to_string()),
        (HeaderName::from_static("webhook-signature"), format!("v1,{code}")),
    ])
}

/// Tells a service outside how things are.
pub async fn beat(
    clients: &Clients,
    heartbeat: &Heartbeat,
    beat: Beat,
    note: &str,
    secrets: &dyn Secrets,
    now: Timestamp,
) -> Result<Outcome, Failure> {
    let url = secrets.secret(&heartbeat.url).await?;
    let mut at = address(&url)?;
    let known = hidden(url, &at);
    if let Some(part) = beat.part() {
        add_parts(&mut at, &[part]);
    }
    let (method, body) = match heartbeat.method {
        heartbeat::Method::Get => (Method::GET, Vec::new()),
        heartbeat::Method::Post => (Method::POST, clip(&lines(note), NOTE_CHARS_MAX).into_bytes()),
    };
    let known: Vec<&str> = known.iter().map(|secret| secret.as_str()).collect();
    let request = Request {
        method,
        url: at,
        headers: vec![(CONTENT_TYPE, "text/plain; charset=utf-8".to_owned())],
        body,
        reach: Reach { public_only: false, authorities: heartbeat.authorities.as_deref() },
        timeout: heartbeat.timeout,
        secrets: known.clone(),
    };
    let answer = clients.send(request).await?;
    answer::outcome(&answer, now, &known)
}
