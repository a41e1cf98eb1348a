//! Colours: on a terminal, unless someone doesn't want them.

use crate::configured::Configured;
use crate::program::Run;

const RED: &str = "\u{1b}[31m";
const GREEN: &str = "\u{1b}[32m";

#[test]
fn words_have_colours_where_they_are_wanted() {
    let configured = Configured::new();
    let plain = configured.run(&["status"]).succeeds();
    assert!(!plain.out.contains('\u{1b}'), "a pipe is no terminal: {plain:?}");
    let coloured = configured.run(&["--color", "always", "status"]).succeeds();
    assert!(
        !coloured.out.contains(GREEN),
        "a plan that promises nothing is neither good nor bad: {coloured:?}"
    );
    configured.define("rpo = \"1h\"");
    let coloured = configured.run(&["--color", "always", "st"]).succeeds();
    assert!(coloured.out.contains(&format!("{GREEN}ok\u{1b}[0m")), "{coloured:?}");
    let failed = configured.run(&["--color", "always", "run", "no-such-plan"]);
    assert!(failed.code == 2 && failed.err.starts_with(&format!("{RED}keepfast:")), "{failed:?}");
    let failed = configured.run(&["--color", "never", "run", "no-such-plan"]);
    assert!(failed.code == 2 && failed.err.starts_with("keepfast:"), "{failed:?}");
    configured.define("shedule = 1");
    let coloured = configured.run(&["--color", "always", "config", "check"]);
    let plain = configured.run(&["config", "check"]);
    assert!(coloured.out.contains("\u{1b}[") && !plain.out.contains('\u{1b}'), "{coloured:?}");
}

/// script(1) gives the program a terminal.
#[test]
fn a_terminal_has_colours_unless_they_are_refused() {
    let configured = Configured::new();
    let on_terminal = |name: &str, value: &str| {
        let line = format!(
            "{} --config {} run no-such-plan",
            env!("CARGO_BIN_EXE_keepfast"),
            configured.path("keepfast.toml").display()
        );
        let mut command = std::process::Command::new("script");
        command.env_clear().env("PATH", "/usr/bin:/bin").env("TERM", "xterm").env(name, value);
        Run::of(command.args(["-qec", &line, "/dev/null"]).output().unwrap()).out
    };
    assert!(on_terminal("X", "").contains(RED));
    assert!(on_terminal("NO_COLOR", "").contains(RED), "an empty variable says nothing");
    assert!(!on_terminal("NO_COLOR", "1").contains('\u{1b}'));
    assert!(!on_terminal("TERM", "dumb").contains('\u{1b}'));
}
