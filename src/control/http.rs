//! Plain HTTP on the control thread: a listener with bounds, and what every endpoint answers alike.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::lifecycle::drain::DrainWatch;

/// Connections that a listener serves at once; one more is closed right away.
pub(super) const CONNECTIONS: usize = 64;

/// A request's head must be there within this time.
pub(super) const HEAD: Duration = Duration::from_secs(5);

/// Most bytes of a request's head.
const LONGEST_HEAD: usize = 16 << 10;

/// A connection is asked to end after this time, so that nobody keeps a place for good.
pub(super) const AGE: Duration = Duration::from_secs(60);

/// A connection that was asked to end is cut after this time.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// How long accepting pauses after it failed, for want of descriptors most likely.
const PAUSE: Duration = Duration::from_millis(500);

/// The kind of an answer for people.
pub(super) const TEXT: &str = "text/plain; charset=utf-8";

/// The kind of an answer for programs.
pub(super) const JSON: &str = "application/json";

/// What is answered: all of it is there.
pub(super) type Answer = Response<Full<Bytes>>;

/// Why an endpoint does not listen.
#[derive(Debug, Error)]
#[error("cannot listen on {key} {address}: {source}; choose another address, or end what listens there")]
pub struct BindError {
    key: &'static str,
    address: SocketAddr,
    source: io::Error,
}

/// An endpoint, listening.
#[derive(Debug)]
pub(super) struct Listener {
    key: &'static str,
    socket: TcpListener,
}

impl Listener {
    /// Listens at `address`, which is configured as `key`. Call it inside the control runtime.
    pub(super) async fn bind(key: &'static str, address: SocketAddr) -> Result<Self, BindError> {
        match TcpListener::bind(address).await {
            Ok(socket) => Ok(Self { key, socket }),
            Err(source) => Err(BindError { key, address, source }),
        }
    }

    /// Where it listens, with the port that the system chose when port 0 was configured.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Gives each request's `answer` until `end` is triggered, then answers what was asked and ends. Connections hold a
    /// watch of `end` too. An answer is dropped when nobody waits for it any more.
    pub(super) async fn serve<A, F>(self, answer: A, mut end: DrainWatch)
    where
        A: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
        F: Future<Output = Answer> + Send,
    {
        let (answer, places) = (Arc::new(answer), Arc::new(Semaphore::new(CONNECTIONS)));
        loop {
            let accepted = tokio::select! {
                _ = end.triggered() => return,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
                    let (answer, end) = (Arc::clone(&answer), end.clone());
                    tokio::spawn(async move {
                        if let Err(error) = converse(stream, &*answer, end).await {
                            debug!(target: "ringside::control", listener = self.key, %error, "connection ended");
                        }
                        drop(place);
                    });
                }
                Err(error) => {
                    warn!(target: "ringside::control", listener = self.key, %error, "cannot accept");
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

/// One connection: any number of requests until it is too old, the end comes or the peer goes.
async fn converse<A, F>(stream: TcpStream, answer: &A, mut end: DrainWatch) -> hyper::Result<()>
where
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Answer>,
{
    let service = service_fn(|request| async { Ok::<_, Infallible>(answer(request).await) });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(LONGEST_HEAD)
            .serve_connection(TokioIo::new(stream), service)
    );
    tokio::select! {
        ended = connection.as_mut() => ended,
        () = wanted_gone(&mut end) => {
            connection.as_mut().graceful_shutdown();
            timeout(GRACE, connection).await.unwrap_or(Ok(()))
        }
    }
}

async fn wanted_gone(end: &mut DrainWatch) {
    let _ = timeout(AGE, end.triggered()).await;
}

/// Whether a request with this method changes nothing.
pub(super) fn reads(method: &Method) -> bool {
    [Method::GET, Method::HEAD].contains(method)
}

/// The answer to a method that this path does not know.
pub(super) fn only(methods: &'static str) -> Answer {
    let mut response = respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, format!("only {methods}\n"));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    response
}

/// The answer to a path that is not there.
pub(super) fn not_here(paths: &str) -> Answer {
    respond(StatusCode::NOT_FOUND, TEXT, format!("not here: {paths}\n"))
}

/// An answer.
pub(super) fn respond(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
