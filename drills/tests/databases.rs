//! The drill of a database: dumps that are sound, that are not, and that can't be tested here.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use keepfast_drills::database::{DatabaseDrill, DatabaseProof, Engines, prove};
use keepfast_drills::expect::{Expectation, Question};
use keepfast_drills::verdict::Verdict;
use keepfast_process::Cancel;
use keepfast_process::redact::KnownSecrets;
use keepfast_sources::address::{Address, Engine};
use keepfast_sources::boot::{Boot, BootOptions, Booted};
use keepfast_sources::check::Check;
use keepfast_sources::context::Context;
use keepfast_sources::files::{Files, FolderFiles};
use keepfast_sources::manifest::{Form, MANIFEST, Manifest, Missing};
use keepfast_sources::sink::FolderSink;
use keepfast_sources::{Result, SourceError};

/// Engines that answer as they are told, and note what they were asked.
struct Told {
    boot: fn() -> Result<Boot>,
    examined: fn() -> Result<Vec<Check>>,
    answer: Option<&'static str>,
    options: RefCell<Option<BootOptions>>,
}

impl Told {
    fn new(boot: fn() -> Result<Boot>) -> Self {
        let examined = || Ok(vec![Check::sound("integrity_check", None)]);
        Self { boot, examined, answer: Some("5"), options: RefCell::default() }
    }
}

impl Engines for Told {
    fn boot(&self, _: Engine, _: &dyn Files, options: &BootOptions, _: &Context<'_>) -> Result<Boot> {
        *self.options.borrow_mut() = Some(options.clone());
        (self.boot)()
    }

    fn examine(&self, _: &Address, _: &Context<'_>) -> Result<Vec<Check>> {
        (self.examined)()
    }

    fn ask(&self, _: &Address, _: &str, _: &Context<'_>) -> Result<Option<String>> {
        Ok(self.answer.map(str::to_owned))
    }
}

fn runs() -> Result<Boot> {
    Ok(Boot::Running(Booted {
        address: Address::parse("sqlite:///srv/shop.db").unwrap(),
        version: "3.46.1".to_owned(),
        server: Box::new(()),
        answered_after: Duration::from_millis(40),
        checks: vec![Check::equal("rows of orders", 5, 5)],
    }))
}

/// A folder with a dump that has only its manifest.
fn dump(change: impl FnOnce(&mut Manifest)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut manifest = Manifest::new(Engine::Sqlite, Form::Physical, "3.46.1".to_owned());
    change(&mut manifest);
    manifest.write(&FolderSink::new(folder.path())).unwrap();
    folder
}

fn orders(min: f64) -> Expectation {
    let ask = Question::Sql("select count(*) from orders".to_owned());
    Expectation { ask, min: Some(min), max: None, equals: None, newer_than_snapshot: None }
}

fn drill(engines: &Told, dump: &tempfile::TempDir, expect: &[Expectation]) -> Result<DatabaseProof> {
    drill_of(None, engines, dump, expect)
}

fn drill_of(
    asked: Option<Engine>,
    engines: &Told,
    dump: &tempfile::TempDir,
    expect: &[Expectation],
) -> Result<DatabaseProof> {
    let context = Context {
        cancel: Cancel::new(),
        secrets: KnownSecrets::default(),
        programs: Vec::new(),
        scratch: PathBuf::from("/nowhere"),
        progress: &|_| {},
    };
    let drill = DatabaseDrill {
        name: "/sqlite/shop",
        folder: PathBuf::from("/nowhere/server"),
        account: None,
        memory: Some(1 << 30),
        version: None,
        moment: Timestamp::UNIX_EPOCH,
        asked,
        expect,
    };
    prove(engines, &FolderFiles::new(dump.path()), drill, &context)
}

