//! The page about metrics, made from their table.

use std::fmt::Write as _;

use crate::metrics::table::{Kind, Subject, TABLE};

const HEAD: &str = "\
<!-- Made from the table in server/observe/src/metrics/table.rs; KEEPFAST_BLESS=1 writes it again. -->
# Metrics

This page is for a person who sets up monitoring. It has every metric of keepfast, its labels and its meaning.

## How to get them

`keepfast metrics` prints them once.

A **server** exposes them on a listener of its own, at `/metrics`, as OpenMetrics or in the older text format, whichever the
reader asks for. With a token, a reader has to show it; without one, keep the listener on this machine:

    [server.metrics]
    listen = \"127.0.0.1:8401\"
    token  = { file = \"/etc/keepfast/metrics-token\" }

`listen` may be a socket in the file system too: `\"unix:/run/keepfast/metrics.sock\"`. Its owner and its group may read
it. What an earlier process has left there is replaced. A reader has to send its request within ten seconds, and to take the
answer within thirty. Of 64 connections, and of 32 from one address, the one that has sent no request for the longest time
makes place for a new one.

    # prometheus.yml
    scrape_configs:
      - job_name: keepfast
        authorization: { credentials_file: /etc/prometheus/keepfast-token }
        static_configs: [{ targets: [\"backup1:8401\"] }]

A plan that is run **without a server** writes them for node_exporter's textfile collector:

    keepfast run www --metrics-file /var/lib/node_exporter/keepfast.prom

The file has *all* plans, also those that never ran: so a plan that nothing starts is seen as soon as another one runs. All
plans of a machine use the same file, because the collector takes no series that two files have.

Or they are **pushed** to a Pushgateway, each plan in a group of its own (`job=\"keepfast\"`, `plan`, `host`) that the next
push replaces:

    keepfast run www --metrics-push http://push.example.org:9091

Both happen after the run, whatever came of it. If they fail, that is a warning: the run is what it is.

[grafana/alerts.yml](grafana/alerts.yml) has rules for Prometheus: copy it to where `rule_files` points.
[grafana/keepfast.json](grafana/keepfast.json) is a dashboard: import it in Grafana and choose the data source.

## What they mean

- Moments are seconds since 1970. 0 means \"not yet\".
- A plan's metrics exist from the moment at which the plan is in the configuration: an alert on a metric that is absent
  never fires.
- `project` is empty for what belongs to no project.
- A counter goes on when the records that it counts are removed with old history.
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
