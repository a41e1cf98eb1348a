//! What holds for any history: each change of a problem is told once to each target that hears of it, in time, and
//! never in a storm.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use keepfast_notify::decide::{Delivery, MESSAGES_PER_HOUR_MAX, MESSAGES_PER_SUBJECT_AND_DAY_MAX, Topic};
use keepfast_notify::{
    Condition, Event, Kind, Policy, Quiet, Route, Severity, Subject, TargetName, Verdict, Work,
};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::{prop_assert, prop_assert_eq, proptest};

use super::lab::{DAY, HOUR, Lab, backup, plan, repository, route, unreachable};

#[derive(Debug, Clone, Copy)]
enum Step {
    Wait(u64),
    /// The caller doesn't decide when it was told to.
    Sleep(u64),
    Plan {
        number: u8,
        verdict: Verdict,
        caused: bool,
        critical: bool,
    },
    Overdue {
        number: u8,
        began: bool,
    },
    Repository {
        began: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let verdict = prop_oneof![
        4 => Just(Verdict::Failed),
        3 => Just(Verdict::Ok),
        1 => Just(Verdict::Findings),
        1 => Just(Verdict::Missed),
        1 => Just(Verdict::Skipped),
    ];
    prop_oneof![
        4 => (0_u64..400).prop_map(Step::Wait),
        2 => (0_u64..6 * HOUR).prop_map(Step::Wait),
        1 => (0_u64..40 * HOUR).prop_map(Step::Wait),
        1 => (0_u64..6 * HOUR).prop_map(Step::Sleep),
        8 => (0_u8..5, verdict, any::<bool>(), proptest::bool::weighted(0.1))
            .prop_map(|(number, verdict, caused, critical)| Step::Plan { number, verdict, caused, critical }),
        2 => (0_u8..5, any::<bool>()).prop_map(|(number, began)| Step::Overdue { number, began }),
        2 => any::<bool>().prop_map(|began| Step::Repository { began }),
    ]
}

/// What an installation would tell if each change were a message: counted by hand, without any of the rules.
#[derive(Default)]
struct Book {
    open: BTreeMap<(Subject, Topic), (bool, u32)>,
    /// Openings that each target has to hear of, with the instant of each.
    openings: BTreeMap<TargetName, Vec<Timestamp>>,
    told: BTreeMap<TargetName, Vec<(Timestamp, Vec<Subject>)>>,
    told_openings: BTreeMap<TargetName, u32>,
    told_closings: BTreeMap<TargetName, u32>,
    closings: BTreeMap<TargetName, u32>,
    last: BTreeMap<(TargetName, Subject, Topic), bool>,
}

impl Book {
    /// `after` of each target.
    fn event(&mut self, event: &Event, after: &[(TargetName, u32)]) {
        let topic = match event.kind {
            Kind::Ended { work, verdict: Verdict::Failed | Verdict::Missed | Verdict::Lost } => {
                Some(Topic::Failing(work))
            }
            Kind::Ended { work, verdict: Verdict::Findings } => Some(Topic::Findings(work)),
            Kind::Began(condition) => Some(Topic::Condition(condition)),
            _ => None,
        };
        let over: Vec<Topic> = match event.kind {
            Kind::Ended { work, verdict: Verdict::Ok } => vec![Topic::Failing(work), Topic::Findings(work)],
            Kind::Ended { work, verdict: Verdict::Findings } => vec![Topic::Failing(work)],
            Kind::Over(condition) => vec![Topic::Condition(condition)],
            _ => Vec::new(),
        };
        for topic in over {
            let (open, count) = self.open.entry((event.subject.clone(), topic)).or_default();
            for (target, after) in after {
                let after = if matches!(topic, Topic::Condition(_)) { 1 } else { *after };
                if *open && *count >= after {
                    *self.closings.entry(target.clone()).or_default() += 1;
                }
            }
            (*open, *count) = (false, 0);
        }
        if let Some(topic) = topic {
            let (open, count) = self.open.entry((event.subject.clone(), topic)).or_default();
            (*open, *count) = (true, *count + 1);
            for (target, after) in after {
                let after = if matches!(topic, Topic::Condition(_)) { 1 } else { *after };
                if *count == after {
                    self.openings.entry(target.clone()).or_default().push(event.at);
                }
            }
        }
    }

