//! One store: whether it can be trusted, how fast it answers, and whether what is there opens.

use anyhow::Result;
use keepfast_operations::reports::{RepositoryDocument, StoreDocument};
use keepfast_operations::requests::{Doctor, doctor_with};

use crate::args::Common;
use crate::console::Console;
use crate::{Outcome, render, settings};

/// Probes the store, then opens what is there.
pub fn run(common: &Common) -> Result<Outcome> {
    let console = Console::new(common)?;
    let shared = settings::shared(common, &console)?;
    let mut probed = |store: &StoreDocument| {
        if !common.json {
            print_store(store);
        }
    };
    let report = doctor_with(&Doctor {}, &mut probed, &shared, console.run())?;
    if common.json {
        render::document(&report);
    } else {
        print_repository(report.repository.as_ref());
    }
    Ok(if report.is_well() { Outcome::Complete } else { Outcome::WithFindings })
}

fn print_store(store: &StoreDocument) {
    render::line(&format!("store       {}", store.location));
    let latency = &store.latency;
    let times = [
        ("create", latency.create),
        ("read", latency.read),
        ("list", latency.list),
        ("remove", latency.remove),
    ];
    for (verb, latency) in times {
        render::line(&format!(
            "{verb:11} {:.1} ms in the middle of {}, {:.1} ms at most",
            latency.median_ms, latency.count, latency.max_ms
        ));
    }
    if store.sound {
        render::line("promises    all kept: any number of machines may write here at the same time");
    } else {
        render::line("promises    broken:");
        store.flaws.iter().for_each(|flaw| render::line(&format!("  - {} ({})", flaw.flaw, flaw.seen)));
    }
}

fn print_repository(found: Option<&RepositoryDocument>) {
    let Some(found) = found else {
        return render::line("repository  none yet: `keepfast init` makes one");
    };
    render::line(&format!(
        "repository  {}: {}, {} damaged{}",
        found.id,
        render::counted(found.snapshots as u64, "snapshot"),
        render::count(found.snapshots_damaged as u64),
        if found.single_writer { "; declared for a single writer" } else { "" }
    ));
    for strange in &found.strange {
        render::line(&format!("strange     {}: {}", strange.object, strange.why));
    }
}
