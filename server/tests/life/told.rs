//! What is told to whom: the server's own notifications, with a carrier that only writes down what arrives.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use keepfast_config::config::Config;
use keepfast_notify::decide::{Telling, Topic};
use keepfast_notify::heartbeat::{Beat, Heartbeat};
use keepfast_notify::{Condition, Message, Outcome, Progress, Secrets, Subject, Target};
use keepfast_operations::child::Children;
use keepfast_server::notices::{Carrier, Notifier, OutcomeFuture, Sender};
use keepfast_server::state;
use keepfast_store::{DeliveryState, PageSize, Store, TargetId};
use serde::Deserialize;

use crate::clock::Clock;
use crate::dice::Dice;
use crate::world::HOST;

/// A target that hears of each change at once.
pub const AT_ONCE: &str = "ops";
/// One that waits for what belongs together.
pub const GROUPED: &str = "chat";

/// What arrives: how often each message did, by its id.
#[derive(Default)]
struct Arrivals(Mutex<BTreeMap<String, u64>>);

/// Carries messages to targets that are away now and then.
struct Carriage {
    seed: u64,
    arrivals: Arc<Arrivals>,
}

impl Carrier for Carriage {
    fn deliver<'a>(
        &'a self,
        _: &'a Target,
        message: &'a Message,
        progress: &'a Progress,
        _: &'a dyn Secrets,
        now: Timestamp,
    ) -> OutcomeFuture<'a> {
        // For a quarter of the hours, whatever is sent has to be sent again.
        let is_away = Dice::of(self.seed, ("away", now.as_second() / 3600)).one_in(4);
        let outcome = if is_away {
            Outcome::Later { reason: "it is away".to_owned(), wait: None, progress: progress.clone() }
        } else {
            let mut arrivals = self.arrivals.0.lock().unwrap_or_else(PoisonError::into_inner);
            *arrivals.entry(message.id.clone()).or_default() += 1;
            Outcome::Delivered { answer: "thanks".to_owned(), refused: BTreeMap::new() }
        };
        Box::pin(async { outcome })
    }

    fn beat<'a>(&'a self, _: &'a Heartbeat, _: Beat, _: &'a dyn Secrets, _: Timestamp) -> OutcomeFuture<'a> {
        Box::pin(async { Outcome::Delivered { answer: String::new(), refused: BTreeMap::new() } })
    }
}

/// What was told of a problem.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Words {
    /// Messages that it is in.
    pub messages: u64,
    /// Beginnings that they tell.
    pub opened: u64,
    /// Ends that they tell.
    pub resolved: u64,
    /// Messages that tell nothing new of it.
    pub idle: u64,
    /// Whether it is open, according to the last of them.
    pub is_open: bool,
}

pub struct Told {
    store: Store,
    notifier: Notifier,
    sender: Sender,
    arrivals: Arc<Arrivals>,
    /// When there is something to be decided or sent.
    pub next: Option<Timestamp>,
}

impl Told {
    pub fn new(store: &Store, seed: u64) -> Self {
        let arrivals = Arc::<Arrivals>::default();
        let carriage = Arc::new(Carriage { seed, arrivals: Arc::clone(&arrivals) });
        let executor = state::process("sender").expect("a name");
        let sender =
            Sender::new(store.clone(), executor, carriage, Children::default(), Arc::default(), HOST);
        let notifier = Notifier::new(store.clone(), HOST);
        Self { store: store.clone(), notifier, sender, arrivals, next: None }
    }

    /// Decides and sends.
    pub async fn step(&mut self, config: &Config, clock: &Clock) {
        let now = clock.wall();
        let decided = self.notifier.step(config, now, clock.elapsed()).await.expect("a step");
        let sent = self.sender.send_due(config, now).await.expect("messages are sent");
        // A sender comes back a second later for what was due at once and failed.
        let sent = sent.map(|at| at.max(now + SignedDuration::from_secs(1)));
        self.next = [decided, sent].into_iter().flatten().min();
    }

    /// What a target was told of a problem, by its subject. Each message of which that is counted has arrived, once.
    pub async fn of(&self, target: &str, condition: Condition) -> BTreeMap<Subject, Words> {
        let target = TargetId::new(target).expect("a name");
        let mut all = Vec::new();
        let mut before = None;
        loop {
            let page =
                self.store.deliveries(Some(&target), None, before, PageSize::MAX).await.expect("a page");
            all.extend(page.rows);
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        all.sort_by_key(|delivery| delivery.key);
        let arrivals = self.arrivals.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ids = BTreeSet::new();
        let mut words: BTreeMap<Subject, Words> = BTreeMap::new();
        for delivery in all {
            let message = Message::deserialize(&delivery.document["message"]).expect("a message");
            let tells = Vec::<Telling>::deserialize(&delivery.document["tells"]).expect("what it tells");
            assert_eq!(delivery.state, DeliveryState::Delivered, "{message:?}");
            assert_eq!(arrivals.get(&message.id), Some(&1), "how often it arrived: {message:?}");
            assert!(ids.insert(message.id.clone()), "two messages have one name: {message:?}");
            for telling in tells.iter().filter(|telling| telling.topic == Topic::Condition(condition)) {
                let words = words.entry(telling.subject.clone()).or_default();
                let (opened, resolved) = (telling.changes.openings, telling.changes.closings);
                words.messages += 1;
                words.opened += u64::from(opened);
                words.resolved += u64::from(resolved);
                words.idle += u64::from(opened + resolved == 0);
                words.is_open = telling.open;
            }
        }
        words
    }
}
