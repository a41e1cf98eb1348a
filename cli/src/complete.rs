//! Names for the shell, while a command line is typed: of plans, repositories and targets from the configuration, of
//! runs and snapshots from the state. No repository is opened, no one is asked for a password, and nothing is made:
//! where a name can't be found out this way, there is none.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use clap::builder::StyledStr;
use clap_complete::env::{CompleteEnv, Shells};
use clap_complete::{ArgValueCandidates, CompletionCandidate, Shell};
use keepfast_config::config::{Config, Kind};
use keepfast_server::definitions;
use keepfast_server::existing::{self, Named};

use crate::args::Arguments;
use crate::{lines, settings};

/// By this variable, a shell's script says for which shell it asks. It has a name of its own, so that scripts of other
/// programs don't set it.
const VARIABLE: &str = "KEEPFAST_COMPLETE";
/// The newest runs of which names are offered.
const RUNS_MAX: u16 = 100;
/// Letters of a snapshot's id that are offered: as many as other commands print.
const SNAPSHOT_LETTERS: usize = 8;

/// Answers the shell's script, if it is what has started the program; then the process ends.
pub fn answer_shell() {
    let command = || {
        let mut command = Arguments::with_examples();
        // Options of all commands are put below each command first.
        command.build();
        with_names(command)
    };
    CompleteEnv::with_factory(command).var(VARIABLE).complete();
}

/// Lets each value that is such a name be completed, by what the help calls it. Options are offered where nothing else
/// fits: each command has dozens.
fn with_names(command: clap::Command) -> clap::Command {
    let is_config = command.get_name() == "config";
    command
        .mut_args(move |arg| {
            let arg = if arg.is_positional() { arg } else { arg.hide(true) };
            let value = arg.get_value_names().and_then(|names| names.first()).map(|name| name.to_string());
            match (arg.get_id().as_str(), value.as_deref()) {
                // What is called so there isn't a snapshot: a writer, a message.
                ("writer" | "id", _) => arg,
                (_, Some("PLAN")) => arg.add(ArgValueCandidates::new(plans)),
                ("repository", Some("NAME")) | (_, Some("REPOSITORY")) => {
                    arg.add(ArgValueCandidates::new(repositories))
                }
                (_, Some("TARGET")) => arg.add(ArgValueCandidates::new(targets)),
                (_, Some("RUN")) => arg.add(ArgValueCandidates::new(runs)),
                ("snapshot", _) | (_, Some("ID" | "SNAPSHOT")) => arg.add(ArgValueCandidates::new(snapshots)),
                _ => arg,
            }
        })
        .mut_subcommands(move |below| {
            let below = with_names(below);
            // Paths of other commands are those of files.
            let is_shown = is_config && below.get_name() == "show";
            below.mut_args(move |arg| match arg.get_id().as_str() {
                "path" if is_shown => arg.add(ArgValueCandidates::new(definitions)),
                _ => arg,
            })
        })
}

/// Prints the script that makes a shell ask this program.
pub fn print_script(shell: Shell) -> Result<()> {
    let shells = Shells::builtins();
    let writer = shells.completer(&shell.to_string()).ok_or_else(|| anyhow!("no script for {shell}"))?;
    let mut script = Vec::new();
    writer
        .write_registration(VARIABLE, "keepfast", "keepfast", "keepfast", &mut script)
        .and_then(|()| script.flush())
        .context("the script can't be made")?;
    lines::raw(&script);
    Ok(())
}

/// Plans.
fn plans() -> Vec<CompletionCandidate> {
    let described = |config: &Config, name: &str| config.plans.get(name)?.value.description.clone();
    named(Kind::Plan, described)
}

/// Repositories of the configuration.
fn repositories() -> Vec<CompletionCandidate> {
    let described = |config: &Config, name: &str| config.repositories.get(name)?.value.description.clone();
    named(Kind::Repository, described)
}

/// Targets of messages.
fn targets() -> Vec<CompletionCandidate> {
    named(Kind::Target, |config: &Config, name: &str| config.targets.get(name)?.value.description.clone())
}

/// Definitions as `config show` takes them: `plan.www`.
fn definitions() -> Vec<CompletionCandidate> {
    let Some(config) = config() else { return Vec::new() };
    let names = Kind::ALL.into_iter().flat_map(|kind| {
        let names = config.names(kind).into_iter();
        names.map(move |name| format!("{}.{name}", kind.key())).collect::<Vec<_>>()
    });
    names.chain(["server".to_owned()]).map(CompletionCandidate::new).collect()
}

/// Runs, the newest first.
fn runs() -> Vec<CompletionCandidate> {
    let found = of_state(async |config| existing::recent_runs(config, RUNS_MAX).await);
    found.into_iter().map(|run| candidate(run.name, Some(run.about))).collect()
}

/// Snapshots of plans, the newest first, and what names the newest one.
fn snapshots() -> Vec<CompletionCandidate> {
    let found = of_state(async |config| existing::recent_snapshots(config, RUNS_MAX).await);
    let made = found.into_iter().map(|snapshot| {
        let short = snapshot.name.get(..SNAPSHOT_LETTERS).unwrap_or(&snapshot.name).to_owned();
        candidate(short, Some(snapshot.about))
    });
    let latest = candidate("latest".to_owned(), Some("the newest one".to_owned()));
    std::iter::once(latest).chain(made).collect()
}

fn named(kind: Kind, described: impl Fn(&Config, &str) -> Option<String>) -> Vec<CompletionCandidate> {
    let Some(config) = config() else { return Vec::new() };
    let names = config.names(kind).into_iter();
    names.map(|name| candidate(name.to_owned(), described(&config, name))).collect()
}

/// A name with a line about it. What is written there goes to a terminal.
fn candidate(name: String, about: Option<String>) -> CompletionCandidate {
    let about = about.map(|about| StyledStr::from(lines::visible(&about).into_owned()));
    CompletionCandidate::new(name).help(about)
}

/// What the state has of something; nothing where there is none, or it can't be read.
fn of_state(look: impl AsyncFnOnce(&Config) -> keepfast_server::Result<Vec<Named>>) -> Vec<Named> {
    let Some(config) = config() else { return Vec::new() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_or_else(|_| Vec::new(), |runtime| runtime.block_on(look(&config)).unwrap_or_default())
}

/// The configuration that the typed command line names.
fn config() -> Option<Config> {
    let said = said_config(std::env::args_os().skip_while(|word| word != "--").skip(1));
    let from_env =
        || std::env::var_os("KEEPFAST_CONFIG").filter(|value| !value.is_empty()).map(PathBuf::from);
    definitions::read(&settings::config_file(said.or_else(from_env))).config
}

/// The value of `--config` among the words of a command line.
fn said_config(words: impl Iterator<Item = OsString>) -> Option<PathBuf> {
    let mut words = words.peekable();
    while let Some(word) = words.next() {
        if word == "--config" {
            return words.next().map(PathBuf::from);
        }
        if let Some(file) = word.to_str().and_then(|word| word.strip_prefix("--config=")) {
            return Some(PathBuf::from(file));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::PathBuf;

    use super::said_config;

    #[test]
    fn the_file_is_that_of_the_typed_line() {
        let of = |line: &str| said_config(line.split(' ').map(OsString::from));
        let file = Some(PathBuf::from("/a.toml"));
        assert_eq!(of("keepfast --config /a.toml run "), file);
        assert_eq!(of("keepfast run --config=/a.toml "), file);
        assert_eq!(of("keepfast run w"), None);
        assert_eq!(of("keepfast --config"), None);
    }
}
