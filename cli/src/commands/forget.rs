//! `keepfast forget` and `undelete`.

use anyhow::Result;
use keepfast_operations::open::Mode;
use keepfast_operations::reports::{ForgetReport, SizeDocument, StandingReport, UndeletedSnapshot};
use keepfast_operations::requests::{
    self, ForgetWhich, NamedSnapshots, Protect, Retention, forget_in, protect, undelete_with,
};

use super::{filter_of, outcome_of, prune};
use crate::Outcome;
use crate::args::{Common, Forget, Undelete};
use crate::console::Console;
use crate::render::{self, short};
use crate::usage::Usage;
use crate::verdicts::table;

/// Forgets snapshots.
pub fn run(common: &Common, options: &Forget) -> Result<Outcome> {
    let console = Console::new(common)?;
    let which = which_of(options)?;
    let shared = super::shared(common, &console)?;
    if options.protect || options.unprotect {
        let (protected, dry_run) = (options.protect, options.dry_run);
        let request = Protect { which: named(options), protected, dry_run };
        let report = protect(&request, &shared, console.run())?;
        print_named(common, &report, &console);
        return Ok(outcome_of(report.troubles));
    }
    let request = requests::Forget { which, dry_run: options.dry_run };
    let looked = shared.look(console.run(), Mode::Usual)?;
    let report = forget_in(&request, &looked, &shared, console.run())?;
    let prunes = options.prune && !options.dry_run;
    match &report {
        ForgetReport::ByPolicy(report) if common.json => render::document(report),
        ForgetReport::ByPolicy(report) => {
            table(&report.groups, &render::local_time).iter().for_each(|line| console.print(line));
            if let Some(SizeDocument { max_bytes, bytes }) = report.size {
                let (bytes, max_bytes) = (render::bytes(bytes), render::bytes(max_bytes));
                console.print("");
                console.print(&format!("what stays needs {bytes} of {max_bytes}"));
            }
        }
        // What the prune did is the one document then.
        ForgetReport::Named(_) if common.json && prunes => {}
        ForgetReport::Named(report) => print_named(common, report, &console),
    }
    if prunes {
        // Prune lists for itself what counts now.
        let opened = shared.with_index(looked, console.run())?;
        return prune::run_in(&opened, &shared, common, false, &options.pruning, &console);
    }
    if report.forgotten() > 0 && !options.dry_run {
        console.say(
            "`keepfast prune` frees what only they need; until then `keepfast undelete` brings them back",
        );
    }
    Ok(outcome_of(report.troubles()))
}

fn which_of(options: &Forget) -> Result<ForgetWhich, Usage> {
    match (options.ids.is_empty(), options.keep.any()) {
        (false, true) => Err(Usage("give ids or a policy, not both".to_owned())),
        (true, false) => {
            Err(Usage("say which snapshots: by their ids, or by a policy such as --keep-daily 7".to_owned()))
        }
        (false, false) => Ok(ForgetWhich::Named(named(options))),
        (true, true) => Ok(ForgetWhich::ByPolicy(Box::new(Retention {
            filter: filter_of(&options.filter),
            keep: options.keep.policy(),
            group_by: options.keep.group_by,
            max_removed: options.keep.max_removed,
            zone: None,
        }))),
    }
}

fn named(options: &Forget) -> NamedSnapshots {
    NamedSnapshots { ids: options.ids.clone(), filter: filter_of(&options.filter) }
}

fn print_named(common: &Common, report: &StandingReport, console: &Console) {
    if common.json {
        return render::document(report);
    }
    let would = if report.dry_run { "would be " } else { "" };
    for id in &report.ids {
        console.print(&format!("snapshot {} {would}{}", short(id), report.what.word()));
    }
}

/// Brings forgotten snapshots back.
pub fn undelete(common: &Common, options: &Undelete) -> Result<Outcome> {
    let console = Console::new(common)?;
    let request = requests::Undelete { ids: options.ids.clone() };
    let shared = super::shared(common, &console)?;
    let mut told = |UndeletedSnapshot { forgotten, snapshot }: &_| {
        console.print(&format!("snapshot {} is back as {}", short(forgotten), short(&snapshot.id)));
    };
    let report = undelete_with(&request, &mut told, &shared, console.run())?;
    if common.json {
        render::document(&report);
    }
    Ok(outcome_of(report.troubles))
}
