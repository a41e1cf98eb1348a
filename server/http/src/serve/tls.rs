//! The certificate of the server, read again when its file changes.

use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use keepfast_config::model::secret::SecretReference;
use keepfast_config::model::server::ServerTls;
use keepfast_operations::child::Children;
use keepfast_operations::error::with_causes;
use keepfast_operations::secret::SecretReader;
use keepfast_server::convert::secret;
use keepfast_server::daemon::outside::Level;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::conditions::Refusal;
use crate::state::Api;

/// How often it is looked whether the certificate is another one.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Bytes of a file with certificates, at most.
const CERTIFICATE_BYTES_MAX: u64 = 1 << 20;

/// The certificate that connections begin with.
pub struct Certificates {
    newest: watch::Sender<Arc<ServerConfig>>,
    seen: Stamp,
}

/// What shows that a certificate or its key may be another one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp(Vec<Option<(SystemTime, u64)>>);

impl Stamp {
    fn of(defined: &ServerTls) -> Self {
        let key = match &defined.key {
            SecretReference::File(path) => Some(path.clone()),
            _ => None,
        };
        let of = |path: &Path| {
            let found = fs::metadata(path).ok()?;
            Some((found.modified().ok()?, found.len()))
        };
        Self(
            [Some(defined.certificate.0.clone()), key]
                .into_iter()
                .flatten()
                .map(|path: PathBuf| of(&path))
                .collect(),
        )
    }
}

impl Certificates {
    /// Reads them.
    ///
    /// # Errors
    /// They can't be read, or don't belong together.
    pub async fn read(api: &Api, defined: &ServerTls) -> Result<Self, Refusal> {
        let seen = Stamp::of(defined);
        let config = read(api, defined).await.map_err(Refusal::Certificate)?;
        Ok(Self { newest: watch::Sender::new(config), seen })
    }

    /// What connections begin with.
    pub fn newest(&self) -> watch::Receiver<Arc<ServerConfig>> {
        self.newest.subscribe()
    }

    /// Reads them again when they change. What can't be used is said, and the one before goes on.
    pub async fn follow(&self, api: &Api) -> Infallible {
        let mut seen = self.seen.clone();
        loop {
            sleep(LOOK_EVERY).await;
            let config = api.config();
            let Some(defined) = &config.server.value.tls else { continue };
            let present = Stamp::of(defined);
            if present == seen {
                continue;
            }
            seen = present;
            match read(api, defined).await {
                Ok(config) => {
                    self.newest.send_replace(config);
                    api.inside.voice.say(Level::Info, "the certificate was read again");
                }
                Err(why) => {
                    let text =
                        format!("the new certificate can't be used, and the one before goes on: {why}");
                    api.inside.voice.say(Level::Error, &text);
                }
            }
        }
    }
}

async fn read(api: &Api, defined: &ServerTls) -> Result<Arc<ServerConfig>, String> {
    let children = api.inside.around.children_of(&api.config());
    let defined = defined.clone();
    // A key may come from a program.
    let read = spawn_blocking(move || config(&defined, &children)).await;
    read.unwrap_or_else(|error| Err(error.to_string()))
}

fn config(defined: &ServerTls, children: &Children) -> Result<Arc<ServerConfig>, String> {
    let path = &defined.certificate.0;
    let of_file = |why: String| format!("{}: {why}", path.display());
    let size = fs::metadata(path).map_err(|error| of_file(error.to_string()))?.len();
    if size > CERTIFICATE_BYTES_MAX {
        return Err(of_file(format!("it has {size} bytes, too many for a certificate")));
    }
    let text = fs::read(path).map_err(|error| of_file(error.to_string()))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|error| of_file(error.to_string()))?;
    if chain.is_empty() {
        return Err(of_file("there is no certificate in it".to_owned()));
    }
    let cancel = keepfast_backend::Cancel::new();
    let reader = SecretReader { what: "key of the server's certificate", children, cancel: &cancel };
    let source = secret::source(&defined.key, "server").map_err(|error| with_causes(&error))?;
    let key = reader.bytes(&source).map_err(|error| with_causes(&error))?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| format!("its key: {error}"))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?.with_no_client_auth();
    builder.with_single_cert(chain, key).map(Arc::new).map_err(|error| error.to_string())
}
