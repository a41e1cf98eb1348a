//! What can be done about a repository. Each rule is a function of what is known.

use std::time::Duration;

use jiff::Timestamp;
use keepfast_api::storage::{AdviceCode, AdviceUrgency, DiskSpace, PlanGrowth, StorageAdvice};
use keepfast_operations::units::bytes;

/// Without a good check for this long, damage may have gone unseen.
const CHECKED_WITHIN_DAYS: u64 = 30;
const CHECKED_LONG_AGO_DAYS: u64 = 90;
/// Without a prune for this long, what was forgotten takes room.
const PRUNED_WITHIN_DAYS: u64 = 30;
/// Unused data is told of from this share of what is stored on, in thousandths; and from this many bytes.
const UNUSED_THOUSANDTHS: u64 = 100;
const UNUSED_BYTES: u64 = 1 << 30;
/// A file system with less free than this, in thousandths, is nearly full; and one with less than that is full.
const FREE_THOUSANDTHS: u64 = 100;
const NO_FREE_THOUSANDTHS: u64 = 30;
const SOON_DAYS: u64 = 30;
const VERY_SOON_DAYS: u64 = 7;
/// From this share of the growth on a plan stands out, in thousandths; if the growth is worth it.
const MOST_THOUSANDTHS: u64 = 600;
const WORTH_BYTES: u64 = 1 << 30;

/// What is known of a repository.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known<'a> {
    /// Now.
    pub now: Timestamp,
    /// When a check last ended well.
    pub checked: Option<Timestamp>,
    /// Whether a prune has a schedule.
    pub has_prune: bool,
    /// When a prune last ended well.
    pub pruned: Option<Timestamp>,
    /// Whether snapshots are forgotten: a plan has a retention.
    pub forgets: bool,
    /// Whether it has snapshots, or has had.
    pub has_data: bool,
    /// What is stored.
    pub used: Option<u64>,
    /// What of it no snapshot needs, as it was found last.
    pub unused: Option<u64>,
    /// The quota, and from how much on it is told.
    pub quota: Option<(u64, u64)>,
    /// The file system.
    pub disk: Option<DiskSpace>,
    /// When it is full.
    pub full_on: Option<Timestamp>,
    /// What plans have added, the most first.
    pub plans: &'a [PlanGrowth],
}

/// What can be done, the most urgent first.
pub fn advice(known: &Known<'_>) -> Vec<StorageAdvice> {
    if !known.has_data {
        return Vec::new();
    }
    let rules = [no_check, prune, unused, quota, disk, full_soon, one_plan];
    let mut advice: Vec<StorageAdvice> = rules.iter().filter_map(|rule| rule(known)).collect();
    advice.sort_by_key(|advice| std::cmp::Reverse(advice.urgency));
    advice
}

fn say(code: AdviceCode, urgency: AdviceUrgency, value: Option<u64>, text: String) -> StorageAdvice {
    StorageAdvice { code, urgency, value, plan: None, text }
}

fn days_since(at: Timestamp, now: Timestamp) -> u64 {
    let time = Duration::try_from(now.duration_since(at)).unwrap_or_default();
    time.as_secs() / 86_400
}

fn no_check(known: &Known<'_>) -> Option<StorageAdvice> {
    let Some(at) = known.checked else {
        let text =
            "no check has ended well so far: check it, or give it a check that has a schedule".to_owned();
        return Some(say(AdviceCode::NoCheck, AdviceUrgency::Medium, None, text));
    };
    let days = days_since(at, known.now);
    let urgency = match days {
        ..CHECKED_WITHIN_DAYS => return None,
        CHECKED_WITHIN_DAYS..CHECKED_LONG_AGO_DAYS => AdviceUrgency::Medium,
        _ => AdviceUrgency::High,
    };
    let text = format!("no check has ended well for {days} days: check it");
    Some(say(AdviceCode::NoCheck, urgency, Some(days), text))
}

