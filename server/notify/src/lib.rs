//! From what happens to messages that arrive: which event reaches whom and when, what a message says, and how it is
//! sent. The crate has no clock, database, files or environment of its own.
//!
//! 1. [`decide`] takes new [`Event`]s and the [`State`] of problems, and gives [`Delivery`]s. It is pure: its caller
//!    stores the state that it changed and the deliveries in one transaction, so that nothing is lost and nothing is
//!    told twice.
//! 2. [`render`] makes of a [`Message`] what each service takes.
//! 3. [`Courier`] sends a message to a [`Target`], and says in an [`Outcome`] what came of it. [`backoff`] says when
//!    the next attempt is.
//! 4. [`heartbeat`] tells a service outside that all is well, so that silence is noticed.

#![warn(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_possible_wrap)]

pub mod backoff;
pub mod beginning;
pub mod decide;
mod event;
pub mod heartbeat;
mod message;
mod names;
pub mod render;
mod route;
mod send;
mod target;
mod text;
mod window;

pub use decide::{Context, Decision, Delivery, Digest, Input, State, decide};
pub use event::{Condition, Content, Event, Fact, Kind, Note, Scope, Sequence, Severity, Verdict, Work};
pub use message::{Item, Message, Tone};
pub use names::{DigestName, RouteName, Subject, SubjectError, TargetName};
pub use route::{Match, Pattern, PatternError, Policy, Route, who_hears};
pub use send::{Courier, Outcome, Progress, Refusal, SecretError, SecretFuture, Secrets};
pub use target::{Channel, GenericHook, LogTail, SecretRef, Security, Smtp, Target, Webhook, WebhookKind};
pub use window::{Days, Quiet, Window, WindowError};
