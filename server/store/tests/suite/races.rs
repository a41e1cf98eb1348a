//! Several servers on one state: they race, die in the middle of things, pause for longer than their leases,
//! and their clocks jump by a year. Each slot runs once, no lost run blocks its plan, and each event reaches
//! its target once.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use keepfast_store::{
    BootId, Claim, Decided, Ending, Executor, Group, Held, LeaseWatch, Limit, NewDelivery, PageSize, PlanId,
    PostgresPlace, ReaderId, Routing, Run, RunFilter, SlotVerdict, Store, StoreError, TargetId, Tls, Tried,
    TriedOutcome, Trigger, UtcTime, Verdict, never_again,
};
use serde_json::json;

use crate::lab::{
    LEASE, Lab, On, all_events, at, elapsed, executor, fire, id, lose_all, new_run, on_both, plan, schedule,
    work,
};

on_both! {
    servers_that_race_die_pause_and_jump_run_each_slot_once;
    of_many_servers_that_decide_at_once_one_gets_its_way;
    of_many_servers_that_claim_at_once_each_run_has_one;
    a_process_that_is_killed_loses_its_runs_and_nothing_else;
}

const YEAR: i64 = 365 * 86_400;
const PLANS: usize = 3;
/// Between two slots of a plan, in seconds.
const PERIOD: i64 = 100;
const ROUNDS: usize = 120;

/// Numbers from a seed (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// A server, with clocks and misfortunes of its own.
struct Server {
    store: Store,
    name: String,
    life: u64,
    dice: Dice,
    /// The true time in seconds, which no server sees by itself.
    time: Arc<AtomicI64>,
    leases: LeaseWatch,
    senders: LeaseWatch,
    /// Runs that it holds while it is paused, and until when.
    paused: Vec<(i64, Held)>,
    fenced: usize,
    made: u64,
}

impl Server {
    fn new(store: Store, name: &str, seed: u64, time: &Arc<AtomicI64>) -> Self {
        Self {
            store,
            name: name.to_owned(),
            life: 0,
            dice: Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            time: Arc::clone(time),
            leases: LeaseWatch::new(),
            senders: LeaseWatch::new(),
            paused: Vec::new(),
            fenced: 0,
            made: 0,
        }
    }

    fn executor(&self) -> Executor {
        Executor { boot: BootId::new(format!("boot {}", self.life)).unwrap(), ..executor(&self.name) }
    }

    /// What its wall clock shows.
    fn now(&mut self) -> UtcTime {
        let jump = [0, 0, YEAR, -YEAR][usize::try_from(self.dice.roll(4)).unwrap()];
        at(self.time.load(Ordering::SeqCst) + jump)
    }

    fn new_id(&mut self) -> String {
        self.made += 1;
        format!("{} {} {}", self.name, self.life, self.made)
    }

    /// Drops a call in its middle, some of the time.
    async fn maybe_dies<T>(&mut self, call: impl Future<Output = T>) -> Option<T> {
        if self.dice.roll(16) > 0 {
            return Some(call.await);
        }
        let patience = Duration::from_micros(self.dice.roll(3000));
        let done = tokio::time::timeout(patience, call).await.ok();
        if done.is_none() {
            self.die();
        }
        done
    }

    /// It forgets everything, and starts again. What is paused is a process of its own, and comes back.
    fn die(&mut self) {
        self.life += 1;
        (self.leases, self.senders) = (LeaseWatch::new(), LeaseWatch::new());
    }

    async fn round(&mut self, is_last: bool) {
        let second = self.time.fetch_add(3, Ordering::SeqCst);
        for number in 0..PLANS {
            self.decide(&plan(&format!("plan {number}")), second, is_last).await;
        }
        let now = self.now();
        let watched = elapsed(u64::try_from(second).unwrap());
        let losses = self.store.lose_runs(now, &mut self.leases, watched, &never_again).await.unwrap().lost;
        for loss in losses {
            self.retry(&loss.run).await;
        }
        // What another server has lost and then died before it could retry.
        for run in lost_leaves(&self.store).await {
            self.retry(&run).await;
        }
        self.work(second, is_last).await;
        self.deliver(watched).await;
    }

