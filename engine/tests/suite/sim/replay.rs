//! A seed is a history: played again, it is the same, line by line.

use keepfast_testkit::sim::folder;

use super::writers::{play, stage};

const SEEDS: u64 = 20;

#[test]
fn a_seed_replays_exactly() {
    let (one, other) = (folder(), folder());
    let mut once = stage(one.path());
    let mut again = stage(other.path());
    for seed in 0..SEEDS {
        let first = play(&mut once, seed);
        // On another stage, after another history.
        play(&mut again, seed + 1000);
        let second = play(&mut again, seed);
        assert!(first.steps > 20, "{}", first.log);
        assert!(first.log == second.log, "first\n{}\nthen\n{}", first.log, second.log);
    }
}
