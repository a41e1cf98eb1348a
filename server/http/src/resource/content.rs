//! Downloads: the bytes of a file of a snapshot, or a folder as an archive. They are made while they are sent: what can't
//! be read breaks the connection off, so that no one takes a part for the whole.

use std::io::{self, Write};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use keepfast_access::role::Right;
use keepfast_api::error::ErrorCode;
use keepfast_api::path;
use keepfast_api::snapshot::{ArchiveFormat, ContentQuery};
use keepfast_operations::error::with_causes;
use keepfast_server::browse::{Archive, Browser, Readable, Thing};
use keepfast_server::daemon::outside::Level;
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::files::path_of;
use super::snapshots::must;
use crate::answer::{Failure, Result};
use crate::guard::Caller;
use crate::looking::{EndsWith, busy, look};
use crate::request::{Pair, Query};
use crate::state::Shared;

/// Bytes that are handed over at once.
const PIECE_BYTES: usize = 256 << 10;
/// Pieces that wait for a slow client.
const PIECES_WAITING: usize = 4;
/// A client that takes nothing for this long has gone, whatever its connection says: others wait for its place.
const STALLS_MAX: Duration = Duration::from_secs(120);
/// Letters of a file's name, at most.
const NAME_LETTERS_MAX: usize = 150;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(content))
}

/// The bytes of a file of a snapshot; of a folder, a tar or zip archive.
#[utoipa::path(get, path = "/snapshots/{repository}/{snapshot}/content", tag = "snapshots",
    params(("repository" = String, Path), ("snapshot" = String, Path), ContentQuery),
    responses((status = 200, content((Vec<u8> = "application/octet-stream"), (Vec<u8> = "application/x-tar"),
        (Vec<u8> = "application/zip")))))]
async fn content(
    State(api): State<Shared>,
    caller: Caller,
    Pair(repository, snapshot): Pair,
    Query(wanted): Query<ContentQuery>,
) -> Result<Response> {
    must(&api, &caller, Right::ReadContent, &repository, &snapshot).await?;
    let path = path_of(wanted.path.as_deref())?;
    let archive = match wanted.format.unwrap_or_default() {
        ArchiveFormat::Tar => Archive::Tar,
        ArchiveFormat::Zip => Archive::Zip,
    };
    let Ok(seat) = api.looks.downloads.clone().try_acquire_owned() else { return Err(busy()) };
    let ends = EndsWith::default();
    let (of, wanted, cancel) = (path.clone(), snapshot.clone(), ends.cancel());
    // With what ends the download, and not with what ends this look.
    let readable = look(&api, &repository, move |browser: &Browser<'_>| {
        let Browser { config, warm, repository, .. } = browser;
        let readable = Browser { config, warm, repository, cancel }.readable(&wanted, &of)?;
        let fits = readable.fits(archive)?;
        Ok((readable, fits))
    });
    let (readable, fits): (Readable, bool) = readable.await?;
    if !fits {
        let detail = "The folder has more than 100,000 entries, which is too much for a zip. Take it as tar.";
        return Err(Failure::new(ErrorCode::Unprocessable, detail));
    }
    let (size, kind, ending) = match readable.thing {
        Thing::File { size } => (Some(size), "application/octet-stream", ""),
        Thing::Folder if archive == Archive::Zip => (None, "application/zip", ".zip"),
        Thing::Folder => (None, "application/x-tar", ".tar"),
        Thing::Other => {
            let detail = "Links, pipes, sockets and devices have no content.";
            return Err(Failure::new(ErrorCode::Unprocessable, detail));
        }
    };
    // Before the first byte: what was read is in the audit, even if the server dies now.
    let object = format!("snapshot:{repository}/{snapshot}");
    let about = json!({ "path": path::exact(&path), "size": size });
    caller.record(api.store(), "snapshot.download", &object, about).await?;
    let (sending, pieces) = channel(PIECES_WAITING);
    let of = api.clone();
    let handle = Handle::current();
    tokio::task::spawn_blocking(move || {
        let mut out = Pieces { handle, sending, piece: Vec::new(), is_gone: false };
        let written = readable.write(archive, &mut out).map_err(|error| with_causes(&error));
        let written = written.and_then(|()| out.finish().map_err(|error| error.to_string()));
        if let Err(why) = written
            && !out.is_gone
        {
            let text = format!("the API: a download of {object} broke off: {why}");
            of.inside.voice.say(Level::Error, &text);
        }
        drop(seat);
    });
    let mut response = body(pieces, ends).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Some(size) = size {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(size));
    }
    let last = path.rsplit(|byte| *byte == b'/').find(|name| !name.is_empty());
    let name = last.map_or_else(|| snapshot.into_bytes(), <[u8]>::to_vec);
    headers.insert(CONTENT_DISPOSITION, disposition(&name, ending));
    headers.insert(HeaderName::from_static("accept-ranges"), HeaderValue::from_static("none"));
    Ok(response)
}

