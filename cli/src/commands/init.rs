//! `keepfast init`.

use anyhow::Result;
use keepfast_engine::repo::{InitOptions, Repository};
use keepfast_format::chunker::ChunkerParams;
use keepfast_format::slot::PasswordCost;
use serde_json::json;

use crate::Outcome;
use crate::args::{Common, Init};
use crate::render;
use crate::settings::{self, Usage};

/// Makes a repository.
pub fn run(common: &Common, options: &Init) -> Result<Outcome> {
    let backend = settings::backend(common)?;
    let location = backend.location();
    let too_large = |what: &str| Usage(format!("the {what} is too large"));
    let init = InitOptions {
        chunker: ChunkerParams::of_average(
            options.chunk_size.checked_mul(1 << 10).ok_or_else(|| too_large("chunk size"))?,
        ),
        pack_bytes: options.pack_size.checked_mul(1 << 20).ok_or_else(|| too_large("pack size"))?,
        password_cost: PasswordCost::DEFAULT,
        now_unix_s: u64::try_from(settings::now().seconds).unwrap_or(0),
    };
    let mut exists = false;
    backend
        .list(keepfast_format::names::CONFIG, &mut |_| exists = true)
        .map_err(keepfast_engine::EngineError::from)?;
    if exists {
        return Err(keepfast_engine::EngineError::RepositoryExists { location }.into());
    }
    let password = settings::password(common, true)?;
    let repository = Repository::init(backend, password.as_bytes(), &init)?;
    if common.json {
        render::document(&json!({ "repository": repository.id().to_string(), "location": location }));
    } else if !common.quiet {
        render::line(&format!("made repository {} in {location}", repository.id()));
        render::line(
            "Keep the password safe: without it nobody can restore anything, and nobody can reset it.",
        );
    }
    Ok(Outcome::Complete)
}
