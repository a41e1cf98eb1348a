//! What users of other programs fell into, as far as a server can keep them from it; each test has a trap's name. They
//! play real schedules, definitions and states (in a file, and in PostgreSQL for several servers); only the time is the
//! test's.
//!
//! Other traps have their tests where the rule is kept. [`elsewhere`] names them, and looks whether they are there.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod elsewhere;
mod lab;
mod plans;
mod retention;
mod schedules;
