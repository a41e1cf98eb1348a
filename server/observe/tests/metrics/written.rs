//! Metrics that leave as a file or as a push.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use keepfast_observe::metrics::{
    PROMETHEUS_CONTENT_TYPE, Push, TextfileError, prometheus_text, write_textfile,
};

use crate::observed::{experienced, lone, newborn};

#[test]
fn a_file_is_replaced_as_a_whole_and_anyone_may_read_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keepfast-www.prom");
    fs::write(&path, "old").expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("set");
    let mut reader = fs::File::open(&path).expect("open");

    let observation = lone(newborn("www"));
    write_textfile(&path, &observation).expect("written");

    assert_eq!(fs::read_to_string(&path).expect("read"), prometheus_text(&observation).expect("a text"));
    assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o644);
    assert_eq!(
        std::io::read_to_string(&mut reader).expect("read"),
        "old",
        "a reader keeps the file that it opened"
    );
    assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1, "nothing else is left");
}

#[test]
fn a_file_that_cannot_be_written_stays_and_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keepfast-www.prom");
    write_textfile(&path, &lone(newborn("www"))).expect("written");
    let before = fs::read_to_string(&path).expect("read");

    let mut twice = lone(newborn("www"));
    twice.plans.push(newborn("www"));
    let error = write_textfile(&path, &twice).expect_err("two plans have the same labels");
    assert!(error.to_string().contains("keepfast-www.prom"), "{error}");
    assert_eq!(fs::read_to_string(&path).expect("read"), before);
    assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1);

    let nowhere = folder.path().join("missing/keepfast.prom");
    let error = write_textfile(&nowhere, &lone(newborn("www"))).expect_err("there is no folder");
    assert!(matches!(&error, TextfileError::Io { path, .. } if *path == nowhere), "{error}");
}

#[test]
fn a_file_that_no_collector_reads_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keepfast.txt");
    let error = write_textfile(&path, &lone(newborn("www"))).expect_err("another ending");
    assert!(matches!(error, TextfileError::Ending(_)));
    assert!(!path.exists());
}

#[test]
fn a_push_replaces_the_group_of_its_plan_and_host() {
    let observation = lone(experienced("shop/db"));
    let push = Push::new("shop/db", "db1.example.org", &observation).expect("a push");
    assert_eq!(push.path, "/metrics/job/keepfast/plan@base64/c2hvcC9kYg/host/db1.example.org");
    assert_eq!(push.content_type, PROMETHEUS_CONTENT_TYPE);
    assert_eq!(push.body, prometheus_text(&observation).expect("a text"));
}
