//! What a run has to know of the machine that it runs on.

use std::time::Duration;

use keepfast_backend::Cancel;
use keepfast_format::node::Timestamp;

/// The facts of a machine. The engine asks the system for none of them, so that a test can have its own
/// machine, and a server can say what its agents have told it.
pub trait Host: Send + Sync {
    /// The time. No rule of safety depends on it: it may jump.
    fn now(&self) -> Timestamp;

    /// Waits this long, or until the run is cancelled.
    fn sleep(&self, time: Duration, cancel: &Cancel);

    /// The name of the user with this id here.
    fn user_name(&self, id: u32) -> Option<Vec<u8>>;

    /// The name of the group with this id here.
    fn group_name(&self, id: u32) -> Option<Vec<u8>>;

    /// The id of the user with this name here.
    fn user_id(&self, name: &[u8]) -> Option<u32>;

    /// The id of the group with this name here.
    fn group_id(&self, name: &[u8]) -> Option<u32>;
}
