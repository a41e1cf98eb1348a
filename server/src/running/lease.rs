//! What happens beside a run while it goes on: its lease is renewed, its log written, a wish to end it heard, its time
//! looked at.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use keepfast_engine::run::RunContext;
use keepfast_store::{Progress, StoreError};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::record::StateRecord;
use crate::state::{Lease, now};
use crate::work::pace::Pace;

/// A run that is kept alive, until [`Beating::end`].
pub struct Beating {
    end: oneshot::Sender<()>,
    beats: JoinHandle<()>,
    is_late: Arc<AtomicBool>,
    timeout: Option<Duration>,
}

impl Beating {
    /// Begins. A run that takes longer than `timeout` is cancelled; one with a `pace` keeps to it.
    pub fn begin(
        handle: &Handle,
        record: &StateRecord,
        run: &RunContext,
        timeout: Option<Duration>,
        pace: Option<Pace>,
    ) -> Self {
        let (store, held, log) = (record.store.clone(), record.held.clone(), record.log.clone());
        let (counting, cancel) = (run.clone(), run.cancel().clone());
        let is_late = Arc::new(AtomicBool::new(false));
        let late = Arc::clone(&is_late);
        let (end, mut ended) = oneshot::channel::<()>();
        let beats = handle.spawn(async move {
            let begun = tokio::time::Instant::now();
            loop {
                tokio::select! {
                    _ = &mut ended => return log.flush().await,
                    () = tokio::time::sleep(Lease::USUAL.beat) => {}
                }
                if let Some(pace) = &pace {
                    pace.follow(Timestamp::now());
                }
                if timeout.is_some_and(|timeout| begun.elapsed() > timeout) {
                    late.store(true, Ordering::Relaxed);
                    cancel.cancel();
                }
                log.flush().await;
                let counters = serde_json::to_value(counting.counters().progress()).ok();
                match store.beat(now(), &held, Some(&Progress { phase: None, counters })).await {
                    Ok(beat) if beat.cancel_requested => cancel.cancel(),
                    // Someone else has declared the run lost: it must not go on as if it were held.
                    Err(StoreError::NotHeld { .. }) => cancel.cancel(),
                    Ok(_) | Err(_) => {}
                }
            }
        });
        Self { end, beats, is_late, timeout }
    }

    /// The run is over. Returns its timeout if it was cancelled because of that.
    pub fn end(self, handle: &Handle) -> Option<Duration> {
        drop(self.end);
        // If it has panicked, the log lacks its last lines; the report is what counts.
        let _ = handle.block_on(self.beats);
        self.timeout.filter(|_| self.is_late.load(Ordering::Relaxed))
    }
}
