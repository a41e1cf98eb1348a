//! What can't be read for the moment, which is no damage: no one is told to give anything up for it.

use std::io::ErrorKind;
use std::sync::{Arc, Mutex};

use keepfast_backend::{Backend, Operation};
use keepfast_engine::check::{CheckOptions, ReadData, check as engine_check};
use keepfast_format::names;
use keepfast_testkit::{Crafter, Ear, HookedBackend, Lab, Opened, tree};

use super::odds::{check, small_lab};

/// A store that lets no one read one pack: the largest, which has the data, or the other.
fn shut(lab: &Lab, data: bool, kind: ErrorKind) -> (String, Arc<dyn Backend>) {
    let mut packs = Crafter::of(lab).names(names::PACKS);
    packs.sort_by_key(|name| lab.backend.read(name, u64::MAX).map_or(0, |bytes| bytes.len()));
    let pack = if data { packs.pop() } else { packs.into_iter().next() }.expect("there is a pack");
    let name = pack.clone();
    let store = HookedBackend::new(Arc::clone(&lab.backend), move |_, operation, asked| {
        (operation == Operation::Read && asked == name).then_some(kind)
    });
    (pack, store)
}

/// A pack that may not be read, or can't be reached, is no damage: it is reported as what it is, and so
/// are the files in it. Once it can be read again, all is well.
#[test]
fn a_pack_that_cant_be_read_is_unreachable_and_not_damaged() {
    for (data, kind) in [
        (true, ErrorKind::PermissionDenied),
        (true, ErrorKind::ConnectionAborted),
        (false, ErrorKind::PermissionDenied),
    ] {
        let mut lab = small_lab();
        let honest = Arc::clone(&lab.backend);
        let (pack, store) = shut(&lab, data, kind);
        lab.backend = store;
        let (report, ear) = check(&lab);
        assert_eq!((report.findings, report.files_hit), (0, 0), "{:#?}", ear.findings());
        let unreachable = ear.unreachable();
        assert!(unreachable.iter().any(|line| line.starts_with(&format!("{pack}: "))), "{unreachable:#?}");
        assert!(unreachable.iter().any(|line| line.starts_with("snapshot ")), "{unreachable:#?}");
        assert!(report.files_unreachable > 0, "{report:?}");
        let all = unreachable.join("\n");
        assert!(!all.contains("forget") && !all.contains("damaged"), "{all}");

        // A prune says why it can't go on, and gives no other advice.
        let error = lab.prune_with_cache(&lab.cache, &Ear::default(), |_| {});
        if let Err(error) = error {
            assert!(error.is_unreachable() && !error.to_string().contains("forget"), "{error}");
        }
        if data {
            let (target, ear) = (lab.fresh_target(), Ear::default());
            let report = lab.try_restore("latest", &ear, |options| options.target.clone_from(&target));
            assert!(report.expect("the restore runs").troubles.skipped > 0);
            assert!(
                ear.skipped().iter().all(|line| line.contains("restore it again")),
                "{:#?}",
                ear.skipped()
            );
        }
        lab.backend = honest;
        lab.assert_sound();
    }
}

/// A directory that can't be read when its turn comes, and a moment later can: what is below it is looked
/// at then.
#[test]
fn what_is_below_a_directory_that_could_not_be_read_for_a_moment_is_checked() {
    let mut lab = small_lab();
    let mut packs = Crafter::of(&lab).names(names::PACKS);
    packs.sort_by_key(|name| lab.backend.read(name, u64::MAX).map_or(0, |bytes| bytes.len()));
    let [metadata, data] = &packs[..] else { panic!("one pack of each kind: {packs:?}") };
    lab.backend.remove(data).expect("it can be removed");
    let (metadata, failures) = (metadata.clone(), Arc::new(Mutex::new(0)));
    let counted = Arc::clone(&failures);
    lab.backend = HookedBackend::new(Arc::clone(&lab.backend), move |_, operation, name| {
        let mut failures = counted.lock().expect("no panic");
        let fails = operation == Operation::Read && name == metadata && *failures == 0;
        *failures += u32::from(fails);
        fails.then_some(ErrorKind::PermissionDenied)
    });
    let Opened { repository, snapshots, index } = lab.open();
    let (options, ear) = (CheckOptions { read: ReadData::No }, Ear::default());
    let report = engine_check(&repository, &index, &snapshots, &options, &ear).expect("the check runs");
    assert_eq!(*failures.lock().expect("no panic"), 1, "it failed once");
    assert_eq!((report.files_hit, report.files_unreachable), (2, 0), "{:#?}", ear.findings());
}

/// A store far away that answers nothing any more ends a check: each object would take minutes.
#[test]
fn a_store_that_is_away_ends_a_check() {
    let mut lab = Lab::with(|source| {
        for n in 0..40 {
            tree::write(source.join(n.to_string()), tree::noise(n, 1_000_000));
        }
    });
    lab.backup();
    let reads = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&reads);
    lab.backend = HookedBackend::far(Arc::clone(&lab.backend), move |_, operation, name| {
        let fails = operation == Operation::Read && name.starts_with(names::PACKS);
        *counted.lock().expect("no panic") += u32::from(fails);
        fails.then_some(ErrorKind::ConnectionAborted)
    });
    let error = lab.try_check(&Ear::default()).expect_err("it is of no use to go on");
    assert!(error.is_unreachable(), "{error}");
    assert!(*reads.lock().expect("no panic") < 8, "it went on");
}
