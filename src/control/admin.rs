//! The admin endpoint: plain HTTP for the kubelet, for Prometheus and for operators.
//!
//! | path | answer |
//! |---|---|
//! | `/livez` `/readyz` `/metrics` | how this process is doing: see [`vitals`](super::vitals) |
//! | `/connections` | who is connected and why others are gone, as JSON: see [`connections`]; not for pages |
//! | `/log/filter` | the filter of the log; PUT: the body, at most 4 KiB, is the filter from now on |
//! | `/drain` | whether this process drains and how many connections it has, as JSON |
//! | `POST /drain` | 202: this process drains and ends, as at SIGTERM; again does nothing more |
//!
//! It asks nobody who they are: keep it on loopback or inside the pod. What a browser sends for a page, which may be
//! of anybody, is told by its `Origin` (Fetch Standard section 3.2): such a POST or PUT is refused.
//!
//! It serves until the drain is over, so that the wait can be watched. As a preStop hook, `POST /drain` needs `exec` with
//! `ringside drain`, because the `httpGet` of Kubernetes only sends GETs. The SIGTERM after the hook shortens nothing.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::ORIGIN;
use hyper::{Request, StatusCode};

use super::http::{Answer, BindError, Listener, TEXT, not_here, respond};
use super::log::Filter;
use super::vitals::Vitals;
use crate::lifecycle::drain::{DrainWatch, Pace};

pub mod connections;
pub mod drain;
mod filter;

const PATHS: &str = "/livez /readyz /metrics /connections /log/filter /drain";

/// Where the admin endpoint listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Plain HTTP; keep it on loopback or inside the pod.
    pub address: SocketAddr,
}

/// What the endpoint tells about, and what it may change.
#[derive(Debug)]
pub struct Sources {
    /// How this process is doing.
    pub vitals: Arc<Vitals>,
    /// How a drain goes on.
    pub pace: Pace,
    /// Who is connected.
    pub connections: connections::Means,
    /// What is logged.
    pub filter: Filter,
}

/// The admin endpoint, listening.
#[derive(Debug)]
pub struct Admin(Listener);

impl Admin {
    /// Listens. Call it inside the control runtime.
    pub async fn bind(config: &Config) -> Result<Self, BindError> {
        Listener::bind("admin.address", config.address).await.map(Self)
    }

    /// Where it listens, with the port that the system chose when port 0 was configured.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.address()
    }

    /// Serves until `end` is triggered, then answers what was asked and ends. Connections hold a watch of `end` too.
    ///
    /// That is not the drain of `sources`, which must not wait for those who watch it.
    pub async fn serve(self, sources: Sources, end: DrainWatch) {
        let sources = Arc::new(sources);
        self.0.serve(move |request| answer(request, Arc::clone(&sources)), end).await;
    }
}

async fn answer(request: Request<Incoming>, sources: Arc<Sources>) -> Answer {
    let path = request.uri().path();
    if let Some(answer) = sources.vitals.answer(request.method(), path) {
        return answer;
    }
    match path {
        "/connections" => connections::answer(&request, &sources).await,
        "/log/filter" => filter::answer(request, &sources.filter).await,
        "/drain" => drain::answer(&request, &sources),
        _ => not_here(PATHS),
    }
}

/// Whether a browser says that a page made it send this.
fn is_from_a_page<B>(request: &Request<B>) -> bool {
    request.headers().contains_key(ORIGIN)
}

fn not_for_pages() -> Answer {
    respond(StatusCode::FORBIDDEN, TEXT, "not for the pages of a browser\n")
}

#[cfg(test)]
mod tests;
