//! What a restore would do.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keepfast_backend::Cancel;
use keepfast_engine::restore::{Conflict, RestoreReport, preview};
use keepfast_engine::run::{Event, Listener};
use keepfast_operations::OperationsError;
use keepfast_operations::error::with_causes;

use super::error::RestoreError;
use super::order::{Order, OverwriteFiles};
use super::parts::{How, Planning};
use crate::browse::Browser;
use crate::error::Result;
use crate::surroundings::Surroundings;
use crate::warm::Found;

/// A preview looks for no longer: an answer has to begin before its client gives up.
const LOOKS_FOR: Duration = Duration::from_secs(20);

/// How much a preview names.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Conflicts.
    pub conflicts: usize,
    /// Warnings.
    pub warnings: usize,
}

/// What a restore would do.
pub struct Previewed {
    /// What it would write.
    pub report: RestoreReport,
    /// Whether everything was looked at.
    pub is_whole: bool,
    /// How many entries are in the way.
    pub conflicts_count: u64,
    /// The first of them, with their paths in the snapshot.
    pub conflicts: Vec<Conflict>,
    /// What a person should know, with the names of files in it.
    pub warnings: Vec<String>,
    /// Bytes that are free where files would be written.
    pub free_bytes: Option<u64>,
    /// Whether they would be written to several file systems.
    pub is_scattered: bool,
    /// Why it would be refused.
    pub refused: Option<String>,
}

/// Looks what a restore would do.
///
/// # Errors
/// The snapshot isn't there or can't be read, or has none of the paths.
pub fn look(
    browser: &Browser<'_>,
    around: &Surroundings,
    order: &Order,
    bounds: Bounds,
) -> Result<Previewed> {
    let Found { opened, stored } =
        browser.warm.snapshot(browser.config, browser.repository, &order.snapshot)?;
    let planning = Planning { config: browser.config, around, order };
    let planned = planning.parts(Some(&stored.snapshot.body.paths), false).and_then(|parts| {
        let is_refused = order.overwrite == OverwriteFiles::Refuse;
        match parts.iter().find(|part| is_refused && !part.spot.is_empty().unwrap_or(false)) {
            Some(part) => Err(RestoreError::NotEmpty { target: part.spot.path.clone() }),
            None => Ok(parts),
        }
    });
    let (parts, refused) = match planned {
        Ok(parts) => (parts, None),
        Err(error) => (Vec::new(), Some(with_causes(&error))),
    };
    let heard = Arc::new(Warnings { at_most: bounds.warnings, texts: Mutex::default() });
    let cancel = browser.cancel.clone();
    let _end = EndsIn::begin(cancel.clone(), LOOKS_FOR);
    let run = browser.warm.run(cancel).with_listener(Arc::clone(&heard) as Arc<dyn Listener>);
    let seen = Mutex::new((0_u64, Vec::new()));
    let (mut sum, mut is_whole) = (RestoreReport::default(), true);
    for part in &parts {
        let conflict = |found: Conflict| {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.0 += 1;
            if seen.1.len() < bounds.conflicts {
                let path = in_snapshot(&part.folder, &found.path);
                seen.1.push(Conflict { path, ..found });
            }
        };
        let how = How {
            overwrite: order.overwrite,
            resume: false,
            dry_run: true,
            verify: false,
            with_privileges: order.keeps_privileges(),
        };
        let options = part.options(how);
        let looked = preview(&opened.repository, &opened.index, &stored.snapshot, &options, &conflict, &run);
        let looked = looked.map_err(OperationsError::from)?;
        sum = sum.and(looked.report);
        if !looked.is_whole {
            is_whole = false;
            break;
        }
    }
    let (conflicts_count, conflicts) = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
    let warnings = std::mem::take(&mut *heard.texts.lock().unwrap_or_else(PoisonError::into_inner));
    let mut devices: Vec<Option<u64>> = parts.iter().map(|part| part.spot.device()).collect();
    devices.dedup();
    let is_scattered = devices.len() > 1;
    let free_bytes = parts.first().filter(|_| !is_scattered).and_then(|part| part.spot.free_bytes());
    Ok(Previewed {
        report: sum,
        is_whole,
        conflicts_count,
        conflicts,
        warnings,
        free_bytes,
        is_scattered,
        refused,
    })
}

/// The path in the snapshot of what is at a path below a target.
fn in_snapshot(folder: &[u8], below: &[u8]) -> Vec<u8> {
    let mut path = keepfast_engine::list::normal(folder);
    path.push(b'/');
    path.extend_from_slice(below);
    path
}

/// Keeps what is told of entries that can't be restored.
struct Warnings {
    at_most: usize,
    texts: Mutex<Vec<String>>,
}

impl Listener for Warnings {
    fn event(&self, event: &Event) {
        if matches!(event, Event::Skipped { .. } | Event::Damaged { .. } | Event::Unreachable { .. }) {
            let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
            if texts.len() < self.at_most {
                texts.push(format!("{}: {}", event.object(), event.message()));
            }
        }
    }
}

/// Cancels something after a while, unless it is dropped before.
struct EndsIn(Option<std::sync::mpsc::Sender<()>>);

impl EndsIn {
    fn begin(cancel: Cancel, after: Duration) -> Self {
        let (sender, done) = std::sync::mpsc::channel::<()>();
        let wait = move || {
            if done.recv_timeout(after) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                cancel.cancel();
            }
        };
        // Without a thread, the client's patience ends it.
        let begun = std::thread::Builder::new().name("preview".to_owned()).spawn(wait);
        Self(begun.is_ok().then_some(sender))
    }
}

impl Drop for EndsIn {
    fn drop(&mut self) {
        self.0.take();
    }
}
