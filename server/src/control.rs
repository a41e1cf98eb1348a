//! The socket by which commands of this machine reach its server: to look at once, and to hear how it is. Whatever is
//! to be done is written into the state; this only says that something is there.
//!
//! The socket is in the folder of the state, which only its owner may enter. HTTP over it, with JSON:
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/server` | [`ServerDocument`] |
//! | `POST /v1/look` | 204 |
//! | `POST /v1/reload` | [`Reloaded`]: the definitions were read again |

use std::future::pending;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use keepfast_operations::answer::{UnreadAnswer, read_whole};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::daemon::outside::{Reloaded, Wish};
use crate::listen::{self, Limits, Listener, Mode};

/// How long a command waits for the server.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// How long a command waits until the server has read its definitions: it may wait for its state first.
const RELOADS_WITHIN: Duration = Duration::from_secs(60);
/// What commands may take.
const LIMITS: Limits = Limits {
    head_bytes: 16 << 10,
    head_fields: 64,
    body_bytes: 0,
    head_within: Duration::from_secs(10),
    answer_within: Some(RELOADS_WITHIN),
    taken_within: RELOADS_WITHIN,
    connections: 64,
    connections_per_address: 64,
};
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

impl Desk {
    async fn reload(&self) -> Result<Json<Reloaded>, StatusCode> {
        let (answer, reloaded) = oneshot::channel();
        let is_asked = self.wishes.send(Wish::Reload(Some(answer))).is_ok();
        let reloaded = if is_asked { reloaded.await.ok() } else { None };
        reloaded.map(Json).ok_or(StatusCode::SERVICE_UNAVAILABLE)
    }
}

/// Listens until the process ends. Only the process that is the machine's server may call this: what is left of an
/// earlier socket is removed.
pub fn listen(
    folder: &Path,
    server: ServerDocument,
    wishes: UnboundedSender<Wish>,
) -> io::Result<impl Future<Output = io::Result<()>> + Send + 'static> {
    let listener = Listener::unix(&socket(folder), Mode::Owner)?;
    let router = Router::new()
        .route("/v1/server", get(|State(desk): State<Arc<Desk>>| async move { Json(desk.server.clone()) }))
        .route("/v1/look", post(|State(desk): State<Arc<Desk>>| async move { desk.wish(Wish::Look) }))
        .route("/v1/reload", post(|State(desk): State<Arc<Desk>>| async move { desk.reload().await }))
        .with_state(Arc::new(Desk { server, wishes }));
    Ok(listen::serve(listener, LIMITS, router, pending()))
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
    NotWhole(#[from] UnreadAnswer),
}

/// Asks a server to look at once.
pub async fn look(folder: &Path) -> Result<(), ControlError> {
    ask(folder, reqwest::Method::POST, "look", ANSWERS_WITHIN).await.map(drop)
}

/// Asks a server to read its definitions again. Returns what came of it.
pub async fn reload(folder: &Path) -> Result<Reloaded, ControlError> {
    let answer = ask(folder, reqwest::Method::POST, "reload", RELOADS_WITHIN).await?;
    serde_json::from_slice(&answer).map_err(ControlError::Unreadable)
}

/// Asks a server how it is.
pub async fn server(folder: &Path) -> Result<ServerDocument, ControlError> {
    let answer = ask(folder, reqwest::Method::GET, "server", ANSWERS_WITHIN).await?;
    serde_json::from_slice(&answer).map_err(ControlError::Unreadable)
}

async fn ask(
    folder: &Path,
    method: reqwest::Method,
    what: &str,
    within: Duration,
) -> Result<Zeroizing<Vec<u8>>, ControlError> {
    let socket = socket(folder);
    let unreachable = |source| ControlError::Unreachable { socket: socket.clone(), source };
    let client = reqwest::Client::builder().unix_socket(&*socket).no_proxy().timeout(within).build();
    let client = client.map_err(unreachable)?;
    let asked = client.request(method, format!("http://keepfast/v1/{what}")).send().await;
    let mut answer = asked.and_then(reqwest::Response::error_for_status).map_err(unreachable)?;
    Ok(read_whole(&mut answer, ANSWER_BYTES_MAX).await?)
}
