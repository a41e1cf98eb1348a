//! What the program says of itself: help, usage lines, manual pages.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crate::program::{Desk, Run};

/// Options of all commands, one of each heading.
const GLOBAL: [(&str, &str); 3] = [
    ("Global options:", "--password-file"),
    ("Options for resources:", "--threads"),
    ("Options for S3:", "--s3-endpoint"),
];

/// The commands that the help lists.
fn commands(desk: &Desk, of: &[&str]) -> Vec<String> {
    let help = desk.run([of, &["--help"]].concat()).succeeds().out;
    let listed =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // Lines that go on with the text above begin with more spaces.
    let names = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names
        .map(|line| line.split_whitespace().next().unwrap().to_owned())
        .filter(|name| name != "help")
        .collect()
}

#[test]
fn help_shows_own_options_before_global_ones() {
    let desk = Desk::bare();
    let own = [
        ("backup", "--exclude-from"),
        ("restore", "--overwrite"),
        ("forget", "--keep-last"),
        ("forget", "--max-unused"),
        ("check", "--read-data"),
        ("ls", "--recursive"),
        ("prune", "--session-timeout"),
    ];
    for (command, option) in own {
        let help = desk.run([command, "--help"]).succeeds().out;
        let place = |words: &str| help.find(words).unwrap_or_else(|| panic!("no {words} in {help}"));
        for (heading, global) in GLOBAL {
            assert!(place(&format!("{option} ")) < place(heading), "{option} is below {heading} {help}");
            assert!(place(heading) < place(global), "{global} isn't below {heading} {help}");
        }
    }
    for command in commands(&desk, &[]) {
        let help = desk.run([&command, "--help"]).succeeds().out;
        let options = help.find("\nOptions:").unwrap_or_else(|| panic!("{help}"));
        let (before, _) = help[options..].split_once("\nGlobal options:").expect(&help);
        assert!(!before.contains("--repo") && !before.contains("--s3-"), "{help}");
    }
}

/// The help of each command ends with examples, and each of them is a command line that is understood so far.
#[test]
fn each_command_has_examples() {
    let desk = Desk::bare();
    let mut all: Vec<Vec<String>> = Vec::new();
    for command in commands(&desk, &[]) {
        all.extend(commands(&desk, &[&command]).into_iter().map(|below| vec![command.clone(), below]));
        all.push(vec![command]);
    }
    for command in all {
        let mut words = command.clone();
        words.push("--help".to_owned());
        let help = desk.run(&words).succeeds().out;
        let (_, examples) = help.split_once("\nExamples:\n").unwrap_or_else(|| panic!("no examples: {help}"));
        for example in examples.lines() {
            assert!(example.starts_with("  keepfast "), "{help}");
            assert!(example.split(' ').any(|word| word == command[0]), "{example}: {command:?}");
            // With --help at the end, all that stands before has to be known.
            let (line, _) = example.split_once(" > ").unwrap_or((example, ""));
            let program = env!("CARGO_BIN_EXE_keepfast");
            let script = format!("set -- {line}; shift; exec {program} \"$@\" --help");
            Run::of(Command::new("sh").args(["-c", &script]).output().unwrap()).succeeds();
        }
    }
}

/// A usage line says what is needed, and the environment's options aren't.
#[test]
fn usage_lines_name_no_option_of_the_environment() {
    let desk = Desk::bare();
    for (arguments, usage) in [
        (&["backup"][..], "Usage: keepfast backup [OPTIONS] [PATH]..."),
        (&["restore", "--snapshot", "latest"], "Usage: keepfast restore [OPTIONS] --target <DIR>"),
        (&["ls"], "Usage: keepfast ls [OPTIONS] <SNAPSHOT> [PATH]"),
        (&["check", "--read-data", "--read-data-subset", "1/2"], "Usage: keepfast check [OPTIONS]"),
        (&["cache", "info", "--no-such"], "Usage: keepfast cache info [OPTIONS]"),
        (&["no-such"], "Usage: keepfast [OPTIONS] <COMMAND>"),
    ] {
        let run = desk.run(arguments).fails(2, &[]);
        assert!(run.err.lines().any(|line| line.trim_end() == usage), "{usage} isn't said: {run:?}");
    }
    desk.run(["backup"]).fails(2, &["<PATH>..."]);
}

#[test]
fn each_command_has_a_manual_page_that_names_its_options() {
    let desk = Desk::bare();
    let folder = desk.path("share/man1");
    desk.run(["manual", folder.to_str().unwrap()]).succeeds();
    let page = |name: &str| {
        let text = fs::read_to_string(folder.join(format!("{name}.1")))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        // A page writes a hyphen as `\-`.
        text.replace("\\-", "-")
    };
    let mut expected = BTreeSet::from(["keepfast.1".to_owned()]);
    let program = page("keepfast");
    for command in commands(&desk, &[]) {
        assert!(program.contains(&format!("keepfast-{command}(1)")), "{command} isn't in {program}");
        expected.insert(format!("keepfast-{command}.1"));
        let help = desk.run([&command, "--help"]).succeeds().out;
        let page = page(&format!("keepfast-{command}"));
        let options = help.split_whitespace().filter(|word| word.starts_with("--") && word.len() > 2);
        for option in options {
            let name = option.trim_end_matches(|letter: char| !letter.is_ascii_alphanumeric());
            let name = name.split(['[', '=', '`']).next().unwrap();
            assert!(page.contains(name), "{name} isn't in the page of {command}: {page}");
        }
        // What stands above is shown, too, as it is in the help.
        let usage = help.lines().find_map(|line| line.strip_prefix("Usage: ")).unwrap();
        assert!(
            page.contains(usage.trim_start_matches(&format!("keepfast {command}"))),
            "{usage} isn't in {page}"
        );
    }
    for parent in commands(&desk, &[]) {
        for command in commands(&desk, &[&parent]) {
            expected.insert(format!("keepfast-{parent}-{command}.1"));
        }
    }
    let written =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(written.collect::<BTreeSet<_>>(), expected);
    // Again, over what is there; and where no directory can be.
    desk.run(["manual", folder.to_str().unwrap()]).succeeds();
    desk.run(["manual", desk.path("share/man1/keepfast.1").to_str().unwrap()])
        .fails(1, &["manual pages", "keepfast.1"]);
}
