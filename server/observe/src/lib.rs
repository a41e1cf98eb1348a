//! What a server knows about itself, in the forms in which others read it: metrics, unusual runs, kinds of
//! errors, and the units under which the system runs it.
//!
//! All of this is pure: no clock, environment or database. Values are handed in. The one thing that touches
//! the file system is [`metrics::write_textfile`], at the path that it is given.

pub mod anomaly;
pub mod errors;
pub mod growth;
pub mod metrics;
pub mod service;
