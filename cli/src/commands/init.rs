//! `keepfast init`.

use anyhow::Result;
use keepfast_operations::OperationsError;
use keepfast_operations::error::PlaceError;
use keepfast_operations::requests::{self, init};

use crate::args::{Common, Init};
use crate::console::Console;
use crate::usage::Usage;
use crate::{Outcome, render, settings};

/// Makes a repository.
pub fn run(common: &Common, options: &Init) -> Result<Outcome> {
    let console = Console::new(common)?;
    // Said before anything else that may be wrong with a bucket.
    if options.group_readable && settings::target(common)?.place.is_remote() {
        return Err(OperationsError::from(PlaceError::GroupOfBucket).into());
    }
    let too_large = |what: &str| Usage(format!("the {what} is too large"));
    let request = requests::Init {
        chunk_bytes: options.chunk_size.checked_mul(1 << 10).ok_or_else(|| too_large("chunk size"))?,
        pack_bytes: options.pack_size.checked_mul(1 << 20).ok_or_else(|| too_large("pack size"))?,
        accept_single_writer: options.unsafe_store,
        group_readable: options.group_readable,
    };
    let shared = settings::shared(common, &console)?;
    let report = init(&request, &shared, console.run())?;
    if common.json {
        render::document(&report);
    } else if !common.quiet {
        render::line(&format!("made repository {} in {}", report.repository, report.location));
        if report.single_writer {
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
