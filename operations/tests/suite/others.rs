//! What a server does with a repository besides backing up and restoring: nothing of it needs the program.

use std::fs;
use std::ops::ControlFlow;
use std::path::PathBuf;

use keepfast_engine::EngineError;
use keepfast_engine::edit::LabelChange;
use keepfast_engine::retention::{Count, Policy, PolicyError};
use keepfast_operations::OperationsError;
use keepfast_operations::choose::{Choice, Filter};
use keepfast_operations::error::{ChoiceError, PlaceError, TextError};
use keepfast_operations::open::{Access, SharedRepository, Target};
use keepfast_operations::place::{Place, S3Settings};
use keepfast_operations::reports::{ForgetReport, RewrittenSnapshot, VerdictDocument};
use keepfast_operations::requests::{
    Accept, Backup, Cache, CacheAction, Doctor, Dump, Forget, ForgetWhich, Freed, Init, ListEntries,
    ListSnapshots, NamedSnapshots, Protect, Retention, Rewrite, Stats, Tag, Undelete, accept, backup, cache,
    doctor, dump, forget, freed, init, list_entries, list_entries_with, list_snapshots, protect, rewrite,
    rewrite_with, stats, tag, undelete,
};
use keepfast_operations::resources::Resources;
use keepfast_operations::secret::SecretSource;
use keepfast_operations::sources::PathSources;
use keepfast_testkit::tree;

use crate::desk::{Desk, run};

fn back_up(desk: &Desk, shared: &SharedRepository, host: &str) -> String {
    let sources = PathSources { paths: vec![desk.path("source")], ..PathSources::default() };
    let request = Backup { sources, host: Some(host.to_owned()), ..Backup::default() };
    backup(&request, shared, &run()).unwrap().snapshot.unwrap().id
}

fn listed(shared: &SharedRepository) -> Vec<String> {
    let report = list_snapshots(&ListSnapshots::default(), shared, &run()).unwrap();
    report.snapshots.into_iter().map(|one| one.snapshot.id).collect()
}

fn of_host(host: &str) -> Filter {
    Filter { host: Some(host.to_owned()), ..Filter::default() }
}

fn named(ids: &[&str]) -> NamedSnapshots {
    NamedSnapshots { ids: ids.iter().map(|id| (*id).to_owned()).collect(), ..NamedSnapshots::default() }
}

#[test]
fn a_policy_says_why_each_snapshot_stays_or_goes_and_a_dry_run_forgets_none() {
    let desk = Desk::new();
    tree::write(desk.path("source/file"), "content");
    let shared = desk.shared();
    let old = back_up(&desk, &shared, "web");
    let new = back_up(&desk, &shared, "web");
    let other = back_up(&desk, &shared, "db");
    let retention = |number| Retention {
        filter: of_host("web"),
        keep: Policy { last: Some(Count::Number(number)), ..Policy::default() },
        ..Retention::default()
    };
    let request =
        |number, dry_run| Forget { which: ForgetWhich::ByPolicy(Box::new(retention(number))), dry_run };
    for dry_run in [true, false] {
        let report = forget(&request(1, dry_run), &shared, &run()).unwrap();
        assert_eq!(report.forgotten(), 1);
        let ForgetReport::ByPolicy(report) = report else { panic!("{report:?}") };
        let [group] = &report.groups[..] else { panic!("{report:?}") };
        let verdicts = group.snapshots.iter().map(|one| (one.id.as_str(), one.verdict));
        let expected = [(old.as_str(), VerdictDocument::Forget), (new.as_str(), VerdictDocument::Keep)];
        assert!(verdicts.eq(expected), "{group:?}");
        assert_eq!(group.snapshots[0].reasons[0].text, "last: 1 is newer");
        let left = if dry_run {
            vec![old.clone(), new.clone(), other.clone()]
        } else {
            vec![new.clone(), other.clone()]
        };
        assert_eq!(listed(&shared), left);
    }
    let nothing = forget(&request(0, false), &shared, &run()).unwrap_err();
    assert!(matches!(nothing, OperationsError::Policy(PolicyError::Empty)) && nothing.is_wrong_input());

    // What is forgotten can come back, until a prune.
    let forgotten = ListSnapshots { forgotten: true, ..ListSnapshots::default() };
    let report = list_snapshots(&forgotten, &shared, &run()).unwrap();
    assert_eq!(report.snapshots[0].snapshot.id, old);
    let report = undelete(&Undelete { ids: vec![old[..8].to_owned()] }, &shared, &run()).unwrap();
    assert_eq!((report.snapshots.len(), &report.snapshots[0].forgotten), (1, &old));
    assert!(listed(&shared).contains(&report.snapshots[0].snapshot.id));

    // `latest` is the latest of what the filter lets through.
    let which = ForgetWhich::Named(NamedSnapshots { filter: of_host("db"), ..named(&["latest"]) });
    let report = forget(&Forget { which, dry_run: false }, &shared, &run()).unwrap();
    let ForgetReport::Named(report) = report else { panic!("{report:?}") };
    assert_eq!(report.ids, [other]);
}

