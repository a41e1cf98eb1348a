//! `keepfast doctor`: whether the store can be trusted, how fast it answers, and whether what
//! is there opens.

use anyhow::Result;
use keepfast_backend::{Latency, ProbeReport};
use keepfast_engine::EngineError;
use keepfast_engine::repo::{Epochs, Snapshots, check_parameters, find_condemned, older};
use keepfast_operations::open::Mode;
use serde_json::{Value, json};

use crate::Outcome;
use crate::args::Common;
use crate::console::Console;
use crate::{engine_error, render, settings};

/// What is at the place.
struct Found {
    repository: String,
    single_writer: bool,
    snapshots: usize,
    damaged: usize,
    /// Objects that count for nothing, and those that are missing: name and reason.
    flaws: Vec<(String, String)>,
}

/// Probes the store, then opens what is there.
pub fn run(common: &Common) -> Result<Outcome> {
    let console = Console::new(common)?;
    let location = settings::backend(common, console.run().link())?.location();
    let probed = settings::probe(common, console.run().link())?;
    if !common.json {
        print_probe(&location, &probed);
    }
    let found = match look(common, &console) {
        Ok(found) => Some(found),
        Err(error) if matches!(engine_error(&error), Some(EngineError::NoRepository { .. })) => None,
        Err(error) => return Err(error),
    };
    if common.json {
        render::document(&json!({
            "location": location,
            "sound": probed.is_sound(),
            "flaws": probed.flaws.iter().map(|(flaw, seen)| json!({ "flaw": flaw.to_string(), "seen": seen })).collect::<Vec<_>>(),
            "latency": {
                "create": latency_json(&probed.create), "read": latency_json(&probed.read),
                "list": latency_json(&probed.list), "remove": latency_json(&probed.remove),
            },
            "repository": found.as_ref().map(|found| json!({
                "id": found.repository, "single_writer": found.single_writer,
                "snapshots": found.snapshots, "snapshots_damaged": found.damaged,
                "strange": found.flaws.iter().map(|(object, why)| json!({ "object": object, "why": why })).collect::<Vec<_>>(),
            })),
        }));
    } else {
        render::line(&match &found {
            None => "repository  none yet: `keepfast init` makes one".to_owned(),
            Some(found) => format!(
                "repository  {}: {} snapshots, {} damaged{}",
                found.repository,
                found.snapshots,
                found.damaged,
                if found.single_writer { "; declared for a single writer" } else { "" }
            ),
        });
    }
    if let Some(found) = found.as_ref().filter(|_| !common.json) {
        for (object, why) in &found.flaws {
            render::line(&format!("strange     {object}: {why}"));
        }
    }
    let is_well = probed.is_sound() && found.is_none_or(|found| found.damaged == 0 && found.flaws.is_empty());
    Ok(if is_well { Outcome::Complete } else { Outcome::WithFindings })
}

fn look(common: &Common, console: &Console) -> Result<Found> {
    let repository = settings::shared(common, console)?.repository(console.run(), Mode::Afresh)?;
    let snapshots = Snapshots::load(&repository, console.run())?;
    let (_, mut strange) = check_parameters(&repository)?;
    strange.extend(snapshots.ignored.iter().cloned());
    let mut flaws: Vec<(String, String)> =
        strange.into_iter().map(|ignored| (ignored.object.to_string(), ignored.what)).collect();
    let epochs = Epochs::list(&repository)?;
    flaws.extend(
        epochs.flaws().iter().map(|flaw| (flaw.finding.object.to_string(), flaw.finding.what.clone())),
    );
    if let Some(EngineError::Blocked { object, why, .. }) =
        epochs.unfinished().and_then(|n| find_condemned(&repository, n).err())
    {
        flaws.push((object, why));
    }
    flaws.extend(
        older(&repository, &snapshots)?.iter().map(|older| (older.object().to_string(), older.to_string())),
    );
    Ok(Found {
        repository: repository.id().to_string(),
        single_writer: repository.config().is_single_writer(),
        snapshots: snapshots.all.len(),
        damaged: snapshots.damaged.len(),
        flaws,
    })
}

fn print_probe(location: &str, probed: &ProbeReport) {
    render::line(&format!("store       {location}"));
    let times = [
        ("create", &probed.create),
        ("read", &probed.read),
        ("list", &probed.list),
        ("remove", &probed.remove),
    ];
    for (verb, latency) in times {
        render::line(&format!(
            "{verb:11} {:.1} ms in the middle of {}, {:.1} ms at most",
            milliseconds(latency.median),
            latency.count,
            milliseconds(latency.max)
        ));
    }
    if probed.is_sound() {
        render::line("promises    all kept: any number of machines may write here at the same time");
    } else {
        render::line("promises    broken:");
        flaws(probed).iter().for_each(|flaw| render::line(&format!("  - {flaw}")));
    }
}

/// The flaws, with what was seen.
pub fn flaws(probed: &ProbeReport) -> Vec<String> {
    probed.flaws.iter().map(|(flaw, seen)| format!("{flaw} ({seen})")).collect()
}

fn milliseconds(time: std::time::Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn latency_json(latency: &Latency) -> Value {
    json!({
        "count": latency.count,
        "median_ms": milliseconds(latency.median),
        "max_ms": milliseconds(latency.max),
    })
}
