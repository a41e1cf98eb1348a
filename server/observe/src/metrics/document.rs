//! The page about metrics, made from their table.

use std::fmt::Write as _;

use crate::metrics::table::{Kind, Subject, TABLE};

const HEAD: &str = "\
<!-- Made from the table in server/observe/src/metrics/table.rs; KEEPFAST_BLESS=1 writes it again. -->
# Metrics

This page is for a person who sets up monitoring. It has every metric of keepfast, its labels and its meaning.

A server exposes them as OpenMetrics on a listener of its own. A plan that is run without a server writes them to a file
for node_exporter's textfile collector, or pushes them to a Pushgateway.

[grafana/alerts.yml](grafana/alerts.yml) has rules for Prometheus, and [grafana/keepfast.json](grafana/keepfast.json) a
dashboard for Grafana.

- Moments are seconds since 1970. 0 means \"not yet\".
- A plan's metrics exist from the moment at which the plan is in the configuration: an alert on a metric that is absent
  never fires.
- `project` is empty for what belongs to no project.
- No metric names a snapshot, a file or a run.
- What a textfile or a push says about being overdue was true when it was written. The rules compute it again from
  the newest success and the promise.
";

/// The page, as Markdown.
#[must_use]
pub fn document() -> String {
    let mut page = HEAD.to_owned();
    for (subject, title) in [
        (Subject::Plan, "Plans"),
        (Subject::Repository, "Repositories"),
        (Subject::Target, "Targets of notifications"),
        (Subject::Server, "The server"),
    ] {
        let labels: Vec<String> = subject.labels().iter().map(|label| format!("`{label}`")).collect();
        let labels = if labels.is_empty() { "none".to_owned() } else { labels.join(", ") };
        // Writing to a string never fails.
        let _ = write!(page, "\n## {title}\n\nLabels: {labels}.\n\n");
        page.push_str("| metric | kind | further label | meaning |\n|---|---|---|---|\n");
        for metric in TABLE.iter().filter(|metric| metric.subject() == subject) {
            let kind = match metric.kind {
                Kind::Gauge => "gauge",
                Kind::Counter => "counter",
            };
            let further = metric.further_label.map(|label| format!("`{label}`")).unwrap_or_default();
            let _ = writeln!(page, "| `{}` | {kind} | {further} | {} |", metric.name(), metric.help);
        }
    }
    page
}
