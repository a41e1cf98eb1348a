//! `keepfast wal restore`.

use std::path::{Path, absolute};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use keepfast_operations::databases::wal::{ClusterReport, ClusterRestore, restore_cluster};
use keepfast_operations::place::Place;
use keepfast_sources::postgres::physical::{RestoreCommand, Target};

use crate::Outcome;
use crate::args::{Common, RestoreWal};
use crate::commands::host_filter_of;
use crate::console::Console;
use crate::render::{self, counted, short};
use crate::settings;

/// What stands in restore_command for the file's name and place, as PostgreSQL fills it in.
const WHICH: &str = "%f \"%p\"";

/// Lays out a base backup.
pub fn run(common: &Common, options: &RestoreWal) -> Result<Outcome> {
    let console = Console::new(common)?;
    let command = match &options.restore_command {
        Some(command) => RestoreCommand::Given(command.clone()),
        None if options.copy_log => RestoreCommand::Copied,
        None => RestoreCommand::Given(get_command(common, options)?),
    };
    let request = ClusterRestore {
        name: options.name.clone(),
        snapshot: options.snapshot.clone(),
        filter: host_filter_of(&options.filter),
        into: options.into.clone(),
        target: options.until.clone().map_or(Target::End, Target::At),
        timeline: options.timeline,
        command: command.clone(),
        spool: options.spool.clone(),
        parallel: options.parallel,
    };
    let shared = crate::commands::shared(common, &console)?;
    let report = console.during("restored", || restore_cluster(&request, &shared, console.run()))?;
    for warning in &report.warnings {
        console.warn(warning);
    }
    if common.json {
        render::document(&report);
    } else if !common.quiet {
        print(&report, &command);
    }
    Ok(super::super::outcome_of(console.run().troubles()))
}

fn print(report: &ClusterReport, command: &RestoreCommand) {
    render::line(&format!(
        "{} of snapshot {} restored into {}",
        report.folder,
        short(&report.snapshot),
        report.data.display()
    ));
    render::line(&format!("files     {}, {}", counted(report.files, "file"), render::bytes(report.bytes)));
    render::line(&format!(
        "target    {} on timeline {}; the log goes up to {}",
        report.target, report.timeline, report.log_end
    ));
    if let RestoreCommand::Given(command) = command {
        render::line(&format!("log       by {command}"));
    }
    render::line(&format!(
        "next      start PostgreSQL {} there: it recovers up to the target, and then takes writes",
        report.server
    ));
    let time = Duration::from_secs_f64(report.seconds);
    render::line(&format!("time      {:.1} s, {}", report.seconds, render::rate(report.bytes, time)));
}

/// This program with the same repository, as a server's shell runs it. Where the index is kept isn't taken over: it belongs
/// to another user.
fn get_command(common: &Common, options: &RestoreWal) -> Result<String> {
    let mut words = vec![text(&std::env::current_exe().context("the program's own path is unknown")?)?];
    let mut flag = |name: &str, value: String| words.extend([name.to_owned(), value]);
    let repository = match &settings::target(common)?.place {
        Place::Directory(path) => text(path)?,
        elsewhere => elsewhere.to_string(),
    };
    flag("--repo", repository);
    if let Some(file) = &common.password_file {
        flag("--password-file", text(&absolute(file)?)?);
    } else if let Some(command) = &common.password_command {
        flag("--password-command", command.clone());
    }
    if let Some(endpoint) = &common.s3.s3_endpoint {
        flag("--s3-endpoint", endpoint.clone());
    }
    if let Some(region) = &common.s3.s3_region {
        flag("--s3-region", region.clone());
    }
    if let Some(file) = &common.s3.s3_ca_file {
        flag("--s3-ca-file", text(&absolute(file)?)?);
    }
    if let Some(is_path) = common.s3.s3_path_style {
        words.push(format!("--s3-path-style={is_path}"));
    }
    if common.no_cache {
        words.push("--no-cache".to_owned());
    }
    words.extend(["wal", "get"].map(str::to_owned));
    if let Some(spool) = &options.spool {
        words.extend(["--spool".to_owned(), text(&absolute(spool)?)?]);
    }
    words.push(options.name.to_string());
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    Ok(format!("{} {WHICH}", words.join(" ")))
}

/// First for the shell, then for PostgreSQL, which takes `%` for a sign of its own.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=@,+".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''")).replace('%', "%%")
}

fn text(path: &Path) -> Result<String> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| anyhow!("{} can't stand in restore_command: it isn't text", path.display()))
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_are_quoted_for_the_shell_and_for_postgresql() {
        assert_eq!(quoted("/srv/backup"), "/srv/backup");
        assert_eq!(quoted("it's 5%"), "'it'\\''s 5%%'");
        assert_eq!(quoted(""), "''");
    }
}
