//! `keepfast check`.

use std::time::Instant;

use anyhow::Result;
use keepfast_engine::check::{CheckOptions, CheckReport, ReadData, check};
use keepfast_operations::open::Mode;
use serde_json::json;

use super::outcome;
use crate::Outcome;
use crate::args::{Check, Common};
use crate::console::Console;
use crate::manners::{self, Work};
use crate::render;
use crate::settings;
use crate::usage::Usage;

/// Checks.
pub fn run(common: &Common, options: &Check) -> Result<Outcome> {
    let begun = Instant::now();
    let console = Console::new(common)?;
    let read = match (&options.read_data_subset, options.read_data) {
        (Some(subset), _) => parse_subset(subset)?,
        (None, true) => ReadData::All,
        (None, false) => ReadData::No,
    };
    let opened = settings::shared(common, &console)?.open(console.run(), Mode::Afresh)?;
    let share = manners::share(common, opened.repository.config().pack_bytes, Work::ReadPacks)?;
    let check_options = CheckOptions { read };
    let run = &console.run().clone().with_threads(share.threads);
    let report = console.during("read", || {
        check(&opened.repository, &opened.index, &opened.snapshots, &check_options, run)
    })?;
    let time = begun.elapsed();
    let traffic = opened.repository.backend().traffic();
    if common.json {
        render::document(&json!({
            "snapshots": opened.snapshots.all.len(),
            "objects": report.objects, "packs": report.packs, "packs_read": report.packs_read,
            "bytes_read": report.bytes_read, "trees": report.trees, "files": report.files,
            "findings": report.findings, "files_hit": report.files_hit,
            "unreachable": report.unreachable, "files_unreachable": report.files_unreachable,
            "traffic": render::traffic_json(traffic),
            "seconds": time.as_secs_f64(),
        }));
        return Ok(outcome(&console));
    }
    if !common.quiet {
        render::line(&format!(
            "checked {} snapshots, {} directories, {} files, {} packs, {} other objects",
            opened.snapshots.all.len(),
            render::count(report.trees),
            render::count(report.files),
            render::count(report.packs),
            render::count(report.objects),
        ));
        if read != ReadData::No {
            render::line(&format!(
                "read    {} packs in full: {}",
                render::count(report.packs_read),
                render::bytes(report.bytes_read)
            ));
        }
        if let Some(traffic) = traffic {
            render::line(&render::traffic(traffic));
        }
        render::line(&format!("time    {:.1} s", time.as_secs_f64()));
    }
    conclude(&report, &console);
    Ok(outcome(&console))
}

/// The last lines: what was found, and what couldn't be looked at.
fn conclude(report: &CheckReport, console: &Console) {
    let findings = report.findings > 0 || (report.unreachable == 0 && !console.run().troubles().is_empty());
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

/// Reads `n/m` or `P%`. A percentage picks one of as many parts as it goes into a hundred,
/// another one each day, so that repeated checks cover everything.
fn parse_subset(text: &str) -> Result<ReadData> {
    let bad = || Usage(format!("{text:?} isn't a part: write 1/10 for the first of ten, or 10%"));
    if let Some((n, m)) = text.split_once('/') {
        let (n, m): (u32, u32) = (n.parse().map_err(|_| bad())?, m.parse().map_err(|_| bad())?);
        if n == 0 || n > m {
            return Err(bad().into());
        }
        return Ok(ReadData::Part { n, m });
    }
    let percent: f64 = text.strip_suffix('%').and_then(|number| number.parse().ok()).ok_or_else(bad)?;
    if !(percent > 0.0 && percent <= 100.0) {
        return Err(bad().into());
    }
    let m = (100.0 / percent).ceil() as u32;
    let day = u64::try_from(settings::now().seconds).unwrap_or(0) / 86_400;
    Ok(ReadData::Part { n: (day % u64::from(m)) as u32 + 1, m })
}

#[cfg(test)]
mod tests {
    use super::parse_subset;
    use keepfast_engine::check::ReadData;

    #[test]
    fn parts_are_read_as_fractions_or_percentages() {
        assert_eq!(parse_subset("2/5").expect("a part"), ReadData::Part { n: 2, m: 5 });
        assert!(matches!(parse_subset("30%").expect("a part"), ReadData::Part { m: 4, .. }));
        for bad in ["0/5", "6/5", "x", "0%", "101%", "NaN%", "1/0"] {
            assert!(parse_subset(bad).is_err(), "{bad}");
        }
    }
}
