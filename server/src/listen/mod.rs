//! Serving HTTP/1.1 to clients that are strangers: each connection has limits of time and size, and there are only this
//! many of them.
//!
//! - A client that sends its request slowly, or nothing at all, is given up after a while.
//! - Where all places are taken, a new client gets the place of the one that has kept its place the longest without a
//!   whole request. So slow clients, however many, keep no one out.
//! - A client that doesn't take its answer is given up, too.
//! - Where all places are taken by clients whose requests are answered, the new one is closed at once.

mod limits;
mod places;
mod sockets;
mod taken;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::StatusCode;
use axum::http::header::{CONNECTION, CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};
use axum::response::{IntoResponse, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use places::{Busy, Place, Places};
use taken::Taken;

pub use limits::Limits;
pub use sockets::{Listener, Mode, Stream};

/// After the system refused to accept a connection, this long passes until the next try: it has no descriptors left, say.
const AFTER_REFUSAL: Duration = Duration::from_millis(200);
/// How long connections may go on once the listener is told to stop.
const STOPS_WITHIN: Duration = Duration::from_secs(5);

/// Answers clients until `stop` is ready.
///
/// # Errors
/// None at present: what goes wrong with one connection is that connection's end.
pub async fn serve(
    listener: Listener,
    limits: Limits,
    router: Router,
    stop: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    serve_encrypted(listener, None, limits, router, stop).await
}

/// What connections are encrypted with, if they are: those that begin after a change have the new certificate.
pub type Encryption = Option<watch::Receiver<Arc<ServerConfig>>>;

/// The same, and each connection begins with TLS, where there is a certificate.
///
/// # Errors
/// None at present: what goes wrong with one connection is that connection's end.
pub async fn serve_encrypted(
    listener: Listener,
    encryption: Encryption,
    limits: Limits,
    router: Router,
    stop: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let router = router.layer(DefaultBodyLimit::max(limits.body_bytes));
    let places = Places::new(limits.connections, limits.connections_per_address);
    let (stopping, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = stop.as_mut() => break,
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let Ok((stream, address)) = accepted else {
            sleep(AFTER_REFUSAL).await;
            continue;
        };
        let Some(place) = places.take(address) else { continue };
        let served = Connection { place, limits, router: router.clone(), stopped: stopped.clone(), address };
        match &encryption {
            None => connections.spawn(served.serve(stream)),
            Some(newest) => {
                let acceptor = TlsAcceptor::from(Arc::clone(&newest.borrow()));
                connections.spawn(async move {
                    if let Some(stream) = served.encrypted(acceptor, stream).await {
                        served.serve(stream).await;
                    }
                })
            }
        };
    }
    drop(listener);
    let _ = stopping.send(true);
    let all = async { while connections.join_next().await.is_some() {} };
    let _ = timeout(STOPS_WITHIN, all).await;
    Ok(())
}

/// Whom a request comes from, for handlers; nothing over a socket in the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client(pub Option<IpAddr>);

/// What a connection is served with.
struct Connection {
    place: Place,
    limits: Limits,
    router: Router,
    stopped: watch::Receiver<bool>,
    address: Option<IpAddr>,
}

impl Connection {
    /// The stream behind TLS; nothing if the client doesn't come that far in the time that it has for a request's head, or
    /// another one needs its place.
    async fn encrypted(&self, acceptor: TlsAcceptor, stream: Stream) -> Option<TlsStream<Stream>> {
        let mut accepted = pin!(timeout(self.limits.head_within, acceptor.accept(stream)));
        loop {
            self.place.until(&self.limits)?;
            tokio::select! {
                accepted = accepted.as_mut() => return accepted.ok()?.ok(),
                () = self.place.changed() => {}
            }
        }
    }

    async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: S) {
        let Self { place, limits, router, mut stopped, address } = self;
        let place = Arc::new(place);
        let of = Arc::clone(&place);
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let busy = of.begin();
            let router = TowerToHyperService::new(router.clone());
            async move { Ok::<_, Infallible>(answer(router, limits, request, address, busy).await) }
        });
        let mut served = http1::Builder::new();
        served
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head_within)
            .max_buf_size(limits.head_bytes)
            .max_headers(limits.head_fields)
            .half_close(false);
        let mut connection =
            pin!(served.serve_connection(TokioIo::new(Taken::within(stream, limits.taken_within)), service));
        let mut is_stopping = *stopped.borrow();
        loop {
            let Some(until) = place.until(&limits) else { return };
            tokio::select! {
                _ = connection.as_mut() => return,
                () = sleep_until(until) => if until <= Instant::now() && place.is_over(&limits) { return },
                () = place.changed() => {}
                _ = stopped.changed(), if !is_stopping => {
                    is_stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

/// Answers one request. The connection counts as busy until the answer was taken.
async fn answer(
    router: TowerToHyperService<Router>,
    limits: Limits,
    request: hyper::Request<Incoming>,
    address: Option<IpAddr>,
    busy: Busy,
) -> Response {
    // A proxy that is told two lengths may believe the other one.
    let is_chunked = request.headers().contains_key(TRANSFER_ENCODING);
    if is_chunked && request.headers().contains_key(CONTENT_LENGTH) {
        return last((StatusCode::BAD_REQUEST, "A request has one length.\n").into_response());
    }
    let declared = request.body().size_hint().lower();
    if declared > u64::try_from(limits.body_bytes).unwrap_or(u64::MAX) {
        return (StatusCode::PAYLOAD_TOO_LARGE, "The body of the request is too large.\n").into_response();
    }
    let mut request: Request = request.map(Body::new);
    request.extensions_mut().insert(Client(address));
    let answering = hyper::service::Service::call(&router, request);
    let answered = match limits.answer_within {
        Some(within) => timeout(within, answering).await,
        None => Ok(answering.await),
    };
    match answered {
        Ok(Ok(response)) if is_chunked => {
            last(response.map(|body| Body::new(Occupying { body, _busy: busy })))
        }
        Ok(Ok(response)) => response.map(|body| Body::new(Occupying { body, _busy: busy })),
        Ok(Err(never)) => match never {},
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "No answer was ready in time.\n").into_response(),
    }
}

/// The last answer of its connection. What follows a request in chunks isn't read: the parser leaves a length out that stands
/// behind their announcement, and to a proxy that believes the length, the rest is another client's request.
fn last(mut response: Response) -> Response {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The body of an answer, which keeps its connection busy until it was taken.
struct Occupying {
    body: Body,
    _busy: Busy,
}

impl HttpBody for Occupying {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
