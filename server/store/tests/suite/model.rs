//! Random calls, on either database and on a model in memory: both must say the same.

use std::collections::BTreeMap;

use keepfast_store::{
    Claim, Decided, DeliveryState, Ending, Generation, Group, Held, LeaseWatch, Limit, NewDelivery, PageSize,
    ProblemKind, ReaderId, Retried, Routing, RunFilter, RunState, Seen, Sequence, Store, StoreError, Subject,
    SubjectKind, TargetId, Text, Tried, TriedOutcome, Trigger, Unstarted, UtcTime, VerdictKind, never_again,
};
use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::json;

use crate::lab::{
    LEASE, Lab, On, all_events, at, elapsed, executor, fire, id, new_run, plan, schedule, work,
};

const YEAR: i64 = 365 * 86_400;

/// A call; numbers choose among what there is.
#[derive(Debug, Clone)]
enum Call {
    Decide { plan: usize, is_behind: bool },
    Queue { plan: usize },
    Claim { run: usize, at_most: u32 },
    Start { held: usize },
    Beat { held: usize },
    End { held: usize, is_good: bool },
    LoseAll,
    Retry { run: usize },
    Cancel { run: usize },
    EndWaiting { run: usize },
    See { kind: usize },
    Resolve { kind: usize },
    Route { is_behind: bool },
    Send { arrives: bool },
}

fn calls() -> impl Strategy<Value = Vec<(Call, i64)>> {
    let number = || 0..64_usize;
    let call = prop_oneof![
        4 => (0..2_usize, any::<bool>()).prop_map(|(plan, b)| Call::Decide { plan, is_behind: b }),
        2 => (0..2_usize).prop_map(|plan| Call::Queue { plan }),
        6 => (number(), 1..4_u32).prop_map(|(run, at_most)| Call::Claim { run, at_most }),
        3 => number().prop_map(|held| Call::Start { held }),
        2 => number().prop_map(|held| Call::Beat { held }),
        3 => (number(), any::<bool>()).prop_map(|(held, is_good)| Call::End { held, is_good }),
        2 => proptest::strategy::Just(Call::LoseAll),
        4 => number().prop_map(|run| Call::Retry { run }),
        1 => number().prop_map(|run| Call::Cancel { run }),
        1 => number().prop_map(|run| Call::EndWaiting { run }),
        2 => (0..2_usize).prop_map(|kind| Call::See { kind }),
        1 => (0..2_usize).prop_map(|kind| Call::Resolve { kind }),
        3 => any::<bool>().prop_map(|is_behind| Call::Route { is_behind }),
        3 => any::<bool>().prop_map(|arrives| Call::Send { arrives }),
    ];
    // The clock jumps as it likes.
    let jump = prop_oneof![4 => 0..100_i64, 1 => proptest::strategy::Just(YEAR), 1 => proptest::strategy::Just(-YEAR)];
    proptest::collection::vec((call, jump), 1..60)
}

#[derive(Debug, Clone, PartialEq)]
struct ModelRun {
    plan: usize,
    state: RunState,
    verdict: Option<VerdictKind>,
    root: usize,
    attempt: u32,
    is_retried: bool,
    is_cancelled: bool,
    /// Which of all rights to write about it is valid.
    held: Option<usize>,
}

#[derive(Debug, Default)]
struct Model {
    slots: [i64; 2],
    /// The states that each schedule had.
    generations: [Vec<Generation>; 2],
    routings: Vec<Generation>,
    runs: Vec<ModelRun>,
    events: Vec<&'static str>,
    /// How often each open problem was seen.
    problems: BTreeMap<usize, u64>,
    routed: usize,
    waiting_deliveries: usize,
    delivered: usize,
}

impl Model {
    fn add(&mut self, run: ModelRun) {
        self.runs.push(run);
        self.events.push("run.queued");
    }

    fn new_run(&self, plan: usize) -> ModelRun {
        ModelRun {
            plan,
            state: RunState::Waiting,
            verdict: None,
            root: self.runs.len(),
            attempt: 1,
            is_retried: false,
            is_cancelled: false,
            held: None,
        }
    }

    fn end(&mut self, run: usize, verdict: VerdictKind) {
        let run = &mut self.runs[run];
        (run.state, run.verdict, run.held) = (RunState::Ended, Some(verdict), None);
        self.events.push("run.ended");
    }

    fn losses(&self, root: usize) -> usize {
        self.runs.iter().filter(|run| run.root == root && run.verdict == Some(VerdictKind::Lost)).count()
    }