    async fn decide(&mut self, of: &PlanId, second: i64, is_last: bool) {
        let now = self.now();
        let states = self.store.schedule_states().await.unwrap();
        let state = states.into_iter().find(|state| state.schedule == schedule(of));
        let next: i64 = state.as_ref().map_or(0, |state| state.document.as_i64().unwrap());
        let slot = at(next);
        if slot > at(second) || is_last {
            return;
        }
        let run = self.new_id();
        let mut decision = fire(of, state.map(|state| state.generation), slot, &run);
        decision.document = json!(next + PERIOD);
        let store = self.store.clone();
        self.maybe_dies(async move { store.decide(now, &decision).await.unwrap() }).await;
    }

    async fn retry(&mut self, run: &Run) {
        let (now, new, store, lost) = (self.now(), id(self.new_id()), self.store.clone(), run.id.clone());
        self.maybe_dies(async move { store.retry(now, &lost, new, None).await.unwrap() }).await;
    }

    async fn work(&mut self, second: i64, is_last: bool) {
        let ready: Vec<(i64, Held)> =
            self.paused.extract_if(.., |(until, _)| *until <= second || is_last).collect();
        for (_, held) in ready {
            self.end(held).await;
        }
        let waiting = self.store.waiting_runs(PageSize::MAX).await.unwrap();
        let candidates: Vec<_> = waiting.into_iter().map(|run| run.id).collect();
        let mut limits = vec![Limit { group: Group::All, at_most: 3 }];
        for number in 0..PLANS {
            limits.push(Limit { group: Group::Plan(plan(&format!("plan {number}"))), at_most: 1 });
        }
        let (now, by, store) = (self.now(), self.executor(), self.store.clone());
        let claim = async move {
            let claim = Claim { candidates: &candidates, limits: &limits, executor: &by, lease: LEASE };
            store.claim(now, claim).await.unwrap()
        };
        for held in self.maybe_dies(claim).await.unwrap_or_default() {
            let now = self.now();
            let active = self.store.active_runs().await.unwrap();
            assert!(active.len() <= 3, "{active:?}");
            if self.store.start(now, &held).await.is_err() {
                self.fenced += 1;
                continue;
            }
            match self.dice.roll(if is_last { 1 } else { 8 }) {
                0..=3 => self.end(held).await,
                4..=6 => self.paused.push((second + 200, held)),
                _ => self.die(),
            }
        }
    }

    async fn end(&mut self, held: Held) {
        let now = self.now();
        match self.store.end(now, &held, &work(Ending::Ok)).await {
            Ok(_) => {}
            Err(StoreError::NotHeld { .. }) => self.fenced += 1,
            Err(error) => panic!("{error}"),
        }
    }

    async fn deliver(&mut self, watched: keepfast_store::Elapsed) {
        let routes = ReaderId::new("routes").unwrap();
        let now = self.now();
        let place = self.store.reader_place(&routes).await.unwrap();
        let events = self.store.events_after(place.at, PageSize::MAX).await.unwrap();
        assert!(!events.has_gap);
        if let Some(last) = events.events.last() {
            let to = last.sequence;
            let new: Vec<NewDelivery> = events
                .events
                .iter()
                .map(|event| NewDelivery {
                    event: event.sequence,
                    problem: None,
                    target: TargetId::new("ops").unwrap(),
                    document: json!(event.kind),
                    not_before: None,
                })
                .collect();
            let store = self.store.clone();
            let routes = async move {
                let (from, document) = (place.generation, Some(json!(to)));
                let routing = Routing { reader: &routes, from, to, document, deliveries: &new };
                store.route(now, &routing).await.unwrap()
            };
            self.maybe_dies(routes).await;
        }
        self.store.release_deliveries(now, &mut self.senders, watched).await.unwrap();
        let now = self.now();
        let ops = TargetId::new("ops").unwrap();
        for _ in 0..20 {
            let due = self.store.claim_delivery(now, &self.executor(), LEASE, &ops).await.unwrap();
            let Some(held) = due else { break };
            let outcome = match self.dice.roll(10) {
                0 => return self.die(),
                1 => TriedOutcome::Again(now.plus(Duration::from_secs(60))),
                _ => TriedOutcome::Arrived,
            };
            let tried = Tried { outcome, error: None, document: held.delivery.document.clone() };
            self.store.delivery_tried(now, &held, &tried).await.unwrap();
        }
    }
}

