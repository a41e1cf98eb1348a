//! What handlers work with.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use keepfast_access::session::SessionPolicy;
use keepfast_config::config::Config;
use keepfast_server::access::Gate;
use keepfast_server::daemon::definitions::Followed;
use keepfast_server::daemon::front::Inside;
use keepfast_server::daemon::outside::Wish;
use keepfast_server::status::Promises;
use keepfast_store::{Run, Store};
use tokio::sync::Mutex;

use crate::answer::Result;
use crate::elsewhere::Elsewhere;
use crate::guard::about::About;
use crate::seats::Looks;

/// What all handlers share.
pub type Shared = Arc<Api>;

/// What handlers work with.
pub struct Api {
    /// What the server gives.
    pub inside: Inside,
    /// Who knows callers.
    pub gate: Gate,
    /// What plans promise, as it was last found.
    pub promises: Mutex<Promises>,
    /// The runs at work, as they were last read.
    active: Mutex<Option<(Instant, Arc<[Run]>)>>,
    /// Those that look into repositories.
    pub looks: Looks,
    /// Taken by whoever writes definitions.
    pub writing: Mutex<()>,
    /// Who knows accounts of elsewhere.
    pub elsewhere: Elsewhere,
}

/// Runs at work are read again after this: all that watch them cost the state no more than one.
const ACTIVE_FRESH: Duration = Duration::from_millis(400);

impl Api {
    /// What handlers of this server work with.
    #[must_use]
    pub fn new(inside: Inside) -> Self {
        Self {
            gate: Gate::new(inside.store.clone(), SessionPolicy::USUAL),
            inside,
            promises: Mutex::default(),
            active: Mutex::default(),
            looks: Looks::default(),
            writing: Mutex::default(),
            elsewhere: Elsewhere::default(),
        }
    }

    /// The state.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.inside.store
    }

    /// The definitions that are followed.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.inside.definitions.borrow().config)
    }

    /// The definitions that are followed, and the files that say them.
    #[must_use]
    pub fn followed(&self) -> Followed {
        self.inside.definitions.borrow().clone()
    }

    /// A plan, for rights.
    #[must_use]
    pub fn plan(&self, name: &str) -> About {
        About::plan(&self.config(), &self.inside.around.host, name)
    }

    /// A repository, for rights.
    #[must_use]
    pub fn repository(&self, name: &str) -> About {
        About::repository(&self.config(), name)
    }

    /// What an event or a problem is about, for rights.
    #[must_use]
    pub fn subject(&self, subject: &str) -> About {
        About::subject(&self.config(), &self.inside.around.host, subject)
    }

    /// What a run is about, for rights.
    #[must_use]
    pub fn about(&self, run: &Run) -> About {
        About::run(&self.config(), run)
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.inside.clocks.read().wall()
    }

    /// The runs at work, as they are or were a moment ago.
    ///
    /// # Errors
    /// The state can't be read.
    pub async fn active_runs(&self) -> Result<Arc<[Run]>> {
        let mut active = self.active.lock().await;
        if let Some((_, runs)) = active.as_ref().filter(|(at, _)| at.elapsed() < ACTIVE_FRESH) {
            return Ok(Arc::clone(runs));
        }
        let runs: Arc<[Run]> = self.store().active_runs().await?.into();
        *active = Some((Instant::now(), Arc::clone(&runs)));
        Ok(runs)
    }

    /// Lets the server look at once at what was written into the state.
    pub fn wake(&self) {
        // A server that ends looks no more.
        let _ = self.inside.wishing.send(Wish::Look);
    }
}
