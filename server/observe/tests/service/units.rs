//! The text of units, and that no path or name says more in it than it should.

use std::path::{Path, PathBuf};
use std::time::Duration;

use keepfast_observe::service::{
    Calendar, Credential, CredentialName, DaemonUnit, PlanUnits, Program, Reads, Timer, UnitError,
};
use proptest::prelude::{Strategy, prop_assert, prop_assert_eq, proptest};

use crate::parse::{Escapes, expanded, section, words};
use crate::typical::{daemon, plan, program, restoring, unprivileged};

/// Compares with a file; `KEEPFAST_BLESS=1` writes it.
#[track_caller]
fn assert_expected(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/service/expected").join(name);
    if std::env::var_os("KEEPFAST_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&path, text).expect("written");
    }
    assert_eq!(std::fs::read_to_string(&path).expect("read"), text, "{name}");
}

#[test]
fn units_are_as_expected() {
    assert_expected("server.service", &daemon(program()).text().expect("a unit"));
    assert_expected("server-unprivileged.service", &daemon(unprivileged()).text().expect("a unit"));
    assert_expected("server-restoring.service", &daemon(restoring()).text().expect("a unit"));
    let [service, timer] = plan(program()).files().expect("units");
    assert_expected(&service.name, &service.text);
    assert_expected(&timer.name, &timer.text);
}

/// Values of a key in the service of a unit.
fn values(text: &str, key: &str) -> Vec<String> {
    section(text, "Service").into_iter().filter(|(of, _)| of == key).map(|(_, value)| value).collect()
}

#[test]
fn capabilities_are_those_that_the_work_needs() {
    let of = |program: Program| {
        let text = daemon(program).text().expect("a unit");
        (values(&text, "CapabilityBoundingSet"), values(&text, "AmbientCapabilities"))
    };
    let own = |program: Program| Program { reads: Reads::OwnFiles, ..program };
    assert_eq!(of(program()), (vec!["CAP_DAC_READ_SEARCH".to_owned()], vec![]));
    assert_eq!(of(own(program())), (vec![String::new()], vec![]));
    let read = vec!["CAP_DAC_READ_SEARCH".to_owned()];
    assert_eq!(of(unprivileged()), (read.clone(), read));
    assert_eq!(of(own(unprivileged())), (vec![String::new()], vec![]));
    let (bound, _) = of(restoring());
    for needed in ["CAP_CHOWN", "CAP_FOWNER", "CAP_DAC_OVERRIDE", "CAP_MKNOD", "CAP_SETFCAP", "CAP_FSETID"] {
        assert!(bound[0].split(' ').any(|capability| capability == needed), "{needed}");
    }
}

/// What would make a restore fail is not refused to a program that restores.
#[test]
fn what_restoring_needs_is_allowed() {
    let text = daemon(restoring()).text().expect("a unit");
    for key in ["RestrictSUIDSGID", "PrivateDevices", "ProtectHome"] {
        assert_eq!(values(&text, key), Vec::<String>::new(), "{key}");
        assert_eq!(values(&daemon(program()).text().expect("a unit"), key).len(), 1, "{key}");
    }
    assert_eq!(values(&text, "SystemCallFilter"), ["@system-service"]);
}

/// A backup of everything has to see everything.
#[test]
fn nothing_that_is_backed_up_is_hidden() {
    for program in [program(), unprivileged(), restoring()] {
        let text = daemon(program).text().expect("a unit");
        for key in ["ProtectKernelModules", "InaccessiblePaths", "TemporaryFileSystem", "DynamicUser"] {
            assert_eq!(values(&text, key), Vec::<String>::new(), "{key}");
        }
        assert!(!values(&text, "ProtectHome").contains(&"yes".to_owned()));
    }
}

#[test]
fn a_timer_catches_up_or_runs_by_age() {
    let timer = |timer| {
        let [_, file] = PlanUnits { timer, ..plan(program()) }.files().expect("units");
        section(&file.text, "Timer")
    };
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let every = timer(Timer::Every(Duration::from_secs(72_000)));
    assert_eq!(every, [pair("OnBootSec", "15min"), pair("OnUnitInactiveSec", "72000s")]);
    let calendar = Calendar::from_cron("0 4 1 * 0", "UTC").expect("a schedule");
    let at = timer(Timer::At { calendar, jitter: Duration::ZERO, catch_up: false });
    assert_eq!(
        at,
        [
            pair("OnCalendar", "*-*-01 04:00:00 UTC"),
            pair("OnCalendar", "Sun *-*-* 04:00:00 UTC"),
            pair("AccuracySec", "1s"),
            pair("Persistent", "no"),
        ]
    );
}

