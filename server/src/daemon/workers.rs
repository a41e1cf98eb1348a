//! The runs of a server, each on a thread of its own.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use keepfast_backend::Cancel;
use keepfast_config::config::Config;
use keepfast_engine::run::{Host, RunContext, Unheard};
use keepfast_operations::error::with_causes;
use keepfast_store::{Held, RunId};
use tokio::sync::mpsc::UnboundedSender;

use super::jobs::Job;
use crate::running::Workshop;

/// A run that has ended, and what is to be said about that.
#[derive(Debug)]
pub struct Ended {
    /// The run.
    pub run: RunId,
    /// What it did.
    pub job: Job,
    /// Why it did not do its work, if something kept it from that.
    pub problem: Option<String>,
}

/// What carries out the runs that a server holds.
pub trait Workers: Send {
    /// Begins with a run. What came of it is stored by the run itself; `ended` hears when it is over.
    fn start(&mut self, config: &Arc<Config>, job: Job, held: Held, ended: UnboundedSender<Ended>);

    /// A run is over.
    fn over(&mut self, run: &RunId);

    /// Asks all runs to end.
    fn stop(&mut self);

    /// How many runs are at work.
    fn count(&self) -> usize;
}

/// Threads of this process.
pub struct Threads {
    workshop: Arc<Workshop>,
    host: Arc<dyn Host>,
    working: BTreeMap<RunId, Cancel>,
}

impl Threads {
    /// None works yet.
    #[must_use]
    pub fn new(workshop: Arc<Workshop>, host: Arc<dyn Host>) -> Self {
        Self { workshop, host, working: BTreeMap::new() }
    }
}

impl Workers for Threads {
    fn start(&mut self, config: &Arc<Config>, job: Job, held: Held, ended: UnboundedSender<Ended>) {
        let cancel = Cancel::new();
        let id = held.run.id.clone();
        self.working.insert(id.clone(), cancel.clone());
        let (workshop, config, host) =
            (Arc::clone(&self.workshop), Arc::clone(config), Arc::clone(&self.host));
        let (of, unstarted) = (job.clone(), ended.clone());
        let work = move || {
            let run = RunContext::new(host, Arc::new(Unheard)).with_cancel(cancel);
            let done = catch_unwind(AssertUnwindSafe(|| workshop.carry_out(&config, &of, &held, &run)));
            let problem = match done {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(with_causes(&error)),
                Err(panic) => {
                    let text = panicked(&*panic);
                    workshop
                        .broken(&config, &held, &text)
                        .err()
                        .map(|error| with_causes(&error))
                        .or(Some(text))
                }
            };
            // The server is gone if no one hears of it.
            let _ = ended.send(Ended { run: held.run.id.clone(), job: of, problem });
        };
        let name: String = job.text().chars().take(15).collect();
        if let Err(error) = thread::Builder::new().name(name).spawn(work) {
            // Its lease ends, and it is tried again.
            let problem = Some(format!("there is no thread for it: {error}"));
            let _ = unstarted.send(Ended { run: id, job, problem });
        }
    }

    fn over(&mut self, run: &RunId) {
        self.working.remove(run);
    }

    fn stop(&mut self) {
        self.working.values().for_each(Cancel::cancel);
    }

    fn count(&self) -> usize {
        self.working.len()
    }
}

/// What a thread said when it panicked.
fn panicked(panic: &(dyn std::any::Any + Send)) -> String {
    let said = panic.downcast_ref::<&str>().map(|said| (*said).to_owned());
    let said = said.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("the program has a fault: {}", said.unwrap_or_else(|| "it panicked".to_owned()))
}
