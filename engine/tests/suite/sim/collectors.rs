//! Everyone at once: backups, forgetting, pruning twice over, bringing back, restoring, checking; and
//! in most histories a stranger without a key that puts junk between all of that.

use std::path::Path;

use keepfast_engine::repo::Flaw;
use keepfast_testkit::sim::{Campaign, Machine, Outcome, Stage};

/// How many are played if nothing else is asked for. With 11,430, ten thousand have a stranger in them.
const HISTORIES: u64 = 3_000;
/// One in this many has no stranger: nothing at all may be found in it.
const WITHOUT_STRANGER: u64 = 8;
const MACHINES: &[&str] = &["one", "two"];

fn stage(folder: &Path) -> Stage {
    Stage::new(folder, MACHINES)
}

/// Two machines back up; two others prune; snapshots are forgotten, brought back, restored;
/// someone checks. If a rule is to be broken, everyone breaks it.
fn play(stage: &mut Stage, seed: u64, flaw: Option<Flaw>) -> Outcome {
    let scene = stage.scene(seed);
    let mut history = scene.history();
    for name in MACHINES {
        let scene = &scene;
        history = history.process(*name, move |process| {
            let mut machine = scene.machine(process, name).with_flaw(flaw);
            for _ in 0..2 {
                if process.below(4) > 0 {
                    machine.run("backup", Machine::back_up_tree)?;
                } else {
                    machine.run("backup of a stream", Machine::back_up_stream)?;
                }
            }
            Ok(())
        });
    }
    for name in ["pruner", "other pruner"] {
        let scene = &scene;
        history = history.process(name, move |process| {
            let mut machine = scene.machine(process, name).with_flaw(flaw);
            machine.run("forget", Machine::forget_some)?;
            machine.run("prune", Machine::prune)
        });
    }
    let history = history.process("user", |process| {
        let mut machine = scene.machine(process, "user").with_flaw(flaw);
        machine.run("undelete", Machine::undelete_any)?;
        machine.run("restore", Machine::restore_any)
    });
    let history = history.process("auditor", |process| {
        let mut machine = scene.machine(process, "auditor").with_flaw(flaw);
        machine.run("check", Machine::check)
    });
    let history = if seed.is_multiple_of(WITHOUT_STRANGER) {
        history
    } else {
        history.process("stranger", |process| {
            let mut machine = scene.machine(process, "stranger");
            (0..4).try_for_each(|_| machine.run("mischief", Machine::put_junk))
        })
    };
    stage.play(&scene, history)
}

#[test]
fn histories_of_collectors() {
    let found = Campaign::from_env(HISTORIES).play(stage, |stage, seed| play(stage, seed, None));
    eprintln!("{}", found.summary());
    found.assert_none();
}

/// Histories until a fault that is planted has to be found.
const UNTIL_FOUND: u64 = 4000;

/// Breaks a rule, and expects some history to show it.
fn assert_found(flaw: Flaw) {
    let campaign = Campaign { first: 0, count: UNTIL_FOUND };
    let found = campaign.play(stage, |stage, seed| play(stage, seed, Some(flaw)));
    let Some((seed, outcome)) = &found.failed else {
        panic!("{flaw:?} isn't found: {}", found.summary());
    };
    eprintln!("{flaw:?} is found after {} histories (seed {seed}): {}", found.played, outcome.failures[0]);
}

macro_rules! found {
    ($($test:ident: $flaw:ident;)+) => {
        $(#[test]
        fn $test() {
            assert_found(Flaw::$flaw);
        })+
    };
}

found! {
    a_planted_ack_without_objections_is_found: AckWithoutObjections;
    planted_subtrees_that_are_not_held_are_found: SubtreesNotHeld;
    a_planted_commit_over_a_fence_is_found: FenceIgnored;
    a_planted_catalogue_that_is_not_read_is_found: CatalogueNotRead;
    planted_verdicts_that_no_one_applies_are_found: VerdictsNotApplied;
    planted_open_sessions_that_are_condemned_are_found: OpenSessionsCondemned;
    a_planted_verdict_without_waiting_is_found: NoWaiting;
    a_planted_epoch_without_a_second_listing_is_found: NoSecondListing;
    a_planted_removal_beyond_the_verdict_is_found: VerdictIgnored;
}
