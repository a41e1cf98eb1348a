//! Asks a store whether it keeps the promises that a repository needs.

use std::path::Path;

use keepfast_backend::{ProbeOptions, ProbeReport, RunLink};
use keepfast_engine::EngineError;

use crate::child::Children;
use crate::error::{PlaceError, Result};
use crate::host;
use crate::place::{PROBE_LARGE_BYTES, Place, S3Settings, connect_to_probe};

/// Probes the store at a place. Nothing of the probe stays there.
pub fn probe(
    place: &Place,
    settings: &S3Settings,
    children: &Children,
    link: RunLink,
) -> Result<ProbeReport> {
    let tag = random_tag()?;
    let options = ProbeOptions { tag: &tag, large_bytes: PROBE_LARGE_BYTES, clock: host::monotonic };
    let backend = connect_to_probe(place, settings, children)?.for_run(link);
    let above = place.directory().into_iter().flat_map(Path::ancestors);
    let missing: Vec<&Path> = above.take_while(|above| !above.exists()).collect();
    let report = keepfast_backend::probe(&*backend, &options).map_err(EngineError::from)?;
    if let Some(directory) = place.directory() {
        // Directories that the probe's files were in; one that isn't empty stays.
        let own = ["list/0", "list/2", "list/4", "list", ""].map(|folder| format!("probe/{tag}/{folder}"));
        for folder in own.iter().map(String::as_str).chain(["probe"]) {
            let _ = std::fs::remove_dir(directory.join(folder));
        }
        for folder in missing {
            let _ = std::fs::remove_dir(folder);
        }
    }
    Ok(report)
}

/// A name that no other probe has.
fn random_tag() -> Result<String, PlaceError> {
    let mut tag = [0; 8];
    getrandom::fill(&mut tag).map_err(|error| PlaceError::Random(error.to_string()))?;
    Ok(tag.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::{Children, Place, RunLink, S3Settings, probe};

    #[test]
    fn a_directory_is_sound_and_nothing_of_the_probe_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = Place::of_directory(&folder.path().join("not/yet/there"));
        let report = probe(&place, &S3Settings::default(), &Children::default(), RunLink::default())
            .expect("a report");
        assert!(report.is_sound(), "{:?}", report.flaws);
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }
}