    fn active(&self) -> Vec<usize> {
        (0..self.runs.len())
            .filter(|run| matches!(self.runs[*run].state, RunState::Starting | RunState::Running))
            .collect()
    }
}

fn name(run: usize) -> String {
    format!("run {run}")
}

/// Both of them, and what only the real one has.
struct Pair {
    store: Store,
    model: Model,
    held: Vec<(usize, Held)>,
    now: UtcTime,
}

impl Pair {
    fn pick_run(&self, number: usize) -> Option<usize> {
        number.checked_rem(self.model.runs.len())
    }

    /// A right to write, and whether it is valid.
    fn pick_held(&self, number: usize) -> Option<(usize, Held, bool)> {
        let index = number.checked_rem(self.held.len())?;
        let (run, held) = &self.held[index];
        Some((*run, held.clone(), self.model.runs[*run].held == Some(index)))
    }

    async fn call(&mut self, call: &Call) {
        let (store, now) = (self.store.clone(), self.now);
        match *call {
            Call::Decide { plan: number, is_behind } => self.decide(number, is_behind).await,
            Call::Queue { plan: number } => {
                let run = new_run(name(self.model.runs.len()), &plan(&number.to_string()), Trigger::Manual);
                assert!(store.queue(now, &run).await.unwrap().is_some());
                self.model.add(self.model.new_run(number));
            }
            Call::Claim { run, at_most } => self.claim(run, at_most).await,
            Call::Start { held } => {
                let Some((run, held, is_valid)) = self.pick_held(held) else { return };
                let started = store.start(now, &held).await;
                if is_valid && self.model.runs[run].state == RunState::Starting {
                    assert_eq!(started.unwrap().cancel_requested, self.model.runs[run].is_cancelled);
                    self.model.runs[run].state = RunState::Running;
                    self.model.events.push("run.running");
                } else {
                    assert!(matches!(started, Err(StoreError::NotHeld { .. })));
                }
            }
            Call::Beat { held } => {
                let Some((run, held, is_valid)) = self.pick_held(held) else { return };
                match store.beat(now, &held, None).await {
                    Ok(beat) => {
                        assert!(is_valid);
                        assert_eq!(beat.cancel_requested, self.model.runs[run].is_cancelled);
                    }
                    Err(error) => assert!(!is_valid && matches!(error, StoreError::NotHeld { .. })),
                }
            }
            Call::End { held, is_good } => {
                let Some((run, held, is_valid)) = self.pick_held(held) else { return };
                let (ending, verdict) = if is_good {
                    (Ending::Ok, VerdictKind::Ok)
                } else {
                    (Ending::Failed, VerdictKind::Failed)
                };
                let ended = store.end(now, &held, &work(ending)).await;
                assert_eq!(ended.is_ok(), is_valid);
                if is_valid {
                    self.model.end(run, verdict);
                }
            }
            Call::LoseAll => self.lose_all().await,
            Call::Retry { run } => self.retry(run).await,
            Call::Cancel { run } => self.cancel(run).await,
            Call::EndWaiting { run } => {
                let Some(run) = self.pick_run(run) else { return };
                let ending = Unstarted::Missed(Text::from("too late"));
                let ended = store.end_waiting(now, &id(name(run)), ending).await.unwrap();
                assert_eq!(ended, self.model.runs[run].state == RunState::Waiting);
                if ended {
                    self.model.end(run, VerdictKind::Missed);
                }
            }
            Call::See { kind } => {
                let subject = Subject::of(SubjectKind::Plan, "0");
                let problem = ProblemKind::new(kind.to_string()).unwrap();
                let seen = store.see_problem(now, &subject, &problem, &json!({}), None).await.unwrap();
                let count = self.model.problems.entry(kind).or_insert(0);
                *count += 1;
                assert_eq!(seen, if *count == 1 { Seen::Opened } else { Seen::Known });
                if *count == 1 {
                    self.model.events.push("problem.opened");
                }
            }
            Call::Resolve { kind } => {
                let subject = Subject::of(SubjectKind::Plan, "0");
                let problem = ProblemKind::new(kind.to_string()).unwrap();
                let resolved = store.resolve_problem(now, &subject, &problem).await.unwrap();
                assert_eq!(resolved, self.model.problems.remove(&kind).is_some());
                if resolved {
                    self.model.events.push("problem.resolved");
                }
            }
            Call::Route { is_behind } => self.route(is_behind).await,
            Call::Send { arrives } => self.send(arrives).await,
        }
    }

