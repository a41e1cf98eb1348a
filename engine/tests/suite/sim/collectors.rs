//! Everybody at once: backups, forgetting, pruning twice over, bringing back, restoring.

use std::path::Path;

use keepfast_testkit::sim::{Campaign, Machine, Outcome, Stage};

/// How many are played if nothing else is asked for.
const HISTORIES: u64 = 2000;
const MACHINES: &[&str] = &["one", "two"];

fn stage(folder: &Path) -> Stage {
    Stage::new(folder, MACHINES)
}

/// Two machines back up, each twice; two others prune; snapshots are forgotten, brought back, restored.
fn play(stage: &mut Stage, seed: u64) -> Outcome {
    let scene = stage.scene(seed);
    let mut history = scene.history();
    for name in MACHINES {
        let scene = &scene;
        history = history.process(*name, move |process| {
            let mut machine = scene.machine(process, name);
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
            let mut machine = scene.machine(process, name);
            for _ in 0..2 {
                machine.run("forget", Machine::forget_some)?;
                machine.run("prune", Machine::prune)?;
            }
            Ok(())
        });
    }
    let history = history.process("user", |process| {
        let mut machine = scene.machine(process, "user");
        for _ in 0..2 {
            machine.run("undelete", Machine::undelete_any)?;
            machine.run("restore", Machine::restore_any)?;
        }
        Ok(())
    });
    stage.play(&scene, history)
}

#[test]
fn histories_of_collectors() {
    let found = Campaign::from_env(HISTORIES).play(stage, play);
    eprintln!("{}", found.summary());
    found.assert_none();
}
