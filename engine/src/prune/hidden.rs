//! Snapshots that others name and that the store doesn't show. What they need, nobody knows: so
//! nothing is removed until they are back, or an owner gives them up.

use std::fmt::Write;

use keepfast_format::ids::SessionId;

use super::Prune;
use super::live::Listing;
use crate::error::{EngineError, Result};
use crate::repo::{MissingSnapshot, Snapshots};

/// So many missing snapshots a message names.
const NAMED_MAX: usize = 10;

impl Prune<'_> {
    /// The missing snapshots, all of which are given up. Fails if one isn't.
    pub(super) fn find_given_up(&self, listing: &Listing) -> Result<Vec<SessionId>> {
        let snapshots = &listing.snapshots;
        let missing = snapshots.surely_missing(self.repository, self.run)?;
        let mut given_up = Vec::new();
        for text in &self.options.accept_missing {
            given_up.extend(find_accepted(text, &missing, snapshots)?);
        }
        let hidden: Vec<&MissingSnapshot> =
            missing.iter().filter(|missing| !given_up.contains(&missing.id)).collect();
        if !hidden.is_empty() {
            return Err(EngineError::Unusable(refusal(&hidden)));
        }
        given_up.sort_unstable();
        given_up.dedup();
        Ok(given_up)
    }

    /// Lists what there is. Missing snapshots that are given up go into the catalogue before: nothing
    /// of them counts from now on, even if they appear again.
    pub(super) fn take_listing(&self) -> Result<Listing> {
        let listing = Listing::take(self.repository, self.run)?;
        let given_up = self.find_given_up(&listing)?;
        if given_up.is_empty() {
            return Ok(listing);
        }
        self.write_catalogue(&given_up)?;
        Listing::take(self.repository, self.run)
    }

    /// Whether any of these snapshots names one that is missing.
    pub(super) fn misses_any(&self, snapshots: &Snapshots) -> Result<bool> {
        Ok(!snapshots.surely_missing(self.repository, self.run)?.is_empty())
    }
}

/// The missing snapshot that a text accepts; none if it is in the catalogue already.
fn find_accepted(
    text: &str,
    missing: &[MissingSnapshot],
    snapshots: &Snapshots,
) -> Result<Option<SessionId>> {
    let fits = |id: &SessionId| {
        !text.is_empty() && (id.short().starts_with(text) || id.to_string().starts_with(text))
    };
    let mut fitting = missing.iter().map(|missing| missing.id).filter(fits);
    match (fitting.next(), fitting.next()) {
        (Some(id), None) => Ok(Some(id)),
        (None, _) if snapshots.dead.iter().any(fits) => Ok(None),
        (None, _) => Err(EngineError::Unusable(format!(
            "no missing snapshot's id begins with {text:?}, so it can't be given up"
        ))),
        _ => Err(EngineError::Unusable(format!(
            "{text:?} is the start of several missing snapshots' ids: give more of it"
        ))),
    }
}

fn refusal(hidden: &[&MissingSnapshot]) -> String {
    let mut text = String::from(if hidden.len() == 1 {
        "a snapshot is missing that another one names, so no one knows what it needs, and nothing is removed: "
    } else {
        "snapshots are missing that others name, so no one knows what they need, and nothing is removed: "
    });
    for MissingSnapshot { id, sequence, witness } in hidden.iter().take(NAMED_MAX) {
        // Writing to a string can't fail.
        let _ = write!(
            text,
            "{}, number {sequence} of writer {}, named by snapshot {} of writer {}; ",
            id.short(),
            id.writer,
            &witness.short()[..8],
            witness.writer
        );
    }
    if let Some(others @ 1..) = hidden.len().checked_sub(NAMED_MAX) {
        let _ = write!(text, "and {others} others; ");
    }
    text.push_str(
        "the store hides or has lost it, or the writer that names it is lying. Bring it back from a copy of the \
         repository; or, if it can be given up for good, say so by `keepfast prune --accept-missing ID`",
    );
    text
}
