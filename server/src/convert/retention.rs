//! What a plan keeps.

use keepfast_config::config::{Config, Definition};
use keepfast_config::model::plan::Plan;
use keepfast_config::model::retention::Retention as Defined;
use keepfast_config::values::amount::{Count as DefinedCount, ShareOrNumber};
use keepfast_config::values::time::Age;
use keepfast_engine::retention::{Count, GroupBy, Policy, Span};
use keepfast_operations::brake::Brake;
use keepfast_operations::choose::Filter;
use keepfast_operations::requests::Retention;

use super::backup::label;
use crate::error::Result;

/// What a plan's retention asks for; nothing if the plan keeps all.
///
/// Snapshots are found by the plan's label and the host, and judged apart by writer, in the zone of the plan's schedule.
///
/// Only snapshots of this host are judged: another machine that shares the repository may have a plan of the same name
/// with other rules.
pub fn request(config: &Config, definition: &Definition<Plan>, host: &str) -> Result<Option<Retention>> {
    let plan = &definition.value;
    let Some(defined) = plan.retention.as_ref().map(|retention| &retention.value) else { return Ok(None) };
    if !defined.removes() {
        return Ok(None);
    }
    Ok(Some(Retention {
        filter: Filter {
            tags: vec![label(&definition.name)],
            host: Some(host.to_owned()),
            ..Filter::default()
        },
        keep: policy(defined),
        group_by: GroupBy { writer: true, host: true, paths: false, tags: false },
        max_removed: Some(match defined.max_removed {
            ShareOrNumber::Share(share) => {
                Brake::Percent(u8::try_from(share.thousandths / 10).unwrap_or(100))
            }
            ShareOrNumber::Number(number) => Brake::Number(u64::from(number)),
        }),
        zone: Some(config.zone(plan).0.clone()),
    }))
}

fn policy(defined: &Defined) -> Policy {
    let count = |count: Option<DefinedCount>| {
        count.map(|count| match count {
            DefinedCount::All => Count::All,
            DefinedCount::Number(number) => Count::Number(number),
        })
    };
    let span = |age: Option<Age>| {
        age.map(|age| Span {
            years: age.years,
            months: age.months,
            weeks: age.weeks,
            days: age.days,
            hours: age.hours,
        })
    };
    Policy {
        last: count(defined.last),
        hourly: count(defined.hourly),
        daily: count(defined.daily),
        weekly: count(defined.weekly),
        monthly: count(defined.monthly),
        yearly: count(defined.yearly),
        within: span(defined.within),
        within_hourly: span(defined.within_hourly),
        within_daily: span(defined.within_daily),
        within_weekly: span(defined.within_weekly),
        within_monthly: span(defined.within_monthly),
        within_yearly: span(defined.within_yearly),
        tags: defined.tags.iter().map(|list| list.0.iter().map(|tag| tag.0.clone()).collect()).collect(),
        at_least: defined.at_least.unwrap_or(0),
        max_bytes: defined.max_size.map(|size| size.bytes),
    }
}
