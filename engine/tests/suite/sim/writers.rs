//! Writers that back up at the same time, and a reader.

use std::path::Path;

use keepfast_testkit::sim::{Campaign, Machine, Outcome, Stage};

/// How many are played if nothing else is asked for.
const HISTORIES: u64 = 400;
const MACHINES: &[&str] = &["one", "two", "three"];

pub fn stage(folder: &Path) -> Stage {
    Stage::new(folder, MACHINES)
}

/// Three machines back up, each twice, by turns a tree and a stream; someone restores.
pub fn play(stage: &mut Stage, seed: u64) -> Outcome {
    let scene = stage.scene(seed);
    let mut history = scene.history();
    for (number, name) in MACHINES.iter().enumerate() {
        let scene = &scene;
        history = history.process(*name, move |process| {
            let mut machine = scene.machine(process, name);
            for round in 0..2 {
                if (number + round) % 2 == 0 {
                    machine.run("backup", Machine::back_up_tree)?;
                } else {
                    machine.run("backup of a stream", Machine::back_up_stream)?;
                }
            }
            Ok(())
        });
    }
    let history = history.process("reader", |process| {
        let mut machine = scene.machine(process, "reader");
        (0..2).try_for_each(|_| machine.run("restore", Machine::restore_any))
    });
    stage.play(&scene, history)
}

#[test]
fn histories_of_writers() {
    let found = Campaign::from_env(HISTORIES).play(stage, play);
    eprintln!("{}", found.summary());
    found.assert_none();
}
