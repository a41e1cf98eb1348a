//! Events of the state reach people: the outbox, the decisions and real servers for mail and webhooks, with a clock that
//! the test moves.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod events;
mod lab;
#[allow(dead_code, reason = "it is shared with the tests of the notifications")]
#[path = "../../notify/tests/suite/mail_server.rs"]
mod mail_server;
mod sending;
#[allow(dead_code, reason = "it is shared with the tests of the notifications")]
#[path = "../../notify/tests/suite/web_server.rs"]
mod web_server;
