//! Metrics as a request to a Pushgateway: how a run without a server is observed that no node_exporter
//! watches.

use data_encoding::BASE64URL_NOPAD;

use crate::metrics::observation::Observation;
use crate::metrics::text::{MetricsError, PROMETHEUS_CONTENT_TYPE, prometheus_text};

/// A request to a Pushgateway. Its method is `PUT`: what was pushed before for the same plan and host is
/// replaced, so that a metric that is gone doesn't stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// The path that is appended to the gateway's address, percent-encoded where needed.
    pub path: String,
    /// The header `Content-Type`.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

impl Push {
    /// The request for a plan that ran on this host.
    ///
    /// # Errors
    /// Two subjects of the observation have the same labels.
    pub fn new(plan: &str, host: &str, observation: &Observation) -> Result<Self, MetricsError> {
        let path = format!("/metrics/job/keepfast{}{}", grouping("plan", plan), grouping("host", host));
        let body = prometheus_text(observation)?;
        Ok(Self { path, content_type: PROMETHEUS_CONTENT_TYPE, body })
    }
}

/// A label of the group. What isn't plain is sent as Base64: the gateway splits the path at each slash, even
/// an encoded one, and takes no empty part.
fn grouping(label: &str, value: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_~".contains(&byte);
    // A lone dot or two would be taken for a step in the path, so dots count as plain only inside.
    let plain = value.bytes().all(|byte| is_plain(byte) || byte == b'.') && value.bytes().any(is_plain);
    if plain {
        return format!("/{label}/{value}");
    }
    // The gateway's own sign for the empty value is one padding character.
    let encoded = if value.is_empty() { "=".to_owned() } else { BASE64URL_NOPAD.encode(value.as_bytes()) };
    format!("/{label}@base64/{encoded}")
}

#[cfg(test)]
mod tests {
    use super::grouping;

    #[test]
    fn groups_are_plain_where_they_can_be() {
        assert_eq!(grouping("plan", "shop-db"), "/plan/shop-db");
        assert_eq!(grouping("host", "db1.example.org"), "/host/db1.example.org");
    }

    #[test]
    fn what_a_path_would_change_is_encoded() {
        assert_eq!(grouping("plan", "a/b"), "/plan@base64/YS9i");
        assert_eq!(grouping("plan", ".."), "/plan@base64/Li4");
        assert_eq!(grouping("plan", "été"), "/plan@base64/w6l0w6k");
        assert_eq!(grouping("plan", ""), "/plan@base64/=");
    }
}
