//! Units of systemd: what `keepfast service` writes, leaves alone and removes.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::configured::Configured;

const NIGHTLY: &str = "schedule = { cron = \"30 1 * * *\", jitter = \"15m\" }";

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

/// systemd's own tool reads the units. It says nothing about ours.
fn assert_systemd_takes(files: &[&Path]) {
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).args(files).output();
    let output = output.unwrap_or_else(|error| panic!("systemd-analyze: {error}: run scripts/setup.sh"));
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("keepfast")).collect();
    assert!(output.status.success() && ours.is_empty(), "{said}");
}

#[test]
fn the_unit_of_the_server_knows_the_configuration() {
    let configured = Configured::new();
    configured.change("password = { file = ", "password = { credential = \"main\" } # ");
    let run = configured.run(&["service", "install", "--directory", &configured.units()]);
    let unit = configured.path("units/keepfast.service");
    let text = lines(&unit);
    let config = configured.path("keepfast.toml");
    let expected = [
        format!("ExecStart=:{} --config {} serve", env!("CARGO_BIN_EXE_keepfast"), config.display()),
        format!("ReadWritePaths=-{}", configured.desk.repo().display()),
        format!("ReadWritePaths=-{}", configured.path("plan-cache").display()),
        format!("ReadWritePaths=-{}", configured.path("state").display()),
        "LoadCredential=main:/etc/credstore/main".to_owned(),
        "ProtectSystem=strict".to_owned(),
    ];
    for line in &expected {
        assert!(text.contains(line), "{line} isn't in {text:#?}");
    }
    assert_systemd_takes(&[&unit]);
    assert_eq!(configured.told(), ["daemon-reload"]);
    // The desk is in a temporary directory, and the credential has no file.
    assert_eq!(run.code, 3, "{run:?}");
    assert!(
        run.out.contains("wrote") && run.out.contains("systemctl enable --now keepfast.service"),
        "{run:?}"
    );
    for said in ["temporary directory", "--credential main=FILE"] {
        assert!(run.err.contains(said), "{said}: {run:?}");
    }
    // A second time changes nothing.
    let again = configured.run(&["service", "install", "--directory", &configured.units(), "--start"]);
    assert!(again.out.contains("unchanged"), "{again:?}");
    assert_eq!(configured.told(), ["daemon-reload", "enable --now keepfast.service"]);
}

#[test]
fn a_plan_has_a_service_and_a_timer_and_an_account() {
    let configured = Configured::new();
    configured.define(NIGHTLY);
    let units = configured.units();
    let install = [
        "service",
        "install",
        "--directory",
        &units,
        "--plan",
        "www",
        "--user",
        "daemon",
        "--credential",
        "x=/etc/x",
        "--restore-to",
        "/srv/restored",
        "--start",
    ];
    configured.run(&install);
    assert_eq!(configured.told(), ["daemon-reload", "enable --now keepfast-www.timer"]);
    let (service, timer) =
        (configured.path("units/keepfast-www.service"), configured.path("units/keepfast-www.timer"));
    assert!(lines(&timer).contains(&"OnCalendar=*-*-* 01:30:00 Europe/Paris".to_owned()));
    let text = lines(&service);
    for line in ["User=daemon", "ReadWritePaths=-/srv/restored"] {
        assert!(text.iter().any(|found| found == line), "{line}: {text:#?}");
    }
    assert!(text.iter().any(|line| line.starts_with("ExecStart=") && line.ends_with(" run www")));
    assert!(!text.iter().any(|line| line.contains("LoadCredential")), "no secret of this name is defined");
    assert_systemd_takes(&[&service, &timer]);
    configured.define("");
    configured
        .run(&["service", "install", "--directory", &units, "--plan", "www"])
        .fails(2, &["no schedule"]);
    configured.run(&["service", "install", "--plan", "wwv"]).fails(2, &["no plan \"wwv\"", "www"]);
}

#[test]
fn a_file_of_someone_else_is_neither_replaced_nor_removed() {
    let configured = Configured::new();
    let (units, unit) = (configured.units(), configured.path("units/keepfast.service"));
    fs::write(&unit, "[Service]\nExecStart=/bin/true\n").unwrap();
    let run = configured.run(&["service", "install", "--directory", &units]);
    run.fails(2, &["keepfast.service", "was not written by `keepfast service install`"]);
    let run = configured.run(&["service", "uninstall", "--directory", &units]).succeeds();
    assert!(run.out.contains("nothing to remove"), "{run:?}");
    assert_eq!(lines(&unit).len(), 2);
    assert_eq!(configured.told(), Vec::<String>::new());
}

#[test]
fn units_are_printed_without_a_trace() {
    let configured = Configured::new();
    configured.define(NIGHTLY);
    let units = configured.units();
    let run = configured.run(&["service", "install", "--directory", &units, "--plan", "www", "--print"]);
    assert!(run.out.contains("[Timer]") && run.out.contains("ExecStart="), "{run:?}");
    assert_eq!(fs::read_dir(configured.path("units")).unwrap().count(), 0);
    assert_eq!(configured.told(), Vec::<String>::new());
}

#[test]
fn what_was_installed_is_stopped_disabled_and_removed() {
    let configured = Configured::new();
    configured.define(NIGHTLY);
    let units = configured.units();
    configured.run(&["service", "install", "--directory", &units]);
    configured.run(&["service", "install", "--directory", &units, "--plan", "www"]);
    fs::write(configured.path("units/other.service"), "[Service]\n").unwrap();
    fs::create_dir(configured.path("units/keepfast.service.d")).unwrap();
    configured.told();
    // What can't be stopped keeps its file: without it, no one could stop it by its name.
    configured.systemctl("case $1 in disable) echo no >&2; exit 1;; is-active) echo active;; esac");
    let run = configured.run(&["service", "uninstall", "--directory", &units]);
    run.fails(1, &["can't be stopped", "no unit was removed", "no"]);
    assert_eq!(fs::read_dir(configured.path("units")).unwrap().count(), 5);
    configured.systemctl("exit 0");
    configured.told();
    let run = configured.run(&["service", "uninstall", "--directory", &units]);
    assert_eq!(run.out.matches("removed").count(), 3, "{run:?}");
    assert!(run.code == 3 && run.err.contains("keepfast.service.d"), "{run:?}");
    let told = configured.told();
    let expected = [
        "disable --now keepfast-www.timer",
        "disable --now keepfast-www.service",
        "disable --now keepfast.service",
        "daemon-reload",
    ];
    assert_eq!(told, expected);
    let left = fs::read_dir(configured.path("units")).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(left.count(), 2);
}

/// The unit has no environment of the one that installs it.
#[test]
fn variables_that_the_unit_lacks_are_named() {
    let configured = Configured::new();
    configured.change("password = { file = ", "password = { env = \"SECRET_OF_MINE\" } # ");
    let repository = format!("{:?}", configured.desk.repo());
    configured.change(&format!("url = {repository}"), "url = \"${PLACE_OF_MINE}\"");
    let units = configured.units();
    let run = configured
        .command()
        .env("PLACE_OF_MINE", configured.desk.repo())
        .args(["--json", "service", "install", "--directory", &units])
        .output()
        .unwrap();
    let document: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    let remarks = document["remarks"].to_string();
    assert!(remarks.contains("PLACE_OF_MINE, SECRET_OF_MINE"), "{remarks}");
    assert_eq!(document["files"][0]["changed"], true);
}
