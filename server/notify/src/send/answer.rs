//! What an answer over HTTP means: it arrived, it may arrive later, or something has to be changed.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{Timestamp, fmt::rfc2822};
use reqwest::header::{HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{StatusCode, Url};
use serde_json::Value;

use super::http::Answer;
use super::{Failure, Outcome, Refusal, said};

/// Longer pauses are taken for this one.
const PAUSE_MAX: Duration = Duration::from_secs(12 * 3_600);

/// What came of a request.
pub fn outcome(answer: &Answer, now: Timestamp, secrets: &[&str]) -> Result<Outcome, Failure> {
    let Answer { status, headers, body } = answer;
    let body_said = said(body, secrets);
    let answer = match body_said.as_str() {
        "" => status.to_string(),
        body => format!("{status}: {body}"),
    };
    if status.is_success() {
        return Ok(Outcome::Delivered { answer, refused: BTreeMap::new() });
    }
    let reason = format!("the answer was {answer}");
    let may_pass = matches!(
        *status,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
    );
    if status.is_server_error() || may_pass {
        return Err(Failure::Later { reason, wait: pause(headers, body, now) });
    }
    let (advice, secret_may_be_old) = advice(*status, headers);
    Err(Failure::Refused(Refusal { reason, advice, secret_may_be_old }))
}

fn advice(status: StatusCode, headers: &HeaderMap) -> (String, bool) {
    if status.is_redirection() {
        let to = headers
            .get(LOCATION)
            .and_then(|to| Url::parse(to.to_str().ok()?).ok()?.host_str().map(str::to_owned));
        let to = to.map(|host| format!(" (on {host})")).unwrap_or_default();
        return (
            format!(
                "The address leads elsewhere{to}, and redirects aren't followed. Put the final address in the target."
            ),
            true,
        );
    }
    let (advice, secret_may_be_old) = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PROXY_AUTHENTICATION_REQUIRED => (
            "The service doesn't accept the target's token or address. Make another one there, and put it in the \
             target's secret.",
            true,
        ),
        StatusCode::NOT_FOUND | StatusCode::GONE => (
            "The service doesn't know this address any more. Make another webhook there, and put its address in the \
             target.",
            true,
        ),
        _ => (
            "The service doesn't take such messages at this address. Check that the target's preset is that of the \
             service, and that the address is complete.",
            false,
        ),
    };
    (advice.to_owned(), secret_may_be_old)
}

/// The pause that an answer asks for: in seconds or until an instant in its head, or in its body as Discord and
/// Telegram do.
fn pause(headers: &HeaderMap, body: &str, now: Timestamp) -> Option<Duration> {
    let seconds = |seconds: f64| Duration::try_from_secs_f64(seconds).ok();
    let head = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(|value| {
        let value = value.trim();
        let until = || {
            let until = rfc2822::parse(value).ok()?.timestamp();
            Duration::try_from(until.duration_since(now)).ok()
        };
        value.parse().ok().and_then(seconds).or_else(until)
    });
    let in_body = || {
        let body: Value = serde_json::from_str(body).ok()?;
        let asked = body.get("retry_after").or_else(|| body.get("parameters")?.get("retry_after"))?;
        asked.as_f64().and_then(seconds)
    };
    head.or_else(in_body).map(|pause| pause.min(PAUSE_MAX))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reqwest::header::{HeaderMap, RETRY_AFTER};

    use super::pause;

    #[test]
    fn pauses_are_read_wherever_services_write_them() {
        let now = "2026-03-02T08:00:00Z".parse().expect("an instant");
        let read = |head: &str, body: &str| {
            let mut headers = HeaderMap::new();
            if !head.is_empty() {
                headers.insert(RETRY_AFTER, head.parse().expect("a value"));
            }
            pause(&headers, body, now).map(|pause| pause.as_millis())
        };
        assert_eq!(read("120", ""), Some(120_000));
        assert_eq!(read("1.5", ""), Some(1_500));
        assert_eq!(read("Mon, 02 Mar 2026 08:01:00 GMT", ""), Some(60_000));
        assert_eq!(read("Mon, 02 Mar 2020 08:01:00 GMT", ""), None, "it is over");
        assert_eq!(read("", r#"{"retry_after": 0.25}"#), Some(250));
        assert_eq!(read("", r#"{"ok": false, "parameters": {"retry_after": 7}}"#), Some(7_000));
        assert_eq!(read("soon", "soon"), None);
        assert_eq!(read("-1", r#"{"retry_after": -3}"#), None);
        assert_eq!(read("1e300", ""), None);
        assert_eq!(read("999999999", ""), Some(Duration::from_secs(12 * 3_600).as_millis()));
    }
}
