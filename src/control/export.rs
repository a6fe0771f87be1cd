//! From records to evidence: each [`Event`] becomes a log line and, when sampled, spans for the collector.
//!
//! ```text
//! workers --Reporter, 8192 events--> "export" thread --2048 spans--> SDK's batch thread --OTLP--> collector
//!                                      |  log line (or none, see `line`; bounded, see `log`)
//!                                      |  recent ends and refusals
//!                                      |  taps (the demo)
//! workers' counters --read at an interval--> "metrics" thread --OTLP--> collector
//! ```
//!
//! Every arrow is a bounded queue that drops and counts when it is full: no collector, disk or terminal can slow
//! a worker. One thread reads the events, so that a connection's lines and spans are made in one place, once,
//! and show the same figures.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;
use thiserror::Error;

use super::recent::Recent;
use super::subject::Subjects;
use crate::telemetry::record::Event;
use crate::telemetry::report::{Events, QUEUE};
use crate::telemetry::trace;
use closing::Closing;
use line::Writer;
use metrics::MetricCounts;
use pipeline::Pipeline;

mod closing;
mod env;
#[cfg(test)]
pub(super) mod example;
#[cfg(feature = "otlp-grpc")]
mod grpc;
mod http;
mod line;
mod matter;
pub mod metrics;
mod noise;
mod otlp;
mod pipeline;
mod resource;
mod retry;
mod span;
mod trouble;

pub use env::{Signal, endpoint};
pub use line::{Lines, Suppressed};
pub use pipeline::SpanCounts;

/// How often the export thread looks whether it should stop while nothing happens.
const STOP_CHECK: Duration = Duration::from_millis(250);

/// How long the export thread lets events gather when it has worked off all there were. Under load workers wake it 200 times a
/// second then, instead of twice for each connection, which costs them a system call and the core a change of threads each
/// time; and the queue takes 1.6 million events a second.
const GATHER: Duration = Duration::from_millis(5);

/// How spans reach the collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// OTLP over HTTP with protobuf bodies.
    HttpProtobuf,
    /// OTLP over gRPC.
    Grpc,
}

/// Where spans go and which there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Base URL of the collector, such as `http://127.0.0.1:4318`. Over HTTP, `/v1/traces` is appended.
    pub endpoint: String,
    /// How.
    pub protocol: Protocol,
    /// Which spans there are. Workers apply it, when a connection comes and while it lives.
    pub traces: trace::Config,
}

