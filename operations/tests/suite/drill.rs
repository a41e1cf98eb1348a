//! Drills: what passes, what fails, what can't be tested, and what is left behind: nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use keepfast_drills::choose::Choose;
use keepfast_drills::database::Engines;
use keepfast_drills::evidence::Evidence;
use keepfast_drills::expect::{Expectation, Question};
use keepfast_drills::log::digest;
use keepfast_drills::verdict::Verdict;
use keepfast_operations::Result;
use keepfast_operations::choose::Filter;
use keepfast_operations::drill::Step;
use keepfast_operations::open::SharedRepository;
use keepfast_operations::requests::{
    Backup, Drill, DrillReport, ListSnapshots, LivePlace, Restore, backup, drill_with, list_snapshots,
    restore,
};
use keepfast_operations::sources::PathSources;
use keepfast_sources::SourceError;
use keepfast_sources::address::{Address, Engine};
use keepfast_sources::boot::{Boot, BootOptions, Booted};
use keepfast_sources::check::Check;
use keepfast_sources::context::Context;
use keepfast_sources::files::Files;
use keepfast_sources::manifest::{Form, Manifest};
use keepfast_sources::sink::FolderSink;
use keepfast_testkit::tree;

use crate::desk::{Desk, run};

const HOST: &str = "db1";
const LABEL: &str = "plan:www";

/// Engines that find in a dump what is in it, or aren't installed.
struct Copies {
    is_installed: bool,
}

impl Engines for Copies {
    fn boot(
        &self,
        engine: Engine,
        files: &dyn Files,
        options: &BootOptions,
        _: &Context<'_>,
    ) -> Result<Boot, SourceError> {
        if !self.is_installed {
            return Ok(Boot::NotHere(format!("{engine} isn't installed")));
        }
        let place = options.folder.join("data.db");
        let failed = |source| SourceError::Transfer { object: "data.db".to_owned(), source };
        let mut content = files.open("data.db").map_err(failed)?;
        std::io::copy(&mut content, &mut fs::File::create(&place).map_err(failed)?).map_err(failed)?;
        Ok(Boot::Running(Booted {
            address: Address::parse(&format!("sqlite://{}", place.display()))?,
            version: "3".to_owned(),
            server: Box::new(()),
            answered_after: Duration::from_millis(5),
            checks: Vec::new(),
        }))
    }

    fn examine(&self, _: &Address, _: &Context<'_>) -> Result<Vec<Check>, SourceError> {
        Ok(vec![Check::sound("integrity", None)])
    }

    fn ask(&self, server: &Address, _: &str, _: &Context<'_>) -> Result<Option<String>, SourceError> {
        let keepfast_sources::address::Place::File(path) = &server.place else { return Ok(None) };
        Ok(fs::read_to_string(path).ok())
    }
}

fn request(desk: &Desk) -> Drill {
    Drill {
        name: "weekly".to_owned(),
        run: "r1".to_owned(),
        machine: HOST.to_owned(),
        plan: "www".to_owned(),
        repository: "main".to_owned(),
        filter: Filter { tags: vec![LABEL.to_owned()], ..Filter::default() },
        choose: Choose::Latest,
        seed: 11,
        sample_thousandths: 1000,
        folder: desk.path("drills"),
        servers: desk.path("servers"),
        live: vec![LivePlace { what: "a source of plan www".to_owned(), path: desk.path("source") }],
        source: Some(PathBuf::from("/")),
        expect: Vec::new(),
        engine: None,
        version: None,
        memory: None,
        rto: None,
        rpo: None,
        corrupt: false,
        keep: None,
    }
}

fn back_up(desk: &Desk, shared: &SharedRepository) {
    let request = Backup {
        sources: PathSources { paths: vec![desk.path("source")], ..PathSources::default() },
        tags: vec![LABEL.to_owned()],
        host: Some(HOST.to_owned()),
        ..Backup::default()
    };
    assert!(backup(&request, shared, &run()).unwrap().troubles.is_empty());
}

