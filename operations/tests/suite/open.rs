//! One opened repository for many runs: what is done once, and what each run sees for itself.

use std::fs;
use std::sync::{Arc, Barrier};
use std::thread;

use keepfast_engine::EngineError;
use keepfast_engine::check::{CheckOptions, ReadData, check};
use keepfast_format::ids::SlotId;
use keepfast_format::names;
use keepfast_format::slot::KeySlot;
use keepfast_operations::OperationsError;
use keepfast_operations::open::{Access, Mode, SharedRepository, Target};
use keepfast_operations::remark::Remark;
use keepfast_testkit::tree;

use crate::desk::{COST, Desk, back_up, run};

fn write(desk: &Desk, folder: &str, seed: u64) {
    for file in 0..4 {
        tree::write(desk.path(folder).join(file.to_string()), tree::noise(seed * 10 + file, 300_000));
    }
}

#[test]
fn two_runs_at_once_unlock_once_and_share_one_index() {
    let desk = Desk::new();
    write(&desk, "a", 1);
    write(&desk, "b", 2);
    let (shared, together) = (desk.shared(), Barrier::new(2));
    thread::scope(|scope| {
        for folder in ["a", "b"] {
            let (desk, shared, together) = (&desk, &shared, &together);
            scope.spawn(move || {
                for _ in 0..3 {
                    together.wait();
                    assert!(back_up(shared, &desk.path(folder)).unwrap().snapshot.is_some());
                }
            });
        }
    });
    assert_eq!(desk.asked(), 1, "the password was asked for more than once");
    assert_eq!(desk.index_folders(), ["index-0"]);
    let run = run();
    let opened = shared.open(&run, Mode::Afresh).unwrap();
    assert_eq!(opened.snapshots.all.len(), 6);
    assert!(Arc::ptr_eq(&opened.index, &shared.open(&run, Mode::Usual).unwrap().index));
    let options = CheckOptions { read: ReadData::All };
    let report = check(&opened.repository, &opened.index, &opened.snapshots, &options, &run).unwrap();
    assert_eq!((report.findings, report.files), (0, 8));
    assert_eq!(*desk.remarks.lock().unwrap(), []);
}

#[test]
fn a_key_slot_that_was_removed_opens_nothing_any_more_and_another_one_takes_its_place() {
    let desk = Desk::new();
    let shared = desk.shared();
    let repository = shared.repository(&run(), Mode::Usual).unwrap();
    let mut slots = Vec::new();
    let backend = shared.backend(&run());
    backend.list(names::KEYS, &mut |listed| slots.push(listed.name)).unwrap();
    slots.retain(|name| names::parse_slot(name).is_some());
    let new =
        KeySlot::wrap(repository.identity(), repository.id(), b"another", COST, [1; 16], [2; 24]).unwrap();
    backend.create(&names::slot(SlotId::of(&new)).to_string(), &[&new]).unwrap();
    slots.iter().for_each(|name| backend.remove(name).unwrap());
    // The old password is still what the command prints.
    let refused = shared.repository(&run(), Mode::Usual).map(|_| ()).unwrap_err();
    assert!(matches!(refused.engine(), Some(EngineError::WrongPassword { .. })), "{refused}");
    fs::write(desk.path("password"), "another").unwrap();
    for _ in 0..2 {
        shared.repository(&run(), Mode::Usual).unwrap();
    }
    assert_eq!(desk.asked(), 3);
}

/// An index that knows more than the store has is of no use to a process that goes on for weeks.
#[test]
fn a_repository_that_was_set_back_gets_another_index_while_a_run_uses_the_old_one() {
    let desk = Desk::new();
    write(&desk, "a", 1);
    let shared = desk.shared();
    back_up(&shared, &desk.path("a")).unwrap();
    desk.copy("repository", "earlier");
    write(&desk, "a", 2);
    back_up(&shared, &desk.path("a")).unwrap();
    let before = shared.open(&run(), Mode::Usual).unwrap();
    desk.copy("earlier", "repository");
    let after = shared.open(&run(), Mode::Usual).unwrap();
    assert!(!Arc::ptr_eq(&before.index, &after.index));
    assert_eq!((before.snapshots.all.len(), after.snapshots.all.len()), (2, 1));
    assert!(matches!(desk.remarks.lock().unwrap()[..], [Remark::Older(_)]), "{:?}", desk.remarks);
    drop(before);
    back_up(&shared, &desk.path("a")).unwrap();
    assert!(Arc::ptr_eq(&after.index, &shared.open(&run(), Mode::Usual).unwrap().index));
}

#[test]
fn a_doubtful_index_is_opened_again_as_soon_as_no_other_run_uses_it() {
    let desk = Desk::new();
    write(&desk, "a", 1);
    back_up(&desk.shared(), &desk.path("a")).unwrap();
    desk.copy("repository/index", "kept");
    fs::remove_dir_all(desk.path("repository/index")).unwrap();
    let shared = desk.shared();
    let doubtful = shared.open(&run(), Mode::Usual).unwrap();
    assert!(doubtful.index.is_doubtful());
    desk.copy("kept", "repository/index");
    assert!(Arc::ptr_eq(&doubtful.index, &shared.open(&run(), Mode::Usual).unwrap().index));
    drop(doubtful);
    assert!(!shared.open(&run(), Mode::Usual).unwrap().index.is_doubtful());
}

#[test]
fn without_a_cache_nothing_is_kept_and_without_a_password_nothing_is_opened() {
    let desk = Desk::new();
    write(&desk, "a", 1);
    let kept = desk.shared();
    let target = Target { cache: None, ..kept.target().clone() };
    let shared = SharedRepository::connect(target.clone(), Access::default()).unwrap();
    for _ in 0..2 {
        back_up(&shared, &desk.path("a")).unwrap();
    }
    assert!(!desk.path("cache").exists());
    assert_eq!(shared.open(&run(), Mode::Usual).unwrap().snapshots.all.len(), 2);
    let text = serde_json::to_string(&target).unwrap();
    assert_eq!(serde_json::from_str::<Target>(&text).unwrap(), target);
    let silent = Target { password: None, ..target };
    let silent = SharedRepository::connect(silent, Access::default()).unwrap();
    let error = silent.repository(&run(), Mode::Usual).map(|_| ()).unwrap_err();
    assert!(matches!(error, OperationsError::Secret(_)) && error.is_wrong_input(), "{error}");
}