    fn delivered(&mut self, at: Timestamp, delivery: &Delivery) {
        let subjects = delivery.tells.iter().map(|telling| telling.subject.clone()).collect();
        self.told.entry(delivery.target.clone()).or_default().push((at, subjects));
        for telling in &delivery.tells {
            let told = telling.changes.openings + telling.affected;
            *self.told_openings.entry(delivery.target.clone()).or_default() += told;
            *self.told_closings.entry(delivery.target.clone()).or_default() += telling.changes.closings;
            self.last.insert((delivery.target.clone(), telling.subject.clone(), telling.topic), telling.open);
        }
    }

    /// How many of the openings up to this instant a target wasn't told of.
    fn untold_since(&self, target: &TargetName, at: Timestamp) -> i64 {
        let before =
            self.openings.get(target).map_or(0, |all| all.iter().filter(|opening| **opening <= at).count());
        i64::try_from(before).expect("few") - i64::from(self.told_openings.get(target).copied().unwrap_or(0))
    }

    fn assert_no_storm(&self) {
        for messages in self.told.values() {
            let within = |n: usize, hours: i64, counts: &dyn Fn(&[Subject]) -> bool| {
                let begin = messages[n].0;
                let window = messages[n..]
                    .iter()
                    .take_while(|(at, _)| *at < begin + SignedDuration::from_hours(hours));
                window.filter(|(_, subjects)| counts(subjects)).count()
            };
            for (n, (_, subjects)) in messages.iter().enumerate() {
                assert!(within(n, 1, &|_| true) <= MESSAGES_PER_HOUR_MAX);
                for subject in subjects {
                    let count = within(n, 24, &|subjects| subjects.contains(subject));
                    assert!(
                        count <= MESSAGES_PER_SUBJECT_AND_DAY_MAX,
                        "{count} messages about {subject} in a day"
                    );
                }
            }
        }
    }
}

fn play(lab: &mut Lab, steps: &[Step], causes: bool, mut look: impl FnMut(&Book, Timestamp)) -> Book {
    let after: Vec<(TargetName, u32)> = lab
        .routes
        .iter()
        .flat_map(|route| route.to.iter().map(|to| (to.clone(), route.policy.after.get())))
        .collect();
    let mut book = Book::default();
    let end = [Step::Wait(DAY), Step::Wait(DAY)];
    for step in steps.iter().chain(&end) {
        let kind = match *step {
            Step::Wait(seconds) => {
                for (at, delivery) in lab.wait(seconds) {
                    book.delivered(at, &delivery);
                }
                look(&book, lab.now);
                continue;
            }
            Step::Sleep(seconds) => {
                lab.now += SignedDuration::try_from(Duration::from_secs(seconds)).expect("a span");
                for delivery in lab.decide(&[]) {
                    book.delivered(lab.now, &delivery);
                }
                continue;
            }
            Step::Plan { verdict, .. } => backup(verdict),
            Step::Overdue { began: true, .. } => Kind::Began(Condition::Overdue),
            Step::Overdue { began: false, .. } => Kind::Over(Condition::Overdue),
            Step::Repository { began } => unreachable(began),
        };
        let subject = match *step {
            Step::Plan { number, .. } | Step::Overdue { number, .. } => plan(&format!("p{number}")),
            _ => repository("main"),
        };
        let mut event = lab.event(&subject, kind);
        if let Step::Plan { caused, critical, .. } = *step {
            event.cause = (causes && caused).then(|| repository("main"));
            if critical && event.severity == Severity::Error {
                event.severity = Severity::Critical;
            }
        }
        book.event(&event, &after);
        for delivery in lab.decide(&[event]) {
            book.delivered(lab.now, &delivery);
        }
    }
    book
}

fn routes(quiet: bool) -> Vec<Route> {
    let quiet =
        quiet.then(|| Quiet::parse("22:00-07:00 unless critical", TimeZone::UTC).expect("quiet hours"));
    vec![
        route("one", &["ops"], Policy { quiet, ..Policy::default() }),
        route("two", &["chat"], Policy { group: Duration::ZERO, repeat: None, ..Policy::default() }),
        route("three", &["third"], Policy { after: 3.try_into().expect("not zero"), ..Policy::default() }),
    ]
}

/// What a message may be late: the gap between messages about one subject, the bound of messages in an hour, and the
/// group window.
const LATE_MAX: SignedDuration = SignedDuration::from_secs(4 * 3_600 + 3_600 + 120);

proptest! {
    /// Nothing is lost and nothing is told twice: openings and closings are each counted by one message.
    #[test]
    fn each_change_reaches_each_target_once(steps in vec(step(), 0..120), quiet in any::<bool>()) {
        let mut lab = Lab::new(routes(quiet));
        let book = play(&mut lab, &steps, false, |_, _| ());
        for target in ["ops", "chat", "third"].map(TargetName::new) {
            let openings = book.openings.get(&target).map_or(0, Vec::len);
            let told = book.told_openings.get(&target).copied().unwrap_or(0);
            prop_assert_eq!(usize::try_from(told).expect("few"), openings, "{}", &target);
            let closings = book.closings.get(&target).copied().unwrap_or(0);
            prop_assert_eq!(book.told_closings.get(&target).copied().unwrap_or(0), closings, "{}", &target);
        }
        for ((target, subject, topic), open) in &book.last {
            let (really, count) = book.open.get(&(subject.clone(), *topic)).copied().unwrap_or_default();
            let heard = target.as_str() != "third" || matches!(topic, Topic::Condition(_)) || count >= 3;
            prop_assert_eq!(*open, really && heard, "the last word about {} to {}", subject, target);
        }
        book.assert_no_storm();
    }

    /// Whatever happens, a message isn't later than the bounds against storms make it.
    #[test]
    fn each_change_is_told_in_time(steps in vec(step(), 0..120)) {
        let mut lab = Lab::new(routes(false));
        play(&mut lab, &steps, false, |book, now| {
            for target in ["ops", "chat", "third"].map(TargetName::new) {
                assert!(book.untold_since(&target, now - LATE_MAX) <= 0, "{target} wasn't told in time");
            }
        });
    }

    /// A cause counts what comes of it: with causes as well, nothing is lost, and nothing storms.
    #[test]
    fn causes_hide_nothing(steps in vec(step(), 0..120), quiet in any::<bool>()) {
        let mut lab = Lab::new(routes(quiet));
        let book = play(&mut lab, &steps, true, |_, _| ());
        let failures = steps.iter().filter(|step| {
            matches!(step, Step::Plan { .. } | Step::Overdue { began: true, .. } | Step::Repository { began: true })
        });
        let failures = failures.count();
        for target in ["ops", "chat", "third"].map(TargetName::new) {
            prop_assert!(book.untold_since(&target, Timestamp::MAX) <= 0, "{}", &target);
            let told = book.told_openings.get(&target).copied().unwrap_or(0);
            prop_assert!(usize::try_from(told).expect("few") <= failures, "{}", &target);
        }
        book.assert_no_storm();
    }
}

#[test]
fn a_plan_of_work_has_one_topic_for_each_work() {
    let mut lab = Lab::new(routes(false));
    lab.happens(&repository("main"), Kind::Ended { work: Work::Check, verdict: Verdict::Failed });
    lab.happens(&repository("main"), Kind::Ended { work: Work::Prune, verdict: Verdict::Ok });
    assert_eq!(lab.state.open_problems().count(), 1);
}
