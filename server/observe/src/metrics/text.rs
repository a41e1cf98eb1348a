//! An observation as the text that Prometheus reads, in both of its forms.
//!
//! OpenMetrics is what a server answers a scrape with. The older Prometheus text format is what
//! node_exporter's textfile collector and the Pushgateway read; the two differ in how a counter is described,
//! and in the end mark.

use std::collections::HashSet;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::{Registry, Unit as EncodedUnit};

use crate::metrics::observation::Observation;
use crate::metrics::sample::{Number, Samples};
use crate::metrics::table::{Kind, Metric, Reader, TABLE, Unit};

/// The `Content-Type` of [`open_metrics_text`].
pub const OPEN_METRICS_CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The `Content-Type` of [`prometheus_text`].
pub const PROMETHEUS_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Why an observation can't be exposed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MetricsError {
    /// Two subjects have the same labels, which no reader accepts.
    #[error("{metric} has two values for {labels}")]
    Twice {
        /// The metric.
        metric: String,
        /// The labels that two subjects share.
        labels: String,
    },
    /// The encoder refused a value.
    #[error("the metrics can't be written as text")]
    Encoding(#[from] fmt::Error),
}

/// The observation in OpenMetrics' text form.
///
/// # Errors
/// Two plans, repositories or targets have the same labels.
pub fn open_metrics_text(observation: &Observation) -> Result<String, MetricsError> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Families::of(observation)?));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

/// The observation in the Prometheus text format, version 0.0.4.
///
/// # Errors
/// As [`open_metrics_text`].
pub fn prometheus_text(observation: &Observation) -> Result<String, MetricsError> {
    let text = open_metrics_text(observation)?;
    let counters: HashSet<&str> =
        TABLE.iter().filter(|metric| metric.kind == Kind::Counter).map(Metric::family).collect();
    let mut converted = String::with_capacity(text.len());
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        let words = [words.next(), words.next(), words.next(), words.next()];
        match words {
            [Some("#"), Some("EOF"), ..] | [Some("#"), Some("UNIT"), ..] => continue,
            // Here a description names the series itself.
            [Some("#"), Some(keyword), Some(family), Some(rest)] if counters.contains(family) => {
                converted.push_str(&format!("# {keyword} {family}_total {rest}"));
            }
            _ => converted.push_str(line),
        }
        converted.push('\n');
    }
    Ok(converted)
}

/// The labels of one series, names and values. The encoder escapes values.
type Labels = Vec<(&'static str, String)>;

/// All series, ready to be written.
#[derive(Debug)]
struct Families(Vec<(&'static Metric, Vec<(Labels, Number)>)>);

impl Families {
    fn of(observation: &Observation) -> Result<Self, MetricsError> {
        let mut families = Vec::new();
        for metric in TABLE {
            let series = series_of(metric, observation);
            let mut seen = HashSet::new();
            if let Some((labels, _)) = series.iter().find(|(labels, _)| !seen.insert(labels)) {
                let labels: Vec<String> =
                    labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
                return Err(MetricsError::Twice { metric: metric.name(), labels: labels.join(", ") });
            }
            if !series.is_empty() {
                families.push((metric, series));
            }
        }
        Ok(Self(families))
    }
}

fn series_of(metric: &Metric, observation: &Observation) -> Vec<(Labels, Number)> {
    let mut series = Vec::new();
    let mut add = |values: &[&str], samples: Samples| {
        let own = metric.subject().labels().iter().zip(values);
        let own: Labels = own.map(|(name, value)| (*name, (*value).to_owned())).collect();
        for sample in samples {
            let further = metric.further_label.zip(sample.further);
            series.push((own.iter().cloned().chain(further).collect(), sample.number));
        }
    };
    match metric.reader() {
        Reader::Plan(read) => observation.plans.iter().for_each(|plan| {
            let project = plan.project.as_deref().unwrap_or_default();
            add(&[&plan.plan, project, &plan.repository, &plan.host], read(plan));
        }),
        Reader::Repository(read) => observation.repositories.iter().for_each(|repository| {
            let project = repository.project.as_deref().unwrap_or_default();
            add(&[&repository.repository, project], read(repository));
        }),
        Reader::Target(read) => {
            observation.targets.iter().for_each(|target| add(&[&target.target], read(target)));
        }
        Reader::Server(read) => add(&[], read(observation)),
    }
    series
}

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (metric, series) in &self.0 {
            let unit = match metric.unit {
                Unit::None => None,
                Unit::Seconds => Some(EncodedUnit::Seconds),
                Unit::Bytes => Some(EncodedUnit::Bytes),
            };
            // The encoder appends the unit.
            let stem = unit.as_ref().and_then(|unit| metric.family().strip_suffix(unit.as_str()));
            let stem = stem.map_or(metric.family(), |stem| stem.trim_end_matches('_'));
            let kind = match metric.kind {
                Kind::Gauge => MetricType::Gauge,
                Kind::Counter => MetricType::Counter,
            };
            let mut family = encoder.encode_descriptor(stem, metric.help, unit.as_ref(), kind)?;
            for (labels, number) in series {
                let mut one = family.encode_family(labels)?;
                match (metric.kind, number) {
                    (Kind::Gauge, Number::Whole(value)) => one.encode_gauge(value)?,
                    (Kind::Gauge, Number::Real(value)) => one.encode_gauge(value)?,
                    (Kind::Counter, number) => {
                        let value = match number {
                            Number::Whole(value) => u64::try_from(*value).map_err(|_| fmt::Error)?,
                            Number::Real(_) => return Err(fmt::Error),
                        };
                        let none: Option<&Exemplar<Labels, f64>> = None;
                        one.encode_counter(&value, none)?;
                    }
                }
            }
        }
        Ok(())
    }
}
