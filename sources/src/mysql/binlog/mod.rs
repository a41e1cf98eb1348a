//! The server's log of changes: received as it is written, checked, and played again up to a moment.
//!
//! Binary logs lie in a dump, or beside it in the same [`Files`](crate::files::Files), as `binlogs/NAME`. A restore up to a
//! moment loads the dump and then plays what follows its position.

mod read;
mod receive;
mod replay;

pub use read::{LogFacts, LogName, examine, in_order};
pub use receive::{ReceiveOptions, Received, Receiver};
pub(super) use replay::{Moment, Scope, replay, until_of};