fn prune(known: &Known<'_>) -> Option<StorageAdvice> {
    if !known.forgets {
        return None;
    }
    let days = known.pruned.map(|at| days_since(at, known.now));
    let text = match days {
        Some(..PRUNED_WITHIN_DAYS) => return None,
        Some(days) => format!("no prune has ended well for {days} days: what was forgotten still takes room"),
        // It may be due for the first time soon.
        None if known.has_prune => return None,
        None => {
            "plans forget snapshots here and nothing prunes: give the repository a prune that has a schedule"
                .to_owned()
        }
    };
    Some(say(AdviceCode::NoPrune, AdviceUrgency::Medium, days, text))
}

fn unused(known: &Known<'_>) -> Option<StorageAdvice> {
    let (used, unused) = (known.used?, known.unused?);
    if unused < UNUSED_BYTES || thousandths(unused, used) < UNUSED_THOUSANDTHS {
        return None;
    }
    let text =
        format!("no snapshot needs {} of the {} that are stored: prune it", bytes(unused), bytes(used));
    Some(say(AdviceCode::UnusedSpace, AdviceUrgency::Low, Some(unused), text))
}

fn quota(known: &Known<'_>) -> Option<StorageAdvice> {
    let (used, (size, warn)) = (known.used?, known.quota?);
    let urgency = match used {
        _ if used > size => AdviceUrgency::High,
        _ if used > warn => AdviceUrgency::Medium,
        _ => return None,
    };
    let text = format!("{} of the quota of {} are used: keep less, or raise it", bytes(used), bytes(size));
    Some(say(AdviceCode::QuotaNear, urgency, Some(thousandths(used, size)), text))
}

fn disk(known: &Known<'_>) -> Option<StorageAdvice> {
    let DiskSpace { total_bytes, free_bytes } = known.disk?;
    let free = thousandths(free_bytes, total_bytes);
    let urgency = match free {
        ..NO_FREE_THOUSANDTHS => AdviceUrgency::High,
        NO_FREE_THOUSANDTHS..FREE_THOUSANDTHS => AdviceUrgency::Medium,
        _ => return None,
    };
    let text = format!("its file system has {} of {} free: make room", bytes(free_bytes), bytes(total_bytes));
    Some(say(AdviceCode::DiskNear, urgency, Some(1000 - free.min(1000)), text))
}

fn full_soon(known: &Known<'_>) -> Option<StorageAdvice> {
    let days = days_since(known.now, known.full_on?);
    let urgency = match days {
        ..VERY_SOON_DAYS => AdviceUrgency::High,
        VERY_SOON_DAYS..SOON_DAYS => AdviceUrgency::Medium,
        _ => return None,
    };
    let text = format!("it is full in {days} days if it grows like this: make room, or keep less");
    Some(say(AdviceCode::FullSoon, urgency, Some(days), text))
}

fn one_plan(known: &Known<'_>) -> Option<StorageAdvice> {
    let [first, _, ..] = known.plans else { return None };
    let all = known.plans.iter().fold(0_u64, |all, plan| all.saturating_add(plan.stored_bytes_90_days));
    let part = thousandths(first.stored_bytes_90_days, all);
    if part < MOST_THOUSANDTHS || first.stored_bytes_90_days < WORTH_BYTES {
        return None;
    }
    let text = format!(
        "plan {} has added {} of the {} that were stored in 90 days: look at what it backs up",
        first.plan,
        bytes(first.stored_bytes_90_days),
        bytes(all),
    );
    let plan = Some(first.plan.clone());
    Some(StorageAdvice { plan, ..say(AdviceCode::OnePlanGrows, AdviceUrgency::Low, Some(part), text) })
}

