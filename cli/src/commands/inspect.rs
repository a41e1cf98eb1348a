//! `keepfast ls`, `dump`, `diff`, `stats` and `cache`: looking at what is there.

use std::ops::ControlFlow;

use anyhow::Result;
use keepfast_operations::reports::{
    AcceptReport, CacheReport, ChangeDocument, ChangeWord, DiffReport, EntriesReport, EntryDocument,
    EntryKind, FreedReport, StatsReport,
};
use keepfast_operations::requests::{
    self, Accept, Freed, ListEntries, accept as take, cache as keep, diff_with, dump as write_out,
    freed as free, list_entries_with, stats as sum_up,
};

use super::{host_filter_of, outcome_of};
use crate::args::{CacheAction, Common, Diff, Dump, Ls};
use crate::console::Console;
use crate::render::{bytes, count, counted, document, factor, line, local_time};
use crate::{Outcome, lines, settings};

/// Lists what is in a snapshot.
pub fn ls(common: &Common, options: &Ls) -> Result<Outcome> {
    let console = Console::new(common)?;
    let request = ListEntries {
        snapshot: options.snapshot.clone(),
        filter: host_filter_of(&options.filter),
        path: options.path.clone(),
        recursive: options.recursive,
    };
    let shared = super::shared(common, &console)?;
    let mut entries = Vec::new();
    let mut found = |entry: EntryDocument| {
        if common.json {
            entries.push(entry);
        } else if options.long {
            line(&long_line(&entry));
        } else {
            line(&entry.path);
        }
        // Otherwise there is no one to list the rest for.
        if lines::is_lost() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let report = list_entries_with(&request, &mut found, &shared, console.run())?;
    let report = EntriesReport { entries, ..report };
    if common.json {
        document(&report);
    }
    Ok(outcome_of(report.troubles))
}

fn long_line(entry: &EntryDocument) -> String {
    let letter = match entry.kind {
        EntryKind::File => '-',
        EntryKind::Dir => 'd',
        EntryKind::Symlink => 'l',
        EntryKind::Fifo => 'p',
        EntryKind::Socket => 's',
        EntryKind::Chardev => 'c',
        EntryKind::Blockdev => 'b',
    };
    let arrow = entry.target.as_ref().map_or_else(String::new, |target| format!(" -> {target}"));
    format!(
        "{letter}{:04o} {:>5} {:>5} {:>12} {} {}{arrow}",
        entry.mode,
        entry.uid,
        entry.gid,
        entry.size.unwrap_or(0),
        local_time(entry.mtime),
        entry.path,
    )
}

/// Writes a file of a snapshot to standard output.
pub fn dump(common: &Common, options: &Dump) -> Result<Outcome> {
    let console = Console::new(common)?;
    let request = requests::Dump {
        snapshot: options.snapshot.clone(),
        filter: host_filter_of(&options.filter),
        path: options.path.clone(),
        resources: common.resources(),
    };
    let shared = super::shared(common, &console)?;
    let report = write_out(&request, &mut std::io::stdout().lock(), &shared, console.run())?;
    Ok(outcome_of(report.troubles))
}

/// Lists what is different between two snapshots.
pub fn diff(common: &Common, options: &Diff) -> Result<Outcome> {
    let console = Console::new(common)?;
    let request = requests::Diff {
        before: options.before.clone(),
        after: options.after.clone(),
        filter: host_filter_of(&options.filter),
        path: options.path.clone(),
        resources: common.resources(),
    };
    let shared = super::shared(common, &console)?;
    let mut changes = Vec::new();
    let mut found = |change: ChangeDocument| {
        if common.json {
            changes.push(change);
        } else {
            let sign = match change.change {
                ChangeWord::Added => '+',
                ChangeWord::Removed => '-',
                ChangeWord::Content => 'M',
                ChangeWord::Metadata => 'U',
                ChangeWord::Type => 'T',
            };
            let slash = if change.kind == EntryKind::Dir { "/" } else { "" };
            line(&format!("{sign} {}{slash}", change.path));
        }
    };
    let report = diff_with(&request, &mut found, &shared, console.run())?;
    let report = DiffReport { changes, ..report };
    if common.json {
        document(&report);
    } else {
        let DiffReport { added, removed, changed, metadata, .. } = report;
        line(&format!(
            "{} added, {} removed, {} changed, {} with other metadata",
            count(added),
            count(removed),
            count(changed),
            count(metadata)
        ));
    }
    Ok(outcome_of(report.troubles))
}

/// Shows how much is stored.
pub fn stats(common: &Common) -> Result<Outcome> {
    let console = Console::new(common)?;
    let shared = super::shared(common, &console)?;
    let report = sum_up(&requests::Stats {}, &shared, console.run())?;
    if common.json {
        document(&report);
    } else {
        print_stats(&report);
    }
    Ok(outcome_of(report.troubles))
}

fn print_stats(sums: &StatsReport) {
    line(&format!(
        "snapshots  {}, {} to restore all of them",
        count(sums.snapshots),
        bytes(sums.bytes_total)
    ));
    line(&format!("unique     {} in {}", bytes(sums.bytes_unique), counted(sums.chunks, "chunk")));
    line(&format!(
        "stored     {} in {}, {} of them packs",
        bytes(sums.bytes_stored),
        counted(sums.objects, "object"),
        count(sums.packs)
    ));
    let ratios = [
        factor(sums.bytes_total, sums.bytes_unique).map(|times| format!("dedup {times}")),
        factor(sums.bytes_unique, sums.bytes_stored).map(|times| format!("compression {times}")),
        factor(sums.bytes_total, sums.bytes_stored).map(|times| format!("together {times}")),
    ];
    let ratios: Vec<String> = ratios.into_iter().flatten().collect();
    if !ratios.is_empty() {
        line(&format!("ratio      {}", ratios.join(", ")));
    }
    if sums.packs_unlisted > 0 {
        line(&format!("unlisted   {} that an interrupted run left", counted(sums.packs_unlisted, "pack")));
    }
}

/// Says what forgetting snapshots would free.
pub fn freed(common: &Common, ids: &[String]) -> Result<Outcome> {
    let console = Console::new(common)?;
    let shared = super::shared(common, &console)?;
    let report = free(&Freed { ids: ids.to_vec() }, &shared, console.run())?;
    if common.json {
        document(&report);
    } else {
        print_freed(&report);
    }
    Ok(outcome_of(report.troubles))
}

fn print_freed(freed: &FreedReport) {
    line(&format!(
        "only in {}: {} in {}, stored in {}",
        counted(freed.snapshots as u64, "snapshot"),
        bytes(freed.bytes),
        counted(freed.chunks, "chunk"),
        bytes(freed.bytes_stored)
    ));
    line(&format!(
        "of that {} are packs with nothing else in them; the rest goes when packs are rewritten",
        bytes(freed.bytes_in_whole_packs)
    ));
}

/// Shows, removes or rebuilds what this machine keeps of a repository.
pub fn cache(common: &Common, action: &CacheAction) -> Result<Outcome> {
    let action = match action {
        CacheAction::Info => requests::CacheAction::Describe,
        CacheAction::Clear => requests::CacheAction::Clear,
        CacheAction::Rebuild => requests::CacheAction::Rebuild,
        CacheAction::Accept => return accept(common),
    };
    let console = Console::new(common)?;
    // Also one that this run doesn't use.
    let request = requests::Cache { action, directory: Some(settings::cache_dir(common)) };
    let shared = super::shared(common, &console)?;
    let report = keep(&request, &shared, console.run())?;
    if common.json {
        document(&report);
    } else {
        print_cache(&report);
    }
    Ok(outcome_of(report.troubles))
}

fn print_cache(report: &CacheReport) {
    if report.folders.is_empty() {
        line(&format!("nothing below {}", report.cache));
    }
    for folder in &report.folders {
        line(&format!("{}  {}", folder.path, bytes(folder.bytes)));
    }
    for other in &report.others {
        line(&format!(
            "{}  {}, of repository {}, last used {}: remove it if that repository is gone",
            other.path,
            bytes(other.bytes),
            other.repository,
            local_time(other.used),
        ));
    }
}

/// Takes what the store shows now for right, whatever was seen before in its place.
fn accept(common: &Common) -> Result<Outcome> {
    let console = Console::new(common)?;
    let request = Accept { directory: Some(settings::cache_dir(common)) };
    let shared = settings::shared(common, &console)?;
    let report = take(&request, &shared, console.run())?;
    if common.json {
        document(&report);
    } else if !common.quiet {
        let AcceptReport { repository, location, snapshots, .. } = &report;
        let snapshots = counted(*snapshots as u64, "snapshot");
        line(&format!(
            "from now on repository {repository} is expected in {location}, with the {snapshots} that it has"
        ));
    }
    Ok(outcome_of(report.troubles))
}
