//! `keepfast tag` and `rewrite`: other snapshots in the places of those that are there.

use anyhow::Result;
use keepfast_engine::edit::{EditOptions, Edited, Editor, Exclusion, LabelChange, Removal};
use keepfast_engine::error::EngineError;
use keepfast_engine::repo::{Snapshots, StoredSnapshot, WriterOptions};
use keepfast_format::ids::SessionId;
use keepfast_operations::choose::{Choice, find};
use keepfast_operations::open::{Mode, Opened, SharedRepository};
use serde_json::{Value, json};

use super::{filter_of, outcome, snapshots};
use crate::Outcome;
use crate::args::{Common, Filter, Rewrite, Tag};
use crate::console::Console;
use crate::manners::{self, Work};
use crate::usage::Usage;
use crate::{patterns, render};

/// Changes the labels of snapshots.
pub fn tag(common: &Common, options: &Tag) -> Result<Outcome> {
    let console = Console::new(common)?;
    let choice = choice_of(&options.ids, &options.filter)?;
    let change = if options.set.is_empty() {
        LabelChange::Alter { add: options.add.clone(), remove: options.remove.clone() }
    } else {
        LabelChange::Set(options.set.iter().flat_map(|tags| tags.0.clone()).collect())
    };
    let shared = super::shared(common, &console)?;
    let Opened { repository, mut snapshots, index } = shared.open(console.run(), Mode::Usual)?;
    let editor = Editor::new(&repository, &index, edit_options(common, &repository)?, console.run());
    editor.may_edit()?;
    let chosen = chosen(&choice, &snapshots, &shared, &console)?;
    // All of them are looked at first: if one is protected, none is changed.
    let changing: Vec<SessionId> = chosen
        .iter()
        .copied()
        .filter(|id| {
            find(&snapshots, *id).is_some_and(|stored| {
                let tags = &stored.snapshot.body.tags;
                change.applied_to(tags) != *tags
            })
        })
        .collect();
    snapshots.must_be_unprotected(&changing)?;
    let mut told = Vec::new();
    for id in chosen {
        let edited = editor.relabel(&mut snapshots, id, &change)?;
        let new = new_of(&snapshots, edited);
        let short = &id.short()[..8];
        tell(common, || match new {
            Some(new) => format!("snapshot {short} is now {}{}", short_id(new), labels(new)),
            None => format!("snapshot {short} has these labels already"),
        });
        told.push(json!({
            "id": id.short(),
            "changed": new.is_some(),
            "forgotten": new.is_some(),
            "snapshot": new.map(|stored| snapshots::to_json(&stored.snapshot)),
        }));
    }
    if common.json {
        render::document(&Value::Array(told));
    }
    Ok(outcome(&console))
}

/// Makes snapshots without some of their files.
pub fn rewrite(common: &Common, options: &Rewrite) -> Result<Outcome> {
    let console = Console::new(common)?;
    let choice = choice_of(&options.ids, &options.filter)?;
    let patterns = patterns::excluded(&options.exclude, &options.exclude_from, &console)?;
    if patterns.is_empty() {
        return Err(Usage("there is no pattern: say by --exclude what to leave out".to_owned()).into());
    }
    let shared = super::shared(common, &console)?;
    let Opened { repository, mut snapshots, index } = shared.open(console.run(), Mode::Usual)?;
    let editor = Editor::new(&repository, &index, edit_options(common, &repository)?, console.run());
    if !options.dry_run {
        editor.may_edit()?;
    }
    let chosen = chosen(&choice, &snapshots, &shared, &console)?;
    let mut exclusion = Exclusion::new(&patterns);
    let found = console.during("looked through", || {
        chosen
            .iter()
            .filter_map(|id| find(&snapshots, *id))
            .map(|stored| {
                let removal = editor.find_matches(stored, &mut exclusion)?;
                Ok((stored.snapshot.head.id, removal))
            })
            .collect::<Result<Vec<_>, EngineError>>()
    })?;
    let changing: Vec<SessionId> =
        found.iter().filter(|(_, removal)| !removal.is_nothing()).map(|(id, _)| *id).collect();
    if options.forget {
        snapshots.must_be_unprotected(&changing)?;
    }
    let mut told = Vec::new();
    for (id, removal) in &found {
        warn_of_named(*id, removal, &console);
        let edited = if options.dry_run {
            Edited::Unchanged
        } else {
            editor.rewrite(&mut snapshots, *id, &exclusion, removal, options.forget)?
        };
        let new = new_of(&snapshots, edited);
        tell(common, || line_of(*id, removal, new));
        told.push(json!({
            "id": id.short(),
            "changed": !removal.is_nothing(),
            "removed": {
                "files": removal.files, "dirs": removal.dirs, "others": removal.others, "bytes": removal.bytes,
            },
            "named": removal.named.iter().map(|path| String::from_utf8_lossy(path)).collect::<Vec<_>>(),
            "forgotten": options.forget && new.is_some(),
            "snapshot": new.map(|stored| snapshots::to_json(&stored.snapshot)),
        }));
    }
    let traffic = repository.backend().traffic();
    if common.json {
        render::document(&json!({
            "dry_run": options.dry_run,
            "forget": options.forget,
            "snapshots": told,
            "traffic": render::traffic_json(traffic),
        }));
    } else if let Some(traffic) = traffic.filter(|_| !common.quiet) {
        render::line(&render::traffic(traffic));
    }
    if !changing.is_empty() && !options.dry_run {
        console.say(if options.forget {
            "`keepfast prune --max-unused 0` removes what was left out, as soon as no other snapshot has it"
        } else {
            "the old snapshots still have it: `keepfast forget` forgets them, as --forget would have"
        });
    }
    Ok(outcome(&console))
}