#[test]
fn times_of_nothing_are_refused() {
    let stopped = DaemonUnit { watchdog: Duration::ZERO, ..daemon(program()) };
    assert_eq!(stopped.text(), Err(UnitError::NoTime("the watchdog")));
    let rushed = DaemonUnit { stop_within: Duration::ZERO, ..daemon(program()) };
    assert_eq!(rushed.text(), Err(UnitError::NoTime("the time to stop")));
    let busy = PlanUnits { timer: Timer::Every(Duration::ZERO), ..plan(program()) };
    assert!(matches!(busy.files(), Err(UnitError::NoTime(_))));
}

#[test]
fn names_that_are_no_plans_are_refused() {
    for name in ["", "-x", "a\nExecStart=/bin/sh", &"a".repeat(250), &"é".repeat(40)] {
        let named = PlanUnits { plan: name.to_owned(), ..plan(program()) };
        assert_eq!(named.files().is_err(), name != "é".repeat(40).as_str() || name.len() * 4 > 230, "{name}");
    }
    let [service, timer] =
        PlanUnits { plan: "50% of é".to_owned(), ..plan(program()) }.files().expect("units");
    assert_eq!(service.name, r"keepfast-50\x25\x20of\x20\xc3\xa9.service");
    assert_eq!(timer.name, r"keepfast-50\x25\x20of\x20\xc3\xa9.timer");
}

fn any_path() -> impl Strategy<Value = PathBuf> {
    "/[ -~\n\té%\"'\\\\$;]{0,20}".prop_map(PathBuf::from)
}

proptest! {
    /// Whatever is in a path: each key has the value that was meant, or the unit is refused.
    #[test]
    fn paths_say_only_what_they_are(
        program_path in any_path(), config in any_path(), writable in any_path(), secret in any_path(),
        plan_name in "[ -~é%\"'\\\\$;]{1,20}",
    ) {
        let name = CredentialName::new("secret").expect("a name");
        let program = Program {
            program: program_path.clone(), config: config.clone(), writable: vec![writable.clone()],
            credentials: vec![Credential { name, path: secret.clone() }], ..program()
        };
        let units = PlanUnits { plan: plan_name.clone(), ..plan(program.clone()) };
        if let Ok([service, timer]) = units.files() {
            let text = service.text;
            prop_assert_eq!(words(&values(&text, "ExecStart")[0], Escapes::Read).iter().map(|word| expanded(word)).collect::<Vec<_>>(), [
                format!(":{}", program_path.display()), "--config".to_owned(), config.display().to_string(),
                "run".to_owned(), plan_name.clone(),
            ]);
            let listed: Vec<String> = values(&text, "ReadWritePaths").iter().flat_map(|list| words(list, Escapes::Kept)).collect();
            prop_assert_eq!(listed.iter().map(|word| expanded(word)).collect::<Vec<_>>(), [format!("-{}", writable.display())]);
            prop_assert_eq!(expanded(&values(&text, "LoadCredential")[0]), format!("secret:{}", secret.display()));
            // Nothing else has come in.
            let keys = |text: &str| section(text, "Service").into_iter().map(|(key, _)| key).collect::<Vec<_>>();
            let plain = plan(Program { writable: vec![PathBuf::from("/a")], ..crate::typical::program() });
            let [plain_service, plain_timer] = plain.files().expect("units");
            let without_home = |keys: Vec<String>| keys.into_iter().filter(|key| key != "ProtectHome").collect::<Vec<_>>();
            prop_assert_eq!(without_home(keys(&text)), without_home(keys(&plain_service.text)));
            prop_assert_eq!(section(&timer.text, "Timer"), section(&plain_timer.text, "Timer"));
            prop_assert_eq!(section(&timer.text, "Install"), section(&plain_timer.text, "Install"));
            prop_assert_eq!(section(&text, "Unit").len(), 3);
            expanded(&section(&text, "Unit")[0].1);
        } else {
            let odd = |path: &PathBuf| path.display().to_string().contains(['\n', '\t', '"', '\'', '\\', ' ']);
            prop_assert!(odd(&program_path) || odd(&writable) || odd(&secret) || plan_name.starts_with('-'), "refused for no reason");
        }
    }
}
