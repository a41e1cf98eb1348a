//! The socket by which commands of this machine reach its server: to look at once, and to hear how it is. Whatever is
//! to be done is written into the state; this only says that something is there.
//!
//! The socket is in the folder of the state, which only its owner may enter. HTTP over it, with JSON:
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/server` | [`ServerDocument`] |
//! | `POST /v1/look` | 204 |
//! | `POST /v1/reload` | 204; the definitions are read again |

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;
use tokio::sync::mpsc::UnboundedSender;

use crate::daemon::outside::Wish;

/// How long a command waits for the server.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// Bytes of an answer, at most.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// How a server is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerDocument {
    /// The program's version.
    pub version: String,
    /// The machine's name.
    pub host: String,
    /// The number of its process.
    pub process: u32,
    /// Since when it serves.
    pub started: Timestamp,
}

/// The name of the socket in the folder.
pub const SOCKET: &str = "control.sock";

/// Where the socket of a server is, whose state has this folder.
#[must_use]
pub fn socket(folder: &Path) -> PathBuf {
    folder.join(SOCKET)
}

struct Desk {
    server: ServerDocument,
    wishes: UnboundedSender<Wish>,
}

impl Desk {
    fn wish(&self, wish: Wish) -> StatusCode {
        match self.wishes.send(wish) {
            Ok(()) => StatusCode::NO_CONTENT,
            Err(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// Listens until the process ends. Only the process that is the machine's server may call this: what is left of an
/// earlier socket is removed.
pub fn listen(
    folder: &Path,
    server: ServerDocument,
    wishes: UnboundedSender<Wish>,
) -> io::Result<impl Future<Output = io::Result<()>> + Send + 'static> {
    let path = socket(folder);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let router = Router::new()
        .route("/v1/server", get(|State(desk): State<Arc<Desk>>| async move { Json(desk.server.clone()) }))
        .route("/v1/look", post(|State(desk): State<Arc<Desk>>| async move { desk.wish(Wish::Look) }))
        .route("/v1/reload", post(|State(desk): State<Arc<Desk>>| async move { desk.wish(Wish::Reload) }))
        .with_state(Arc::new(Desk { server, wishes }));
    Ok(async move { axum::serve(listener, router).await })
}

/// Why a server doesn't answer.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// There is none, or it doesn't answer in time.
    #[error("no server answers at {}", .socket.display())]
    Unreachable {
        /// Its socket.
        socket: PathBuf,
        /// Why.
        source: reqwest::Error,
    },
    /// Its answer makes no sense.
    #[error("the server's answer can't be read")]
    Unreadable(#[source] serde_json::Error),
    /// Its answer is too long, or breaks off.
    #[error("the server's answer is not whole")]
    NotWhole,
}

/// Asks a server to look at once.
pub async fn look(folder: &Path) -> Result<(), ControlError> {
    ask(folder, reqwest::Method::POST, "look").await.map(drop)
}

/// Asks a server to read its definitions again.
pub async fn reload(folder: &Path) -> Result<(), ControlError> {
    ask(folder, reqwest::Method::POST, "reload").await.map(drop)
}

/// Asks a server how it is.
pub async fn server(folder: &Path) -> Result<ServerDocument, ControlError> {
    let answer = ask(folder, reqwest::Method::GET, "server").await?;
    serde_json::from_slice(&answer).map_err(ControlError::Unreadable)
}

async fn ask(folder: &Path, method: reqwest::Method, what: &str) -> Result<Vec<u8>, ControlError> {
    let socket = socket(folder);
    let unreachable = |source| ControlError::Unreachable { socket: socket.clone(), source };
    let client = reqwest::Client::builder().unix_socket(&*socket).no_proxy().timeout(ANSWERS_WITHIN).build();
    let client = client.map_err(unreachable)?;
    let asked = client.request(method, format!("http://keepfast/v1/{what}")).send().await;
    let mut answer = asked.and_then(reqwest::Response::error_for_status).map_err(unreachable)?;
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
        if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(ControlError::NotWhole);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