fn thousandths(part: u64, whole: u64) -> u64 {
    let thousandths = u128::from(part) * 1000 / u128::from(whole.max(1));
    u64::try_from(thousandths).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};
    use keepfast_api::storage::{AdviceCode, AdviceUrgency, DiskSpace, PlanGrowth};

    use super::{Known, advice};

    const GIB: u64 = 1 << 30;

    fn in_days(days: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000).expect("an instant") + SignedDuration::from_hours(24 * days)
    }

    /// Of which there is nothing to say.
    fn well() -> Known<'static> {
        Known {
            now: in_days(0),
            checked: Some(in_days(-6)),
            has_prune: true,
            pruned: Some(in_days(-6)),
            forgets: true,
            has_data: true,
            used: Some(100 * GIB),
            unused: Some(3 * GIB),
            quota: Some((200 * GIB, 160 * GIB)),
            disk: Some(DiskSpace { total_bytes: 1000 * GIB, free_bytes: 500 * GIB }),
            full_on: Some(in_days(200)),
            plans: &[],
        }
    }

    #[track_caller]
    fn says(known: &Known<'_>, expected: &[(AdviceCode, AdviceUrgency, Option<u64>)]) {
        let found: Vec<_> =
            advice(known).iter().map(|advice| (advice.code, advice.urgency, advice.value)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn nothing_is_said_of_what_is_well_or_empty() {
        says(&well(), &[]);
        says(&Known { has_data: false, checked: None, ..well() }, &[]);
    }

    #[test]
    fn checks_and_prunes_that_do_not_come_are_told() {
        use AdviceCode::{NoCheck, NoPrune};
        use AdviceUrgency::{High, Medium};
        says(&Known { checked: None, ..well() }, &[(NoCheck, Medium, None)]);
        says(&Known { checked: Some(in_days(-30)), ..well() }, &[(NoCheck, Medium, Some(30))]);
        says(&Known { checked: Some(in_days(-90)), ..well() }, &[(NoCheck, High, Some(90))]);
        says(&Known { pruned: Some(in_days(-40)), ..well() }, &[(NoPrune, Medium, Some(40))]);
        says(&Known { pruned: None, has_prune: false, ..well() }, &[(NoPrune, Medium, None)]);
        says(&Known { pruned: None, ..well() }, &[]);
        says(&Known { pruned: None, has_prune: false, forgets: false, ..well() }, &[]);
    }

    #[test]
    fn room_that_ends_is_told_the_most_urgent_first() {
        use AdviceCode::{DiskNear, FullSoon, QuotaNear, UnusedSpace};
        use AdviceUrgency::{High, Low, Medium};
        says(&Known { unused: Some(20 * GIB), ..well() }, &[(UnusedSpace, Low, Some(20 * GIB))]);
        says(&Known { quota: Some((110 * GIB, 88 * GIB)), ..well() }, &[(QuotaNear, Medium, Some(909))]);
        let full = Known {
            unused: Some(20 * GIB),
            quota: Some((90 * GIB, 72 * GIB)),
            disk: Some(DiskSpace { total_bytes: 1000 * GIB, free_bytes: 90 * GIB }),
            full_on: Some(in_days(3)),
            ..well()
        };
        let expected = [
            (QuotaNear, High, Some(1111)),
            (FullSoon, High, Some(3)),
            (DiskNear, Medium, Some(910)),
            (UnusedSpace, Low, Some(20 * GIB)),
        ];
        says(&full, &expected);
        let disk = Some(DiskSpace { total_bytes: 1000 * GIB, free_bytes: 0 });
        says(&Known { disk, ..well() }, &[(DiskNear, High, Some(1000))]);
    }

    #[test]
    fn a_plan_that_is_most_of_the_growth_is_named() {
        let plan = |plan: &str, bytes| PlanGrowth {
            plan: plan.to_owned(),
            stored_bytes_30_days: 0,
            stored_bytes_90_days: bytes,
            share: 0.0,
        };
        let plans = [plan("db", 9 * GIB), plan("www", 3 * GIB)];
        let told = advice(&Known { plans: &plans, ..well() });
        assert_eq!((told[0].plan.as_deref(), told[0].value), (Some("db"), Some(750)));
        says(&Known { plans: &plans[..1], ..well() }, &[]);
        says(&Known { plans: &[plan("db", 9 * GIB), plan("www", 8 * GIB)], ..well() }, &[]);
    }
}
