//! `keepfast init`.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use keepfast_backend::ProbeReport;
use keepfast_engine::EngineError;
use keepfast_engine::repo::{InitOptions, OpenOptions, Repository, Snapshots, accept, check_cache};
use keepfast_format::chunker::ChunkerParams;
use keepfast_format::slot::PasswordCost;
use serde_json::json;

use super::doctor;
use crate::Outcome;
use crate::args::{Common, Init};
use crate::console::Console;
use crate::render;
use crate::secrets::{self, Purpose};
use crate::settings;
use crate::usage::Usage;

/// Makes a repository.
pub fn run(common: &Common, options: &Init) -> Result<Outcome> {
    let console = Console::new(common)?;
    if options.group_readable && settings::place(common)?.is_remote() {
        return Err(Usage(
            "--group-readable goes with a repository in a directory: who may read a bucket, its policy says"
                .to_owned(),
        )
        .into());
    }
    if !common.no_cache
        && let Err(error @ EngineError::UnsafeCache { .. }) = check_cache(&settings::cache_dir(common))
    {
        return Err(error.into());
    }
    let backend = settings::backend(common, console.run().link())?;
    let location = backend.location();
    let too_large = |what: &str| Usage(format!("the {what} is too large"));
    let mut init = InitOptions {
        chunker: ChunkerParams::of_average(
            options.chunk_size.checked_mul(1 << 10).ok_or_else(|| too_large("chunk size"))?,
        ),
        pack_bytes: options.pack_size.checked_mul(1 << 20).ok_or_else(|| too_large("pack size"))?,
        password_cost: PasswordCost::DEFAULT,
        single_writer: false,
        now_unix_s: u64::try_from(settings::now().seconds).unwrap_or(0),
    };
    let mut exists = false;
    backend.list(keepfast_format::names::CONFIG, &mut |_| exists = true).map_err(EngineError::from)?;
    if exists {
        return Err(EngineError::RepositoryExists { location }.into());
    }
    if options.group_readable {
        share(common)?;
    }
    init.single_writer = must_be_single_writer(
        &settings::probe(common, console.run().link())?,
        &location,
        options.unsafe_store,
    )?;
    let password = secrets::password(common, Purpose::Make)?;
    Repository::init(Arc::clone(&backend), password.as_bytes(), &init)?;
    // It shall open as every later command opens it.
    let cache = Some(settings::cache_dir(common)).filter(|_| !common.no_cache);
    let options = OpenOptions { cache: cache.as_deref(), ..OpenOptions::default() };
    let repository = Repository::find(backend)?.open_with(password.as_bytes(), &options)?;
    // What was seen here before is gone: from now on it is this repository that is expected.
    let memory = settings::memory(common, &location);
    if !common.no_cache
        && let Err(error) = accept(&repository, &Snapshots::default(), &memory)
    {
        let line =
            format!("it can't be remembered in the cache that this repository is expected here: {error}");
        render::note("warning", &line, common.json);
    }
    if common.json {
        render::document(&json!({
            "repository": repository.id().to_string(), "location": location,
            "single_writer": init.single_writer,
        }));
    } else if !common.quiet {
        render::line(&format!("made repository {} in {location}", repository.id()));
        if init.single_writer {
            render::line(
                "The store lets writers overwrite each other's objects: never run two commands that write at the \
                 same time, and never from two machines.",
            );
        }
        render::line(
            "Keep the password in a second place: without it nothing can be restored, and no one can reset it.",
        );
    }
    Ok(Outcome::Complete)
}

/// Lets the group of the repository's directory read what will be in it.
fn share(common: &Common) -> Result<()> {
    let place = settings::place(common)?;
    let Some(place) = place.directory() else { return Ok(()) };
    keepfast_backend::share_with_group(place)
        .with_context(|| format!("{} can't be made readable for a group", place.display()))
}

/// Refuses a store that can't be trusted. One that a single writer can live with is taken if
/// that was asked for; then this is true.
fn must_be_single_writer(probed: &ProbeReport, location: &str, unsafe_store: bool) -> Result<bool> {
    if probed.is_sound() {
        return Ok(false);
    }
    let flaws = doctor::flaws(probed).join("; ");
    if !probed.is_safe_for_one_writer() {
        bail!("{location} can't hold a repository: {flaws}. Use another store");
    }
    if !unsafe_store {
        bail!(
            "{location} can't be trusted with a repository: {flaws}. Two runs that write at the same time would \
             destroy each other's work without noticing. Use another store; or, if never more than one run writes, \
             take it with --unsafe-store"
        );
    }
    Ok(true)
}