#[test]
fn a_protected_snapshot_stays_until_that_is_ended() {
    let desk = Desk::new();
    tree::write(desk.path("source/file"), "content");
    let shared = desk.shared();
    let id = back_up(&desk, &shared, "web");
    let set = |protected| {
        let request = Protect { which: named(&[&id]), protected, dry_run: false };
        protect(&request, &shared, &run()).unwrap()
    };
    let gone = || {
        let which = ForgetWhich::Named(named(&[&id]));
        forget(&Forget { which, dry_run: false }, &shared, &run())
    };
    assert_eq!((set(true).ids, set(true).what.word()), (vec![id.clone()], "protected"));
    let report = list_snapshots(&ListSnapshots::default(), &shared, &run()).unwrap();
    assert!(report.snapshots[0].protected && !report.snapshots[0].is_ahead);
    let refused = gone().unwrap_err();
    assert!(matches!(refused.engine(), Some(EngineError::Protected { .. })), "{refused}");
    set(false);
    assert_eq!(gone().unwrap().forgotten(), 1);
    assert!(listed(&shared).is_empty());
}

#[test]
fn snapshots_get_other_labels_and_lose_files() {
    let desk = Desk::new();
    tree::write(desk.path("source/keep"), "content");
    tree::write(desk.path("source/drop.o"), tree::noise(1, 5_000));
    let shared = desk.shared();
    let id = back_up(&desk, &shared, "web");
    let choice = Choice { filter: of_host("web"), ..Choice::default() };
    let change = LabelChange::Set(vec!["kept".to_owned()]);
    let request = Tag { choice: choice.clone(), change, resources: Resources::default() };
    let report = tag(&request, &shared, &run()).unwrap();
    assert!(report.snapshots[0].id == id && report.snapshots[0].changed);
    assert_eq!(report.snapshots[0].snapshot.as_ref().unwrap().tags, ["kept"]);
    assert!(!tag(&request, &shared, &run()).unwrap().snapshots[0].changed, "it has them already");

    let request =
        Rewrite { choice, exclude: vec!["*.o".into()], forget: true, dry_run: true, ..Rewrite::default() };
    let before = listed(&shared);
    let report = rewrite(&request, &shared, &run()).unwrap();
    assert_eq!((report.snapshots[0].removed.files, report.snapshots[0].removed.bytes), (1, 5_000));
    assert!(report.snapshots[0].snapshot.is_none());
    assert_eq!(listed(&shared), before);
    let mut told = Vec::new();
    let mut tell = |done: &RewrittenSnapshot| told.push(done.clone());
    let request = Rewrite { dry_run: false, ..request };
    let report = rewrite_with(&request, &mut tell, &shared, &run()).unwrap();
    assert_eq!(told, report.snapshots);
    assert_eq!(listed(&shared), [report.snapshots[0].snapshot.clone().unwrap().id]);
    let path = desk.path("source");
    let request = ListEntries { path, ..ListEntries::default() };
    let entries = list_entries(&request, &shared, &run()).unwrap().entries;
    let names: Vec<PathBuf> = entries.iter().map(|entry| PathBuf::from(&entry.path)).collect();
    assert_eq!(names, [desk.path("source/keep")]);
}

#[test]
fn what_says_nothing_is_refused_before_anything_is_opened() {
    let desk = Desk::new();
    let (shared, run) = (desk.shared(), run());
    let nothing = |error: OperationsError| {
        assert!(matches!(error, OperationsError::Choice(ChoiceError::NothingSaid)), "{error}");
        assert!(error.is_wrong_input());
    };
    nothing(rewrite(&Rewrite::default(), &shared, &run).unwrap_err());
    nothing(undelete(&Undelete { ids: Vec::new() }, &shared, &run).unwrap_err());
    nothing(freed(&Freed { ids: Vec::new() }, &shared, &run).unwrap_err());
    let choice = Choice { ids: vec!["latest".to_owned()], ..Choice::default() };
    let error = rewrite(&Rewrite { choice, ..Rewrite::default() }, &shared, &run).unwrap_err();
    assert!(matches!(error, OperationsError::Text(TextError::NoPattern)), "{error}");
    assert_eq!(desk.asked(), 0);
    let which = ForgetWhich::Named(NamedSnapshots { filter: of_host("web"), ..NamedSnapshots::default() });
    nothing(forget(&Forget { which, dry_run: false }, &shared, &run).unwrap_err());
}

