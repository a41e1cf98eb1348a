//! A limit of size: of what rules keep, the oldest go until the rest fits.

use keepfast_format::ids::SessionId;
use keepfast_format::node::Timestamp;

use super::{Decision, Group, Miss, Policy, Reason, Verdict, newest_complete};

/// What came of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fit {
    /// The limit.
    pub max_bytes: u64,
    /// What the snapshots that stay need. It is more than the limit if those that have to stay need that much.
    pub bytes: u64,
}

/// Lets the oldest snapshots of all groups go until those that stay need no more than the policy's limit. Nothing
/// happens without one. `now` is the present that was decided for.
///
/// What can't go: what is protected, what lies in the future, each group's newest, and the newest complete ones of each
/// group, as many as the policy's floor says. Those that go are older than all others that could go and stay.
///
/// `add` gets snapshots one by one, and says how many bytes all need that it has got so far: never less than before. It
/// hears first of those that can't go, then of others, newest first, until they don't fit any more. So what needs much
/// work to find out is found out for as few as possible.
pub fn fit<E>(
    groups: &mut [Group<'_>],
    policy: &Policy,
    now: Timestamp,
    add: &mut dyn FnMut(SessionId) -> Result<u64, E>,
) -> Result<Option<Fit>, E> {
    let Some(max_bytes) = policy.max_bytes else { return Ok(None) };
    let mut bytes = 0;
    let mut may_go: Vec<&mut Decision<'_>> = Vec::new();
    for group in &mut *groups {
        let past = group.decisions.partition_point(|decision| decision.snapshot.time <= now);
        let candidates: Vec<_> = group.decisions[..past].iter().map(|decision| decision.snapshot).collect();
        let mut has_to_stay = vec![false; group.decisions.len()];
        has_to_stay[past..].fill(true);
        past.checked_sub(1).into_iter().for_each(|newest| has_to_stay[newest] = true);
        newest_complete(&candidates, policy.at_least).into_iter().for_each(|place| has_to_stay[place] = true);
        for (decision, stays) in group.decisions.iter_mut().zip(has_to_stay) {
            if !decision.verdict.keeps() {
                continue;
            }
            if stays || decision.snapshot.protected {
                bytes = add(decision.snapshot.id)?;
                say_why(decision);
            } else {
                may_go.push(decision);
            }
        }
    }
    may_go.sort_unstable_by_key(|decision| {
        let snapshot = &decision.snapshot;
        (snapshot.time, snapshot.edition, snapshot.id)
    });
    let mut fits = bytes <= max_bytes;
    for decision in may_go.into_iter().rev() {
        if fits {
            let with_it = add(decision.snapshot.id)?;
            fits = with_it <= max_bytes;
            bytes = if fits { with_it } else { bytes };
        }
        if !fits {
            decision.verdict = Verdict::Forget(vec![Miss::Size { max_bytes }]);
        }
    }
    Ok(Some(Fit { max_bytes, bytes }))
}

/// That it fits isn't why such a snapshot stays, unless there is nothing else to say.
fn say_why(decision: &mut Decision<'_>) {
    if let Verdict::Keep(reasons) = &mut decision.verdict
        && reasons.len() > 1
    {
        reasons.retain(|reason| !matches!(reason, Reason::Size { .. }));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    use keepfast_format::ids::SessionId;
    use proptest::collection::vec;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::{Fit, fit};
    use crate::retention::testing::{DAY, LATE, Made, decide_at, id};
    use crate::retention::{Count, GroupBy, Miss, Policy, Verdict};

    /// What is needed where snapshot `n` needs the pieces of `needs[n]`, of a byte each.
    fn union(needs: &BTreeMap<SessionId, u16>, of: &[SessionId]) -> u64 {
        of.iter().fold(0, |all: u16, id| all | needs[id]).count_ones().into()
    }

    struct Fitted {
        stays: Vec<SessionId>,
        goes: Vec<SessionId>,
        fit: Fit,
        asked: Vec<SessionId>,
    }

    fn fitted(made: &[Made], needs: &[u16], policy: &Policy) -> Fitted {
        let needs = made.iter().map(|made| id(made.number)).zip(needs.iter().copied()).collect();
        let mut groups =
            decide_at(made, policy, GroupBy::default(), LATE).expect("a policy that says something");
        let mut asked = Vec::new();
        let mut add = |id| {
            asked.push(id);
            Ok::<_, Infallible>(union(&needs, &asked))
        };
        let Ok(fit) = fit(&mut groups, policy, LATE, &mut add);
        let decisions = groups.iter().flat_map(|group| &group.decisions);
        let (stays, goes): (Vec<_>, Vec<_>) = decisions.partition(|decision| decision.verdict.keeps());
        let ids = |decisions: Vec<&crate::retention::Decision<'_>>| {
            decisions.iter().map(|decision| decision.snapshot.id).collect::<Vec<_>>()
        };
        Fitted { stays: ids(stays), goes: ids(goes), fit: fit.expect("there is a limit"), asked }
    }

    fn days(count: u8) -> Vec<Made> {
        (0..count).map(|number| Made::new(number, i64::from(number) * DAY)).collect()
    }

    #[test]
    fn the_oldest_go_until_the_rest_fits_and_shared_data_counts_once() {
        let policy = Policy { max_bytes: Some(4), ..Policy::default() };
        let of = fitted(&days(4), &[0b1111_0000, 0b0011, 0b0111, 0b1111], &policy);
        assert_eq!(of.goes, [id(0)]);
        assert_eq!(of.fit, Fit { max_bytes: 4, bytes: 4 });
        let all = Policy { max_bytes: Some(8), ..Policy::default() };
        assert_eq!(fitted(&days(4), &[0b1111_0000, 0b0011, 0b0111, 0b1111], &all).goes, []);
    }

    #[test]
    fn what_has_to_stay_stays_even_if_it_does_not_fit() {
        let mut made = days(5);
        made[0] = made[0].clone().protected();
        made[4] = made[4].clone().incomplete();
        let policy = Policy { max_bytes: Some(0), at_least: 2, ..Policy::default() };
        let of = fitted(&made, &[1, 2, 4, 8, 16], &policy);
        assert_eq!(of.stays, [id(0), id(2), id(3), id(4)], "protected, two complete, the newest");
        assert_eq!(of.fit, Fit { max_bytes: 0, bytes: 4 });
        assert!(!of.asked.contains(&id(1)), "nothing is found out about one that goes in any case");
    }

    #[test]
    fn rules_come_first_and_each_group_has_its_floor() {
        let made = [days(3), (3..6).map(|n| Made::new(n, i64::from(n) * DAY).host("bob")).collect()].concat();
        let policy =
            Policy { last: Some(Count::Number(2)), max_bytes: Some(3), at_least: 1, ..Policy::default() };
        let of = fitted(&made, &[1, 2, 4, 8, 16, 32], &policy);
        assert_eq!(of.stays, [id(2), id(4), id(5)], "of the older host only what must stay");
        let mut groups = decide_at(&made, &policy, GroupBy::default(), LATE).expect("a policy");
        let Ok(_) = fit(&mut groups, &policy, LATE, &mut |_| Ok::<_, Infallible>(4));
        let Verdict::Forget(misses) = &groups[0].decisions[1].verdict else { panic!("it doesn't fit") };
        assert_eq!(misses[..], [Miss::Size { max_bytes: 3 }]);
        assert_eq!(misses[0].to_string(), "size: with it, more than 3 bytes would be needed");
    }

    proptest! {
        /// What stays fits, or nothing more may go. What goes is older than what could go and stays, and the next older
        /// one would not have fitted.
        #[test]
        fn what_stays_fits_or_nothing_more_may_go(
            needs in vec(any::<u16>(), 1..12),
            flags in vec((any::<bool>(), any::<bool>()), 12),
            max_bytes in 0_u64..18,
            at_least in 0_u32..4,
        ) {
            let made: Vec<Made> = (0..).zip(&needs).zip(&flags).map(|((number, _), (protected, complete))| {
                let mut made = Made::new(number, i64::from(number) * DAY);
                (made.protected, made.is_complete) = (*protected, *complete);
                made
            }).collect();
            let policy = Policy { max_bytes: Some(max_bytes), at_least, ..Policy::default() };
            let of = fitted(&made, &needs, &policy);
            let needs: BTreeMap<_, _> = made.iter().map(|made| id(made.number)).zip(needs).collect();
            prop_assert_eq!(of.fit.bytes, union(&needs, &of.stays));
            let newest = made.last().expect("there is one").number;
            let complete = made.iter().rev().filter(|made| made.is_complete).take(at_least as usize);
            let floor: Vec<_> = complete.map(|made| made.number).collect();
            let has_to_stay =
                |made: &&Made| made.protected || made.number == newest || floor.contains(&made.number);
            let could_go: Vec<_> =
                made.iter().filter(|made| !has_to_stay(made)).map(|made| id(made.number)).collect();
            prop_assert!(of.goes.iter().all(|gone| could_go.contains(gone)));
            prop_assert!(of.fit.bytes <= max_bytes || of.goes == could_go);
            prop_assert_eq!(&of.goes[..], &could_go[..of.goes.len()], "the oldest");
            if let Some(next) = of.goes.last() {
                let with_it = [&of.stays[..], &[*next]].concat();
                prop_assert!(union(&needs, &with_it) > max_bytes, "it need not have gone");
            }
        }
    }
}
