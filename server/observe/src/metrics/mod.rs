//! Metrics of plans, repositories, targets of notifications and the server, as text that Prometheus reads.
//!
//! [`Observation`] is everything that there is to tell at one moment. [`TABLE`] says which metrics exist and
//! how each is read from it; the text, the documentation and the tests all come from that table.

mod document;
mod observation;
mod push;
mod read;
mod sample;
mod table;
mod text;
mod textfile;

pub use document::document;
pub use observation::{
    CheckObservation, DrillCounts, DrillObservation, DrillVerdict, Observation, PlanObservation,
    RepositoryObservation, RunCounts, RunObservation, ServerObservation, TargetObservation, Verdict,
};
pub use push::Push;
pub use table::{Kind, Metric, Subject, TABLE, Unit};
pub use text::{
    MetricsError, OPEN_METRICS_CONTENT_TYPE, PROMETHEUS_CONTENT_TYPE, open_metrics_text, prometheus_text,
};
pub use textfile::{TextfileError, write_textfile};