fn carry_out(request: &Drill, shared: &SharedRepository) -> Result<DrillReport> {
    drill_with(request, [3; 16], &Copies { is_installed: true }, &|_| {}, shared, &run())
}

/// A repository with a snapshot of some files.
fn desk() -> (Desk, SharedRepository) {
    let desk = Desk::new();
    tree::write(desk.path("source/a"), tree::noise(1, 300_000));
    tree::write(desk.path("source/folder/b"), b"small");
    let shared = desk.shared();
    back_up(&desk, &shared);
    (desk, shared)
}

fn is_empty(desk: &Desk) -> bool {
    fs::read_dir(desk.path("drills")).unwrap().all(|entry| !entry.unwrap().path().is_dir())
}

#[test]
fn sound_files_pass_and_nothing_is_left() {
    let (desk, shared) = desk();
    let steps = Mutex::new(Vec::new());
    let told = |step: Step| steps.lock().unwrap().push(step.code());
    let request = Drill {
        expect: vec![Expectation {
            ask: Question::Path(desk.path("source/a").display().to_string()),
            min: Some(300_000.0),
            max: Some(300_000.0),
            equals: None,
            newer_than_snapshot: None,
        }],
        ..request(&desk)
    };
    let engines = Copies { is_installed: true };
    let report = drill_with(&request, [3; 16], &engines, &told, &shared, &run()).unwrap();
    let evidence = &report.evidence;
    assert_eq!((evidence.verdict, &report.problems[..]), (Verdict::Pass, &[][..]), "{evidence:?}");
    let checks: Vec<_> = evidence.parts[0].checks.iter().map(|check| (&*check.name, &*check.found)).collect();
    let restored = format!("2 files in {} folders, 300005 bytes", folders(&desk));
    assert_eq!(checks[0].1, restored);
    assert_eq!(checks[2], ("live files", "2 equal, 0 changed since, 0 different"));
    assert_eq!(checks[3].1, "300000 bytes");
    assert!(evidence.restore.measured_ms.is_some() && evidence.age.measured_ms.is_some());
    assert_eq!(evidence.log_blake3, digest(&report.log));
    assert_eq!(*steps.lock().unwrap(), ["choosing", "restore", "verify", "evidence"]);
    assert!(is_empty(&desk));
}

/// The folders from the root to that of the deepest file.
fn folders(desk: &Desk) -> usize {
    desk.path("source/folder").components().count() - 1
}

#[test]
fn what_is_lost_or_differs_from_the_live_files_fails() {
    let (desk, shared) = desk();
    // The same size and time: only the content, and the change, tell. An old change is what a drill must notice, so the
    // snapshot is made to be newer than it by another backup of the same files.
    let file = desk.path("source/folder/b");
    let before = fs::metadata(&file).unwrap().modified().unwrap();
    fs::write(&file, b"SMALL").unwrap();
    fs::File::options().write(true).open(&file).unwrap().set_modified(before).unwrap();
    let request = request(&desk);
    let report = carry_out(&request, &shared).unwrap();
    assert_eq!(report.evidence.verdict, Verdict::Pass, "it was changed since: {:?}", report.problems);

    // Every pack of data is gone.
    for pack in packs(&desk.path("repository")) {
        if fs::metadata(&pack).unwrap().len() > 200_000 {
            fs::remove_file(pack).unwrap();
        }
    }
    let report = carry_out(&request, &desk.shared()).unwrap();
    assert_eq!(report.evidence.verdict, Verdict::Fail);
    assert!(report.problems.iter().any(|problem| problem.contains("source/a")), "{:?}", report.problems);
    assert!(is_empty(&desk));
}

fn packs(repository: &Path) -> Vec<PathBuf> {
    let folders = fs::read_dir(repository.join("packs")).unwrap().map(|entry| entry.unwrap().path());
    folders.flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path())).collect()
}

