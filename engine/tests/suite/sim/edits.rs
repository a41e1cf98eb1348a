//! A user changes labels and takes files out of snapshots while others back up, forget, prune, bring
//! back, restore and check: whatever is left restores to what it should, and the check is clean.

use std::path::Path;

use keepfast_testkit::sim::{Campaign, Machine, Outcome, Stage};

/// How many are played if nothing else is asked for.
const HISTORIES: u64 = 400;
const MACHINES: &[&str] = &["one", "two"];

fn stage(folder: &Path) -> Stage {
    Stage::new(folder, MACHINES)
}

fn play(stage: &mut Stage, seed: u64) -> Outcome {
    let scene = stage.scene(seed);
    let mut history = scene.history();
    for name in MACHINES {
        let scene = &scene;
        history = history
            .process(*name, move |process| scene.machine(process, name).run("backup", Machine::back_up_tree));
    }
    for name in ["editor", "other editor"] {
        let scene = &scene;
        history = history.process(name, move |process| {
            let mut machine = scene.machine(process, name);
            for _ in 0..2 {
                if process.below(2) == 0 {
                    machine.run("change of labels", Machine::relabel_any)?;
                } else {
                    machine.run("rewrite", Machine::rewrite_any)?;
                }
            }
            Ok(())
        });
    }
    for name in ["pruner", "other pruner"] {
        let scene = &scene;
        history = history.process(name, move |process| {
            let mut machine = scene.machine(process, name);
            if process.below(2) == 0 {
                machine.run("forget", Machine::forget_some)?;
            }
            machine.run("prune", Machine::prune)
        });
    }
    let history = history.process("user", |process| {
        let mut machine = scene.machine(process, "user");
        machine.run("undelete", Machine::undelete_any)?;
        machine.run("restore", Machine::restore_any)
    });
    let history =
        history.process("auditor", |process| scene.machine(process, "auditor").run("check", Machine::check));
    stage.play(&scene, history)
}

#[test]
fn histories_of_edits() {
    let found = Campaign::from_env(HISTORIES).play(stage, play);
    eprintln!("{}", found.summary());
    found.assert_none();
}
