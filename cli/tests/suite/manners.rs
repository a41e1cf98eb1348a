//! How much of the machine a run takes, as the system counts it.

use std::fs;

use crate::program::{Desk, peak_mib_of};

fn peak_mib(desk: &Desk, arguments: &[&str]) -> u64 {
    peak_mib_of(&desk.command(), &desk.path("peak"), arguments)
}

#[test]
fn a_limit_of_memory_is_kept_with_any_number_of_threads() {
    let desk = Desk::new();
    // Nothing in it is worth compressing, so that packs fill as fast as they can.
    for file in 0..24_u64 {
        let mut bytes = Vec::with_capacity(12 << 20);
        let mut state = file + 1;
        while bytes.len() < 12 << 20 {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            bytes.extend_from_slice(&(state ^ (state >> 29)).to_le_bytes());
        }
        fs::write(desk.src(&format!("{file}.bin")), bytes).unwrap();
    }
    let source = desk.path("src");
    let source = source.to_str().unwrap();
    let other = desk.path("other");
    let other = other.to_str().unwrap();
    desk.run(["init", "-r", other]).succeeds();
    let unlimited = peak_mib(&desk, &["backup", "-r", other, "--threads", "64", source]);
    assert!(unlimited > 220, "without a limit it takes {unlimited} MiB, so the limit would limit nothing");
    let limited = peak_mib(&desk, &["backup", "--threads", "64", "--memory", "220", source]);
    assert!(limited <= 220, "the backup took {limited} MiB");
    let check = peak_mib(&desk, &["check", "--read-data", "--threads", "64", "--memory", "220"]);
    assert!(check <= 220, "the check took {check} MiB");
    let target = desk.path("restored");
    let limits = ["restore", "--threads", "64", "--memory", "220"];
    let what = ["--snapshot", "latest", "--target", target.to_str().unwrap()];
    let restored = peak_mib(&desk, &[&limits[..], &what].concat());
    assert!(restored <= 220, "the restore took {restored} MiB");

    desk.run(["backup", "--memory", "100", source])
        .fails(2, &["100 MiB of memory is too little", "at least", "--memory"]);
}

#[test]
fn a_nice_run_has_the_lowest_priority() {
    let desk = Desk::new();
    // The command that is backed up inherits the priority, and nice(1) says what it is.
    let run = ["--nice", "backup", "--command", "--stdin-name", "priority", "--", "nice"];
    desk.run(run).succeeds();
    assert_eq!(desk.run(["dump", "latest", "priority"]).succeeds().out, "19\n");
    desk.run(&run[1..]).succeeds();
    assert_eq!(desk.run(["dump", "latest", "priority"]).succeeds().out, "0\n");
}
