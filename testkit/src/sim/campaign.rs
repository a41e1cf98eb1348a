//! Many histories: each on its own, several at a time.

use std::env;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::stage::{Outcome, Stage, folder};

/// Which histories are played.
#[derive(Debug, Clone, Copy)]
pub struct Campaign {
    /// The first seed; the others follow it.
    pub first: u64,
    /// How many.
    pub count: u64,
}

/// A history that has failed, or none.
pub struct Found {
    /// How many were played.
    pub played: u64,
    /// How long that took.
    pub took: Duration,
    /// How many steps they had.
    pub steps: u64,
    /// The one with the smallest seed among those that failed.
    pub failed: Option<(u64, Outcome)>,
}

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

impl Campaign {
    /// `count` histories; or as many as `KEEPFAST_SIM_HISTORIES` says; or just the one that
    /// `KEEPFAST_SIM_SEED` says.
    #[must_use]
    pub fn from_env(count: u64) -> Self {
        match number("KEEPFAST_SIM_SEED") {
            Some(first) => Self { first, count: 1 },
            None => Self { first: 0, count: number("KEEPFAST_SIM_HISTORIES").unwrap_or(count) },
        }
    }

    /// Plays them until one fails. `make` builds a stage in an empty folder, `play` plays a seed.
    pub fn play(
        self,
        make: impl Fn(&Path) -> Stage + Sync,
        play: impl Fn(&mut Stage, u64) -> Outcome + Sync,
    ) -> Found {
        let folder = folder();
        let begun = Instant::now();
        let (next, played, steps) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        let failed: Mutex<Option<(u64, Outcome)>> = Mutex::default();
        // Histories often wait, for the threads of a machine's cache.
        let threads = 2 * thread::available_parallelism().map_or(1, usize::from);
        let threads = threads.min(usize::try_from(self.count).unwrap_or(usize::MAX));
        // All of them now: later they would change what is above the sources.
        let folders: Vec<_> = (0..threads).map(|number| folder.path().join(number.to_string())).collect();
        folders.iter().for_each(|folder| std::fs::create_dir(folder).expect("the folder can be made"));
        thread::scope(|scope| {
            for folder in &folders {
                let (make, play, next, played, steps, failed) =
                    (&make, &play, &next, &played, &steps, &failed);
                scope.spawn(move || {
                    let mut stage = make(folder);
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= self.count {
                            return;
                        }
                        let seed = self.first + number;
                        let outcome = play(&mut stage, seed);
                        played.fetch_add(1, Ordering::Relaxed);
                        steps.fetch_add(outcome.steps, Ordering::Relaxed);
                        if !outcome.failures.is_empty() {
                            next.store(self.count, Ordering::Relaxed);
                            let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                            if failed.as_ref().is_none_or(|(known, _)| seed < *known) {
                                *failed = Some((seed, outcome));
                            }
                        }
                    }
                });
            }
        });
        let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
        Found { played: played.into_inner(), took: begun.elapsed(), steps: steps.into_inner(), failed }
    }
}

impl Found {
    /// What was played, in a line.
    #[must_use]
    pub fn summary(&self) -> String {
        let seconds = self.took.as_secs_f64();
        let rate = self.played as f64 / seconds;
        let steps = self.steps / self.played.max(1);
        format!("{} histories of {steps} steps in {seconds:.1} s: {rate:.0} a second", self.played)
    }

    /// Panics if one failed, with all that happened in it.
    #[track_caller]
    pub fn assert_none(&self) {
        if let Some((seed, outcome)) = &self.failed {
            panic!(
                "{}\nKEEPFAST_SIM_SEED={seed} replays it\n{}\n{}\n{}",
                self.summary(),
                outcome.log,
                outcome.asides,
                outcome.failures.join("\n"),
            );
        }
    }
}
