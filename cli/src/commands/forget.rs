//! `keepfast forget` and `undelete`.

use anyhow::Result;
use jiff::tz::TimeZone;
use keepfast_engine::forget::{UndeleteOptions, forget, protect, undelete as bring_back};
use keepfast_engine::repo::{SnapshotFilter, StoredSnapshot};
use keepfast_engine::retention::{Candidate, Group};
use keepfast_format::ids::SessionId;
use keepfast_operations::OperationsError;
use keepfast_operations::calendar::decide_in;
use keepfast_operations::choose::{choose, find_forgotten};
use keepfast_operations::open::{Looked, Mode};
use serde_json::json;

use super::{filter_of, outcome, prune, snapshots};
use crate::Outcome;
use crate::args::{Common, Forget, Undelete};
use crate::console::Console;
use crate::retention::{table, to_json};
use crate::usage::Usage;
use crate::{render, settings};

/// Forgets snapshots.
pub fn run(common: &Common, options: &Forget) -> Result<Outcome> {
    let console = Console::new(common)?;
    let shared = super::shared(common, &console)?;
    let looked = shared.look(console.run(), Mode::Usual)?;
    let Looked { repository, snapshots: all } = &looked;
    if options.keep.any() && !options.ids.is_empty() {
        return Err(Usage("give ids or a policy, not both".to_owned()).into());
    }
    if options.ids.is_empty() && !options.keep.any() {
        return Err(Usage(
            "say which snapshots: by their ids, or by a policy such as --keep-daily 7".to_owned(),
        )
        .into());
    }
    let named: Vec<&StoredSnapshot> = options
        .ids
        .iter()
        .map(|id| choose(all, id, &SnapshotFilter::default(), &shared, console.run()))
        .collect::<Result<_, OperationsError>>()?;
    let named: Vec<SessionId> = named.into_iter().map(|stored| stored.snapshot.head.id).collect();
    if options.protect || options.unprotect {
        if !options.dry_run {
            protect(repository, &named, options.protect, console.run())?;
        }
        let what = if options.protect { "protected" } else { "no longer protected" };
        return Ok(tell(common, options, what, &named, &console));
    }
    let filter = filter_of(&options.filter).resolve(all)?;
    let candidates: Vec<Candidate<'_>> = all
        .all
        .iter()
        .filter(|stored| filter.matches(stored))
        .map(|stored| {
            let protected = all.protected.contains(&stored.snapshot.head.id);
            Candidate::of(&stored.snapshot, all.lineages.line(stored.writer), protected)
        })
        .collect();
    let going = if options.keep.any() {
        let groups = decide_in(
            &TimeZone::system(),
            &candidates,
            &options.keep.policy(),
            options.keep.group_by,
            settings::now(),
        )?;
        let going: Vec<SessionId> = groups.iter().flat_map(Group::forgotten).collect();
        if !options.dry_run {
            forget(repository, all, &going, console.run())?;
        }
        if common.json {
            render::document(&json!({ "dry_run": options.dry_run, "groups": to_json(&groups) }));
        } else if !common.quiet {
            table(&groups, &render::local_time).iter().for_each(|line| render::line(line));
        }
        going
    } else {
        if !options.dry_run {
            forget(repository, all, &named, console.run())?;
        }
        if !options.prune || !common.json {
            tell(common, options, "forgotten", &named, &console);
        }
        named
    };
    if options.prune && !options.dry_run {
        // Prune lists for itself what counts now.
        let opened = shared.with_index(looked, console.run())?;
        return prune::run_in(&opened, &shared, common, false, &options.pruning, &console);
    }
    if !going.is_empty() && !options.dry_run && !common.json {
        console.say(
            "`keepfast prune` frees what only they need; until then `keepfast undelete` brings them back",
        );
    }
    Ok(outcome(&console))
}

fn tell(common: &Common, options: &Forget, what: &str, ids: &[SessionId], console: &Console) -> Outcome {
    if common.json {
        let ids: Vec<String> = ids.iter().map(SessionId::short).collect();
        render::document(&json!({ "dry_run": options.dry_run, "what": what, "ids": ids }));
    } else if !common.quiet {
        let would = if options.dry_run { "would be " } else { "" };
        for id in ids {
            render::line(&format!("snapshot {} {would}{what}", &id.short()[..8]));
        }
    }
    outcome(console)
}

/// Brings forgotten snapshots back.
pub fn undelete(common: &Common, options: &Undelete) -> Result<Outcome> {
    let console = Console::new(common)?;
    let shared = super::shared(common, &console)?;
    let opened = shared.open(console.run(), Mode::Usual)?;
    let chosen = options.ids.iter().map(|text| find_forgotten(&opened.snapshots, text));
    let chosen: Vec<&StoredSnapshot> = chosen.collect::<Result<_, OperationsError>>()?;
    let undelete_options =
        UndeleteOptions { program: concat!("keepfast ", env!("CARGO_PKG_VERSION")).to_owned() };
    let mut back = Vec::new();
    for stored in chosen {
        let snapshot = bring_back(
            &opened.repository,
            &opened.index,
            &opened.snapshots,
            stored,
            &undelete_options,
            console.run(),
        )?;
        if !common.json && !common.quiet {
            render::line(&format!(
                "snapshot {} is back as {}",
                &stored.snapshot.head.id.short()[..8],
                &snapshot.head.id.short()[..8]
            ));
        }
        back.push(json!({ "forgotten": stored.snapshot.head.id.short(), "snapshot": snapshots::to_json(&snapshot) }));
    }
    if common.json {
        render::document(&json!(back));
    }
    Ok(outcome(&console))
}
