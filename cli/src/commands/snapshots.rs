//! `keepfast snapshots`.

use std::collections::BTreeSet;

use anyhow::Result;
use keepfast_engine::repo::{Snapshots, StoredSnapshot};
use keepfast_format::ids::HolderId;
use keepfast_format::snapshot::Snapshot;
use keepfast_operations::open::{Looked, Mode, tell_damaged};
use keepfast_operations::reports::SnapshotDocument;
use keepfast_operations::times;
use serde_json::{Value, json};

use crate::Outcome;
use crate::args::{Common, ListSnapshots};
use crate::console::Console;
use crate::lines::visible;
use crate::{render, settings};

/// Lists snapshots.
pub fn run(common: &Common, options: &ListSnapshots) -> Result<Outcome> {
    let console = Console::new(common)?;
    let Looked { snapshots, .. } = super::shared(common, &console)?.look(console.run(), Mode::Usual)?;
    tell_damaged(&snapshots, console.run());
    let filter = super::filter_of(&options.filter).resolve(&snapshots)?;
    let listed = if options.forgotten { &snapshots.forgotten } else { &snapshots.all };
    let chosen: Vec<&StoredSnapshot> = listed.iter().filter(|stored| filter.matches(stored)).collect();
    if common.json {
        let to_json = |stored: &&StoredSnapshot| {
            let mut value = to_json(&stored.snapshot);
            value["writer"] = json!(stored.writer.to_string());
            value["protected"] = json!(snapshots.protected.contains(&stored.snapshot.head.id));
            value
        };
        render::document(&Value::Array(chosen.iter().map(to_json).collect()));
    } else {
        print_table(&chosen, &snapshots);
    }
    Ok(super::outcome(&console))
}

/// A table for people. Writers have a column where there are several.
fn print_table(listed: &[&StoredSnapshot], all: &Snapshots) {
    if listed.is_empty() {
        return render::line("no snapshots");
    }
    let host = |stored: &StoredSnapshot| visible(&stored.snapshot.body.host).into_owned();
    let host_width = listed.iter().map(|stored| host(stored).chars().count()).max().unwrap_or(0).max(4);
    let now = settings::now();
    let writers: BTreeSet<HolderId> = listed.iter().map(|stored| stored.writer).collect();
    let writer_cell = |text: &str| if writers.len() > 1 { format!("{text:8}  ") } else { String::new() };
    render::line(&format!(
        "{:8}  {:19}  {}{:host_width$}  {:>11}  PATHS",
        "ID",
        "TIME",
        writer_cell("WRITER"),
        "HOST",
        "SIZE"
    ));
    for stored in listed {
        let snapshot = &stored.snapshot;
        let body = &snapshot.body;
        let paths: Vec<String> =
            body.paths.iter().map(|path| String::from_utf8_lossy(path).into_owned()).collect();
        let tags = if body.tags.is_empty() { String::new() } else { format!("  [{}]", body.tags.join(", ")) };
        let protected = if all.protected.contains(&snapshot.head.id) { "  protected" } else { "" };
        let ahead = if times::is_ahead(body.start, now) { "  in the future" } else { "" };
        render::line(&format!(
            "{:8}  {:19}  {}{:host_width$}  {:>11}  {}{tags}{protected}{ahead}",
            &snapshot.head.id.short()[..8],
            render::local_time(body.start),
            writer_cell(&render::short_writer(stored.writer)),
            host(stored),
            render::bytes(body.statistics.bytes_total),
            paths.join(" "),
        ));
    }
}

/// A snapshot as scripts see it.
pub fn to_json(snapshot: &Snapshot) -> Value {
    json!(SnapshotDocument::from(snapshot))
}
