//! What carries messages to services: the courier of the notifications, or what stands in for it in a simulation.

use std::pin::Pin;

use jiff::Timestamp;
use keepfast_notify::heartbeat::{Beat, Heartbeat};
use keepfast_notify::{Courier, Message, Outcome, Progress, Secrets, Target};

/// What came of an attempt, once it is known.
pub type OutcomeFuture<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// Carries messages. An attempt may be dropped while it waits; the message is sent again then.
pub trait Carrier: Send + Sync {
    /// Sends a message to a target. `progress` is what an attempt before has got to.
    fn deliver<'a>(
        &'a self,
        target: &'a Target,
        message: &'a Message,
        progress: &'a Progress,
        secrets: &'a dyn Secrets,
        now: Timestamp,
    ) -> OutcomeFuture<'a>;

    /// Tells a service outside that this server lives.
    fn beat<'a>(
        &'a self,
        heartbeat: &'a Heartbeat,
        beat: Beat,
        secrets: &'a dyn Secrets,
        now: Timestamp,
    ) -> OutcomeFuture<'a>;
}

impl Carrier for Courier {
    fn deliver<'a>(
        &'a self,
        target: &'a Target,
        message: &'a Message,
        progress: &'a Progress,
        secrets: &'a dyn Secrets,
        now: Timestamp,
    ) -> OutcomeFuture<'a> {
        Box::pin(self.deliver(target, message, progress, secrets, now))
    }

    fn beat<'a>(
        &'a self,
        heartbeat: &'a Heartbeat,
        beat: Beat,
        secrets: &'a dyn Secrets,
        now: Timestamp,
    ) -> OutcomeFuture<'a> {
        Box::pin(self.beat(heartbeat, beat, "", secrets, now))
    }
}