/// What was restored is compared by itself: a restore that says it went well is no proof.
#[test]
fn restored_files_that_are_changed_or_gone_are_found() {
    use keepfast_drills::log::Log;
    use keepfast_engine::restore::Sample;
    use keepfast_operations::drill::files::FilesDrill;
    use keepfast_operations::open::Mode;

    let (desk, shared) = desk();
    let run = run();
    let opened = shared.open(&run, Mode::Usual).unwrap();
    let snapshot = &opened.snapshots.all[0].snapshot;
    let (target, log) = (desk.path("target"), std::sync::Arc::default());
    fs::create_dir(&target).unwrap();
    let sample = Sample { thousandths: 1000, seed: 0, without: Vec::new() };
    let files = FilesDrill { opened: &opened, snapshot, target: &target, sample, log: &log };
    let restored = files.restore(&run).unwrap();
    let place = target.join(desk.path("source").strip_prefix("/").unwrap());
    let time = fs::metadata(place.join("a")).unwrap().modified().unwrap();
    let mut content = fs::read(place.join("a")).unwrap();
    content[150_000] ^= 1;
    fs::write(place.join("a"), content).unwrap();
    fs::File::options().write(true).open(place.join("a")).unwrap().set_modified(time).unwrap();
    fs::remove_file(place.join("folder/b")).unwrap();
    let part = files.prove(restored, None, &[], &run).unwrap();
    assert_eq!(part.verdict, Verdict::Fail);
    let found = &part.checks[1].found;
    // The folder that the file was removed from has another time, too.
    assert!(found.contains("3 aren't") && found.contains("folder: its modification time"), "{found}");
    assert!(
        found.contains("a: it differs from the snapshot") && found.contains("b: it isn't there"),
        "{found}"
    );
    let log: &Log = &log;
    assert!(log.text().contains("it isn't there"));
}

#[test]
fn a_sample_is_a_part_of_the_files() {
    let (desk, shared) = desk();
    for number in 0..200 {
        tree::write(desk.path(&format!("source/many/{number}")), b"x");
    }
    back_up(&desk, &shared);
    let report = carry_out(&Drill { sample_thousandths: 100, ..request(&desk) }, &shared).unwrap();
    assert_eq!(report.evidence.verdict, Verdict::Pass);
    let restored = report.evidence.parts[0].checks[0].found.split(' ').next().unwrap().to_owned();
    assert!((5..50).contains(&restored.parse::<u32>().unwrap()), "{restored}");
}

/// Backs up a dump in a folder of the root directory, where those of plans are, and nothing else.
fn back_up_dump(desk: &Desk, shared: &SharedRepository) {
    let folder = desk.path("dump");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("data.db"), "42").unwrap();
    Manifest::new(Engine::Sqlite, Form::Physical, "3".to_owned()).write(&FolderSink::new(&folder)).unwrap();
    let stored_as = Some(PathBuf::from("/sqlite-shop"));
    let request = Backup {
        sources: PathSources { paths: vec![folder], stored_as, ..PathSources::default() },
        tags: vec![LABEL.to_owned()],
        host: Some(HOST.to_owned()),
        ..Backup::default()
    };
    assert!(backup(&request, shared, &run()).unwrap().troubles.is_empty());
}