#[test]
fn a_sound_dump_that_answers_as_expected_passes() {
    let engines = Told::new(runs);
    let proof = drill(&engines, &dump(|_| {}), &[orders(5.0)]).unwrap();
    assert_eq!(proof.part.verdict, Verdict::Pass, "{proof:?}");
    let names: Vec<&str> = proof.part.checks.iter().map(|check| &*check.name).collect();
    assert_eq!(names, ["rows of orders", "integrity_check", "select count(*) from orders"]);
    assert_eq!(
        (proof.booted.as_deref(), proof.answered_after),
        (Some("3.46.1"), Some(Duration::from_millis(40)))
    );
    let options = engines.options.borrow().clone().unwrap();
    assert_eq!((options.version.as_str(), options.memory), ("3.46.1", Some(1 << 30)));
}

#[test]
fn a_wrong_answer_a_fault_or_something_missing_fails() {
    let proof = drill(&Told::new(runs), &dump(|_| {}), &[orders(6.0)]).unwrap();
    assert_eq!(
        proof.part.problems(),
        ["database /sqlite/shop: select count(*) from orders: 5 and not at least 6"]
    );
    let examined = || Ok(vec![Check::sound("integrity_check", Some("row 3 missing from index".to_owned()))]);
    let proof = drill(&Told { examined, ..Told::new(runs) }, &dump(|_| {}), &[]).unwrap();
    assert_eq!(proof.part.verdict, Verdict::Fail);
    let lost = Missing { object: "table audit".to_owned(), why: "permission denied".to_owned() };
    let proof = drill(&Told::new(runs), &dump(|manifest| manifest.missing.push(lost)), &[]).unwrap();
    assert!(
        proof.part.problems()[0].contains("dump of table audit: it isn't in the dump: permission denied")
    );
}

/// A snapshot may have databases of several kinds, and a query is for one of them.
#[test]
fn queries_for_another_kind_of_database_are_not_asked() {
    let asked = |engine| drill_of(Some(engine), &Told::new(runs), &dump(|_| {}), &[orders(6.0)]).unwrap();
    assert_eq!(asked(Engine::Postgres).part.verdict, Verdict::Pass);
    assert_eq!(asked(Engine::Sqlite).part.verdict, Verdict::Fail);
}

#[test]
fn a_dump_that_cannot_be_read_fails() {
    let broken = dump(|_| {});
    std::fs::write(broken.path().join(MANIFEST), "{").unwrap();
    assert_eq!(drill(&Told::new(runs), &broken, &[]).unwrap().part.verdict, Verdict::Fail);
    let boot = || {
        let source = std::io::Error::other("a chunk of it is missing");
        Err(SourceError::Transfer { object: "shop.db".to_owned(), source })
    };
    let proof = drill(&Told::new(boot), &dump(|_| {}), &[]).unwrap();
    assert_eq!(proof.part.problems(), ["database /sqlite/shop: shop.db: a chunk of it is missing"]);
    assert_eq!(proof.part.verdict, Verdict::Fail);
}

/// What this machine lacks says nothing about the dump.
#[test]
fn what_is_not_installed_could_not_be_tested() {
    let not_here: [fn() -> Result<Boot>; 3] = [
        || Ok(Boot::NotHere("PostgreSQL 17 isn't installed".to_owned())),
        || Err(SourceError::NoProgram { program: "mariadbd", engine: Engine::Mariadb }),
        || Err(SourceError::File { path: "/srv/scratch".into(), source: std::io::Error::other("no room") }),
    ];
    for boot in not_here {
        let proof = drill(&Told::new(boot), &dump(|_| {}), &[]).unwrap();
        assert_eq!(proof.part.verdict, Verdict::NotTested, "{proof:?}");
        assert_eq!(proof.part.problems().len(), 1);
    }
}

#[test]
fn a_cancelled_drill_has_no_verdict() {
    let engines = Told::new(|| Err(SourceError::Cancelled));
    assert!(matches!(drill(&engines, &dump(|_| {}), &[]), Err(SourceError::Cancelled)));
}
