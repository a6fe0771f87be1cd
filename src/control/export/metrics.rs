//! Metrics over OTLP: the table of `telemetry::names`, sent at an interval.
//!
//! Off unless configured: whoever scrapes `/metrics` has the same figures. The SDK's instruments cannot read our
//! counters, so the requests are made here from the table, and a metric that is added there is sent without more ado.
//!
//! Counters are cumulative since the start of the process. So an export that fails loses nothing: the next one carries
//! it all, and none waits in a queue.
//!
//! ```text
//! "metrics" thread: wait for the interval, or for the end -> read -> send, within its timeout -> wait ...
//! ```

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use opentelemetry_sdk::Resource;

use super::ExportError;
use super::closing::Closing;
use super::trouble::Trouble;
use crate::telemetry::counters::Counters;
use crate::telemetry::names::{Process, Seen};
use target::Target;

pub(super) mod config;
mod message;
mod name;
mod target;

pub use config::{Config, INTERVAL, SHORTEST_INTERVAL};

/// What the metrics are read from.
pub struct Source {
    /// Each worker's counters.
    pub workers: Vec<Arc<Counters>>,
    /// Reads the figures and facts of the whole process.
    pub process: Box<dyn Fn() -> Process + Send>,
}

/// How many exports the collector took, and how many it did not. All clones show the same figures.
#[derive(Clone, Debug, Default)]
pub struct MetricCounts(Arc<[AtomicU64; 2]>);

impl MetricCounts {
    /// Exports that the collector took.
    pub fn taken(&self) -> u64 {
        self.0[0].load(Ordering::Relaxed)
    }

    /// Exports that failed, or of which the collector rejected a part.
    pub fn failed(&self) -> u64 {
        self.0[1].load(Ordering::Relaxed)
    }
}

/// Starts the thread. It ends when `closing` does, after one last export; then what is returned is disconnected.
pub(super) fn start(
    config: &Config,
    source: Source,
    resource: &Resource,
    counts: MetricCounts,
    closing: Arc<Closing>,
) -> Result<Receiver<()>, ExportError> {
    let target = Target::new(config, Arc::clone(&closing))?;
    let (ended, end) = sync_channel(0);
    let resource = message::resource(resource);
    let interval = config.interval;
    let exporter = Exporter { target, source, resource, counts, trouble: Trouble::with("metrics") };
    thread::Builder::new().name("metrics".into()).spawn(move || {
        let _ended = ended;
        exporter.run(interval, &closing);
    })?;
    Ok(end)
}

struct Exporter {
    target: Target,
    source: Source,
    resource: message::Attributes,
    counts: MetricCounts,
    trouble: Trouble,
}

impl Exporter {
    fn run(self, interval: Duration, closing: &Closing) {
        let mut due = Instant::now() + interval;
        loop {
            let ending = closing.deadline().is_some();
            if !ending && Instant::now() < due {
                closing.wait_until(due, None);
                continue;
            }
            self.export();
            if ending {
                return;
            }
            // One that took longer than the interval is not made up for.
            due = (due + interval).max(Instant::now());
        }
    }

    fn export(&self) {
        let process = (self.source.process)();
        let seen = Seen { workers: &self.source.workers, process: &process };
        let request = message::request(&seen, &self.resource, SystemTime::now());
        let (lost, why) = match self.target.send(&request) {
            Ok(0) => (0, String::new()),
            Ok(rejected) => (1, format!("the collector rejected {rejected} data points")),
            Err(why) => (1, why),
        };
        self.counts.0[usize::from(lost > 0)].fetch_add(1, Ordering::Relaxed);
        self.trouble.after(lost, &why);
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").finish_non_exhaustive()
    }
}
