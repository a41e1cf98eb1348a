//! Days in the life of a server: its own scheduler, promises, notifications and state, with a clock that runs fast and a
//! machine on which things go wrong.
//!
//! A history is thirty plans through forty days with the changes of the clock in Europe and America: runs that take
//! their time, a store that is away for hours, a full disk, a machine that sleeps, a server that is killed. It is made from
//! a seed: `KEEPFAST_LIFE_SEED=7` plays one again, `KEEPFAST_LIFE_HISTORIES=1000` plays more.
//!
//! At the end, each slot has exactly one outcome; plans were called overdue when they were, and never else; and each
//! beginning and end of that was one event. (What messages make of events is tested where they are made.)

mod dice;
mod oracle;
mod world;

use world::World;

/// Histories that are played unless another number is said.
const HISTORIES: u64 = 2;

fn seeds() -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("KEEPFAST_LIFE_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("KEEPFAST_LIFE_HISTORIES").unwrap_or(HISTORIES)).collect(),
    }
}

#[test]
fn forty_days_of_thirty_plans_keep_their_accounts() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut all = world::Tally::default();
    for seed in seeds() {
        let tally = runtime.block_on(async {
            let mut world = World::new(seed).await;
            world.play().await;
            world.judge().await
        });
        all.add(&tally);
    }
    // The histories have to be rich enough to show something.
    let rich = [all.good, all.failed, all.lost, all.missed, all.skipped, all.overdue, all.kills, all.sleeps];
    assert!(rich.iter().all(|count| *count > 0), "{all:?}");
}
