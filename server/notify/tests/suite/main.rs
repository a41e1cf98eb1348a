//! What a person at the other end sees: which messages come and when, what they say in each service, and what becomes
//! of them when the way is bad.

mod decisions;
mod lab;
mod mails;
mod properties;
mod samples;
mod webhooks;
