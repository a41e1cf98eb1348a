//! The engine from outside: what a backup promises, tested through repositories in
//! directories and in memory. I1 to I8 are the invariants that SPEC names.

#![allow(clippy::print_stderr, reason = "tests say what they can't test here")]

mod bundles;
mod changes;
mod check;
mod concurrency;
mod crash;
mod damage;
mod dedup;
mod diff;
mod edits;
mod edits_named;
mod errors;
mod far;
mod folders;
mod following;
mod golden;
mod holding;
mod hostile;
mod ignore_files;
mod index;
mod key_versions;
mod packs;
mod pages;
mod patterns;
mod property;
mod prune;
mod restore_delete;
mod restore_halves;
mod restore_metadata;
mod restore_names;
mod restore_race;
mod round_trip;
mod runs;
mod s3_faults;
mod selection;
mod sim;
mod sources;
mod step_back;
mod stored_as;
mod streams;
mod unchanged;
