//! The admin endpoint: plain HTTP for the kubelet, for Prometheus and for operators.
//!
//! | path | answer |
//! |---|---|
//! | `/livez` | 200 while this thread runs |
//! | `/readyz` | 200, or 503 with what is waited for; and the engine |
//! | `/metrics` | every metric of `telemetry::names` in Prometheus' text format |
//! | `/connections` | who is connected and why others are gone, as JSON: see [`connections`]; not for pages |
//! | `/log/filter` | the filter of the log; PUT: the body, at most 4 KiB, is the filter from now on |
//! | `POST /drain` | 202: this process drains and ends, as at SIGTERM; again does nothing more |
//!
//! It asks nobody who they are: keep it on loopback or inside the pod. What a browser sends for a page, which may be
//! of anybody, is told by its `Origin` (Fetch Standard section 3.2): such a POST or PUT is refused.
//!
//! It serves until the drain is over, so that the wait can be watched. As a preStop hook, `POST /drain` needs `exec`
//! with something that can send a POST, because the `httpGet` of Kubernetes only sends GETs. The SIGTERM after the
//! hook shortens nothing.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use humantime::format_duration;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, ORIGIN};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use super::log::Filter;
use crate::lifecycle::drain::{Drain, DrainWatch, Pace};
use crate::lifecycle::ready::Ready;
use crate::telemetry::counters::Counters;
use crate::telemetry::names::{Process, Seen};

pub mod connections;
mod filter;
mod metrics;

/// Connections served at once; one more is closed right away.
const CONNECTIONS: usize = 64;

/// A request's head must be there within this time.
const HEAD: Duration = Duration::from_secs(5);

/// A connection is asked to end after this time, so that nobody keeps a place for good.
const AGE: Duration = Duration::from_secs(60);

/// A connection that was asked to end is cut after this time.
const GRACE: Duration = Duration::from_secs(5);

/// How long accepting pauses after it failed, for want of descriptors most likely.
const PAUSE: Duration = Duration::from_millis(500);

const TEXT: &str = "text/plain; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Where the admin endpoint listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Plain HTTP; keep it on loopback or inside the pod.
    pub address: SocketAddr,
}

/// Why the admin endpoint does not listen.
#[derive(Debug, Error)]
#[error("cannot listen on admin.address {address}: {source}")]
pub struct AdminError {
    address: SocketAddr,
    source: io::Error,
}

/// What the endpoint tells about, and what it may change.
pub struct Sources {
    /// Each worker's counters.
    pub workers: Vec<Arc<Counters>>,
    /// Whether this process is ready.
    pub ready: Ready,
    /// Reads the figures and facts of the whole process.
    pub process: Box<dyn Fn() -> Process + Send + Sync>,
    /// The drain of the process.
    pub drain: Drain,
    /// How that goes on.
    pub pace: Pace,
    /// Who is connected.
    pub connections: connections::Means,
    /// What is logged.
    pub filter: Filter,
}

/// The admin endpoint, listening.
#[derive(Debug)]
pub struct Admin(TcpListener);

impl Admin {
    /// Listens. Call it inside the control runtime.
    pub async fn bind(config: &Config) -> Result<Self, AdminError> {
        let address = config.address;
        TcpListener::bind(address).await.map(Self).map_err(|source| AdminError { address, source })
    }

    /// Where it listens, with the port that the system chose when port 0 was configured.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Serves until `end` is triggered, then answers what was asked and ends. Connections hold a watch of `end` too.
    ///
    /// That is not the drain of `sources`, which must not wait for those who watch it.
    pub async fn serve(self, sources: Sources, mut end: DrainWatch) {
        let sources = Arc::new(sources);
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let accepted = tokio::select! {
                _ = end.triggered() => return,
                accepted = self.0.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
                    let (sources, end) = (Arc::clone(&sources), end.clone());
                    tokio::spawn(async move {
                        converse(stream, sources, end).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    warn!(target: "ringside::admin", %error, "cannot accept");
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

/// One connection: any number of requests until it is too old, the end comes or the peer goes.
async fn converse(stream: TcpStream, sources: Arc<Sources>, mut end: DrainWatch) {
    let service = service_fn(|request| async { Ok::<_, Infallible>(answer(request, &sources).await) });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .serve_connection(TokioIo::new(stream), service)
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = wanted_gone(&mut end) => {
            connection.as_mut().graceful_shutdown();
            timeout(GRACE, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        debug!(target: "ringside::admin", %error, "connection ended");
    }
}

async fn wanted_gone(end: &mut DrainWatch) {
    let _ = timeout(AGE, end.triggered()).await;
}

async fn answer(request: Request<Incoming>, sources: &Sources) -> Response<Full<Bytes>> {
    let reads = [Method::GET, Method::HEAD].contains(request.method());
    match request.uri().path() {
        "/livez" | "/readyz" | "/metrics" if !reads => only("GET, HEAD"),
        "/livez" => respond(StatusCode::OK, TEXT, "alive\n".into()),
        "/readyz" => readiness(sources),
        "/metrics" => {
            let seen = Seen { workers: &sources.workers, process: &(sources.process)() };
            respond(StatusCode::OK, PROMETHEUS, metrics::render(&seen))
        }
        "/connections" => connections::answer(&request, sources).await,
        "/log/filter" => filter::answer(request, &sources.filter).await,
        "/drain" if request.method() != Method::POST => only("POST"),
        "/drain" if is_from_a_page(&request) => not_for_pages(),
        "/drain" => drain(sources),
        _ => respond(
            StatusCode::NOT_FOUND,
            TEXT,
            "not here: /livez /readyz /metrics /connections /log/filter /drain\n".into(),
        ),
    }
}

/// Whether a browser says that a page made it send this.
fn is_from_a_page<B>(request: &Request<B>) -> bool {
    request.headers().contains_key(ORIGIN)
}

fn not_for_pages() -> Response<Full<Bytes>> {
    respond(StatusCode::FORBIDDEN, TEXT, "not for the pages of a browser\n".into())
}

fn only(methods: &'static str) -> Response<Full<Bytes>> {
    let mut response = respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, format!("only {methods}\n"));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    response
}

fn drain(sources: &Sources) -> Response<Full<Bytes>> {
    info!(target: "ringside::admin", "told to drain");
    sources.drain.trigger();
    let Pace { spread, timeout } = sources.pace;
    let (held, spread, timeout) = (held(&sources.workers), format_duration(spread), format_duration(timeout));
    let plan = format!("Close goes out within {spread}, the rest is cut after {timeout}");
    respond(StatusCode::ACCEPTED, TEXT, format!("draining: {held} connections; {plan}\n"))
}

fn readiness(sources: &Sources) -> Response<Full<Bytes>> {
    let waiting_for = sources.ready.waiting_for();
    let (status, line) = match waiting_for.as_slice() {
        _ if sources.drain.began().is_some() => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("draining, {} connections left", held(&sources.workers)))
        }
        [] => (StatusCode::OK, "ready".to_owned()),
        names => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: waiting for {}", names.join(", "))),
    };
    let Process { engine, engine_why, .. } = (sources.process)();
    respond(status, TEXT, format!("{line}\nengine: {engine} ({engine_why})\n"))
}

/// Connections of all workers, opening ones included.
fn held(workers: &[Arc<Counters>]) -> u64 {
    workers.iter().map(|counters| counters.held.get()).sum()
}

fn respond(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
