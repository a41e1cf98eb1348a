//! Checks and prunes of real repositories.

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::PoisonError;

use jiff::Timestamp;
use keepfast_config::config::Config;
use keepfast_operations::open::SharedRepository;
use keepfast_operations::requests::{Backup, CIRCLE, Forget, ForgetWhich, NamedSnapshots, backup, forget};
use keepfast_operations::sources::PathSources;
use keepfast_testkit::tree;

use super::rolling::Readings;
use super::{
    CheckWork, UpkeepReport, carry_out_check, carry_out_prune, check_work, prune_work, quota, readings_of,
};
use crate::testing::repository::{Desk, Heard, config, run};
use crate::work::record::Step;
use crate::work::report::Verdict;

const MIB: usize = 1 << 20;

fn back_up(desk: &Desk, shared: &SharedRepository, seed: u64, bytes: usize) -> String {
    let source = desk.path("source");
    tree::write(source.join("file"), tree::noise(seed, bytes));
    let request = Backup {
        sources: PathSources { paths: vec![source], ..PathSources::default() },
        tags: vec!["plan:www".to_owned()],
        ..Backup::default()
    };
    backup(&request, shared, &run()).expect("a backup").snapshot.expect("a snapshot").id
}

fn work(config: &Config, readings: Readings) -> CheckWork {
    let definition = &config.repositories["main"];
    check_work(config, definition, readings, Timestamp::now())
        .expect("a schedule")
        .expect("it is to be checked")
}

fn checked(config: &Config, shared: &SharedRepository, readings: Readings) -> UpkeepReport {
    carry_out_check(&work(config, readings), shared, &run(), &Heard::default())
}

