//! When plans are paused: by a person, or by the configuration.

use std::collections::BTreeMap;

use jiff::Timestamp;
use keepfast_config::config::Config;
use keepfast_schedule::state::Pause;
use keepfast_store::{PlanId, UtcTime};

use crate::state::instant;

/// Pauses by plan.
pub type Pauses = BTreeMap<String, Vec<Pause>>;

/// A pause as the state has it.
#[must_use]
pub fn of_state(pause: &keepfast_store::Pause) -> Pause {
    let end = match (pause.ended, pause.until) {
        (Some(ended), Some(until)) => Some(ended.min(until)),
        (ended, until) => ended.or(until),
    };
    Pause { since: instant(pause.since), until: end.map(instant) }
}

/// Adds the pauses that the configuration says. `host` is this machine's name.
pub fn add_configured(pauses: &mut Pauses, config: &Config, host: &str) {
    for pause in &config.pauses {
        let pause = &pause.value;
        let is_of_host = pause.host.is_empty() || pause.host.iter().any(|pattern| pattern.matches(host));
        if !is_of_host {
            continue;
        }
        for definition in config.plans.values() {
            let names = &pause.plan;
            if !names.is_empty() && !names.iter().any(|pattern| pattern.value.matches(&definition.name)) {
                continue;
            }
            let Ok(zone) = jiff::tz::TimeZone::get(&config.zone(&definition.value).0) else { continue };
            let at = |moment: jiff::civil::DateTime| {
                moment.to_zoned(zone.clone()).map(|zoned| zoned.timestamp()).ok()
            };
            let since = pause.from.and_then(|from| at(from.0)).unwrap_or(Timestamp::MIN);
            let until = pause.until.and_then(|until| at(until.0));
            pauses.entry(definition.name.clone()).or_default().push(Pause { since, until });
        }
    }
}

/// The pause that holds at an instant, of several the one that ends last; nothing if none does.
#[must_use]
pub fn open(pauses: &[Pause], now: Timestamp) -> Option<Pause> {
    let open =
        pauses.iter().filter(|pause| pause.since <= now && pause.until.is_none_or(|until| until > now));
    open.max_by_key(|pause| pause.until.unwrap_or(Timestamp::MAX)).copied()
}

/// When the last pause ended that is over.
#[must_use]
pub fn last_end(pauses: &[Pause], now: Timestamp) -> Option<Timestamp> {
    pauses.iter().filter_map(|pause| pause.until).filter(|until| *until <= now).max()
}

/// Pauses that a person has asked for and whose own end has come: the plan, and that end.
#[must_use]
pub fn over(pauses: &[keepfast_store::Pause], now: UtcTime) -> Vec<(PlanId, UtcTime)> {
    let ended = |pause: &keepfast_store::Pause| {
        let until = pause.until.filter(|until| pause.ended.is_none() && *until <= now)?;
        Some((pause.plan.clone(), until))
    };
    pauses.iter().filter_map(ended).collect()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use keepfast_schedule::state::Pause;

    use super::{last_end, open};

    #[test]
    fn of_several_pauses_the_one_that_ends_last_holds() {
        let at = |second| Timestamp::constant(second, 0);
        let pause = |since, until: Option<i64>| Pause { since: at(since), until: until.map(at) };
        let pauses = [pause(10, Some(20)), pause(15, Some(40)), pause(100, None)];
        assert_eq!(open(&pauses, at(5)), None);
        assert_eq!(open(&pauses, at(16)), Some(pauses[1]));
        assert_eq!((open(&pauses, at(50)), last_end(&pauses, at(50))), (None, Some(at(40))));
        assert_eq!((open(&pauses, at(200)), last_end(&pauses, at(19))), (Some(pauses[2]), None));
    }
}
