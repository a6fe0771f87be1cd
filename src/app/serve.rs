//! The composition root: a configuration in, a running sidecar out.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, interval_at};

use super::capacity::{self, Capacity};
use super::load::{self, LoadError};
use super::{open_files, usage};
use crate::config::Config;
use crate::control::export::{self, Export, ExportError, Lines, Taps, metrics};
use crate::control::recent::Recent;
use crate::control::subject;
use crate::lifecycle::drain::{self, Drain, Pace};
use crate::opening::Snapshot;
use crate::rate::subjects::Subjects;
use crate::ring::engine::Engine;
use crate::ring::listener;
use crate::ring::probe::Refused;
use crate::ring::select::{self, Selected, Why};
use crate::ring::usage::{Operation, Usage};
use crate::telemetry::counters::Counters;
use crate::telemetry::names::Process;
use crate::telemetry::report::{self, Reporter};
use crate::telemetry::trace::{self, Sampler};
use crate::worker::{self, Door, Plan, Started, balance};

/// How often a drain tells the log how it goes.
const PROGRESS: Duration = Duration::from_secs(5);

/// How long the exporter may take to hand over what it still has when this process stops.
const FLUSH: Duration = Duration::from_secs(1);

/// A running sidecar: its workers and its exporter.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    engine: Engine,
    why: String,
    started: SystemTime,
    connections: usize,
    buffers: usize,
    counters: Vec<Arc<Counters>>,
    usages: Vec<Arc<Usage>>,
    doors: Vec<Door>,
    workers: Vec<JoinHandle<usize>>,
    drain: Drain,
    pace: Pace,
    reporter: Reporter,
    export: Export,
    metrics: Option<metrics::Config>,
}

/// Why the sidecar does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file that the configuration names cannot be used.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// `io_uring` was asked for, and the kernel refuses it.
    #[error("runtime.engine = \"io_uring\": {0}")]
    Engine(Refused),
    /// The address cannot be listened on.
    #[error("cannot listen on listen.address {address}: {source}; choose another address, or end what listens there")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The exporter does not start.
    #[error("telemetry: {0}")]
    Export(#[from] ExportError),
    /// A worker does not start.
    #[error("cannot start a worker: {0}")]
    Worker(io::Error),
}

impl Server {
    /// Starts everything. When it returns, clients are accepted.
    pub fn start(config: Config, taps: Taps) -> Result<Self, StartError> {
        let Selected { engine, why } = select::select(config.worker.engine).map_err(StartError::Engine)?;
        announce(engine, &why);
        let (policy, warnings) = load::policy(&config)?;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        let tls = load::acceptor(&config)?;

        let variable = |name: &'static str| std::env::var(name).ok();
        let (traces, metrics) = (load::traces(&config, variable)?, load::metrics(&config, variable)?);
        let spans = spans(traces.as_ref(), taps.spans.is_some());
        let (reporter, events) = report::channel();
        let lines = Lines::new(&config.log, load::subjects(&config)?);
        let export = Export::start(traces, config.service_name.as_deref(), lines, events, taps)?;

        let capacity = capacity(&config.worker);
        let (address, listeners) = listener::bind(config.worker.listen, capacity.workers)
            .map_err(|source| StartError::Bind { address: config.worker.listen, source })?;
        let snapshot = Arc::new(Snapshot {
            config: config.opening,
            tls,
            policy,
            app: config.upstream,
            traces: spans,
            routes: config.routes,
        });
        let (drain, watch) = drain::channel();
        let (session, subjects) = (Arc::new(config.session), Subjects::new());
        let mut server = Self {
            address,
            engine,
            why: why.to_string(),
            started: SystemTime::now(),
            connections: capacity.connections(),
            buffers: capacity.buffers * capacity.workers,
            counters: Vec::new(),
            usages: Vec::new(),
            doors: Vec::new(),
            workers: Vec::new(),
            drain,
            pace: config.worker.drain,
            reporter,
            export,
            metrics,
        };
        for (index, (listener, share)) in listeners.into_iter().zip(balance::shares(capacity.workers)).enumerate() {
            let counters = Arc::<Counters>::default();
            server.counters.push(Arc::clone(&counters));
            let plan = Plan {
                index,
                engine,
                listener,
                share,
                connections: capacity.per_worker,
                buffers: config.worker.buffers,
                snapshot: Arc::clone(&snapshot),
                session: Arc::clone(&session),
                rates: config.worker.rates,
                subjects: Arc::clone(&subjects),
                relay: config.relay,
                counters,
                reporter: server.reporter.clone(),
                stop: watch.clone(),
                drain: config.worker.drain,
            };
            let Started { thread, usage, door } = worker::start(plan).map_err(StartError::Worker)?;
            server.workers.push(thread);
            server.usages.push(usage);
            server.doors.push(door);
        }
        tracing::info!(%address, %engine, workers = capacity.workers, connections = server.connections, "listening");
        Ok(server)
    }

    /// Where clients connect.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Which engine runs.
    pub const fn engine(&self) -> Engine {
        self.engine
    }

    /// Each worker's counters.
    pub fn counters(&self) -> &[Arc<Counters>] {
        &self.counters
    }

    /// The way to ask each worker who is connected.
    pub fn doors(&self) -> &[Door] {
        &self.doors
    }