/// The packs of the repository that are at least this large.
fn packs(desk: &Desk, bytes: u64) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![desk.path("repository/packs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry")) {
            let about = entry.metadata().expect("it is there");
            if about.is_dir() {
                folders.push(entry.path());
            } else if about.len() >= bytes {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn checks_read_everything_part_by_part_and_find_what_rots() {
    let desk = Desk::new();
    let config = config(&desk.repository("check = { cron = \"0 4 * * 6\", read_data = \"25%\" }"));
    let shared = desk.shared(&config);
    back_up(&desk, &shared, 1, 20 * MIB);
    let (mut readings, mut read) = (Readings::default(), 0);
    for part in 0..4 {
        let report = checked(&config, &shared, readings);
        let check = report.check.as_ref().expect("it is done");
        assert_eq!((report.verdict, check.findings), (Verdict::Ok, 0));
        assert!(check.packs_read < check.packs, "a part: {} of {}", check.packs_read, check.packs);
        read += check.packs_read;
        let part_read = report.read.as_ref().expect("it has read a part");
        assert_eq!(part_read.length, CIRCLE / 4);
        assert_eq!(part_read.all_read_since.is_some(), part == 3);
        if part == 3 {
            assert_eq!(read, check.packs, "each pack was read once");
        }
        // By the state, where it is a document.
        readings = readings_of(&serde_json::to_value(&report).expect("a document"));
        assert_eq!(Some(&readings), report.readings.as_ref());
    }
    let rotten = &packs(&desk, 3 << 20)[0];
    fs::set_permissions(rotten, Permissions::from_mode(0o600)).expect("it is ours");
    let file = fs::File::options().read(true).write(true).open(rotten).expect("it can be opened");
    let mut byte = [0];
    file.read_exact_at(&mut byte, 2 << 20).expect("it is that long");
    file.write_all_at(&[!byte[0]], 2 << 20).expect("it can be written");
    let mut verdicts = Vec::new();
    for _ in 0..4 {
        let report = checked(&config, &shared, readings);
        readings = report.readings.expect("it was a check");
        verdicts.push((report.verdict, report.findings > 0));
    }
    verdicts.sort_by_key(|(_, is_found)| *is_found);
    assert_eq!(verdicts[2..], [(Verdict::Ok, false), (Verdict::Findings, true)], "one of four parts has it");
}

#[test]
fn a_time_within_which_everything_is_read_asks_for_all_if_checks_are_rare() {
    let desk = Desk::new();
    let keys = "check = { cron = \"0 4 1 1 *\", read_data = \"5%\", full_within = \"90d\" }";
    let config = config(&desk.repository(keys));
    let shared = desk.shared(&config);
    back_up(&desk, &shared, 1, MIB);
    let next = Timestamp::now().checked_add(jiff::SignedDuration::from_hours(24 * 200)).expect("it is soon");
    let work = CheckWork { next, ..work(&config, Readings::default()) };
    let heard = Heard::default();
    let report = carry_out_check(&work, &shared, &run(), &heard);
    let (check, read) = (report.check.expect("it is done"), report.read.expect("it has read"));
    assert_eq!((check.packs_read, read.bytes_read), (check.packs, read.bytes_all));
    assert!(read.all_read_since.is_some());
    assert_eq!(*heard.steps.lock().unwrap_or_else(PoisonError::into_inner), [Step::Check]);
    let lines = heard.lines.lock().unwrap_or_else(PoisonError::into_inner).join("\n");
    assert!(lines.contains("100.0% of the packs") && lines.contains("all have been read since"), "{lines}");
}

#[test]
fn a_check_that_is_cancelled_or_fails_hands_on_what_was_read_before() {
    let desk = Desk::new();
    let config = config(&desk.repository("check = { cron = \"0 4 * * 6\", read_data = \"50%\" }"));
    let shared = desk.shared(&config);
    back_up(&desk, &shared, 1, MIB);
    let before = checked(&config, &shared, Readings::default()).readings.expect("it was a check");
    let cancelled = run();
    cancelled.cancel().cancel();
    let report = carry_out_check(&work(&config, before.clone()), &shared, &cancelled, &Heard::default());
    assert_eq!((report.verdict, report.readings.as_ref()), (Verdict::Cancelled, Some(&before)));
    fs::remove_dir_all(desk.path("repository")).expect("it can be removed");
    let report = checked(&config, &shared, before.clone());
    assert_eq!((report.verdict, report.readings), (Verdict::Failed, Some(before)));
    assert!(report.error.is_some() && report.failure.is_some() && report.check.is_none());
}

#[test]
fn a_prune_is_a_run_and_quotas_see_what_it_frees() {
    let desk = Desk::new();
    let config = config(&format!(
        "{}[project.shop]\nquota = {{ size = \"2MiB\" }}\n[plan.www]\nproject = \"shop\"\nrepository = \"main\"\n\
         source = [{{ files = [\"/srv\"] }}]\n",
        desk.repository(
            "prune = { cron = \"0 5 * * 0\", max_unused = \"0%\", session_timeout = \"0s\" }\n\
                         quota = { size = \"4MiB\" }"
        )
    ));
    let shared = desk.shared(&config);
    let old = back_up(&desk, &shared, 1, 3 * MIB);
    back_up(&desk, &shared, 2, MIB + MIB / 2);
    let definition = &config.repositories["main"];
    let of_repository =
        || quota::of_repository(definition, &shared, &run()).expect("sums").expect("it has a quota");
    let of_project = || {
        let mut open = |name: &str| {
            assert_eq!(name, "main");
            Ok(desk.shared(&config))
        };
        quota::of_project(&config, "shop", &mut open, &run()).expect("sums").expect("it has a quota")
    };
    assert_eq!(
        [of_repository(), of_project()].map(|quota| quota.problem.map(|problem| problem.is_over)),
        [Some(true), Some(true)]
    );
    let which = NamedSnapshots { ids: vec![old], ..NamedSnapshots::default() };
    forget(&Forget { which: ForgetWhich::Named(which), dry_run: false }, &shared, &run())
        .expect("it is forgotten");
    assert!(of_repository().problem.is_some(), "forgetting frees nothing");
    assert!(of_project().problem.is_none(), "what is forgotten isn't the project's any more");
    let heard = Heard::default();
    let report =
        carry_out_prune(&prune_work(definition).expect("it is to be pruned"), &shared, &run(), &heard);
    let prune = report.prune.as_ref().expect("it is done");
    assert_eq!((report.verdict, report.readings.is_none()), (Verdict::Ok, true));
    assert!(prune.packs_removed > 0 && prune.bytes_removed > 2 * MIB as u64);
    assert_eq!(*heard.steps.lock().unwrap_or_else(PoisonError::into_inner), [Step::Prune]);
    let left = of_repository();
    assert_eq!(left.problem, None, "{left:?}");
    assert!(left.used_bytes > MIB as u64 && left.used_bytes < 2 * MIB as u64, "{left:?}");
}
