//! One run: when it shall end, what it may use, what it has counted, and who hears of it.
//!
//! A process may have many runs at a time, on one repository too. What they share (the store's connections,
//! the index, unlocked keys) knows nothing of any of them; what belongs to one of them is here, and is
//! handed to each function that needs it.

mod counters;
mod events;
mod host;
mod listener;
mod pool;

use std::sync::{Arc, Mutex, PoisonError};

use keepfast_backend::{Cancel, LiveLimits, Notices, RunLink};
use keepfast_format::names::ObjectName;
use keepfast_format::node::Timestamp;
use keepfast_format::numbers::u64_of;

use crate::error::{EngineError, Finding, Result};
pub use counters::{Counters, Progress, Troubles};
pub use events::{Event, Phase};
pub use host::Host;
pub use listener::{Listener, Unheard};
pub use pool::{Pool, in_threads};

/// What belongs to one run. Clones belong to the same one.
#[derive(Clone)]
pub struct RunContext {
    host: Arc<dyn Host>,
    listener: Arc<dyn Listener>,
    cancel: Cancel,
    counters: Arc<Counters>,
    pool: Arc<Pool>,
    limits: LiveLimits,
    /// What is damaged and can be done without, if what the run needs is elsewhere.
    suspects: Arc<Mutex<Vec<Finding>>>,
}

impl RunContext {
    /// A run on this host, with one thread and no limits, of which this listener hears.
    #[must_use]
    pub fn new(host: Arc<dyn Host>, listener: Arc<dyn Listener>) -> Self {
        Self {
            host,
            listener,
            cancel: Cancel::new(),
            counters: Arc::default(),
            pool: Arc::new(Pool::new(1)),
            limits: LiveLimits::default(),
            suspects: Arc::default(),
        }
    }

    /// The same run, which ends when this says so.
    #[must_use]
    pub fn with_cancel(self, cancel: Cancel) -> Self {
        Self { cancel, ..self }
    }

    /// The same run, with this many threads; with at least one.
    #[must_use]
    pub fn with_threads(self, threads: usize) -> Self {
        let pool = if self.pool.threads() == threads { self.pool } else { Arc::new(Pool::new(threads)) };
        Self { pool, ..self }
    }

    /// The same run, which moves no more bytes in a second than these say. They may change while it goes on.
    #[must_use]
    pub fn with_limits(self, limits: impl Into<LiveLimits>) -> Self {
        Self { limits: limits.into(), ..self }
    }

    /// The same run, of which this one hears instead.
    #[must_use]
    pub fn with_listener(self, listener: Arc<dyn Listener>) -> Self {
        Self { listener, ..self }
    }

    /// The same run, on another host.
    #[must_use]
    pub fn with_host(self, host: Arc<dyn Host>) -> Self {
        Self { host, ..self }
    }

    /// What a store has to know of this run.
    #[must_use]
    pub fn link(&self) -> RunLink {
        let run = self.clone();
        let notices: Notices = Arc::new(move |line: &str| run.notice(line));
        RunLink { cancel: self.cancel.clone(), limits: self.limits.clone(), notices: Some(notices) }
    }

    /// The machine that it runs on.
    #[must_use]
    pub fn host(&self) -> &dyn Host {
        &*self.host
    }

    /// What hears of it.
    #[must_use]
    pub fn listener(&self) -> Arc<dyn Listener> {
        Arc::clone(&self.listener)
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.host.now()
    }

    /// What ends it.
    #[must_use]
    pub fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// Whether it shall end at the next good moment.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Fails if the run shall end.
    pub fn go_on(&self) -> Result<()> {
        if self.is_cancelled() { Err(EngineError::Interrupted) } else { Ok(()) }
    }

    /// Its threads.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// How many threads it may use.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// What it has counted so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What it has found so far that keeps its result from being complete.
    #[must_use]
    pub fn troubles(&self) -> Troubles {
        self.counters.troubles()
    }

    /// Counts work that is done.
    pub fn count(&self, files: u64, bytes: u64) {
        self.counters.add(files, bytes);
        self.listener.counted(&self.counters);
    }

    /// Says how much work there is, as far as that is known.
    pub fn expect(&self, files: u64, bytes: u64) {
        self.counters.expect(files, bytes);
    }

    /// Something happened. It is counted here, and not by its listener: what a run reports must not depend on
    /// who listens.
    pub fn tell(&self, event: &Event) {
        self.counters.count_event(event);
        self.listener.event(event);
    }

    /// Something is damaged that the run may do without. It is told when the run ends, unless it is told
    /// elsewhere by then; each object once.
    pub fn suspect(&self, finding: Finding) {
        let mut suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        if !suspects.iter().any(|known| known.object == finding.object) {
            suspects.push(finding);
        }
    }

    /// Tells of what was suspected since this was called last, but for objects that are `known`. Returns how
    /// many it has told of.
    pub fn report_suspects(&self, known: impl Fn(&ObjectName) -> bool) -> u64 {
        let mut suspects = std::mem::take(&mut *self.suspects.lock().unwrap_or_else(PoisonError::into_inner));
        suspects.retain(|suspect| !known(&suspect.object));
        suspects.sort_unstable();
        let count = u64_of(suspects.len());
        for Finding { object, what } in suspects {
            self.tell(&Event::Damaged { object: object.to_string(), what });
        }
        count
    }

    /// Another phase begins.
    pub fn enter(&self, phase: Phase) {
        self.tell(&Event::Phase(phase));
    }

    /// Something is worth a line, and changes nothing about the result.
    pub fn notice(&self, line: impl Into<String>) {
        self.tell(&Event::Notice(line.into()));
    }
}