/// Why the export did not start.
#[derive(Debug, Error)]
pub enum ExportError {
    /// This binary speaks OTLP over HTTP only.
    #[error("protocol \"grpc\" needs a build with the cargo feature `otlp-grpc`; use \"http/protobuf\" (port 4318)")]
    GrpcNotBuilt,
    /// The collector's URL has another scheme.
    #[error("endpoint {0:?} must begin with http:// or https://")]
    Scheme(String),
    /// TLS is there over HTTP only.
    #[error("endpoint {0:?}: there is no TLS for protocol \"grpc\"; use \"http/protobuf\", or http:// on this machine")]
    GrpcOverTls(String),
    /// The collector's URL is none.
    #[error("endpoint {endpoint:?}: {problem}")]
    Endpoint {
        /// What was given.
        endpoint: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The exporter does not take its settings, `OTEL_*` variables included.
    #[error("the OTLP exporter refused its settings: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// A variable of the `OTEL_*` family has a value that cannot be used.
    #[error("environment variable {name}: {problem}")]
    Variable {
        /// Which.
        name: &'static str,
        /// What is wrong with its value.
        problem: String,
    },
    /// A thread or its runtime did not start.
    #[error("cannot start the export thread: {0}")]
    Thread(#[from] std::io::Error),
}

impl Config {
    /// Whether this binary can export so.
    pub fn check(&self) -> Result<(), ExportError> {
        check(&self.endpoint, self.protocol)
    }
}

fn check(endpoint: &str, protocol: Protocol) -> Result<(), ExportError> {
    match (endpoint.split_once("://").map(|(scheme, _)| scheme), protocol) {
        (_, Protocol::Grpc) if cfg!(not(feature = "otlp-grpc")) => Err(ExportError::GrpcNotBuilt),
        (Some("https"), Protocol::Grpc) => Err(ExportError::GrpcOverTls(endpoint.to_owned())),
        (Some("http" | "https"), _) => Ok(()),
        _ => Err(ExportError::Scheme(endpoint.to_owned())),
    }
}

impl ExportError {
    fn target(endpoint: &str, problem: &dyn std::error::Error) -> Self {
        Self::Endpoint { endpoint: endpoint.to_owned(), problem: problem.to_string() }
    }
}

/// Looks at each `T` as it passes. Keep it short: the export thread waits for it.
pub type Tap<T> = Box<dyn FnMut(&T) + Send>;

/// Who looks at events and spans as they pass, on the export thread. `ringside demo` prints them.
#[derive(Default)]
pub struct Taps {
    /// Sees each event.
    pub events: Option<Tap<Event>>,
    /// Sees the spans of each event that is sampled, whether or not there is a collector. The event was seen before them.
    pub spans: Option<Tap<[SpanData]>>,
}

/// The running export.
#[derive(Debug)]
pub struct Export {
    stop: Arc<AtomicBool>,
    deadline: SyncSender<Instant>,
    done: Receiver<bool>,
    counts: SpanCounts,
    recent: Recent,
    subjects: Subjects,
    suppressed: Suppressed,
    closing: Arc<Closing>,
    resource: Resource,
    metrics: Option<Receiver<()>>,
    metric_counts: MetricCounts,
}

impl Export {
    /// Starts the export thread, which reads `events`.
    ///
    /// `config` is what [`Config::resolve`] came to; without one, events are logged and tapped only. `service_name`
    /// wins over `OTEL_SERVICE_NAME`, which wins over `service.name` in `OTEL_RESOURCE_ATTRIBUTES`; else it is
    /// `ringside`. `lines` says which events are logged, and how.
    pub fn start(
        config: Option<Config>,
        service_name: Option<&str>,
        lines: Lines,
        events: Events,
        taps: Taps,
    ) -> Result<Self, ExportError> {
        let counts = SpanCounts::default();
        let (resource, closing) = (resource::here(service_name), Arc::<Closing>::default());
        let pipeline = config
            .map(|config| Pipeline::start(&config, &resource, counts.clone(), Arc::clone(&closing)))
            .transpose()?;
        let (stop, (finished, done)) = (Arc::default(), sync_channel(1));
        let (deadline, deadlines) = sync_channel::<Instant>(1);
        let (suppressed, subjects) = (Suppressed::default(), lines.subjects.clone());
        let lines = Writer::new(lines, suppressed.clone(), Instant::now());
        let recent = Recent::default();
        let exporter = Exporter {
            stop: Arc::clone(&stop),
            events,
            recent: recent.clone(),
            lines,
            pipeline,
            taps,
            spans: Vec::new(),
        };
        thread::Builder::new().name("export".into()).spawn(move || {
            let pipeline = exporter.run();
            // No deadline: our owner is gone without a shutdown, nobody waits, nothing is flushed.
            let Ok(deadline) = deadlines.recv() else { return };
            let left = deadline.saturating_duration_since(Instant::now());
            let _ = finished.send(pipeline.is_none_or(|pipeline| pipeline.shutdown(left)));
        })?;
        let metric_counts = MetricCounts::default();
        Ok(Self {
            stop,
            deadline,
            done,
            counts,
            recent,
            subjects,
            suppressed,
            closing,
            resource,
            metrics: None,
            metric_counts,
        })
    }

    /// Exports metrics, too, until the shutdown, which sends them once more.
    pub fn start_metrics(&mut self, config: &metrics::Config, source: metrics::Source) -> Result<(), ExportError> {
        let (counts, closing) = (self.metric_counts.clone(), Arc::clone(&self.closing));
        self.metrics = Some(metrics::start(config, source, &self.resource, counts, closing)?);
        Ok(())
    }

    /// What became of the spans, to look at while the export runs and after it.
    pub fn counts(&self) -> SpanCounts {
        self.counts.clone()
    }

    /// The latest ends and refusals.
    pub fn recent(&self) -> Recent {
        self.recent.clone()
    }

    /// How the lines show subjects.
    pub fn subjects(&self) -> Subjects {
        self.subjects.clone()
    }

    /// Log lines that the bound on noise suppressed, to look at in the same way.
    pub fn suppressed(&self) -> Suppressed {
        self.suppressed.clone()
    }

    /// What became of the exports of metrics, to look at while they run and after them.
    pub fn metric_counts(&self) -> MetricCounts {
        self.metric_counts.clone()
    }

    /// Exports what was reported until now, for at most this long, and stops. Whatever the collector did not take
    /// by then is dropped and counted. Blocks: do not call it on a runtime's thread.
    ///
    /// False when the time was not enough.
    pub fn shutdown(self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        let _ = self.deadline.send(deadline);
        self.closing.end_by(deadline);
        self.stop.store(true, Ordering::Release);
        // The pipeline gives up by itself at the deadline; the rest is for its last words.
        let patience = deadline + STOP_CHECK;
        let left = || patience.saturating_duration_since(Instant::now());
        let done = self.done.recv_timeout(left()).unwrap_or(false);
        let gone = |end: &Receiver<()>| end.recv_timeout(left()) == Err(RecvTimeoutError::Disconnected);
        done && self.metrics.as_ref().is_none_or(gone)
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.closing.end_by(Instant::now());
    }
}

/// What the export thread works with.
struct Exporter {
    stop: Arc<AtomicBool>,
    events: Events,
    recent: Recent,
    lines: Writer,
    pipeline: Option<Pipeline>,
    taps: Taps,
    /// Those of the event at hand; empty in between.
    spans: Vec<SpanData>,
}

impl Exporter {
    /// Until every reporter is gone, or until nothing is left to read after the wish to stop.
    fn run(mut self) -> Option<Pipeline> {
        loop {
            let stopping = self.stop.load(Ordering::Acquire);
            match self.events.next(if stopping { Duration::ZERO } else { STOP_CHECK }) {
                Ok(event) => self.work_off(&event),
                Err(RecvTimeoutError::Timeout) if !stopping => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
            self.lines.sum_up(Instant::now());
        }
        self.lines.finish();
        self.pipeline
    }

    /// Works off `first` and what is there behind it, at most a full queue. If that was all, more may gather.
    fn work_off(&mut self, first: &Event) {
        self.handle(first, Instant::now());
        for _ in 0..QUEUE {
            match self.events.next(Duration::ZERO) {
                Ok(event) => self.handle(&event, Instant::now()),
                Err(_) => return thread::sleep(GATHER),
            }
        }
    }

    fn handle(&mut self, event: &Event, now: Instant) {
        self.recent.note(event);
        self.lines.write(event, now);
        if let Some(tap) = &mut self.taps.events {
            tap(event);
        }
        if (self.pipeline.is_none() && self.taps.spans.is_none()) || !span::sampled(event) {
            return;
        }
        span::push(event, &mut self.spans);
        if let Some(tap) = &mut self.taps.spans {
            tap(&self.spans);
        }
        for span in self.spans.drain(..) {
            if let Some(pipeline) = &self.pipeline {
                pipeline.send(span);
            }
        }
    }
}

impl fmt::Debug for Taps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Taps").finish_non_exhaustive()
    }
}
