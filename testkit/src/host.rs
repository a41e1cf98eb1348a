//! Machines for tests: a clock and a way to wait that a test gives, and no users.

use std::sync::Arc;
use std::time::Duration;

use keepfast_backend::Cancel;
use keepfast_engine::run::Host;
use keepfast_format::node::Timestamp;

/// What tells the time.
pub type Clock = dyn Fn() -> Timestamp + Send + Sync;

/// A machine whose clock is a function. Waiting takes no time unless a test says what it does.
pub struct TestHost {
    clock: Arc<Clock>,
    wait: Box<dyn Fn(Duration) + Send + Sync>,
}

impl TestHost {
    /// A machine with this clock.
    #[must_use]
    pub fn new(clock: Arc<Clock>) -> Self {
        Self { clock, wait: Box::new(|_| {}) }
    }

    /// A machine on which time stands still.
    #[must_use]
    pub fn still() -> Self {
        Self::new(Arc::new(Timestamp::default))
    }

    /// The same machine, which does this instead of waiting.
    #[must_use]
    pub fn waiting(self, wait: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        Self { wait: Box::new(wait), ..self }
    }
}

impl Host for TestHost {
    fn now(&self) -> Timestamp {
        (self.clock)()
    }

    fn sleep(&self, time: Duration, _: &Cancel) {
        (self.wait)(time);
    }

    fn user_name(&self, _: u32) -> Option<Vec<u8>> {
        None
    }

    fn group_name(&self, _: u32) -> Option<Vec<u8>> {
        None
    }

    fn user_id(&self, _: &[u8]) -> Option<u32> {
        None
    }

    fn group_id(&self, _: &[u8]) -> Option<u32> {
        None
    }
}
