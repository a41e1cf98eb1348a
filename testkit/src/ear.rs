//! A run whose events are kept.

use std::ops::Deref;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use keepfast_backend::Cancel;
use keepfast_engine::run::{Counters, Event, Listener, RunContext, Unheard};

use crate::host::TestHost;

/// Threads of a run, unless a test says otherwise.
const THREADS: usize = 3;

/// A run of three threads, on a machine without a clock; it remembers what it tells, and can be cancelled.
pub struct Ear {
    run: RunContext,
    memory: Arc<Memory>,
}

type Hook = dyn Fn(&Counters) + Sync + Send;

#[derive(Default)]
struct Memory {
    heard: Mutex<Vec<Event>>,
    on_event: Option<Box<dyn Fn(&Event) + Sync + Send>>,
    on_count: Option<Box<Hook>>,
}

impl Default for Ear {
    fn default() -> Self {
        Self::of(Memory::default())
    }
}

impl Deref for Ear {
    type Target = RunContext;

    fn deref(&self) -> &RunContext {
        &self.run
    }
}

/// A run that no one listens to.
#[must_use]
pub fn quiet() -> &'static RunContext {
    static QUIET: LazyLock<RunContext> = LazyLock::new(|| on_still_host(Arc::new(Unheard)));
    &QUIET
}

fn on_still_host(listener: Arc<dyn Listener>) -> RunContext {
    RunContext::new(Arc::new(TestHost::still()), listener).with_threads(THREADS)
}

impl Ear {
    fn of(memory: Memory) -> Self {
        let memory = Arc::new(memory);
        let listener: Arc<dyn Listener> = Arc::clone(&memory) as Arc<dyn Listener>;
        Self { run: on_still_host(listener), memory }
    }

    /// Calls `hook` whenever the run has counted something: a way into the middle of it.
    #[must_use]
    pub fn with_hook(hook: impl Fn(&Counters) + Sync + Send + 'static) -> Self {
        Self::of(Memory { on_count: Some(Box::new(hook)), ..Memory::default() })
    }

    /// Calls `hook` with each event, in the thread that tells it.
    #[must_use]
    pub fn with_event_hook(hook: impl Fn(&Event) + Sync + Send + 'static) -> Self {
        Self::of(Memory { on_event: Some(Box::new(hook)), ..Memory::default() })
    }

    /// Cancels the run once it has counted this many bytes.
    #[must_use]
    pub fn stopping_after(bytes: u64) -> Self {
        let cancel = Cancel::new();
        let own = cancel.clone();
        let ear = Self::with_hook(move |counters| {
            if counters.progress().bytes >= bytes {
                own.cancel();
            }
        });
        Self { run: ear.run.with_cancel(cancel), ..ear }
    }

    /// The same ear, for a run that differs in something.
    #[must_use]
    pub fn with(self, change: impl FnOnce(RunContext) -> RunContext) -> Self {
        Self { run: change(self.run), ..self }
    }

    /// The run itself.
    #[must_use]
    pub fn run(&self) -> RunContext {
        self.run.clone()
    }

    /// What was heard so far, but for the phases.
    pub fn heard(&self) -> Vec<Event> {
        let heard = self.memory.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.iter().filter(|event| !matches!(event, Event::Phase(_))).cloned().collect()
    }

    /// The findings, as `object: what`.
    pub fn findings(&self) -> Vec<String> {
        self.lines(|event| matches!(event, Event::Damaged { .. }))
    }

    /// What can't be read now, as `object: what`.
    pub fn unreachable(&self) -> Vec<String> {
        self.lines(|event| matches!(event, Event::Unreachable { .. }))
    }

    /// The entries that were skipped, as `path: why`.
    pub fn skipped(&self) -> Vec<String> {
        self.lines(|event| matches!(event, Event::Skipped { .. }))
    }

    fn lines(&self, which: impl Fn(&Event) -> bool) -> Vec<String> {
        let chosen = self.heard().into_iter().filter(which);
        chosen.map(|event| format!("{}: {}", event.object(), event.message())).collect()
    }

    /// Fails the test if anything was skipped, gone, changed or found.
    #[track_caller]
    pub fn assert_content(&self) {
        let bad: Vec<Event> =
            self.heard().into_iter().filter(|event| !matches!(event, Event::Notice(_))).collect();
        assert!(bad.is_empty(), "the run told {bad:#?}");
    }
}

impl Listener for Memory {
    fn event(&self, event: &Event) {
        if let Some(hook) = &self.on_event {
            hook(event);
        }
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone());
    }

    fn counted(&self, counters: &Counters) {
        if let Some(hook) = &self.on_count {
            hook(counters);
        }
    }
}