    /// The latest ends and refusals.
    pub fn recent(&self) -> Recent {
        self.export.recent()
    }

    /// How subjects are shown, wherever they are.
    pub fn shown(&self) -> subject::Subjects {
        self.export.subjects()
    }

    /// The wish to stop: trigger it, and see when all connections are gone. Each clone is the same drain.
    pub const fn drain(&self) -> &Drain {
        &self.drain
    }

    /// How a drain goes on.
    pub const fn pace(&self) -> Pace {
        self.pace
    }

    /// Completes when the drain has begun and every connection is gone. Tells the log how it goes meanwhile. Call it
    /// inside a tokio runtime.
    pub async fn drained(&self) {
        let Pace { spread, timeout } = self.pace;
        self.drain.watch().triggered().await;
        tracing::info!(connections = self.held(), ?spread, ?timeout, "draining");
        let mut ticks = interval_at(Instant::now() + PROGRESS, PROGRESS);
        loop {
            tokio::select! {
                () = self.drain.done() => return,
                _ = ticks.tick() => tracing::info!(connections = self.held(), "still draining"),
            }
        }
    }

    /// Connections of all workers, opening ones included.
    fn held(&self) -> u64 {
        self.counters.iter().map(|counters| counters.held.get()).sum()
    }

    /// Reads the figures and facts of the process, also while it stops.
    pub fn process<F>(&self, log_lines_dropped: F) -> impl Fn() -> Process + Send + Sync + use<F>
    where
        F: Fn() -> u64 + Send + Sync,
    {
        let (started, engine, why) = (self.started, self.engine.as_str(), self.why.clone());
        let (connections, buffers, usages) = (self.connections, self.buffers, self.usages.clone());
        let (events, spans, metrics) = (self.reporter.backlog(), self.export.counts(), self.export.metric_counts());
        let suppressed = self.export.suppressed();
        move || Process {
            started,
            engine,
            engine_why: why.clone(),
            operations: Operation::ALL.map(|operation| (operation.as_str(), asked(&usages, operation))).into(),
            connections_limit: connections as u64,
            buffers_lent: usages.iter().map(|usage| usage.lent()).sum(),
            buffers_limit: buffers as u64,
            events: events.figures(),
            spans: spans.queue(),
            spans_exported: spans.exported(),
            metric_exports: [metrics.taken(), metrics.failed()],
            log_lines_dropped: log_lines_dropped(),
            log_lines_suppressed: suppressed.count(),
            usage: usage::read(),
        }
    }

    /// Exports metrics, where that is configured. What they show of the process is what [`process`](Self::process) reads.
    pub fn export_metrics<F>(&mut self, log_lines_dropped: F) -> Result<(), StartError>
    where
        F: Fn() -> u64 + Send + Sync + 'static,
    {
        let Some(config) = self.metrics.take() else { return Ok(()) };
        let source =
            metrics::Source { workers: self.counters.clone(), process: Box::new(self.process(log_lines_dropped)) };
        Ok(self.export.start_metrics(&config, source)?)
    }

    /// Stops: no more clients, a Close to those that are here, and the last spans to the collector.
    pub fn stop(self) {
        let began = self.drain.trigger();
        let mut cut = 0;
        for worker in self.workers {
            cut += worker.join().unwrap_or_else(|_| {
                tracing::error!("a worker panicked");
                0
            });
        }
        tracing::info!(took = ?began.elapsed(), cut, "drained");
        // The exporter ends when nobody can report any more.
        drop(self.reporter);
        self.export.shutdown(FLUSH);
    }
}

/// Which spans there are. Who taps them wants every one, with or without a collector.
fn spans(traces: Option<&export::Config>, tapped: bool) -> trace::Config {
    match (traces.map(|traces| traces.traces), tapped) {
        (Some(traces), false) => traces,
        (Some(traces), true) => trace::Config { sampler: Sampler::ratio(1.0), ..traces },
        (None, true) => trace::Config::default(),
        (None, false) => trace::Config::off(),
    }
}

/// How often all workers have asked for this.
fn asked(usages: &[Arc<Usage>], operation: Operation) -> u64 {
    usages.iter().map(|usage| usage.operations(operation)).sum()
}

/// How much the proxy may take, now that it may open as many files as it can. Says when that is less than was asked for.
fn capacity(config: &worker::Config) -> Capacity {
    let capacity = Capacity::of(config, capacity::cores(), open_files::raise());
    if let Some(wished) = capacity.excess() {
        let allowed = capacity.allowed;
        tracing::warn!(
            wished,
            allowed,
            "listen.connections is more than the limit on open files allows: raise it (LimitNOFILE, ulimit -n)"
        );
    }
    capacity
}

/// Says which engine runs and why, loudly when it is not the one to wish for.
fn announce(engine: Engine, why: &Why) {
    match why {
        Why::ProbeRefused(refused) => {
            let causes: Vec<_> = refused.causes().iter().map(|cause| cause.what.as_str()).collect();
            tracing::warn!(%engine, %why, likely = causes.join("; "), "io_uring is refused, running on epoll");
        }
        Why::Configured | Why::ProbePassed => tracing::info!(%engine, %why, "engine"),
    }
}