    async fn decide(&mut self, number: usize, is_behind: bool) {
        let last = self.model.slots[number];
        let generations = &self.model.generations[number];
        let seen = if is_behind { generations.iter().nth_back(1) } else { generations.last() }.copied();
        let is_right = seen == generations.last().copied();
        let run = name(self.model.runs.len());
        let decision = fire(&plan(&number.to_string()), seen, at(last + 1), &run);
        let decided = self.store.decide(self.now, &decision).await.unwrap();
        if is_right {
            let Decided::Stored { generation, queued } = decided else { panic!("{decided:?}") };
            assert_eq!(queued.len(), 1);
            self.model.generations[number].push(generation);
            self.model.slots[number] += 1;
            self.model.add(self.model.new_run(number));
        } else {
            assert_eq!(decided, Decided::Overtaken);
        }
    }

    async fn claim(&mut self, run: usize, at_most: u32) {
        let Some(run) = self.pick_run(run) else { return };
        let (candidates, by) = ([id(name(run))], executor("a"));
        let of = plan(&self.model.runs[run].plan.to_string());
        let limits = [Limit { group: Group::All, at_most }, Limit { group: Group::Plan(of), at_most: 1 }];
        let claim = Claim { candidates: &candidates, limits: &limits, executor: &by, lease: LEASE };
        let taken = self.store.claim(self.now, claim).await.unwrap();
        let active = self.model.active();
        let is_free = active.iter().all(|other| self.model.runs[*other].plan != self.model.runs[run].plan);
        let has_room = active.len() < usize::try_from(at_most).unwrap() && is_free;
        let expected = self.model.runs[run].state == RunState::Waiting && has_room;
        assert_eq!(taken.len(), usize::from(expected));
        for held in taken {
            self.model.runs[run].state = RunState::Starting;
            self.model.runs[run].held = Some(self.held.len());
            self.model.events.push("run.starting");
            self.held.push((run, held));
        }
    }

    async fn lose_all(&mut self) {
        let mut watch = LeaseWatch::new();
        let mut lost = Vec::new();
        for second in [0, 40, 80] {
            let losses =
                self.store.lose_runs(self.now, &mut watch, elapsed(second), &never_again).await.unwrap().lost;
            lost.extend(losses.into_iter().map(|loss| (loss.run.id.to_string(), loss.losses)));
        }
        let mut expected = Vec::new();
        for run in self.model.active() {
            self.model.end(run, VerdictKind::Lost);
            let losses = self.model.losses(self.model.runs[run].root);
            if losses >= 3 {
                self.model.events.push("run.quarantined");
            }
            expected.push((name(run), u32::try_from(losses).unwrap()));
        }
        assert_eq!(lost, expected);
    }

    async fn retry(&mut self, run: usize) {
        let Some(run) = self.pick_run(run) else { return };
        let new = id(name(self.model.runs.len()));
        let retried = self.store.retry(self.now, &id(name(run)), new, None).await.unwrap();
        let of = self.model.runs[run].clone();
        if of.state != RunState::Ended {
            assert_eq!(retried, Retried::Open);
        } else if self.model.losses(of.root) >= 3 {
            assert_eq!(retried, Retried::Quarantined);
        } else if of.is_retried {
            assert_eq!(retried, Retried::Already);
        } else {
            assert!(matches!(retried, Retried::Queued(_)));
            self.model.runs[run].is_retried = true;
            let new = ModelRun { root: of.root, attempt: of.attempt + 1, ..self.model.new_run(of.plan) };
            self.model.add(new);
        }
    }

    async fn cancel(&mut self, run: usize) {
        let Some(run) = self.pick_run(run) else { return };
        let state = self.store.cancel(self.now, &id(name(run))).await.unwrap();
        assert_eq!(state, self.model.runs[run].state);
        match state {
            RunState::Waiting => self.model.end(run, VerdictKind::Cancelled),
            RunState::Starting | RunState::Running if !self.model.runs[run].is_cancelled => {
                self.model.runs[run].is_cancelled = true;
                self.model.events.push("run.cancel_requested");
            }
            _ => {}
        }
    }

