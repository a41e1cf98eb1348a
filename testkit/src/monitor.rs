//! A monitor that keeps what it hears.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use keepfast_engine::monitor::{Event, Monitor, Progress};

/// An event, kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// An entry isn't in the snapshot, or wasn't restored.
    Skipped {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// An entry was gone before it was read.
    Vanished(PathBuf),
    /// A file was written to while it was read.
    Changed(PathBuf),
    /// Something stored is damaged.
    Finding {
        /// The object.
        object: String,
        /// What is wrong.
        what: String,
    },
    /// Something stored can't be read now.
    Unreachable {
        /// The object.
        object: String,
        /// Why.
        what: String,
    },
    /// An entry would be removed.
    WouldRemove(PathBuf),
    /// A line without consequence.
    Notice(String),
}

/// Listens, remembers, and can stop a verb.
#[derive(Default)]
pub struct Ear {
    heard: Mutex<Vec<Heard>>,
    progress: Progress,
    stop: AtomicBool,
    hook: Option<Box<dyn Fn(&Progress) + Sync + Send>>,
    stop_after_bytes: Option<u64>,
}

impl Ear {
    /// Calls `hook` whenever the verb asks for its counters: a way into the middle of it.
    #[must_use]
    pub fn with_hook(hook: impl Fn(&Progress) + Sync + Send + 'static) -> Self {
        Self { hook: Some(Box::new(hook)), ..Self::default() }
    }

    /// Asks the verb to stop once it has counted this many bytes.
    #[must_use]
    pub fn stopping_after(bytes: u64) -> Self {
        Self { stop_after_bytes: Some(bytes), ..Self::default() }
    }

    /// What was heard so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The findings, as `object: what`.
    pub fn findings(&self) -> Vec<String> {
        self.heard()
            .into_iter()
            .filter_map(|heard| match heard {
                Heard::Finding { object, what } => Some(format!("{object}: {what}")),
                _ => None,
            })
            .collect()
    }

    /// What can't be read now, as `object: what`.
    pub fn unreachable(&self) -> Vec<String> {
        self.heard()
            .into_iter()
            .filter_map(|heard| match heard {
                Heard::Unreachable { object, what } => Some(format!("{object}: {what}")),
                _ => None,
            })
            .collect()
    }

    /// The entries that were skipped, as `path: why`.
    pub fn skipped(&self) -> Vec<String> {
        self.heard()
            .into_iter()
            .filter_map(|heard| match heard {
                Heard::Skipped { path, why } => Some(format!("{}: {why}", path.display())),
                _ => None,
            })
            .collect()
    }

    /// Fails the test if anything was skipped, vanished, changed or found.
    #[track_caller]
    pub fn assert_content(&self) {
        let bad: Vec<Heard> =
            self.heard().into_iter().filter(|heard| !matches!(heard, Heard::Notice(_))).collect();
        assert!(bad.is_empty(), "the monitor heard {bad:#?}");
    }
}

impl Monitor for Ear {
    fn event(&self, event: Event<'_>) {
        let owned = |path: &Path| path.to_owned();
        let heard = match event {
            Event::Skipped { path, why } => Heard::Skipped { path: owned(path), why },
            Event::Vanished { path } => Heard::Vanished(owned(path)),
            Event::Changed { path } => Heard::Changed(owned(path)),
            Event::Finding { object, what } => Heard::Finding { object, what },
            Event::Unreachable { object, what } => Heard::Unreachable { object, what },
            Event::WouldRemove { path } => Heard::WouldRemove(owned(path)),
            Event::Notice(text) => Heard::Notice(text),
        };
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).push(heard);
    }

    fn progress(&self) -> &Progress {
        if let Some(hook) = &self.hook {
            hook(&self.progress);
        }
        if self.stop_after_bytes.is_some_and(|limit| self.progress.bytes.load(Ordering::Relaxed) >= limit) {
            self.stop.store(true, Ordering::Relaxed);
        }
        &self.progress
    }

    fn stop(&self) -> &AtomicBool {
        &self.stop
    }
}
