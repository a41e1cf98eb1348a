//! `keepfast check`.

use anyhow::Result;
use keepfast_operations::reports::CheckReport;
use keepfast_operations::requests::{self, ReadPacks, check};

use super::outcome_of;
use crate::args::{Check, Common};
use crate::console::Console;
use crate::render::{self, agreeing, count, counted};
use crate::{Outcome, settings};

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
        "checked {}, {}, {}, {}, {}",
        counted(report.snapshots as u64, "snapshot"),
        counted(report.trees, "directory"),
        counted(report.files, "file"),
        counted(report.packs, "pack"),
        counted(report.objects, "other object"),
    ));
    if read != ReadPacks::None {
        render::line(&format!(
            "read    {} in full: {}",
            counted(report.packs_read, "pack"),
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
            "{}; {} of snapshots can't be restored in full",
            counted(report.findings, "finding"),
            counted(report.files_hit, "file")
        ));
    } else if report.unreachable == 0 {
        render::line("no damage found");
    }
    if report.unreachable > 0 {
        let found = if findings { "" } else { "no damage found in what could be read; " };
        render::line(&format!(
            "{found}{} {} can't be read now; {} of snapshots {} {}. {} may be sound: run the check again when the \
             store can be reached and read",
            count(report.unreachable),
            agreeing(report.unreachable, "object, file or directory", "objects, files and directories"),
            counted(report.files_unreachable, "file"),
            agreeing(report.files_unreachable, "needs", "need"),
            agreeing(report.unreachable, "it", "them"),
            agreeing(report.unreachable, "It", "They"),
        ));
    }
}
