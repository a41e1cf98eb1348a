//! Kinds of errors: what a person does about one, whether trying again helps, and which errors are the same
//! one again.

mod category;
mod mask;
mod pattern;
mod retry;

pub use category::{Category, Side};
pub use pattern::{ErrorFacts, Fingerprint, Pattern};
pub use retry::{Growth, Jitter, Retry, RetryError, RetryPolicy};
