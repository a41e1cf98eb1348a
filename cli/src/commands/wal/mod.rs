//! `keepfast wal`: the log of PostgreSQL.

mod restore;
mod spool;

use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::Result;
use keepfast_operations::databases::wal::{
    self, Expire, ExpireReport, Get, LogStatus, Status, expire, status,
};
use keepfast_sources::postgres::wal::{FAILED, Fetched, exit_code};

use crate::Outcome;
use crate::args::{Common, ExpireWal, GetWal, WalAction, WalStatus};
use crate::console::Console;
use crate::render::{self, counted, short};

/// `keepfast wal`.
pub fn run(common: &Common, action: &WalAction) -> Result<Outcome> {
    match action {
        WalAction::Push(options) => spool::push(options),
        WalAction::Receive(options) => spool::receive(common, options),
        WalAction::Ship(options) => spool::ship(common, options),
        WalAction::Get(options) => Ok(get(common, options)),
        WalAction::Status(options) => show(common, options),
        WalAction::Expire(options) => forget(common, options),
        WalAction::Restore(options) => restore::run(common, options),
    }
}

/// Whatever goes wrong here, a bug too, must not look to a server as if the log ended.
fn get(common: &Common, options: &GetWal) -> Outcome {
    match catch_unwind(AssertUnwindSafe(|| fetch(common, options))) {
        Ok(Ok(fetched)) => Outcome::Ended(exit_code(&Ok(fetched))),
        Ok(Err(error)) => {
            render::error(&error, FAILED, common.json);
            Outcome::Ended(FAILED)
        }
        Err(_) => Outcome::Ended(FAILED),
    }
}

fn fetch(common: &Common, options: &GetWal) -> Result<Fetched> {
    let console = Console::new(common)?;
    let request = Get {
        name: options.name.clone(),
        file: options.file,
        into: options.into.clone(),
        spool: options.spool.clone(),
    };
    let shared = super::shared(common, &console)?;
    Ok(wal::get(&request, &shared, console.run())?)
}

fn show(common: &Common, options: &WalStatus) -> Result<Outcome> {
    let console = Console::new(common)?;
    let request = Status { name: options.name.clone(), spool: options.spool.clone() };
    let shared = super::shared(common, &console)?;
    let found = console.during("looked at", || status(&request, &shared, console.run()))?;
    if common.json {
        render::document(&found);
    } else {
        print(&found);
    }
    Ok(if found.gaps.is_empty() { Outcome::Complete } else { Outcome::WithFindings })
}

fn print(status: &LogStatus) {
    let system = status.system.as_deref().unwrap_or("unknown");
    render::line(&format!("log       {}, of the server with the system identifier {system}", status.name));
    render::line(&format!(
        "stored    {} in {}",
        counted(status.segments, "segment"),
        counted(status.snapshots, "snapshot")
    ));
    render::line(&format!("newest    {}", status.newest.as_deref().unwrap_or("none")));
    if let Some(bytes) = status.waiting_bytes {
        render::line(&format!("waiting   {}", render::bytes(bytes)));
    }
    for base in &status.bases {
        render::line(&format!(
            "base      {}:/{}, PostgreSQL {}, complete at {} ({}, timeline {})",
            short(&base.snapshot),
            base.folder,
            base.server,
            base.stopped,
            base.stop,
            base.timeline
        ));
    }
    if status.bases.is_empty() {
        render::line("base      none: without a base backup nothing can be restored from this log");
    }
    for gap in &status.gaps {
        render::line(&format!("gap       {gap}"));
    }
    if status.gaps.is_empty() {
        render::line("gaps      none");
    }
}

fn forget(common: &Common, options: &ExpireWal) -> Result<Outcome> {
    let console = Console::new(common)?;
    let request = Expire { name: options.name.clone(), dry_run: options.dry_run };
    let shared = super::shared(common, &console)?;
    let report = console.during("looked at", || expire(&request, &shared, console.run()))?;
    if common.json {
        render::document(&report);
    } else if !common.quiet {
        print_expired(&report);
    }
    Ok(super::outcome_of(console.run().troubles()))
}

fn print_expired(report: &ExpireReport) {
    let Some(first) = &report.first_needed else {
        return render::line("the repository has no base backup of this server: all of the log is kept");
    };
    let verb = if report.dry_run { "would be forgotten" } else { "forgotten" };
    let going = u64::try_from(report.forgotten.len()).unwrap_or(u64::MAX);
    render::line(&format!(
        "{} {verb}, {} kept: base backups need the log from {first} on",
        counted(going, "snapshot"),
        render::count(report.kept)
    ));
}