/// Lost runs that no run repeats.
async fn lost_leaves(store: &Store) -> Vec<Run> {
    let filter = RunFilter { verdict: Some(keepfast_store::VerdictKind::Lost), ..RunFilter::default() };
    let lost = store.runs(&filter, None, PageSize::MAX).await.unwrap().rows;
    let all = store.runs(&RunFilter::default(), None, PageSize::MAX).await.unwrap().rows;
    let parents: BTreeSet<_> = all.into_iter().filter_map(|run| run.parent).collect();
    lost.into_iter().filter(|run| !parents.contains(&run.id)).collect()
}

async fn servers_that_race_die_pause_and_jump_run_each_slot_once(lab: Lab) {
    let time = Arc::new(AtomicI64::new(0));
    let mut tasks = Vec::new();
    for number in 0..4_u64 {
        let store = if number == 0 { lab.open().await } else { lab.join().await };
        let mut server = Server::new(store, &format!("server {number}"), number + 1, &time);
        tasks.push(tokio::spawn(async move {
            for _ in 0..ROUNDS {
                server.round(false).await;
            }
            server.fenced
        }));
    }
    let mut fenced = 0;
    for task in tasks {
        fenced += task.await.unwrap();
    }
    // One server is left, and finishes what there is.
    let store = lab.join().await;
    let mut last = Server::new(store.clone(), "the last", 99, &time);
    for _ in 0..300 {
        last.round(true).await;
    }

    let lost = store
        .runs(
            &RunFilter { verdict: Some(keepfast_store::VerdictKind::Lost), ..RunFilter::default() },
            None,
            PageSize::MAX,
        )
        .await
        .unwrap()
        .rows
        .len();
    assert!(lost > 3, "servers died, and {lost} runs were lost");
    assert!(fenced > 0, "paused servers came back too late");
    for number in 0..PLANS {
        let of = plan(&format!("plan {number}"));
        let slots = store.slots(&schedule(&of), UtcTime::MIN, PageSize::MAX).await.unwrap();
        assert!(slots.len() > 4, "{} slots", slots.len());
        for (index, slot) in slots.iter().enumerate() {
            assert_eq!(slot.first, at(i64::try_from(index).unwrap() * PERIOD), "no slot is left out");
            assert_eq!(slot.verdict, SlotVerdict::Fired);
            let lineage = RunFilter { root: Some(slot.run.clone()), ..RunFilter::default() };
            let runs = store.runs(&lineage, None, PageSize::MAX).await.unwrap().rows;
            let verdicts: Vec<_> = runs.iter().rev().map(|run| run.verdict.clone()).collect();
            let good = verdicts.iter().filter(|verdict| **verdict == Some(Verdict::Ok)).count();
            let (newest, before) = verdicts.split_last().unwrap();
            assert!(before.iter().all(|verdict| *verdict == Some(Verdict::Lost)), "{verdicts:?}");
            let gave_up = *newest == Some(Verdict::Lost) && verdicts.len() == 3;
            assert!(good == 1 || gave_up, "{of}, slot {index}: {verdicts:?}");
        }
    }
    assert_each_event_was_delivered_once(&store).await;
}

async fn assert_each_event_was_delivered_once(store: &Store) {
    let events = all_events(store).await;
    let numbers: Vec<u64> = events.iter().map(|event| event.sequence.number()).collect();
    assert_eq!(numbers, (1..=u64::try_from(events.len()).unwrap()).collect::<Vec<_>>());
    let mut delivered = BTreeMap::new();
    let mut before = None;
    loop {
        let page = store.deliveries(None, None, before, PageSize::MAX).await.unwrap();
        for delivery in &page.rows {
            assert_eq!(delivery.state, keepfast_store::DeliveryState::Delivered, "{delivery:?}");
            *delivered.entry(delivery.event).or_insert(0) += 1;
        }
        let Some(next) = page.next else { break };
        before = Some(next);
    }
    assert!(events.iter().all(|event| delivered.get(&event.sequence) == Some(&1)));
    assert_eq!(delivered.len(), events.len());
}

async fn of_many_servers_that_decide_at_once_one_gets_its_way(lab: Lab) {
    let mut stores = vec![lab.open().await];
    for _ in 0..3 {
        stores.push(lab.join().await);
    }
    let www = plan("www");
    let mut seen = None;
    for round in 0..20 {
        let slot = at(round * 60);
        let tasks: Vec<_> = stores
            .iter()
            .enumerate()
            .map(|(number, store)| {
                let (store, decision) =
                    (store.clone(), fire(&www, seen, slot, &format!("run {round} {number}")));
                tokio::spawn(async move { store.decide(slot, &decision).await.unwrap() })
            })
            .collect();
        let mut stored = Vec::new();
        for task in tasks {
            if let Decided::Stored { generation, .. } = task.await.unwrap() {
                stored.push(generation);
            }
        }
        assert_eq!(stored.len(), 1);
        assert!(seen < Some(stored[0]));
        seen = Some(stored[0]);
    }
    assert_eq!(stores[0].runs(&RunFilter::default(), None, PageSize::MAX).await.unwrap().rows.len(), 20);
}

