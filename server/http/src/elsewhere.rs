//! The issuer of OpenID Connect that the definitions name: what is known of it is kept, as long as they say the same.

use std::sync::Arc;
use std::time::{Duration, Instant};

use keepfast_backend::Cancel;
use keepfast_config::model::server::Oidc;
use keepfast_config::values::address::Url;
use keepfast_oidc::RelyingParty;
use keepfast_operations::error::with_causes;
use keepfast_operations::secret::SecretReader;
use keepfast_server::access::provider;
use keepfast_server::convert::secret;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

use crate::state::Api;

/// The server's password at the issuer is read again after this: it may be another one.
const READ_AGAIN: Duration = Duration::from_secs(300);
/// Logins that ask the issuer at once: whoever it is that doesn't answer, others still get an answer here.
const AT_ONCE: usize = 16;

/// The issuer, as far as it is known.
pub struct Elsewhere {
    known: Mutex<Option<Known>>,
    /// Places for logins that ask the issuer.
    pub asking: Semaphore,
}

/// What was made of definitions, which it belongs to.
struct Known {
    oidc: Oidc,
    address: Url,
    since: Instant,
    party: Arc<RelyingParty>,
}

impl Default for Elsewhere {
    fn default() -> Self {
        Self { known: Mutex::default(), asking: Semaphore::new(AT_ONCE) }
    }
}

/// Whether people can sign in with an account of elsewhere: where there is an issuer, and an address to come back to.
#[must_use]
pub fn is_defined(api: &Api) -> bool {
    let config = api.config();
    config.server.value.oidc.is_some() && config.server.value.public_url.is_some()
}

/// This server as one that relies on the issuer; nothing if none is defined.
///
/// # Errors
/// The server's password at the issuer can't be read, or an address can't be used: in words for the server's log.
pub async fn party(api: &Api) -> Result<Option<Arc<RelyingParty>>, String> {
    let config = api.config();
    let server = &config.server.value;
    let (Some(oidc), Some(address)) = (&server.oidc, &server.public_url) else { return Ok(None) };
    let mut known = api.elsewhere.known.lock().await;
    let is_same = |known: &&Known| {
        known.oidc == *oidc && known.address == *address && known.since.elapsed() < READ_AGAIN
    };
    if let Some(known) = known.as_ref().filter(is_same) {
        return Ok(Some(Arc::clone(&known.party)));
    }
    let children = api.inside.around.children_of(&config);
    let reference = oidc.client_secret.clone();
    let reading = spawn_blocking(move || {
        let cancel = Cancel::new();
        let reader = SecretReader { what: "password at the issuer", children: &children, cancel: &cancel };
        let source = secret::source(&reference, "server").map_err(|error| with_causes(&error))?;
        let bytes = reader.bytes(&source).map_err(|error| with_causes(&error))?;
        let text =
            std::str::from_utf8(&bytes).map_err(|_| "the password at the issuer isn't text".to_owned())?;
        Ok::<_, String>(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
    });
    let password = reading.await.map_err(|error| error.to_string())??;
    let Some(provider) = provider(&config, password) else { return Ok(None) };
    let party = Arc::new(RelyingParty::new(provider).map_err(|error| with_causes(&error))?);
    let (oidc, address) = (oidc.clone(), address.clone());
    *known = Some(Known { oidc, address, since: Instant::now(), party: Arc::clone(&party) });
    Ok(Some(party))
}