    async fn route(&mut self, is_behind: bool) {
        let sequence = |number: usize| Sequence::from_number(u64::try_from(number).unwrap());
        let from = self.model.routed;
        let to = self.model.events.len();
        let new: Vec<NewDelivery> = (from..to)
            .map(|number| NewDelivery {
                event: sequence(number + 1),
                problem: None,
                target: TargetId::new("ops").unwrap(),
                document: json!(number),
                not_before: None,
            })
            .collect();
        let routes = ReaderId::new("routes").unwrap();
        let place = self.store.reader_place(&routes).await.unwrap();
        assert_eq!(place.at, sequence(from));
        let last = self.model.routings.last().copied().unwrap_or_default();
        assert_eq!((place.generation, place.document), (last, (from > 0).then(|| json!(from))));
        let seen = if is_behind { self.model.routings.iter().nth_back(1).copied() } else { Some(last) };
        let seen = seen.unwrap_or_default();
        let document = Some(json!(to)).filter(|_| to > 0);
        let routing = Routing { reader: &routes, from: seen, to: sequence(to), document, deliveries: &new };
        let done = self.store.route(self.now, &routing).await.unwrap();
        assert_eq!(done, seen == last);
        if done {
            self.model.waiting_deliveries += to - from;
            self.model.routed = to;
            let place = self.store.reader_place(&routes).await.unwrap();
            self.model.routings.push(place.generation);
        }
    }

    async fn send(&mut self, arrives: bool) {
        // What waits for its next attempt is due at the end of time.
        let by = executor("a");
        let ops = TargetId::new("ops").unwrap();
        let due = self.store.claim_delivery(UtcTime::MAX, &by, LEASE, &ops).await.unwrap();
        assert_eq!(due.is_some(), self.model.waiting_deliveries > 0);
        if let Some(held) = due {
            let outcome = match arrives {
                true => TriedOutcome::Arrived,
                false => TriedOutcome::Again(self.now),
            };
            let tried = Tried { outcome, error: None, document: held.delivery.document.clone() };
            assert!(self.store.delivery_tried(self.now, &held, &tried).await.unwrap());
            if arrives {
                self.model.waiting_deliveries -= 1;
                self.model.delivered += 1;
            }
        }
    }

    /// The whole state is as the model says.
    async fn assert_same(&self) {
        let page = self.store.runs(&RunFilter::default(), None, PageSize::MAX).await.unwrap();
        let stored: Vec<_> = page
            .rows
            .iter()
            .rev()
            .map(|run| {
                let verdict = run.verdict.as_ref().map(keepfast_store::Verdict::kind);
                (run.id.to_string(), run.state, verdict, run.root.to_string(), run.attempt)
            })
            .collect();
        let runs = self.model.runs.iter().enumerate();
        let expected: Vec<_> = runs
            .map(|(number, run)| (name(number), run.state, run.verdict, name(run.root), run.attempt))
            .collect();
        assert_eq!(stored, expected);
        for (number, last) in self.model.slots.into_iter().enumerate() {
            let of = schedule(&plan(&number.to_string()));
            let slots = self.store.slots(&of, UtcTime::MIN, PageSize::MAX).await.unwrap();
            let slots: Vec<_> = slots.into_iter().map(|slot| slot.first).collect();
            assert_eq!(slots, (1..=last).map(at).collect::<Vec<_>>());
        }
        let events = all_events(&self.store).await;
        assert_eq!(events.iter().map(|event| event.kind.as_str()).collect::<Vec<_>>(), self.model.events);
        let open = self.store.open_problems().await.unwrap();
        let open: BTreeMap<usize, u64> =
            open.into_iter().map(|problem| (problem.kind.as_str().parse().unwrap(), problem.seen)).collect();
        assert_eq!(open, self.model.problems);
        let delivered = Some(DeliveryState::Delivered);
        let delivered = self.store.deliveries(None, delivered, None, PageSize::MAX).await.unwrap();
        assert_eq!(delivered.rows.len(), self.model.delivered);
    }
}

fn random_calls_do_as_the_model_says(on: On, cases: u32) {
    // One server for all cases.
    let _lab = Lab::new(on);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    // PROPTEST_CASES gives more of them.
    let cases = std::env::var("PROPTEST_CASES").map_or(cases, |more| more.parse().unwrap());
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let played = runner.run(&calls(), |calls| {
        runtime.block_on(async {
            let lab = Lab::new(on);
            let store = lab.open().await;
            let mut pair = Pair { store, model: Model::default(), held: Vec::new(), now: at(0) };
            for (call, jump) in &calls {
                pair.now = at(pair.now.as_micros() / 1_000_000 - at(0).as_micros() / 1_000_000 + jump);
                pair.call(call).await;
            }
            pair.assert_same().await;
            pair.store.close().await;
        });
        Ok::<(), TestCaseError>(())
    });
    played.unwrap();
}

#[test]
fn random_calls_on_sqlite_do_as_the_model_says() {
    random_calls_do_as_the_model_says(On::Sqlite, 60);
}

#[test]
fn random_calls_on_postgres_do_as_the_model_says() {
    random_calls_do_as_the_model_says(On::Postgres, 30);
}