/// What is handed over.
enum Part {
    /// Bytes.
    Bytes(Bytes),
    /// That was all of it.
    End,
}

/// Pieces as they come. Without the word that it was all, the connection breaks off, whatever became of the one that reads.
fn body(pieces: Receiver<Part>, ends: EndsWith) -> Body {
    Body::from_stream(stream::unfold(Some((pieces, ends)), |state| async move {
        let (mut pieces, ends) = state?;
        match pieces.recv().await {
            Some(Part::Bytes(bytes)) => Some((Ok(bytes), Some((pieces, ends)))),
            Some(Part::End) => None,
            None => Some((Err(io::Error::other("the content can't be read")), None)),
        }
    }))
}

/// Bytes on their way to a client, piece by piece. Writing waits while the client is slow, and fails when it is gone or takes
/// nothing for too long.
struct Pieces {
    handle: Handle,
    sending: Sender<Part>,
    piece: Vec<u8>,
    is_gone: bool,
}

impl Pieces {
    fn send(&mut self, part: Part) -> io::Result<()> {
        let sent = self.handle.block_on(self.sending.send_timeout(part, STALLS_MAX));
        sent.map_err(|_| {
            self.is_gone = true;
            io::Error::from(io::ErrorKind::BrokenPipe)
        })
    }

    fn finish(&mut self) -> io::Result<()> {
        self.flush()?;
        self.send(Part::End)
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let take = bytes.len().min(PIECE_BYTES.saturating_sub(self.piece.len()));
        self.piece.extend_from_slice(&bytes[..take]);
        if self.piece.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(take)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::take(&mut self.piece);
        self.send(Part::Bytes(Bytes::from(piece)))
    }
}

/// The name under which a client keeps it: for all clients with letters that no system treats in a way of its own, and for
/// those that understand it (RFC 6266) the name itself.
fn disposition(name: &[u8], ending: &str) -> HeaderValue {
    let shown: String = path::shown(name).chars().take(NAME_LETTERS_MAX).collect();
    let shown = format!("{}{ending}", shown.replace(['/', '\\'], "_"));
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_' | ' ');
    let mut plain: String = shown.chars().map(|letter| if is_plain(letter) { letter } else { '_' }).collect();
    if plain.starts_with(['.', '-', ' ']) {
        plain.insert(0, '_');
    }
    let mut exact = String::new();
    for byte in shown.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_') {
            exact.push(char::from(byte));
        } else {
            exact.push_str(&format!("%{byte:02X}"));
        }
    }
    let text = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{exact}");
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    use super::disposition;

    #[test]
    fn names_of_downloads_have_no_tricks() {
        let of = |name: &[u8], ending| disposition(name, ending).to_str().expect("ASCII").to_owned();
        assert_eq!(of(b"a b.txt", ""), "attachment; filename=\"a b.txt\"; filename*=UTF-8''a%20b.txt");
        assert_eq!(of(b"srv", ".tar"), "attachment; filename=\"srv.tar\"; filename*=UTF-8''srv.tar");
        assert_eq!(
            of(b"\"\r\nSet-Cookie: x\\..", ""),
            "attachment; filename=\"___Set-Cookie_ x_..\"; \
             filename*=UTF-8''%22%EF%BF%BD%EF%BF%BDSet-Cookie%3A%20x_.."
        );
        assert!(of(b".bashrc", "").starts_with("attachment; filename=\"_.bashrc\""));
        assert!(of(b"\xff", "").starts_with("attachment; filename=\"_\""));
    }
}
