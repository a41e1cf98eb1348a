//! `keepfast snapshots`.

use std::collections::BTreeSet;

use anyhow::Result;
use keepfast_operations::reports::ListedSnapshot;
use keepfast_operations::requests::{self, list_snapshots};

use super::{filter_of, outcome_of};
use crate::Outcome;
use crate::args::{Common, ListSnapshots};
use crate::console::Console;
use crate::lines::visible;
use crate::render::{self, short, short_writer};

/// Lists snapshots.
pub fn run(common: &Common, options: &ListSnapshots) -> Result<Outcome> {
    let console = Console::new(common)?;
    let (filter, forgotten) = (filter_of(&options.filter), options.forgotten);
    let request = requests::ListSnapshots { filter, forgotten };
    let shared = super::shared(common, &console)?;
    let report = list_snapshots(&request, &shared, console.run())?;
    if common.json {
        render::document(&report);
    } else {
        print_table(&report.snapshots);
    }
    Ok(outcome_of(report.troubles))
}

/// A table for people. Writers have a column where there are several.
fn print_table(listed: &[ListedSnapshot]) {
    if listed.is_empty() {
        return render::line("no snapshots");
    }
    let host = |listed: &ListedSnapshot| visible(&listed.snapshot.host).into_owned();
    let host_width = listed.iter().map(|one| host(one).chars().count()).max().unwrap_or(0).max(4);
    let writers: BTreeSet<&str> = listed.iter().map(|one| one.snapshot.writer.as_str()).collect();
    let writer_cell = |text: &str| if writers.len() > 1 { format!("{text:8}  ") } else { String::new() };
    render::line(&format!(
        "{:8}  {:19}  {}{:host_width$}  {:>11}  PATHS",
        "ID",
        "TIME",
        writer_cell("WRITER"),
        "HOST",
        "SIZE"
    ));
    for one in listed {
        let snapshot = &one.snapshot;
        let tags = if snapshot.tags.is_empty() {
            String::new()
        } else {
            format!("  [{}]", snapshot.tags.join(", "))
        };
        let protected = if one.protected { "  protected" } else { "" };
        let ahead = if one.is_ahead { "  in the future" } else { "" };
        render::line(&format!(
            "{:8}  {:19}  {}{:host_width$}  {:>11}  {}{tags}{protected}{ahead}",
            short(&snapshot.id),
            render::local_time(snapshot.time),
            writer_cell(short_writer(&snapshot.writer)),
            host(one),
            render::bytes(snapshot.summary.bytes_total),
            snapshot.paths.join(" "),
        ));
    }
}
