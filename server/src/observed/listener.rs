//! A listener of its own on which Prometheus reads the metrics.
//!
//! It answers `GET /metrics` and nothing else, and knows no other right than its token: what else a server answers is on
//! another address.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode};
use axum::response::Response;
use keepfast_backend::Cancel;
use keepfast_config::model::server::Metrics;
use keepfast_observe::metrics::{
    OPEN_METRICS_CONTENT_TYPE, Observation, PROMETHEUS_CONTENT_TYPE, open_metrics_text, prometheus_text,
};
use keepfast_operations::child::Children;
use keepfast_operations::error::with_causes;
use keepfast_operations::secret::{Purpose, SecretReader};
use tokio::sync::Mutex;

use crate::convert::secret;
use crate::error::Result;
use crate::listen::{self, Limits, Listener};

/// An answer is used again for this long: a second reader costs nothing, and no one can keep the database busy.
const FRESH: Duration = Duration::from_secs(1);
/// What readers may take. There are a few of them, and each asks a small question.
const LIMITS: Limits = Limits {
    head_bytes: 16 << 10,
    head_fields: 64,
    body_bytes: 0,
    head_within: Duration::from_secs(10),
    answer_within: Some(Duration::from_secs(30)),
    taken_within: Duration::from_secs(30),
    connections: 64,
    connections_per_address: 32,
};
/// The path of the metrics.
const PATH: &str = "/metrics";
/// How a reader names OpenMetrics.
const OPEN_METRICS: &str = "application/openmetrics-text";
const BEARER: &str = "Bearer";

/// What a reader has to show. Only its hash is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct BearerToken(blake3::Hash);

impl BearerToken {
    /// The token whose text this is.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(blake3::hash(text.as_bytes()))
    }

    /// Whether a reader shows it. Hashes are compared in constant time, so that the time of an answer tells nothing.
    fn is_shown(&self, headers: &HeaderMap) -> bool {
        let shown = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let shown = shown.and_then(|value| value.split_once(' '));
        let shown = shown.filter(|(scheme, _)| scheme.eq_ignore_ascii_case(BEARER));
        shown.is_some_and(|(_, token)| blake3::hash(token.trim().as_bytes()) == self.0)
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken")
    }
}

/// The token that the definition of the listener names, if it names one.
///
/// # Errors
/// The secret can't be read.
pub fn token(defined: &Metrics, children: &Children) -> Result<Option<BearerToken>> {
    let Some(reference) = &defined.token else { return Ok(None) };
    let cancel = Cancel::new();
    let reader = SecretReader { what: "token of the metrics", children, cancel: &cancel };
    let token = reader.password(&secret::source(reference, "server")?, Purpose::Open)?;
    Ok(Some(BearerToken::new(&token)))
}

/// Answers readers until `stop` is ready. `source` gives what there is to tell at the moment.
///
/// # Errors
/// The listener fails.
pub async fn serve_metrics<S, F>(
    listener: Listener,
    source: S,
    token: Option<BearerToken>,
    stop: impl Future<Output = ()> + Send,
) -> std::io::Result<()>
where
    S: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = Result<Observation>> + Send + 'static,
{
    let answers = Arc::new(Answers { source, token, newest: Mutex::new(None) });
    let router = Router::new().fallback(answer::<S, F>).with_state(answers);
    listen::serve(listener, LIMITS, router, stop).await
}

struct Answers<S> {
    source: S,
    token: Option<BearerToken>,
    newest: Mutex<Option<(Instant, Arc<Texts>)>>,
}

/// The same metrics in both forms, or why there are none.
#[derive(Debug)]
struct Texts(std::result::Result<BothForms, String>);

#[derive(Debug)]
struct BothForms {
    open_metrics: String,
    prometheus: String,
}

impl Texts {
    fn of(observed: Result<Observation>) -> Self {
        let both = observed.map_err(|error| with_causes(&error)).and_then(|observation| {
            let said = |error| with_causes(&error);
            Ok(BothForms {
                open_metrics: open_metrics_text(&observation).map_err(said)?,
                prometheus: prometheus_text(&observation).map_err(said)?,
            })
        });
        Self(both)
    }
}

