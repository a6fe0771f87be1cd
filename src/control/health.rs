//! The health endpoint: what may be asked from outside the pod, and no more.
//!
//! | path | answer to GET and HEAD |
//! |---|---|
//! | `/livez` `/readyz` `/metrics` | how this process is doing: see [`vitals`](super::vitals) |
//! | `/app/<name>` | 200 when the app is well, as the configured [probe](app) finds it; 503 with why it is not |
//!
//! Kubelet's probes and Prometheus reach a pod by its address. The admin endpoint must not be there: who reaches it can end
//! the process, change its log and see who is connected. And of an app that listens on loopback, so that nobody goes around
//! Ringside, they see nothing: it is asked for them here.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use tracing::debug;

use super::http::{Answer, BindError, Listener, TEXT, not_here, only, reads, respond};
use super::vitals::Vitals;
use crate::lifecycle::drain::DrainWatch;
use crate::policy::identity::HeaderName;
use app::Target;

pub mod app;

const APP: &str = "/app/";

/// Where the health endpoint listens, and what it asks the app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Plain HTTP; it may be reached from outside the pod.
    pub address: SocketAddr,
    /// Each probe of the app by its name.
    pub probes: BTreeMap<String, Target>,
    /// Fields that tell the app who a client is. Nobody is a client here: they are dropped.
    pub identity: Vec<HeaderName>,
}

/// The health endpoint, listening.
#[derive(Debug)]
pub struct Health {
    listener: Listener,
    asked: Asked,
}

/// What can be asked.
#[derive(Debug)]
struct Asked {
    probes: BTreeMap<String, Target>,
    identity: Vec<HeaderName>,
    /// All paths, for who asks for another one.
    paths: String,
}

impl Health {
    /// Listens. Call it inside the control runtime.
    pub async fn bind(config: &Config) -> Result<Self, BindError> {
        let listener = Listener::bind("health.address", config.address).await?;
        let Config { probes, identity, .. } = config.clone();
        let apps = probes.keys().map(|name| format!(" {APP}{name}"));
        let paths = format!("/livez /readyz /metrics{}", apps.collect::<String>());
        Ok(Self { listener, asked: Asked { probes, identity, paths } })
    }

    /// Where it listens, with the port that the system chose when port 0 was configured.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.address()
    }

    /// Serves until `end` is triggered, then answers what was asked and ends. Connections hold a watch of `end` too.
    ///
    /// That is not the drain of `vitals`, which must not wait for those who watch it.
    pub async fn serve(self, vitals: Arc<Vitals>, end: DrainWatch) {
        let asked = Arc::new(self.asked);
        self.listener.serve(move |request| answer(request, Arc::clone(&vitals), Arc::clone(&asked)), end).await;
    }
}

async fn answer(request: Request<Incoming>, vitals: Arc<Vitals>, asked: Arc<Asked>) -> Answer {
    let path = request.uri().path();
    if let Some(answer) = vitals.answer(request.method(), path) {
        return answer;
    }
    let probe = path.strip_prefix(APP).and_then(|name| asked.probes.get_key_value(name));
    match probe {
        Some(_) if !reads(request.method()) => only("GET, HEAD"),
        Some((name, target)) => match target.probe(request.headers(), &asked.identity).await {
            Ok(found) => respond(StatusCode::OK, TEXT, format!("{found}\n")),
            Err(unwell) => {
                debug!(target: "ringside::health", probe = name, %unwell);
                respond(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{unwell}\n"))
            }
        },
        None => not_here(&asked.paths),
    }
}

#[cfg(test)]
mod tests;
