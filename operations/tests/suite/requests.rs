//! Requests, as a server carries them out: all of them on one opened repository.

use std::fs;
use std::path::PathBuf;

use keepfast_operations::OperationsError;
use keepfast_operations::child::CommandLine;
use keepfast_operations::error::StreamError;
use keepfast_operations::requests::{
    Backup, Check, Prune, ReadPacks, Restore, backup, check, prune, restore,
};
use keepfast_operations::sources::PathSources;
use keepfast_operations::streams::StreamSource;
use keepfast_testkit::{assert_same, tree};

use crate::desk::{Desk, run};

fn of(paths: &[PathBuf]) -> PathSources {
    PathSources { paths: paths.to_vec(), ..PathSources::default() }
}

fn stream(name: &str, script: &str) -> StreamSource {
    StreamSource { name: name.to_owned(), command: CommandLine::Shell(script.to_owned()) }
}

#[test]
fn what_is_backed_up_is_checked_restored_and_pruned() {
    let (desk, run) = (Desk::new(), run());
    let source = desk.path("source");
    tree::write(source.join("file"), tree::noise(1, 300_000));
    let shared = desk.shared();
    let request = Backup {
        sources: of(std::slice::from_ref(&source)),
        streams: vec![stream("db.sql", "seq 3")],
        tags: vec!["a".to_owned()],
        host: Some("db1".to_owned()),
        ..Backup::default()
    };
    let report = backup(&request, &shared, &run).unwrap();
    assert_eq!((report.summary.files_new, report.troubles.is_empty()), (2, true));
    let snapshot = report.snapshot.unwrap();
    assert_eq!((snapshot.host.as_str(), &snapshot.tags[..]), ("db1", &["a".to_owned()][..]));

    let all = Check { read: ReadPacks::All, ..Check::default() };
    let report = check(&all, &shared, &run).unwrap();
    assert_eq!((report.findings, report.snapshots, report.packs_read), (0, 1, report.packs));

    let target = desk.path("target");
    let report = restore(&Restore::latest_into(target.clone()), &shared, &run).unwrap();
    assert_eq!((report.snapshot, report.files), (snapshot.id, 2));
    assert_eq!(fs::read(target.join("db.sql")).unwrap(), b"1\n2\n3\n");
    assert_same(&source, &target.join(source.strip_prefix("/").unwrap()));

    let report = prune(&Prune { dry_run: true, ..Prune::default() }, &shared, &run).unwrap();
    assert_eq!((report.plan.unused_packs, report.packs_removed), (0, 0));
    assert_eq!(desk.asked(), 1);
    assert!(run.troubles().is_empty());
}

#[test]
fn a_stream_that_fails_is_named_and_makes_no_snapshot() {
    let (desk, run) = (Desk::new(), run());
    let shared = desk.shared();
    let streams = vec![stream("endless", "sleep 3600 & wait"), stream("failing", "echo why >&2; exit 7")];
    let error = backup(&Backup { streams, ..Backup::default() }, &shared, &run).unwrap_err();
    assert!(matches!(&error, OperationsError::Stream(StreamError::Of { name, .. }) if name == "failing"));
    assert!(error.to_string().contains("exit status: 7") && error.to_string().contains("why"), "{error}");
    let report = check(&Check::default(), &shared, &run).unwrap();
    assert_eq!((report.snapshots, report.findings), (0, 0));
    let error = backup(&Backup::default(), &shared, &run).unwrap_err();
    assert!(error.is_wrong_input(), "there is nothing to back up: {error}");
}

#[test]
fn requests_are_data_of_which_most_may_be_left_out() {
    let text =
        r#"{"sources": {"paths": ["/etc"]}, "streams": [{"name": "db.sql", "command": "pg_dump mydb"}]}"#;
    let read: Backup = serde_json::from_str(text).unwrap();
    let expected = Backup {
        sources: of(&[PathBuf::from("/etc")]),
        streams: vec![stream("db.sql", "pg_dump mydb")],
        ..Backup::default()
    };
    assert_eq!(read, expected);
    assert_eq!(serde_json::from_str::<Backup>(&serde_json::to_string(&read).unwrap()).unwrap(), read);
    let read: Restore = serde_json::from_str(r#"{"target": "/tmp/x"}"#).unwrap();
    assert_eq!(read, Restore::latest_into(PathBuf::from("/tmp/x")));
    let read: Check = serde_json::from_str(r#"{"read": {"daily": {"parts": 10}}}"#).unwrap();
    assert_eq!(read.read, ReadPacks::Daily { parts: 10 });
    assert!(serde_json::from_str::<Backup>(r#"{"path": "/etc"}"#).is_err(), "a slip of the pen");
}