fn edit_options(common: &Common, repository: &keepfast_engine::repo::Repository) -> Result<EditOptions> {
    let share = manners::share(common, repository.config().pack_bytes, Work::Write)?;
    Ok(EditOptions {
        program: concat!("keepfast ", env!("CARGO_PKG_VERSION")).to_owned(),
        writer: WriterOptions { uploads: share.uploads, ..WriterOptions::default() },
    })
}

/// Which snapshots are meant; not all of them by saying nothing.
fn choice_of(ids: &[String], filter: &Filter) -> Result<Choice, Usage> {
    let choice = Choice { ids: ids.to_vec(), filter: filter_of(filter) };
    if choice.is_empty() {
        return Err(Usage(
            "say which snapshots: by their ids, or by --host, --writer, --tag or --path".to_owned(),
        ));
    }
    Ok(choice)
}

fn chosen(
    choice: &Choice,
    all: &Snapshots,
    shared: &SharedRepository,
    console: &Console,
) -> Result<Vec<SessionId>> {
    let chosen = choice.resolve(all, shared, console.run())?;
    if chosen.is_empty() {
        console.say("no snapshots");
    }
    Ok(chosen)
}

fn new_of(snapshots: &Snapshots, edited: Edited) -> Option<&StoredSnapshot> {
    match edited {
        Edited::Replaced(id) => find(snapshots, id),
        Edited::Unchanged => None,
    }
}

fn short_id(stored: &StoredSnapshot) -> String {
    stored.snapshot.head.id.short()[..8].to_owned()
}

fn labels(stored: &StoredSnapshot) -> String {
    match stored.snapshot.body.tags.as_slice() {
        [] => ", without labels".to_owned(),
        tags => format!("  [{}]", tags.join(", ")),
    }
}

fn tell(common: &Common, line: impl FnOnce() -> String) {
    if !common.json && !common.quiet {
        render::line(&line());
    }
}

fn line_of(id: SessionId, removal: &Removal, new: Option<&StoredSnapshot>) -> String {
    let short = &id.short()[..8];
    if removal.is_nothing() {
        return format!("snapshot {short} has nothing that matches, and stays as it is");
    }
    let parts = [(removal.files, "file"), (removal.dirs, "director"), (removal.others, "other entr")];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| {
            let end = match (word, count) {
                ("file", 1) => "",
                ("file", _) => "s",
                (_, 1) => "y",
                _ => "ies",
            };
            format!("{} {word}{end}", render::count(count))
        })
        .collect();
    let what = format!("{}, {}", parts.join(", "), render::bytes(removal.bytes));
    match new {
        Some(new) => format!("snapshot {short} without {what} is {}", short_id(new)),
        None => format!("snapshot {short} would lose {what}"),
    }
}

/// What was named is in a backup whatever matches it; a user that wants to be rid of it has to know.
fn warn_of_named(id: SessionId, removal: &Removal, console: &Console) {
    for path in &removal.named {
        console.warn(&format!(
            "{} matches, and stays in snapshot {}: it was backed up by name, or leads to what was, and such is \
             never excluded; to be rid of all of it, forget the snapshot",
            String::from_utf8_lossy(path),
            &id.short()[..8]
        ));
    }
}