async fn of_many_servers_that_claim_at_once_each_run_has_one(lab: Lab) {
    let mut stores = vec![lab.open().await];
    for _ in 0..3 {
        stores.push(lab.join().await);
    }
    let candidates: Vec<_> = (0..40).map(|number| id(format!("run {number}"))).collect();
    for run in &candidates {
        stores[0].queue(at(0), &new_run(run.as_str(), &plan("www"), Trigger::Manual)).await.unwrap();
    }
    let tasks: Vec<_> = stores
        .iter()
        .enumerate()
        .map(|(number, store)| {
            let (store, mut candidates) = (store.clone(), candidates.clone());
            candidates.rotate_left(number * 7);
            tokio::spawn(async move {
                let by = executor(&format!("server {number}"));
                let limits = [Limit { group: Group::All, at_most: 25 }];
                let mut taken = Vec::new();
                for chunk in candidates.chunks(3) {
                    let claim = Claim { candidates: chunk, limits: &limits, executor: &by, lease: LEASE };
                    taken.extend(store.claim(at(1), claim).await.unwrap());
                }
                taken
            })
        })
        .collect();
    let mut taken = Vec::new();
    for task in tasks {
        taken.extend(task.await.unwrap());
    }
    assert_eq!(taken.len(), 25);
    assert_eq!(taken.iter().map(|held| &held.run.id).collect::<BTreeSet<_>>().len(), 25);
    assert_eq!(taken.iter().map(|held| held.fence).collect::<BTreeSet<_>>().len(), 25);
}

/// What the process that is killed is told: where its state is.
const STATE: &str = "KEEPFAST_TEST_STATE";

/// The test runs itself in a second process, which is killed while it writes.
async fn a_process_that_is_killed_loses_its_runs_and_nothing_else(lab: Lab) {
    let store = lab.open().await;
    store.queue(at(0), &new_run("run 1", &plan("www"), Trigger::Manual)).await.unwrap();
    let state = match lab.on() {
        On::Sqlite => lab.state().to_str().unwrap().to_owned(),
        On::Postgres => {
            let (_, place) = lab.postgres();
            format!("{} {} {}", place.host, place.port, place.database)
        }
    };
    let mut killed = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "races::the_process_that_is_killed", "--ignored"])
        .env(STATE, state)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while store.last_event().await.unwrap().number() < 30 {
        assert!(begun.elapsed() < Duration::from_secs(60), "it writes nothing");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    let events = all_events(&store).await;
    let runs = store.runs(&RunFilter::default(), None, PageSize::MAX).await.unwrap();
    // Each run of that process was queued by one event; the first one was claimed too.
    assert_eq!(runs.rows.len() + 1, events.len());
    assert_eq!(lose_all(&store, at(1000)).await, [id("run 1")]);
    store.queue(at(0), &new_run("after", &plan("www"), Trigger::Manual)).await.unwrap();
}

#[ignore = "it runs for ever: a_process_that_is_killed_loses_its_runs_and_nothing_else starts and kills it"]
#[tokio::test]
async fn the_process_that_is_killed() {
    let Some(state) = std::env::var_os(STATE) else { return };
    let state = state.into_string().unwrap();
    let store = match state.split(' ').collect::<Vec<_>>()[..] {
        [host, port, database] => {
            let place = PostgresPlace {
                host: host.to_owned(),
                port: port.parse().unwrap(),
                database: database.to_owned(),
                user: "postgres".to_owned(),
                password: None,
                tls: Tls::Off,
            };
            Store::open_postgres(&place).await.unwrap()
        }
        _ => Store::join_sqlite(state.as_ref()).await.unwrap(),
    };
    crate::lab::claim(&store, at(1), &id("run 1"), &executor("dies")).await.unwrap();
    for number in 0.. {
        store.queue(at(2), &new_run(format!("of {number}"), &plan("x"), Trigger::Manual)).await.unwrap();
    }
}
