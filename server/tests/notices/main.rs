//! Events of the state reach people: the outbox, the decisions and real servers for mail and webhooks, with a clock that
//! the test moves.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod events;
mod lab;
mod sending;
