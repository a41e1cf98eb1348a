//! Hears of a part of a drill: for its log, and for what is wrong.

use std::sync::{Arc, Mutex, PoisonError};

use keepfast_drills::log::Log;
use keepfast_engine::run::{Counters, Event, Listener};

/// Faults that are named, at most.
const NAMED_MAX: usize = 20;

/// What was wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    /// Entries and objects that are missing, damaged or other than in the snapshot.
    pub wrong: u64,
    /// Objects that couldn't be read, and may be sound.
    pub unreachable: u64,
    /// The first of them.
    pub named: Vec<String>,
}

impl Faults {
    /// Whether nothing was wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.wrong == 0 && self.unreachable == 0
    }

    /// The first of them, in a line.
    #[must_use]
    pub fn words(&self) -> String {
        self.named.join("; ")
    }
}

/// Passes everything on, and keeps what a drill needs.
pub struct Heard {
    log: Arc<Log>,
    next: Arc<dyn Listener>,
    faults: Mutex<Faults>,
}

impl Heard {
    /// Nothing was heard yet.
    #[must_use]
    pub fn new(log: &Arc<Log>, next: Arc<dyn Listener>) -> Arc<Self> {
        Arc::new(Self { log: Arc::clone(log), next, faults: Mutex::default() })
    }

    /// What was wrong since this was asked last.
    #[must_use]
    pub fn take(&self) -> Faults {
        std::mem::take(&mut *self.faults.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Listener for Heard {
    fn event(&self, event: &Event) {
        self.log.line(&format!("{}: {}: {}", event.kind(), event.object(), event.message()));
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Skipped { .. } | Event::Damaged { .. } => faults.wrong += 1,
            Event::Unreachable { .. } => faults.unreachable += 1,
            _ => {
                drop(faults);
                return self.next.event(event);
            }
        }
        if faults.named.len() < NAMED_MAX {
            faults.named.push(format!("{}: {}", event.object(), event.message()));
        }
        drop(faults);
        self.next.event(event);
    }

    fn counted(&self, counters: &Counters) {
        self.next.counted(counters);
    }
}
