//! How this process is doing, for kubelet and for Prometheus.
//!
//! | path | answer to GET and HEAD |
//! |---|---|
//! | `/livez` | 200 while the control thread runs |
//! | `/readyz` | 200, or 503 with what is waited for; and the engine |
//! | `/metrics` | every metric of `telemetry::names` in Prometheus' text format |

use std::fmt;
use std::sync::Arc;

use hyper::{Method, StatusCode};

use super::http::{Answer, TEXT, only, reads, respond};
use crate::lifecycle::drain::Drain;
use crate::lifecycle::ready::Ready;
use crate::telemetry::counters::Counters;
use crate::telemetry::names::{Process, Seen};

mod metrics;

const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is looked at.
pub struct Vitals {
    /// Each worker's counters.
    pub workers: Vec<Arc<Counters>>,
    /// Whether this process is ready.
    pub ready: Ready,
    /// Reads the figures and facts of the whole process.
    pub process: Box<dyn Fn() -> Process + Send + Sync>,
    /// The drain of the process.
    pub drain: Drain,
}

impl Vitals {
    /// The answer to a request for one of the paths above; `None` for any other path.
    pub(super) fn answer(&self, method: &Method, path: &str) -> Option<Answer> {
        let answer = match path {
            "/livez" | "/readyz" | "/metrics" if !reads(method) => only("GET, HEAD"),
            "/livez" => respond(StatusCode::OK, TEXT, "alive\n"),
            "/readyz" => self.readiness(),
            "/metrics" => {
                let seen = Seen { workers: &self.workers, process: &(self.process)() };
                respond(StatusCode::OK, PROMETHEUS, metrics::render(&seen))
            }
            _ => return None,
        };
        Some(answer)
    }

    fn readiness(&self) -> Answer {
        let waiting_for = self.ready.waiting_for();
        let (status, line) = match waiting_for.as_slice() {
            _ if self.is_draining() => {
                (StatusCode::SERVICE_UNAVAILABLE, format!("draining, {} connections left", self.held()))
            }
            [] => (StatusCode::OK, "ready".to_owned()),
            names => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: waiting for {}", names.join(", "))),
        };
        let Process { engine, engine_why, .. } = (self.process)();
        respond(status, TEXT, format!("{line}\nengine: {engine} ({engine_why})\n"))
    }

    /// Whether the drain has begun.
    pub(super) fn is_draining(&self) -> bool {
        self.drain.began().is_some()
    }

    /// Connections of all workers, opening ones included.
    pub(super) fn held(&self) -> u64 {
        self.workers.iter().map(|counters| counters.held.get()).sum()
    }
}

impl fmt::Debug for Vitals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vitals").field("ready", &self.ready).field("drain", &self.drain).finish_non_exhaustive()
    }
}