#[test]
fn contents_are_listed_as_far_as_they_are_wanted_and_written_out() {
    let desk = Desk::new();
    for name in ["a", "b", "c"] {
        tree::write(desk.path("source").join(name), name.repeat(3));
    }
    let shared = desk.shared();
    let id = back_up(&desk, &shared, "web");
    let request = ListEntries { path: desk.path("source"), recursive: true, ..ListEntries::default() };
    let report = list_entries(&request, &shared, &run()).unwrap();
    assert_eq!((report.snapshot, report.entries.len()), (id.clone(), 3));
    assert_eq!(report.entries[1].size, Some(3));
    let mut seen = 0;
    let mut two = |_| {
        seen += 1;
        if seen == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let report = list_entries_with(&request, &mut two, &shared, &run()).unwrap();
    assert_eq!((seen, report.entries.len()), (2, 0));

    let request = |path| Dump {
        snapshot: "latest".to_owned(),
        filter: Filter::default(),
        path,
        resources: Resources::default(),
    };
    let mut out = Vec::new();
    let report = dump(&request(desk.path("source/b")), &mut out, &shared, &run()).unwrap();
    assert_eq!((report.snapshot, report.bytes, out), (id, 3, b"bbb".to_vec()));
    let error = dump(&request(desk.path("source/x")), &mut Vec::new(), &shared, &run()).unwrap_err();
    assert!(matches!(error.engine(), Some(EngineError::NotInSnapshot { .. })), "{error}");
}

#[test]
fn sums_and_the_cache_are_told_and_the_doctor_finds_all_well() {
    let desk = Desk::new();
    tree::write(desk.path("source/file"), tree::noise(1, 100_000));
    let shared = desk.shared();
    let id = back_up(&desk, &shared, "web");
    let sums = stats(&Stats {}, &shared, &run()).unwrap();
    assert_eq!((sums.snapshots, sums.bytes_total, sums.packs_unlisted), (1, 100_000, 0));
    let report = freed(&Freed { ids: vec![id] }, &shared, &run()).unwrap();
    assert_eq!(report.snapshots, 1);
    assert!(report.bytes >= 100_000 && report.bytes_in_whole_packs > 0, "{report:?}");

    let describe = Cache { action: CacheAction::Describe, directory: None };
    let report = cache(&describe, &shared, &run()).unwrap();
    assert!(report.folders.iter().any(|folder| folder.path.ends_with("index-0")), "{report:?}");
    let report = accept(&Accept::default(), &shared, &run()).unwrap();
    assert_eq!((report.snapshots, report.config), (1, 0));
    let target = Target { cache: None, ..shared.target().clone() };
    let without = SharedRepository::connect(target, Access::default()).unwrap();
    let error = cache(&describe, &without, &run()).unwrap_err();
    assert!(matches!(error, OperationsError::NoCache) && error.is_wrong_input(), "{error}");

    let report = doctor(&Doctor {}, &shared, &run()).unwrap();
    let found = report.repository.as_ref().unwrap();
    assert_eq!((found.snapshots, found.snapshots_damaged, report.is_well()), (1, 0, true));
    tree::write(desk.path("repository/config/00000001"), "junk");
    let report = doctor(&Doctor {}, &shared, &run()).unwrap();
    assert_eq!(report.repository.as_ref().unwrap().strange[0].object, "config/00000001");
    assert!(!report.is_well());
}

#[test]
fn a_repository_is_made_once_with_the_password_from_where_it_will_be() {
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    let place = Place::of_directory(&folder.path().join("repository"));
    let target = Target::new(place, SecretSource::File(password.clone()));
    let target = Target { cache: Some(folder.path().join("cache")), ..target };
    let shared = SharedRepository::connect(target, Access::default()).unwrap();
    assert!(doctor(&Doctor {}, &shared, &run()).unwrap().repository.is_none());
    let error = init(&Init::default(), &shared, &run()).unwrap_err();
    assert!(matches!(error, OperationsError::Secret(_)), "{error}");
    assert!(!folder.path().join("repository/config").exists());
    fs::write(&password, "correct horse").unwrap();
    let report = init(&Init::default(), &shared, &run()).unwrap();
    assert!(!report.single_writer);
    assert_eq!(accept(&Accept::default(), &shared, &run()).unwrap().repository, report.repository);
    let error = init(&Init::default(), &shared, &run()).unwrap_err();
    assert!(matches!(error.engine(), Some(EngineError::RepositoryExists { .. })), "{error}");
    let bucket = Target::new(Place::parse("s3://bucket").unwrap(), SecretSource::File(password));
    let s3 = S3Settings { region: Some("x".to_owned()), ..bucket.s3.clone() };
    let bucket = SharedRepository::connect(Target { s3, ..bucket }, Access::default()).unwrap();
    let group = Init { group_readable: true, ..Init::default() };
    let error = init(&group, &bucket, &run()).unwrap_err();
    assert!(matches!(error, OperationsError::Place(PlaceError::GroupOfBucket)), "{error}");
}
