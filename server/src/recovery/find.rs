//! Which snapshot a server is rebuilt from.

use std::collections::BTreeMap;

use keepfast_engine::run::RunContext;
use keepfast_operations::choose::{Filter, LATEST};
use keepfast_operations::open::SharedRepository;
use keepfast_operations::reports::ListedSnapshot;
use keepfast_operations::requests::{ListSnapshots, list_snapshots};
use keepfast_operations::times::rfc3339;
use serde::Serialize;

use super::fetch::{read_part, wrong};
use super::{ABOUT, About, FORMAT, RecoveryError, STATE_LABEL, STATE_PLAN};
use crate::convert::backup::label;
use crate::error::Result;

/// Bytes of what a snapshot says about itself, at most.
pub(super) const ABOUT_BYTES_MAX: u64 = 1 << 20;
/// Of an id, this much is shown.
const ID_SHOWN: usize = 12;

/// Which snapshot is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The start of its id; else the newest one.
    pub snapshot: Option<String>,
    /// Only of this host.
    pub host: Option<String>,
}

/// A snapshot of a server's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Its id.
    pub id: String,
    /// When it was made.
    pub time: String,
    /// The machine's name, as the snapshot says it.
    pub host: String,
    /// Its time is later than the present, so some clock is wrong.
    #[serde(skip)]
    pub is_ahead: bool,
    /// What it says about itself.
    #[serde(skip)]
    pub about: About,
}

/// Lets the snapshots of servers' states through. A plan that people write may give its snapshots the first label, but not
/// the second one.
pub(super) fn of_states() -> Filter {
    Filter { tags: vec![STATE_LABEL.to_owned(), label(STATE_PLAN)], ..Filter::default() }
}

/// Finds the newest snapshot of a server's state. If there are those of several servers, the caller has to choose: each
/// writer can say any host and any time of itself.
pub fn find(wanted: &Wanted, shared: &SharedRepository, run: &RunContext) -> Result<Found> {
    let filter = Filter { host: wanted.host.clone(), ..of_states() };
    let listed = list_snapshots(&ListSnapshots { filter, forgotten: false }, shared, run)?.snapshots;
    let start = wanted.snapshot.as_deref().filter(|text| *text != LATEST);
    let fitting =
        listed.into_iter().filter(|listed| start.is_none_or(|start| listed.snapshot.id.starts_with(start)));
    // Oldest first, so that the newest of each server is what stays.
    let newest: BTreeMap<(String, String), ListedSnapshot> = fitting
        .map(|listed| ((listed.snapshot.host.clone(), listed.snapshot.writer.clone()), listed))
        .collect();
    let mut newest: Vec<ListedSnapshot> = newest.into_values().collect();
    let chosen = match newest.len() {
        1 => newest.remove(0),
        0 => {
            let host = wanted.host.as_ref().map(|host| format!(" of the host {host}"));
            let start = start.map(|start| format!(" whose id begins with {start}"));
            let of = [host, start].into_iter().flatten().collect();
            return Err(RecoveryError::NoBackup { of }.into());
        }
        _ => {
            let found = newest.iter().map(|listed| {
                let snapshot = &listed.snapshot;
                let id: String = snapshot.id.chars().take(ID_SHOWN).collect();
                format!("host {}, snapshot {id} of {}", snapshot.host, rfc3339(snapshot.time))
            });
            return Err(RecoveryError::Several { found: found.collect() }.into());
        }
    };
    let id = chosen.snapshot.id;
    let text = read_part(&id, ABOUT, ABOUT_BYTES_MAX, shared, run)?;
    let about: About = serde_json::from_str(&text).map_err(|error| wrong(&id, ABOUT, error.to_string()))?;
    if about.format > FORMAT {
        return Err(RecoveryError::Newer { snapshot: id, program: about.program }.into());
    }
    Ok(Found {
        time: rfc3339(chosen.snapshot.time),
        host: chosen.snapshot.host,
        is_ahead: chosen.is_ahead,
        about,
        id,
    })
}