impl<S, F> Answers<S>
where
    S: Fn() -> F,
    F: Future<Output = Result<Observation>>,
{
    /// One reader asks the database, and those that come meanwhile wait for its answer.
    async fn texts(&self) -> Arc<Texts> {
        let mut newest = self.newest.lock().await;
        if let Some((_, texts)) = newest.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return Arc::clone(texts);
        }
        let texts = Arc::new(Texts::of((self.source)().await));
        *newest = Some((Instant::now(), Arc::clone(&texts)));
        texts
    }
}

async fn answer<S, F>(State(answers): State<Arc<Answers<S>>>, request: Request) -> Response
where
    S: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = Result<Observation>> + Send + 'static,
{
    if request.uri().path() != PATH {
        return plain(StatusCode::NOT_FOUND, "There is nothing here but /metrics.\n", None);
    }
    if request.method() != Method::GET {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "Only GET is answered.\n", Some((ALLOW, "GET")));
    }
    if answers.token.as_ref().is_some_and(|token| !token.is_shown(request.headers())) {
        let text = "Show the token of [server.metrics] as `Authorization: Bearer TOKEN`.\n";
        return plain(StatusCode::UNAUTHORIZED, text, Some((WWW_AUTHENTICATE, BEARER)));
    }
    let wants_open_metrics = wants_open_metrics(request.headers());
    match &answers.texts().await.0 {
        Ok(texts) if wants_open_metrics => {
            respond(StatusCode::OK, OPEN_METRICS_CONTENT_TYPE, texts.open_metrics.clone(), None)
        }
        Ok(texts) => respond(StatusCode::OK, PROMETHEUS_CONTENT_TYPE, texts.prometheus.clone(), None),
        Err(why) => {
            plain(StatusCode::SERVICE_UNAVAILABLE, &format!("The metrics can't be collected: {why}\n"), None)
        }
    }
}

/// Whether a reader takes OpenMetrics. One that takes both gets that.
fn wants_open_metrics(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(OPEN_METRICS));
        let is_refused = |part: &str| {
            part.strip_prefix("q=")
                .and_then(|weight| weight.parse::<f32>().ok())
                .is_some_and(|weight| weight <= 0.0)
        };
        is_named && !parts.any(is_refused)
    })
}

fn plain(status: StatusCode, text: &str, further: Option<(HeaderName, &str)>) -> Response {
    respond(status, "text/plain; charset=utf-8", text.to_owned(), further)
}

fn respond(
    status: StatusCode,
    content_type: &str,
    text: String,
    further: Option<(HeaderName, &str)>,
) -> Response {
    let mut response = Response::builder()
        .status(status)
        .header(CONTENT_TYPE, content_type)
        .header(CACHE_CONTROL, "no-store");
    if let Some((name, value)) = further {
        response = response.header(name, value);
    }
    response.body(Body::from(text)).unwrap_or_else(|_| unreachable!("the headers are fixed and valid"))
}

#[cfg(test)]
mod tests {
    use axum::http::header::ACCEPT;
    use axum::http::{HeaderMap, HeaderValue};

    use super::{BearerToken, wants_open_metrics};

    fn accepting(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT, HeaderValue::from_str(value).expect("a header"))])
    }

    #[test]
    fn the_form_is_that_which_the_reader_takes() {
        let prometheus =
            "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.4,*/*;q=0.2";
        assert!(wants_open_metrics(&accepting(prometheus)));
        for other in ["text/plain", "*/*", "application/openmetrics-text; q=0, text/plain", ""] {
            assert!(!wants_open_metrics(&accepting(other)), "{other}");
        }
        assert!(!wants_open_metrics(&HeaderMap::new()));
    }

    #[test]
    fn a_token_is_in_no_debug_output() {
        assert_eq!(format!("{:?}", BearerToken::new("geheim")), "BearerToken");
    }
}
