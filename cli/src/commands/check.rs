//! `keepfast check`.

use anyhow::Result;
use keepfast_operations::reports::CheckReport;
use keepfast_operations::requests::{self, ReadPacks, check};

use super::outcome_of;
use crate::args::{Check, Common};
use crate::console::Console;
use crate::{Outcome, render, settings};

/// Checks.
pub fn run(common: &Common, options: &Check) -> Result<Outcome> {
    let console = Console::new(common)?;
    let read = match (&options.read_data_subset, options.read_data) {
        (Some(subset), _) => ReadPacks::parse(subset)?,
        (None, true) => ReadPacks::All,
        (None, false) => ReadPacks::None,
    };
    let request = requests::Check { read, resources: common.resources() };
    let shared = settings::shared(common, &console)?;
    let report = console.during("read", || check(&request, &shared, console.run()))?;
    if common.json {
        render::document(&report);
        return Ok(outcome_of(report.troubles));
    }
    if !common.quiet {
        print(&report, read);
    }
    conclude(&report);
    Ok(outcome_of(report.troubles))
}

fn print(report: &CheckReport, read: ReadPacks) {
    render::line(&format!(
        "checked {} snapshots, {} directories, {} files, {} packs, {} other objects",
        report.snapshots,
        render::count(report.trees),
        render::count(report.files),
        render::count(report.packs),
        render::count(report.objects),
    ));
    if read != ReadPacks::None {
        render::line(&format!(
            "read    {} packs in full: {}",
            render::count(report.packs_read),
            render::bytes(report.bytes_read)
        ));
    }
    if let Some(traffic) = report.traffic {
        render::line(&render::traffic(traffic));
    }
    render::line(&format!("time    {:.1} s", report.seconds));
}

/// The last lines: what was found, and what couldn't be looked at.
fn conclude(report: &CheckReport) {
    let findings = report.findings > 0 || (report.unreachable == 0 && !report.troubles.is_empty());
    if findings {
        render::line(&format!(
            "{} findings; {} files of snapshots can't be restored in full",
            render::count(report.findings),
            render::count(report.files_hit)
        ));
    } else if report.unreachable == 0 {
        render::line("no damage found");
    }
    if report.unreachable > 0 {
        let found = if findings { "" } else { "no damage found in what could be read; " };
        render::line(&format!(
            "{found}{} objects, files and directories can't be read now; {} files of snapshots need them. They \
             may be sound: run the check again when the store can be reached and read",
            render::count(report.unreachable),
            render::count(report.files_unreachable)
        ));
    }
}
