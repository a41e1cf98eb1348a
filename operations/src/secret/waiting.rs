//! Lets the caller's thread wait for asynchronous work: until it is done, its time is over or its run is cancelled.

use std::io;
use std::panic::resume_unwind;
use std::time::Duration;

use keepfast_backend::Cancel;

use crate::error::FetchError;

/// How often it is looked at whether the run is cancelled.
const LOOK: Duration = Duration::from_millis(50);

/// What ends work early.
#[derive(Clone, Copy)]
pub struct Patience<'p> {
    /// How long it may take.
    pub limit: Duration,
    /// The run that it is done for.
    pub cancel: &'p Cancel,
}

impl Patience<'_> {
    /// Does the work, while the caller's thread waits.
    pub fn wait_for<T: Send>(
        self,
        work: impl AsyncFnOnce() -> Result<T, FetchError> + Send,
    ) -> Result<T, FetchError> {
        let do_it = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(FetchError::System)?;
            let done = runtime.block_on(async {
                tokio::select! {
                    done = work() => done,
                    () = tokio::time::sleep(self.limit) => Err(FetchError::TooSlow { limit: self.limit }),
                    () = cancelled(self.cancel) => Err(FetchError::Cancelled),
                }
            });
            // The system may still look for a host's address, and nothing ends that.
            runtime.shutdown_background();
            done
        };
        // On a thread of its own: the caller may be a worker of a runtime, and none of those may wait for another.
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("secret".to_owned());
            let thread = thread.spawn_scoped(scope, do_it).map_err(FetchError::System)?;
            thread.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }
}

async fn cancelled(cancel: &Cancel) {
    while !cancel.is_cancelled() {
        tokio::time::sleep(LOOK).await;
    }
}

/// An error without a server to blame.
pub fn broken(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> FetchError {
    FetchError::System(io::Error::other(why))
}
