//! Days in the life of a server: its own scheduler, promises, notifications and state, with a clock that runs fast and a
//! machine on which things go wrong.
//!
//! A history is thirty plans through forty days with the changes of the clock in Europe, America and Australia: runs that
//! take minutes or days, a store that is away for hours, a full disk, runs that fall silent, pauses, a machine that sleeps or
//! whose clock is set wrong, a server that is killed, a PostgreSQL that is restarted. It is made from a seed:
//! `KEEPFAST_LIFE_SEED=7` plays one again, `KEEPFAST_LIFE_HISTORIES=1000` plays more.
//!
//! At the end each slot has exactly one outcome, with a reason if it has no run; plans were called overdue when they were,
//! and never else; each beginning and end of that was one event, and was told once to each target.

mod calendar;
mod clock;
mod dice;
mod faults;
mod judge;
mod oracle;
mod place;
mod plans;
mod told;
mod world;

use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use judge::{Tally, judge};
use place::Place;
use tokio::task::{LocalSet, spawn_local};
use world::World;

/// Histories that are played unless another number is said.
const HISTORIES: u64 = 40;
/// Of this many histories, one has messages, too, and its state in a file.
const TOLD_EACH: u64 = 10;
/// Histories that are played on one processor at a time: while one waits for its database, others go on.
const AT_ONCE: usize = 8;
/// Histories on PostgreSQL, and how often it is restarted in each.
const ON_POSTGRES: u64 = 2;
const RESTARTS: u64 = 8;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

async fn history(seed: u64, place: Place, restarts: u64) -> Tally {
    let is_told = !place.is_shaky() && seed.is_multiple_of(TOLD_EACH);
    let mut world = World::new(seed, place, restarts, is_told).await;
    world.play().await;
    judge(&mut world).await
}

/// What histories are played in.
#[derive(Clone, Copy)]
struct Stage {
    place: fn(u64) -> Place,
    /// How often the database is restarted in each.
    restarts: u64,
    /// How many are played on one processor at a time.
    at_once: usize,
    /// Whether the database is behind a socket. Without one, a thread is woken without the kernel's help.
    has_sockets: bool,
}

/// Plays the histories of these seeds on all processors.
fn play(seeds: impl Iterator<Item = u64>, stage: Stage) -> Tally {
    let seeds: Vec<u64> = seeds.collect();
    let threads = thread::available_parallelism().map_or(1, usize::from).min(seeds.len());
    let waiting = Arc::new(Mutex::new(seeds));
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| play_here(&waiting, stage))).collect();
        let mut all = Tally::default();
        for worker in workers {
            all.add(&worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        all
    })
}

/// Plays histories on this thread until none waits.
fn play_here(waiting: &Arc<Mutex<Vec<u64>>>, stage: Stage) -> Tally {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = if stage.has_sockets { runtime.enable_all() } else { runtime.enable_time() };
    let runtime = runtime.build().expect("a runtime");
    runtime.block_on(LocalSet::new().run_until(async {
        let playing: Vec<_> = (0..stage.at_once)
            .map(|_| {
                let waiting = Arc::clone(waiting);
                spawn_local(async move {
                    let mut all = Tally::default();
                    let take = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop();
                    while let Some(seed) = take() {
                        all.add(&history(seed, (stage.place)(seed), stage.restarts).await);
                    }
                    all
                })
            })
            .collect();
        let mut all = Tally::default();
        for player in playing {
            all.add(&player.await.unwrap_or_else(|error| resume_unwind(error.into_panic())));
        }
        all
    }))
}

#[test]
fn forty_days_of_thirty_plans_keep_their_accounts() {
    let place = |seed: u64| match seed.is_multiple_of(TOLD_EACH) {
        true => Place::file(seed),
        false => Place::memory(seed),
    };
    let sqlite = Stage { place, restarts: 0, at_once: AT_ONCE, has_sockets: false };
    if let Some(seed) = number("KEEPFAST_LIFE_SEED") {
        play([seed].into_iter(), sqlite);
        return;
    }
    let histories = number("KEEPFAST_LIFE_HISTORIES").unwrap_or(HISTORIES);
    let all = play(0..histories, sqlite);
    // The histories have to be rich enough to show something.
    let runs = [all.good, all.failed, all.lost, all.silent];
    let slots = [all.fired, all.missed, all.skipped];
    let rest = [all.overdue, all.kills, all.sleeps, all.clocks, all.messages];
    let is_rich = runs.iter().chain(&slots).chain(&rest).all(|count| *count > 0);
    assert!(histories < HISTORIES || is_rich, "{all:?}");
}

#[test]
fn a_database_that_is_restarted_costs_no_slot_and_no_alarm() {
    if number("KEEPFAST_LIFE_SEED").is_some() {
        return;
    }
    let all = play(
        0..ON_POSTGRES,
        Stage { place: Place::postgres, restarts: RESTARTS, at_once: 1, has_sockets: true },
    );
    assert!(all.failures > 0, "the database always answered: {all:?}");
}
