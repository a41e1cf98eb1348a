//! `keepfast doctor` with a configuration.

use std::fs;
use std::os::unix::fs::FileExt;

use serde_json::Value;

use crate::configured::Configured;

/// What came of the checks of a subject.
fn found(configured: &Configured, subject: &str) -> Vec<(String, String, String)> {
    let run = configured.run(&["--json", "doctor"]);
    let document: Value = serde_json::from_str(&run.out).unwrap_or_else(|error| panic!("{error}: {run:?}"));
    let checks = document["checks"].as_array().unwrap().iter();
    let of = |check: &Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
    checks
        .filter(|check| of(check, "subject").starts_with(subject))
        .map(|check| (of(check, "finding"), of(check, "text"), of(check, "next")))
        .collect()
}

#[test]
fn what_is_well_is_said_so() {
    let configured = Configured::new();
    configured.run(&["run", "www"]).succeeds();
    let run = configured.run(&["doctor"]);
    for said in [
        "ok      configuration",
        "ok      time zones: known: Europe/Paris",
        "ok      repository main: opens, 1 snapshot",
        "ok      state: ",
        "disk of the state: ",
        "disk of the cache: ",
        "units",
    ] {
        assert!(run.out.contains(said), "{said} isn't in {run:?}");
    }
    assert!(run.code == 0 || run.code == 3, "{run:?}");
    assert!(!run.out.contains("failed"), "{run:?}");
}

#[test]
fn what_is_wrong_has_a_next_step() {
    let configured = Configured::new();
    fs::write(configured.path("password"), "wrong\n").unwrap();
    let failed = |subject: &str, text: &str, next: &str| {
        let found = found(&configured, subject);
        let fits = |(finding, said, to_do): &(String, String, String)| {
            finding == "failed" && said.contains(text) && to_do.contains(next)
        };
        assert!(found.iter().any(fits), "{subject}: {text}: {found:?}");
        assert_eq!(configured.run(&["doctor"]).code, 1);
    };
    failed("repository main", "wrong password", "");
    fs::write(configured.path("password"), "correct horse\n").unwrap();
    fs::rename(configured.desk.repo(), configured.path("away")).unwrap();
    failed("repository main", "no repository", "init` makes one");
    fs::rename(configured.path("away"), configured.desk.repo()).unwrap();
    configured.run(&["status"]).succeeds();
    let state = fs::File::options().write(true).open(configured.path("state/state.db")).unwrap();
    for page in 8..state.metadata().unwrap().len() / 4096 {
        state.write_all_at(&[0xa5; 64], page * 4096).unwrap();
    }
    failed("state", "damaged", "move it away");
    configured.define("shedule = 1");
    failed("configuration", "unknown key `shedule`", "did you mean");
}

#[test]
fn what_others_can_read_is_a_warning() {
    let configured = Configured::new();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(configured.path("password"), fs::Permissions::from_mode(0o644)).unwrap();
    let warned = found(&configured, "configuration");
    assert!(warned.iter().any(|(finding, _, next)| finding == "warning" && next.contains("chmod 600")));
    assert_eq!(configured.run(&["doctor"]).code, 3);
}
