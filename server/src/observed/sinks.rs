//! Where the metrics of a run without a server go: a file for node_exporter, a Pushgateway.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use keepfast_notify::beginning::beginning_of;
use keepfast_observe::metrics::{MetricsError, Observation, Push, TextfileError, write_textfile};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, StatusCode, Url, redirect};

/// A gateway that takes longer than this keeps the next run waiting for nothing.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Of what a gateway answers, this much is read, and shown.
const ANSWER_BYTES_MAX: usize = 4096;
const ANSWER_CHARS_SHOWN: usize = 200;

/// Where a run's metrics go.
#[derive(Debug, Clone, Default)]
pub struct Sinks {
    /// A file for node_exporter's textfile collector.
    pub file: Option<PathBuf>,
    /// A Pushgateway.
    pub gateway: Option<Gateway>,
}

/// The address of a Pushgateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway(Url);

/// Why a text is no address of a gateway. It isn't quoted: it may have a password in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GatewayError {
    /// It is no address of HTTP.
    #[error("the gateway's address has to begin with http:// or https:// and to name a host")]
    NoHttp,
    /// It has what belongs to no such address.
    #[error(
        "the gateway's address can't have a name and password, a query or a fragment: other users see them"
    )]
    Further,
}

impl FromStr for Gateway {
    type Err = GatewayError;

    fn from_str(text: &str) -> Result<Self, GatewayError> {
        let url = Url::parse(text.trim()).map_err(|_| GatewayError::NoHttp)?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            return Err(GatewayError::NoHttp);
        }
        let has_user = !url.username().is_empty() || url.password().is_some();
        if has_user || url.query().is_some() || url.fragment().is_some() {
            return Err(GatewayError::Further);
        }
        Ok(Self(url))
    }
}

impl fmt::Display for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

/// Why metrics didn't arrive.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The file isn't there, or is the old one.
    #[error(transparent)]
    Textfile(#[from] TextfileError),
    /// They can't be written as text.
    #[error("the metrics can't be pushed")]
    Metrics(#[from] MetricsError),
    /// The gateway can't be reached.
    #[error("the metrics can't be pushed to {gateway}")]
    Unreachable {
        /// Which.
        gateway: Gateway,
        /// Why.
        source: reqwest::Error,
    },
    /// The gateway doesn't take them.
    #[error("{gateway} refused the metrics with {status}: {answer}")]
    Refused {
        /// Which.
        gateway: Gateway,
        /// The status of its answer.
        status: StatusCode,
        /// The beginning of its answer.
        answer: String,
    },
}

/// Writes the metrics of all plans into a file. One file has all plans: the collector takes no series that two files have.
///
/// # Errors
/// The file can't be written; the old one is as it was.
pub fn write(file: &Path, observation: &Observation) -> Result<(), SinkError> {
    Ok(write_textfile(file, observation)?)
}

/// What there is to tell of one plan alone: for a gateway, which keeps what each plan pushes apart.
#[must_use]
pub fn of_plan(observation: Observation, plan: &str) -> Observation {
    let plans = observation.plans.into_iter().filter(|observed| observed.plan == plan).collect();
    Observation { plans, repositories: Vec::new(), targets: Vec::new(), server: None, at: observation.at }
}

/// Pushes the metrics of one plan, in place of those that were pushed for it before.
///
/// # Errors
/// The gateway can't be reached, or doesn't take them.
pub async fn push(
    gateway: &Gateway,
    plan: &str,
    host: &str,
    observation: Observation,
) -> Result<(), SinkError> {
    let Push { path, content_type, body } = Push::new(plan, host, &of_plan(observation, plan))?;
    let failed = |source: reqwest::Error| SinkError::Unreachable {
        gateway: gateway.clone(),
        source: source.without_url(),
    };
    let client =
        Client::builder().redirect(redirect::Policy::none()).timeout(TIMEOUT).build().map_err(failed)?;
    // The path is percent-encoded where needed; joining would take its parts for steps.
    let url = format!("{}{path}", gateway.0.as_str().trim_end_matches('/'));
    let sent = client.put(url).header(CONTENT_TYPE, content_type).body(body).send().await;
    let mut answer = sent.map_err(failed)?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let said = beginning_of(&mut answer, ANSWER_BYTES_MAX).await;
    let answer = said.trim().chars().take(ANSWER_CHARS_SHOWN).collect();
    Err(SinkError::Refused { gateway: gateway.clone(), status, answer })
}

#[cfg(test)]
mod tests {
    use super::{Gateway, GatewayError};

    #[test]
    fn only_an_address_without_secrets_is_a_gateway() {
        for right in ["http://push:9091", "https://push.example.org/under/path/", "http://[::1]:9091"] {
            assert!(right.parse::<Gateway>().is_ok(), "{right}");
        }
        for (wrong, why) in [
            ("push:9091", GatewayError::NoHttp),
            ("ftp://push", GatewayError::NoHttp),
            ("", GatewayError::NoHttp),
            ("http://me:secret@push:9091", GatewayError::Further),
            ("http://push:9091/?a=b", GatewayError::Further),
        ] {
            assert_eq!(wrong.parse::<Gateway>(), Err(why), "{wrong}");
        }
    }
}
