//! Serving the API: what stands before a server, as the program hands it over.

mod conditions;
mod limit;
pub mod router;
mod shield;
mod tls;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use keepfast_config::values::address::Listen;
use keepfast_operations::error::with_causes;
use keepfast_server::access::setup_token;
use keepfast_server::daemon::definitions::Followed;
use keepfast_server::daemon::front::{Front, Inside};
use keepfast_server::daemon::outside::Level;
use keepfast_server::listen::{Limits, Listener, Mode, serve_encrypted};
use tokio::sync::watch;
use tokio::time::sleep;

use self::conditions::{Conditions, Refusal};
use self::tls::Certificates;
use crate::state::Api;

/// What clients may take.
const LIMITS: Limits = Limits {
    head_bytes: 32 << 10,
    head_fields: 64,
    body_bytes: 1 << 20,
    head_within: Duration::from_secs(20),
    // A stream of events has no end; all other answers have a time of their own.
    answer_within: None,
    taken_within: Duration::from_secs(120),
    connections: 512,
    connections_per_address: 64,
};
/// How long until it is looked again whether the server may listen.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// The API, and what else is to be answered at its address.
#[derive(Debug, Default)]
pub struct ApiFront {
    /// What answers all that isn't the API: a dashboard, say.
    pub pages: Option<Router>,
}

impl Front for ApiFront {
    fn begin(self: Box<Self>, inside: Inside) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(run(Arc::new(Api::new(inside)), self.pages))
    }
}

/// Serves as long as the server does, and follows the definitions. What hinders it is said, and tried again: backups go on
/// meanwhile.
async fn run(api: Arc<Api>, pages: Option<Router>) {
    let mut said = None;
    loop {
        let refusal = match serve(&api, pages.clone()).await {
            Ok(()) => {
                said = None;
                continue;
            }
            Err(refusal) => refusal.to_string(),
        };
        if said.as_ref() != Some(&refusal) {
            api.inside.voice.say(Level::Error, &refusal);
            said = Some(refusal);
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// Serves until the definitions say another address or another way to it.
async fn serve(api: &Arc<Api>, pages: Option<Router>) -> Result<(), Refusal> {
    let mut definitions = api.inside.definitions.clone();
    let config = api.config();
    let server = &config.server.value;
    let has_users = api.store().has_users().await.map_err(|error| Refusal::State(with_causes(&error)))?;
    let conditions = Conditions::of(server);
    conditions.check(has_users)?;
    let certificates = match &server.tls {
        Some(defined) => Some(Certificates::read(api, defined).await?),
        None => None,
    };
    let listen = server.listen.value.clone();
    let failed = |source| Refusal::Listen { address: conditions.address.clone(), source };
    let listener = match &listen {
        Listen::Socket(address) => Listener::tcp(*address).await.map_err(failed)?,
        Listen::Unix(path) => Listener::unix(path, Mode::Group).map_err(failed)?,
    };
    let place = conditions.url(bound(&listener));
    api.inside.voice.say(Level::Info, &format!("the API is at {place}"));
    if !has_users {
        let token = setup_token(api.store()).await.map_err(|error| Refusal::State(with_causes(&error)))?;
        if let Some(token) = token {
            let text =
                format!("there are no users yet: open {place} and make the first one with {}", &*token);
            api.inside.voice.say(Level::Info, &text);
        }
    }
    let encryption = certificates.as_ref().map(Certificates::newest);
    let router = router::router(Arc::clone(api), &conditions, pages);
    // All that comes through a proxy comes from its address.
    let per_address =
        if conditions.behind_proxy { LIMITS.connections } else { LIMITS.connections_per_address };
    let limits = Limits { connections_per_address: per_address, ..LIMITS };
    let serving = serve_encrypted(listener, encryption, limits, router, std::future::pending());
    let following = async {
        match &certificates {
            Some(certificates) => certificates.follow(api).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        served = serving => Err(match served {
            Err(source) => Refusal::Listen { address: conditions.address.clone(), source },
            Ok(()) => Refusal::State("the listener has ended".to_owned()),
        }),
        never = following => match never {},
        () = moved(&mut definitions, &conditions) => Ok(()),
    }
}

/// Waits until the definitions say something else about where and how the server listens.
async fn moved(definitions: &mut watch::Receiver<Followed>, conditions: &Conditions) {
    while definitions.changed().await.is_ok() {
        if Conditions::of(&definitions.borrow().config.server.value) != *conditions {
            return;
        }
    }
    // The server ends, and this with it.
    std::future::pending().await
}

/// The address at which something listens: the system chooses the port where the definition says 0.
fn bound(listener: &Listener) -> Option<SocketAddr> {
    match listener {
        Listener::Tcp(listener) => listener.local_addr().ok(),
        Listener::Unix(_) => None,
    }
}
