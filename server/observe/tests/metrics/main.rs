//! What is exposed is what Prometheus reads, what the documentation says, and what the example dashboard and
//! the alerts name.

mod alerts;
mod dashboard;
mod observed;
mod promtool;
mod scrape;
mod text;
mod written;
