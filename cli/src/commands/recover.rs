//! `keepfast serve --recover`: rebuilds a lost server from the newest backup of its state.

use std::path::{Path, PathBuf};

use anyhow::Result;
use keepfast_config::config::Config;
use keepfast_config::model::server::BackupOfState;
use keepfast_operations::open::SharedRepository;
use keepfast_operations::paths::absolute;
use keepfast_server::recovery::files::{self, ConfigurationReport};
use keepfast_server::recovery::find::{Found, Wanted, find};
use keepfast_server::recovery::missing::{self, SecretToSee};
use keepfast_server::recovery::rebuild::{self, StateReport};
use keepfast_server::{connect, definitions};
use serde::Serialize;

use super::plans;
use crate::args::{Common, Serve};
use crate::console::Console;
use crate::render::{self, counted};
use crate::usage::Usage;
use crate::{Outcome, lines};

/// What was done, for scripts.
#[derive(Serialize)]
struct RecoveryDocument {
    snapshot: Found,
    configuration: ConfigurationReport,
    /// Null if it was not rebuilt yet.
    state: Option<StateReport>,
    secrets: Vec<SecretToSee>,
    remarks: Vec<String>,
    next: Vec<String>,
}

/// Rebuilds a server: its configuration, then its state. It starts nothing: a person has to look at what came back, and
/// to put the secrets back, first.
pub fn run(common: &Common, options: &Serve) -> Result<Outcome> {
    let console = Console::new(common)?;
    let first = absolute(&plans::first(common))?;
    let shared = repository(common, &console, &first)?;
    let wanted = Wanted { snapshot: options.snapshot.clone(), host: options.host.clone() };
    let found = console.during("found", || find(&wanted, &shared, console.run()))?;
    let configuration =
        console.during("configuration", || files::restore(&found, &first, &shared, console.run()))?;
    let around = plans::surroundings(common);
    let loaded = definitions::read(&first);
    let Some(config) = loaded.config else {
        let error = plans::invalid(common, &loaded.report);
        let text = format!(
            "{} can't be used here yet, so the state was not rebuilt: see to what is wrong with it, and run the same \
             command again",
            first.display()
        );
        return Err(error.context(text));
    };
    let mut document = RecoveryDocument {
        remarks: remarks(&found, &configuration, &around.host),
        secrets: missing::secrets(&config),
        state: None,
        next: Vec::new(),
        configuration,
        snapshot: found,
    };
    // To reach a database, a password is read or a command run as the file says: a person has to have seen the file.
    let must_look =
        config.server.value.state.postgres.is_some() && !document.configuration.written.is_empty();
    if !must_look {
        let found = &document.snapshot;
        document.state = Some(
            console.during("state", || rebuild::rebuild(&config, found, &around, &shared, console.run()))?,
        );
    }
    document.next = next(&config, &document, &first);
    let is_whole = document.state.is_some() && document.remarks.is_empty();
    match common.json {
        true => render::document(&document),
        false => print(&document),
    }
    Ok(if is_whole { Outcome::Complete } else { Outcome::WithFindings })
}

/// The repository that the command line names, else that of the configuration that is there.
fn repository(common: &Common, console: &Console, first: &Path) -> Result<SharedRepository> {
    if common.repo.as_deref().is_some_and(|place| !place.is_empty()) {
        return super::shared(common, console);
    }
    if !first.exists() {
        let text = format!(
            "no repository given, and {} isn't there to name one: use --repo, or set KEEPFAST_REPOSITORY",
            first.display()
        );
        return Err(Usage(text).into());
    }
    let config = plans::read(common)?;
    let Some(BackupOfState::Into(backup)) = &config.server.value.backup else {
        let text = format!(
            "{} doesn't say which repository has the backups of the state (`backup` in `[server]`): use --repo",
            first.display()
        );
        return Err(Usage(text).into());
    };
    let definition = connect::definition(&config, &backup.repository.name)?;
    Ok(connect::repository(&config, &plans::surroundings(common), definition)?)
}

fn remarks(found: &Found, configuration: &ConfigurationReport, host: &str) -> Vec<String> {
    let mut remarks = Vec::new();
    if found.is_ahead {
        remarks.push(format!("the snapshot is of {}, which is to come: a clock is wrong", found.time));
    }
    let ConfigurationReport { file, was, written, differs } = configuration;
    if *differs {
        remarks.push(format!(
            "{} was there already and differs from the one in the snapshot: it was left as it is",
            file.display()
        ));
    }
    if !written.is_empty() && file != was {
        remarks.push(format!(
            "the configuration was in {}, and is in {} now: paths in it may not fit",
            was.display(),
            file.display()
        ));
    }
    if found.about.host != host {
        remarks.push(format!(
            "this machine's name is {host}, and the lost one's was {}: retention judges only snapshots of its own name",
            found.about.host
        ));
    }
    remarks
}

fn next(config: &Config, document: &RecoveryDocument, first: &Path) -> Vec<String> {
    let mut next = Vec::new();
    if !document.configuration.written.is_empty() {
        next.push(format!(
            "look at {}: hooks and commands in it will run on this machine as the service does",
            first.display()
        ));
    }
    let missing: Vec<&SecretToSee> = document.secrets.iter().filter(|secret| secret.is_missing).collect();
    if !missing.is_empty() {
        let places: Vec<&str> = missing.iter().map(|secret| secret.place.as_str()).collect();
        next.push(format!("put the secrets back: {}", places.join(", ")));
    }
    if document.state.is_none() {
        next.push(
            "run the same command again: the state is in PostgreSQL and was not rebuilt yet".to_owned(),
        );
        return next;
    }
    next.push(format!("keepfast --config {} config check --resolve", shown(first)));
    if config.plans.values().any(|plan| plan.value.enabled) {
        next.push(
            "restore the data before the service runs (keepfast restore --tag plan:NAME): plans back up what is there"
                .to_owned(),
        );
    }
    next.push(format!("keepfast --config {} service install --start", shown(first)));
    next
}

/// A path as a shell takes it.
fn shown(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |sign: char| sign.is_ascii_alphanumeric() || "/._-".contains(sign);
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

fn print(document: &RecoveryDocument) {
    let RecoveryDocument { snapshot, configuration, state, secrets, remarks, next } = document;
    render::line(&format!(
        "snapshot  {} of {}, host {}",
        render::short(&snapshot.id),
        snapshot.time,
        snapshot.host
    ));
    match configuration.written.as_slice() {
        [] => render::line(&format!("config    {} was there already", configuration.file.display())),
        files => {
            files.iter().for_each(|file: &PathBuf| render::line(&format!("config    {}", file.display())))
        }
    }
    if let Some(state) = state {
        render::line(&format!("state     {}, {}", state.place, counted(state.rows, "row")));
        state.lost_runs.iter().for_each(|run| render::line(&format!("lost      run {run}")));
        if state.unsent_messages > 0 {
            let messages = counted(state.unsent_messages, "message");
            render::line(&format!(
                "unsent    {messages}: `keepfast notify log --failed` shows them, `notify retry` sends one"
            ));
        }
        for hook in &state.undone_hooks {
            render::line(&format!("hook      {} of run {} was not run", hook.program, hook.run));
        }
    }
    for secret in secrets {
        let SecretToSee { definition, what, place, is_missing } = secret;
        let how = if *is_missing { "is missing" } else { "has to be tried" };
        render::line(&format!("secret    {definition}: {what}, {place}, {how}"));
    }
    remarks.iter().for_each(|remark| render::note("warning", remark, false));
    lines::message("next:");
    next.iter().for_each(|step| lines::message(&format!("  {step}")));
}
