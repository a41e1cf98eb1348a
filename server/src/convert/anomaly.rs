//! What a plan says about anomalies.

use keepfast_config::config::Definition;
use keepfast_config::model::plan::{Anomaly, Plan};
use keepfast_config::values::amount::{Share as DefinedShare, Threshold};
use keepfast_observe::anomaly::{Factor, NewBytes, Rules, Share};

use super::unsupported;
use crate::error::Result;

/// The rules by which a plan's runs are judged. A plan that says nothing has the usual ones.
pub fn rules(definition: &Definition<Plan>) -> Result<Rules> {
    let usual = Rules::default();
    let Some(defined) = &definition.value.anomaly else { return Ok(usual) };
    let Anomaly {
        new_bytes,
        deleted_files,
        changed_files,
        duration,
        size_at_least,
        incompressible,
        pause_retention,
    } = defined;
    let wrong = |key: &str, what: &str| {
        unsupported(&format!("plan {}", definition.name), format!("anomaly.{key} as anything but {what}"))
    };
    let share_of = |key: &str, threshold: &Threshold| match threshold {
        Threshold::Share(defined) => share(defined).ok_or_else(|| wrong(key, "a share such as \"20%\"")),
        Threshold::Times { .. } | Threshold::Size(_) => Err(wrong(key, "a share such as \"20%\"")),
    };
    let factor = |key: &str, tenths: u32| {
        Factor::new(f64::from(tenths) / 10.0).map_err(|_| wrong(key, "a factor such as \"x5\""))
    };
    Ok(Rules {
        new_bytes: match new_bytes {
            None => usual.new_bytes,
            Some(Threshold::Times { tenths }) => Some(NewBytes::Times(factor("new_bytes", *tenths)?)),
            Some(threshold @ Threshold::Share(_)) => Some(NewBytes::Share(share_of("new_bytes", threshold)?)),
            Some(Threshold::Size(size)) => Some(NewBytes::Bytes(size.bytes)),
        },
        deleted_files: match deleted_files {
            None => usual.deleted_files,
            Some(threshold) => Some(share_of("deleted_files", threshold)?),
        },
        rewritten_files: match changed_files {
            None => usual.rewritten_files,
            Some(threshold) => Some(share_of("changed_files", threshold)?),
        },
        duration: match duration {
            None => usual.duration,
            Some(Threshold::Times { tenths }) => Some(factor("duration", *tenths)?),
            Some(Threshold::Share(_) | Threshold::Size(_)) => {
                return Err(wrong("duration", "a factor such as \"x5\""));
            }
        },
        incompressible: match incompressible {
            None => usual.incompressible,
            Some(defined) => Some(
                share(defined).ok_or_else(|| wrong("incompressible", "a share above 0 such as \"95%\""))?,
            ),
        },
        least_source_bytes: size_at_least.as_ref().map(|size| size.bytes),
        pause_retention: *pause_retention,
        ..usual
    })
}

fn share(defined: &DefinedShare) -> Option<Share> {
    Share::new(f64::from(defined.thousandths) / 1000.0).ok()
}
