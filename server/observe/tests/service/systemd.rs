//! systemd's own tool reads the units, and says how much they give away.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use keepfast_observe::service::{Calendar, Credential, CredentialName, PlanUnits, Program, Timer, UnitFile};

use crate::typical::{daemon, plan, program, restoring, unprivileged};

/// What it prints to both outputs, and whether it was content.
pub fn analyze(arguments: &[&str]) -> (bool, String) {
    let output = Command::new("systemd-analyze").args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("systemd-analyze: {error}: run scripts/setup.sh"));
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// A program that exists, since the tool looks for it.
fn with_program(folder: &Path, name: &str, program: Program) -> Program {
    let path = folder.join(name);
    fs::write(&path, "#!/bin/sh\n").expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("set");
    Program { program: path, ..program }
}

fn verify(folder: &Path, files: &[UnitFile]) -> (bool, String) {
    let paths: Vec<PathBuf> = files.iter().map(|file| folder.join(&file.name)).collect();
    for (file, path) in files.iter().zip(&paths) {
        fs::write(path, &file.text).expect("written");
    }
    let paths = paths.iter().map(|path| path.to_str().expect("UTF-8"));
    let (content, said) = analyze(&["verify", "--man=no"].into_iter().chain(paths).collect::<Vec<_>>());
    // It also reads the units of the machine that ours name.
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("keepfast")).collect();
    (content, ours.join("\n"))
}

fn server(program: Program) -> UnitFile {
    UnitFile { name: "keepfast.service".to_owned(), text: daemon(program).text().expect("a unit") }
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    let folder = tempfile::tempdir().expect("a folder");
    for program in [program(), unprivileged(), restoring()] {
        let program = with_program(folder.path(), "keepfast", program);
        let said = verify(folder.path(), &[server(program.clone())]);
        assert_eq!(said, (true, String::new()));
        for timer in [plan(program.clone()).timer, Timer::Every(std::time::Duration::from_secs(72_000))] {
            let files = PlanUnits { timer, ..plan(program.clone()) }.files().expect("units");
            assert_eq!(verify(folder.path(), &files), (true, String::new()));
        }
    }
}

#[test]
fn systemd_finds_what_is_wrong_with_a_unit() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = server(with_program(folder.path(), "keepfast", program()));
    for (from, to) in
        [("ReadWritePaths=-/srv", "ReadWritePaths=-srv"), ("keepfast --config", "missing --config")]
    {
        let text = good.text.replacen(from, to, 1);
        assert_ne!(text, good.text);
        let (_, said) = verify(folder.path(), &[UnitFile { name: good.name.clone(), text }]);
        assert_ne!(said, "", "{to}");
    }
}

/// systemd looks for the program, so it has read the path as it was meant.
#[test]
fn systemd_reads_odd_paths_as_they_were_meant() {
    let folder = tempfile::tempdir().expect("a folder");
    let sayable_everywhere = ["a b", "100%h", "$HOME", "${HOME}", "é;", "-x", "@!+:|", "#", "a;b", "*?[x]"];
    let sayable_but_as_program = ["it's", "the \"quoted\"", "back\\slash\\n", "tab\there"];
    for name in [&sayable_everywhere[..], &sayable_but_as_program[..]].concat() {
        let odd = folder.path().join(name);
        let odd_list = !name.contains('\t');
        let program_name = if sayable_everywhere.contains(&name) { name } else { "keepfast" };
        let program = Program {
            config: odd.clone(),
            writable: if odd_list { vec![odd.clone()] } else { Vec::new() },
            credentials: if odd_list {
                vec![Credential { name: CredentialName::new("secret").expect("a name"), path: odd }]
            } else {
                Vec::new()
            },
            ..with_program(folder.path(), program_name, program())
        };
        assert_eq!(verify(folder.path(), &[server(program.clone())]), (true, String::new()), "{name}");
        let files = PlanUnits { plan: "50% of \"é\"; $HOME \\".to_owned(), ..plan(program.clone()) };
        let files = files.files().expect("units");
        assert_eq!(verify(folder.path(), &files), (true, String::new()), "{name}");
        // The program has to be where systemd looks for it.
        fs::remove_file(folder.path().join(program_name)).expect("removed");
        let (_, said) = verify(folder.path(), &[server(program)]);
        assert!(said.contains("not executable"), "{name}: {said}");
    }
}

/// How much a unit could still do, from 0 to 10, as the tool counts it.
fn exposure(folder: &Path, program: Program) -> f64 {
    let path = folder.join("keepfast.service");
    fs::write(&path, server(program).text).expect("written");
    let (_, said) = analyze(&["security", "--offline=true", "--no-pager", path.to_str().expect("UTF-8")]);
    let figure = said.split_once("keepfast.service: ").and_then(|(_, rest)| rest.split(' ').next());
    figure.and_then(|figure| figure.parse().ok()).unwrap_or_else(|| panic!("{said}"))
}

/// docs/service.md has the figures themselves, of one version of the tool.
#[test]
fn units_expose_little() {
    let folder = tempfile::tempdir().expect("a folder");
    let found = [program(), unprivileged(), restoring()].map(|program| exposure(folder.path(), program));
    let most = [2.5, 2.3, 3.5];
    assert!(found.iter().zip(most).all(|(found, most)| *found <= most), "{found:?}");
}

/// systemd.time(7) as it is, on the days on which clocks are changed in Paris in 2026.
#[test]
fn instants_that_do_not_exist_are_left_out_and_double_ones_are_taken_once() {
    let daily = Calendar::from_cron("30 2 * * *", "Europe/Paris").expect("a schedule");
    let next = |base: &str| crate::calendar::next(&daily.lines()[0], base, 2);
    assert_eq!(next("2026-03-28 20:00 UTC"), ["2026-03-30 00:30", "2026-03-31 00:30"]);
    assert_eq!(next("2026-10-24 20:00 UTC"), ["2026-10-25 00:30", "2026-10-26 01:30"]);
}
