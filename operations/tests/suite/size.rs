//! Retention by size, on a real repository: what is said to be needed is what is stored after a prune.

use std::fs;

use keepfast_engine::prune::UnusedLimit;
use keepfast_engine::retention::{GroupBy, Policy};
use keepfast_operations::OperationsError;
use keepfast_operations::brake::Brake;
use keepfast_operations::choose::Filter;
use keepfast_operations::open::SharedRepository;
use keepfast_operations::reports::{DecisionsReport, ForgetReport, VerdictDocument};
use keepfast_operations::requests::{
    Backup, Forget, ForgetWhich, Freed, NamedSnapshots, Protect, Prune, Retention, Stats, backup, forget,
    freed, protect, prune, stats,
};
use keepfast_operations::sources::PathSources;
use keepfast_testkit::tree;

use crate::desk::{Desk, run};

const FILE_BYTES: usize = 100_000;
/// What each snapshot has: files that come, stay and go again, and one that all have.
const FILES: [&[u32]; 6] = [&[0, 1, 2], &[0, 2, 3], &[0, 3], &[0, 3, 4, 5], &[0, 5], &[0, 5, 6]];

fn retention(max_bytes: u64) -> Retention {
    Retention {
        filter: Filter { tags: vec!["plan:a".to_owned()], ..Filter::default() },
        keep: Policy { max_bytes: Some(max_bytes), at_least: 2, ..Policy::default() },
        group_by: GroupBy::default(),
        ..Retention::default()
    }
}

fn asked(shared: &SharedRepository, retention: Retention, dry_run: bool) -> DecisionsReport {
    let request = Forget { which: ForgetWhich::ByPolicy(Box::new(retention)), dry_run };
    match forget(&request, shared, &run()).unwrap() {
        ForgetReport::ByPolicy(report) => report,
        ForgetReport::Named(_) => unreachable!("it is by policy"),
    }
}

/// The ids of those that stay and of those that go, oldest first.
fn parted(report: &DecisionsReport) -> (Vec<String>, Vec<String>) {
    let all = report.groups.iter().flat_map(|group| &group.snapshots);
    let (stays, goes): (Vec<_>, Vec<_>) = all.partition(|one| one.verdict == VerdictDocument::Keep);
    let ids = |of: Vec<&keepfast_operations::reports::DecisionDocument>| {
        of.iter().map(|one| one.id.clone()).collect::<Vec<_>>()
    };
    (ids(stays), ids(goes))
}

fn made(desk: &Desk, shared: &SharedRepository) -> Vec<String> {
    let source = desk.path("source");
    let back_up = |files: &[u32], label: &str| {
        let _ = fs::remove_dir_all(&source);
        for file in files {
            tree::write(source.join(format!("file {file}")), tree::noise(u64::from(*file), FILE_BYTES));
        }
        let request = Backup {
            sources: PathSources { paths: vec![source.clone()], ..PathSources::default() },
            tags: vec![label.to_owned()],
            ..Backup::default()
        };
        backup(&request, shared, &run()).unwrap().snapshot.unwrap().id
    };
    // Another plan's snapshot has a file that the first one of this plan has too: it counts all the same.
    back_up(&[1, 9], "plan:b");
    FILES.map(|files| back_up(files, "plan:a")).to_vec()
}

#[test]
fn what_stays_fits_or_nothing_more_may_go_whatever_the_limit_is() {
    let desk = Desk::new();
    let shared = desk.shared();
    let ids = made(&desk, &shared);
    let which = NamedSnapshots { ids: vec![ids[2].clone()], ..NamedSnapshots::default() };
    protect(&Protect { which, protected: true, dry_run: false }, &shared, &run()).unwrap();
    let all = asked(&shared, retention(u64::MAX), true).size.unwrap().bytes;
    let least = 7 * FILE_BYTES as u64;
    assert!((least..least + least / 10).contains(&all), "seven files that don't compress: {all}");
    let could_go = [&ids[..2], &ids[3..4]].concat();
    let mut seen = Vec::new();
    for limit in (0..=all + 20_000).step_by(20_000) {
        let report = asked(&shared, retention(limit), true);
        let (stays, goes) = parted(&report);
        let size = report.size.unwrap();
        assert!(size.bytes <= limit || goes == could_go, "{limit}: {size:?}");
        assert_eq!(goes, could_go[..goes.len()], "the oldest, and none that has to stay");
        assert_eq!(stays.len() + goes.len(), ids.len());
        if let Some(last) = goes.last() {
            // Measured in the other direction: what would be freed if it went after the older ones.
            let freed = |ids: &[String]| {
                let freed = freed(&Freed { ids: ids.to_vec() }, &shared, &run());
                freed.map_or(0, |freed| freed.bytes_stored)
            };
            let before = &goes[..goes.len() - 1];
            let others = if before.is_empty() { 0 } else { freed(before) };
            let it_alone = freed(&goes) - others;
            // What another plan has as well is not freed by forgetting it here, and counts here.
            let shared_file = if *last == ids[0] { FILE_BYTES as u64 + 2_000 } else { 0 };
            assert!(
                size.bytes + it_alone + shared_file + 100 > limit,
                "{last} need not have gone for {limit}"
            );
        }
        seen.push(goes.len());
    }
    seen.dedup();
    assert_eq!(seen, [3, 2, 1, 0], "the larger the limit, the fewer go");
}

#[test]
fn after_a_prune_no_more_is_stored_than_the_limit_says() {
    let desk = Desk::new();
    let shared = desk.shared();
    let ids = made(&desk, &shared);
    let limit = 5 * FILE_BYTES as u64 + 60_000;
    let report = asked(&shared, retention(limit), false);
    let (stays, goes) = parted(&report);
    assert_eq!((goes.len(), stays), (2, ids[2..].to_vec()), "file 2 would be the sixth");
    let reason = &report.groups[0].snapshots[0].reasons[0];
    assert_eq!((reason.rule.as_str(), reason.text.starts_with("size: with it, more")), ("size", true));
    let which = NamedSnapshots {
        ids: vec!["latest".to_owned()],
        filter: Filter { tags: vec!["plan:b".to_owned()], ..Filter::default() },
    };
    forget(&Forget { which: ForgetWhich::Named(which), dry_run: false }, &shared, &run()).unwrap();
    let tight = Prune { max_unused: UnusedLimit::Bytes(0), session_timeout_s: 0, ..Prune::default() };
    prune(&tight, &shared, &run()).unwrap();
    let unique = stats(&Stats {}, &shared, &run()).unwrap().bytes_unique;
    assert_eq!(unique, 5 * FILE_BYTES as u64);
}

#[test]
fn the_brake_holds_for_a_limit_too() {
    let desk = Desk::new();
    let shared = desk.shared();
    made(&desk, &shared);
    let braked = Retention { max_removed: Some(Brake::Percent(50)), ..retention(0) };
    let request = Forget { which: ForgetWhich::ByPolicy(Box::new(braked)), dry_run: false };
    let error = forget(&request, &shared, &run()).unwrap_err();
    assert!(matches!(error, OperationsError::Brake { going: 4, all: 6, .. }), "{error}");
}
