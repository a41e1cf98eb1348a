//! `keepfast tag` and `rewrite`: other snapshots in the places of those that are there.

use anyhow::Result;
use keepfast_engine::edit::LabelChange;
use keepfast_operations::choose::Choice;
use keepfast_operations::reports::{RelabelledSnapshot, RewrittenSnapshot, SnapshotDocument};
use keepfast_operations::requests::{self, rewrite_with, tag_with};

use super::{filter_of, outcome_of};
use crate::Outcome;
use crate::args::{Common, Filter, Rewrite, Tag};
use crate::console::Console;
use crate::render::{self, counted, short};

/// Changes the labels of snapshots.
pub fn tag(common: &Common, options: &Tag) -> Result<Outcome> {
    let console = Console::new(common)?;
    let change = if options.set.is_empty() {
        LabelChange::Alter { add: options.add.clone(), remove: options.remove.clone() }
    } else {
        LabelChange::Set(options.set.iter().flat_map(|tags| tags.0.clone()).collect())
    };
    let choice = choice_of(&options.ids, &options.filter);
    let request = requests::Tag { choice, change, resources: common.resources() };
    let shared = super::shared(common, &console)?;
    let mut told = |snapshot: &RelabelledSnapshot| console.print(&relabelled(snapshot));
    let report = tag_with(&request, &mut told, &shared, console.run())?;
    if report.snapshots.is_empty() {
        console.say("no snapshots");
    }
    if common.json {
        render::document(&report);
    }
    Ok(outcome_of(report.troubles))
}

/// Makes snapshots without some of their files.
pub fn rewrite(common: &Common, options: &Rewrite) -> Result<Outcome> {
    let console = Console::new(common)?;
    let request = requests::Rewrite {
        choice: choice_of(&options.ids, &options.filter),
        exclude: options.exclude.clone(),
        exclude_from: options.exclude_from.clone(),
        forget: options.forget,
        dry_run: options.dry_run,
        resources: common.resources(),
    };
    let shared = super::shared(common, &console)?;
    let mut told = |snapshot: &RewrittenSnapshot| {
        warn_of_named(snapshot, &console);
        console.print(&rewritten(snapshot));
    };
    let work = || rewrite_with(&request, &mut told, &shared, console.run());
    let report = console.during("looked through", work)?;
    if report.snapshots.is_empty() {
        console.say("no snapshots");
    }
    if common.json {
        render::document(&report);
    } else if let Some(traffic) = report.traffic {
        console.print(&render::traffic(traffic));
    }
    if !options.dry_run && report.snapshots.iter().any(|snapshot| snapshot.changed) {
        console.say(if options.forget {
            "`keepfast prune --max-unused 0` removes what was left out, as soon as no other snapshot has it"
        } else {
            "the old snapshots still have it: `keepfast forget` forgets them, as --forget would have"
        });
    }
    Ok(outcome_of(report.troubles))
}

fn choice_of(ids: &[String], filter: &Filter) -> Choice {
    Choice { ids: ids.to_vec(), filter: filter_of(filter) }
}

fn relabelled(snapshot: &RelabelledSnapshot) -> String {
    let old = short(&snapshot.id);
    match &snapshot.snapshot {
        Some(new) => format!("snapshot {old} is now {}{}", short(&new.id), labels(new)),
        None => format!("snapshot {old} has these labels already"),
    }
}

fn labels(snapshot: &SnapshotDocument) -> String {
    match snapshot.tags.as_slice() {
        [] => ", without labels".to_owned(),
        tags => format!("  [{}]", tags.join(", ")),
    }
}

fn rewritten(snapshot: &RewrittenSnapshot) -> String {
    let old = short(&snapshot.id);
    if !snapshot.changed {
        return format!("snapshot {old} has nothing that matches, and stays as it is");
    }
    let removed = &snapshot.removed;
    let parts = [(removed.files, "file"), (removed.dirs, "directory"), (removed.others, "other entry")];
    let parts = parts.into_iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts.map(|(count, noun)| counted(count, noun)).collect();
    let what = format!("{}, {}", parts.join(", "), render::bytes(removed.bytes));
    match &snapshot.snapshot {
        Some(new) => format!("snapshot {old} without {what} is {}", short(&new.id)),
        None => format!("snapshot {old} would lose {what}"),
    }
}

/// What was named is in a backup whatever matches it; a user that wants to be rid of it has to know.
fn warn_of_named(snapshot: &RewrittenSnapshot, console: &Console) {
    for path in &snapshot.named {
        console.warn(&format!(
            "{path} matches, and stays in snapshot {}: it was backed up by name, or leads to what was, and such is \
             never excluded; to be rid of all of it, forget the snapshot",
            short(&snapshot.id)
        ));
    }
}
