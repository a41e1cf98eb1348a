//! Users, sessions, tokens and the audit on both databases: what two servers do at once happens once, what was taken away
//! is gone at the next use, and each way to change the audit is noticed.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod approvals;
mod audit;
mod factors;
#[path = "../suite/lab.rs"]
#[allow(dead_code, reason = "the other suite uses the rest")]
mod lab;
mod people;
mod requests;
mod sessions;
mod tokens;
mod users;
