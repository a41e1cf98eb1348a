//! Snapshots that others name and that the store doesn't show. No one knows what they need: so
//! nothing is removed until they are back, or an owner gives them up.

use keepfast_format::ids::SessionId;

use super::Prune;
use super::live::Listing;
use crate::error::{ChoiceError, EngineError, PruneError, Result};
use crate::repo::{MissingSnapshot, Snapshots};

/// A message names this many missing snapshots.
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
            return Err(refusal(&hidden));
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
        (None, _) => Err(ChoiceError::NotMissing { text: text.to_owned() }.into()),
        _ => Err(ChoiceError::AmbiguousMissing { text: text.to_owned() }.into()),
    }
}

/// The error of a prune that doesn't remove anything while these are missing.
fn refusal(hidden: &[&MissingSnapshot]) -> EngineError {
    let name = |MissingSnapshot { id, sequence, witness }: &&MissingSnapshot| {
        format!(
            "{}, number {sequence} of writer {}, named by snapshot {} of writer {}",
            id.short(),
            id.writer,
            &witness.short()[..8],
            witness.writer
        )
    };
    let named: Vec<String> = hidden.iter().take(NAMED_MAX).map(name).collect();
    let others = hidden.len() - named.len();
    PruneError::MissingSnapshots { named, others }.into()
}
