//! `keepfast audit`: whether the audit is as it was written, and all of it for other programs.

use anyhow::{Result, bail};
use keepfast_server::access::{self, ComparedDocument, VerdictDocument, WrongAnchor};
use keepfast_server::recovery::anchors;
use keepfast_server::{connect, state};

use super::access::Desk;
use super::plans;
use crate::args::{AuditAction, Common};
use crate::console::Console;
use crate::usage::Usage;
use crate::{Outcome, lines, render};

/// Verifies the audit, or prints it.
pub fn run(common: &Common, action: &AuditAction) -> Result<Outcome> {
    match action {
        AuditAction::Verify { anchors, repository } => verify(common, anchors, repository.as_deref()),
        AuditAction::Export { csv } => export(common, *csv),
    }
}

fn verify(common: &Common, anchors: &[String], repository: Option<&str>) -> Result<Outcome> {
    let anchors = anchors.iter().map(|text| {
        let wrong = || Usage(format!("{text:?} is no anchor: write NUMBER:HASH, as this command prints it"));
        access::anchor_of(text).ok_or_else(wrong)
    });
    let anchors = anchors.collect::<Result<Vec<_>, Usage>>()?;
    let config = plans::read(common)?;
    let verdict = match repository {
        None => {
            let desk = Desk::of(&config)?;
            desk.wait(access::verify(&desk.store, &anchors))?
        }
        Some(name) => {
            let console = Console::new(common)?;
            let definition = connect::definition(&config, name)?;
            let shared = connect::repository(&config, &plans::surroundings(common), definition)?;
            state::make_folders(&config)?;
            let machine = state::machine(&state::folder(&config))?;
            // Before the state is read: so the chain has all that backups have noted until then.
            let stored =
                console.during("compared", || anchors::read(&machine, name, &shared, console.run()))?;
            let desk = Desk::of(&config)?;
            desk.wait(access::verify_stored(&desk.store, &anchors, &stored))?
        }
    };
    match common.json {
        true => render::document(&verdict),
        false => print_verdict(&verdict, repository.unwrap_or_default()),
    }
    // Where nothing was compared, no one can say that the chain is the one that the backups have seen.
    let is_compared = verdict.repository.as_ref().is_none_or(|compared| compared.agree > 0);
    Ok(if verdict.sound && is_compared { Outcome::Complete } else { Outcome::WithFindings })
}

fn export(common: &Common, csv: bool) -> Result<Outcome> {
    if csv && common.json {
        bail!(Usage("choose one of --csv and --json".to_owned()));
    }
    let desk = Desk::open(common)?;
    if csv {
        lines::raw(access::export_header().as_bytes());
    }
    let mut after = None;
    loop {
        let page = desk.wait(access::export_page(&desk.store, after))?;
        for entry in &page.rows {
            match csv {
                true => lines::raw(entry.csv().as_bytes()),
                false => render::document(entry),
            }
        }
        after = page.next;
        if after.is_none() || lines::is_lost() {
            return Ok(Outcome::Complete);
        }
    }
}

fn print_verdict(verdict: &VerdictDocument, repository: &str) {
    let entries = render::counted(verdict.entries, "entry");
    match &verdict.problem {
        None if verdict.newest == 0 => render::line("the audit is empty"),
        None => {
            render::line(&format!("the audit is as it was written: {entries}"));
            render::line(&format!(
                "note this elsewhere, to compare later: {}:{}",
                verdict.newest, verdict.hash
            ));
        }
        Some(problem) => {
            render::line(&format!("the audit isn't as it was written: {problem}"));
            render::line(&format!("{entries} before that are sound, up to entry {}", verdict.newest));
        }
    }
    if verdict.removed_up_to > 0 {
        render::line(&format!("entries up to {} were removed for their age", verdict.removed_up_to));
    }
    if let Some(compared) = &verdict.repository {
        print_compared(compared, repository);
    }
}

fn print_compared(compared: &ComparedDocument, repository: &str) {
    let ComparedDocument { snapshots, agree, agree_from, agree_to, removed, not_reached, without, wrong } =
        compared;
    let anchors = |count: &usize| render::counted(*count as u64, "anchor");
    let are = |count: &usize| render::agreeing(*count as u64, "is", "are");
    let read = render::counted(*snapshots as u64, "backup");
    render::line(&format!("repository {repository}: {read} of the state, the newest ones"));
    if let (Some(from), Some(to)) = (agree_from, agree_to) {
        let agree_word = render::agreeing(*agree as u64, "agrees", "agree");
        render::line(&format!("{} {agree_word}: from {from} to {to}", anchors(agree)));
    } else {
        render::line("no anchor agrees");
    }
    for WrongAnchor { snapshot, time, problem } in wrong {
        render::line(&format!("snapshot {} of {time}: {problem}", render::short(snapshot)));
    }
    if *removed > 0 {
        render::line(&format!("{} {} before what is kept", anchors(removed), are(removed)));
    }
    if *not_reached > 0 {
        let text = "not compared: the chain is broken before";
        render::line(&format!("{} {} {text}", anchors(not_reached), are(not_reached)));
    }
    if *without > 0 {
        let has = render::agreeing(*without as u64, "has", "have");
        render::line(&format!("{} {has} no anchor", render::counted(*without as u64, "backup")));
    }
}