#[test]
fn databases_are_started_and_asked() {
    let (desk, shared) = desk();
    back_up_dump(&desk, &shared);
    // Other users go through it, if root runs this test.
    fs::set_permissions(desk.folder.path(), fs::Permissions::from_mode(0o711)).unwrap();
    let ask = |min| Expectation {
        ask: Question::Sql("select count(*) from orders".to_owned()),
        min: Some(min),
        max: None,
        equals: None,
        newer_than_snapshot: None,
    };
    let expecting = |min| Drill { expect: vec![ask(min)], source: None, ..request(&desk) };
    let report = carry_out(&expecting(42.0), &shared).unwrap();
    assert_eq!(report.evidence.verdict, Verdict::Pass, "{:?}", report.problems);
    let parts: Vec<_> = report.evidence.parts.iter().map(|part| &*part.name).collect();
    assert_eq!(parts, ["files", "database sqlite-shop"]);
    assert!(report.evidence.parts[0].checks[0].found.starts_with("0 files"), "it is restored once");
    let report = carry_out(&expecting(43.0), &shared).unwrap();
    assert_eq!(report.evidence.verdict, Verdict::Fail);
    let of_redis = Drill { engine: Some(Engine::Redis), ..expecting(43.0) };
    let report = carry_out(&of_redis, &shared).unwrap();
    let wrong = ["databases: the snapshot has no dump of Redis that could be asked"];
    assert_eq!(
        (report.evidence.verdict, &report.problems[..]),
        (Verdict::Fail, &wrong.map(str::to_owned)[..])
    );
    let missing = Copies { is_installed: false };
    let report = drill_with(&expecting(43.0), [4; 16], &missing, &|_| {}, &shared, &run()).unwrap();
    assert_eq!(report.evidence.verdict, Verdict::NotTested);
    assert!(report.problems[0].contains("SQLite isn't installed"), "{:?}", report.problems);
}

#[test]
fn the_check_finds_the_byte_that_was_flipped() {
    let (desk, shared) = desk();
    let report = carry_out(&Drill { corrupt: true, ..request(&desk) }, &shared).unwrap();
    assert_eq!(report.evidence.verdict, Verdict::Pass, "{:?}", report.problems);
    let part = report.evidence.parts.iter().find(|part| part.name == "corruption").unwrap();
    assert!(part.checks[1].found.starts_with("packs/"), "{part:?}");
    let all = keepfast_operations::requests::Check {
        read: keepfast_operations::requests::ReadPacks::All,
        ..Default::default()
    };
    let report = keepfast_operations::requests::check(&all, &shared, &run()).unwrap();
    assert_eq!(report.findings, 0, "the repository itself is as it was");
}

#[test]
fn evidence_is_a_snapshot_that_restores_and_is_no_snapshot_of_the_plan() {
    let (desk, shared) = desk();
    let request =
        Drill { keep: Some(Duration::from_secs(86_400)), rto: Some(Duration::ZERO), ..request(&desk) };
    let report = carry_out(&request, &shared).unwrap();
    assert_eq!(report.evidence.verdict, Verdict::Pass);
    assert!(
        report.problems.iter().any(|problem| problem.contains("the goal is 0 s")),
        "{:?}",
        report.problems
    );
    let kept = report.kept.clone().unwrap();
    let target = desk.path("evidence");
    let wanted = Restore { snapshot: kept.clone(), ..Restore::latest_into(target.clone()) };
    restore(&wanted, &shared, &run()).unwrap();
    let place = target.join("evidence/weekly");
    let text = fs::read(place.join(report.evidence.file_name())).unwrap();
    assert_eq!(serde_json::from_slice::<Evidence>(&text).unwrap(), report.evidence);
    let log = fs::read_to_string(place.join(report.evidence.log_name())).unwrap();
    assert_eq!(digest(&log), report.evidence.log_blake3);
    // The next drill tests the plan's snapshot again.
    let again = carry_out(&request, &shared).unwrap();
    assert_eq!(again.evidence.snapshot, report.evidence.snapshot);
    assert_eq!(list_snapshots(&ListSnapshots::default(), &shared, &run()).unwrap().snapshots.len(), 3);
}

#[test]
fn there_is_nothing_to_test_and_live_places_are_refused() {
    let (desk, shared) = desk();
    let other = Filter { tags: vec!["plan:other".to_owned()], ..Filter::default() };
    let report = carry_out(&Drill { filter: other, ..request(&desk) }, &shared).unwrap();
    assert_eq!(report.evidence.verdict, Verdict::NotTested);
    assert!(report.problems[0].contains("has no snapshot in main"), "{:?}", report.problems);
    let inside = Drill { folder: desk.path("source/drills"), ..request(&desk) };
    let error = carry_out(&inside, &shared).unwrap_err();
    assert!(error.is_wrong_input() && error.to_string().contains("a source of plan www"), "{error}");
    assert!(!desk.path("source/drills").exists());
}
