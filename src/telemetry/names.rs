//! The metrics, in one table that says how to read each.
//!
//! Names, units and suffixes follow Prometheus' manners; over OTLP they are derived from these. No label holds a subject,
//! a path or an address: how many series there are is known before the first client comes, and each is there from the
//! start, so that a rate over it can be trusted.

mod connections;
mod evidence;
mod pressure;
mod process;
mod traffic;

use std::sync::Arc;

use super::counter::Counter;
use super::counters::{Counters, Traffic};
use super::histogram::{Histogram, Snapshot};
use crate::peer::Side;

pub use process::{Process, Queue, Usage};

/// How a metric's value moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only up, from zero at the start of the process.
    Counter,
    /// Up and down, or a fact.
    Gauge,
    /// How often values fell between bounds; each of those counts only goes up.
    Histogram,
}

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// How its value moves.
    pub kind: Kind,
    /// What it says, and how to read it.
    pub help: &'static str,
    read: fn(&Seen<'_>, &mut Samples<'_>),
}

/// What a sample says.
#[derive(Clone, Debug, PartialEq)]
pub enum Figure {
    /// A count, or a number of bytes or things.
    Whole(u64),
    /// A number of seconds.
    Seconds(f64),
    /// Of a [`Kind::Histogram`].
    Histogram(Snapshot),
}

/// What the metrics are read from.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Each worker's counters.
    pub workers: &'a [Arc<Counters>],
    /// What is counted once in the process.
    pub process: &'a Process,
}

/// Takes a metric's samples: labels with their values, and the figure.
pub type Samples<'s> = dyn FnMut(&[(&'static str, &str)], Figure) + 's;

/// Every metric.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    [connections::METRICS, traffic::METRICS, pressure::METRICS, evidence::METRICS, process::METRICS]
        .into_iter()
        .flatten()
}

impl Metric {
    /// Gives each of the metric's samples to `samples`, always the same series in the same order.
    pub fn read(&self, seen: &Seen<'_>, samples: &mut Samples<'_>) {
        (self.read)(seen, samples);
    }
}

impl From<u64> for Figure {
    fn from(whole: u64) -> Self {
        Self::Whole(whole)
    }
}

impl Seen<'_> {
    fn sum(&self, of: impl Fn(&Counters) -> &Counter) -> Figure {
        Figure::Whole(self.total(of))
    }

    fn total(&self, of: impl Fn(&Counters) -> &Counter) -> u64 {
        self.workers.iter().map(|worker| of(worker).get()).sum()
    }

    /// A counter of nanoseconds.
    #[expect(clippy::cast_precision_loss, reason = "beyond 104 days of nanoseconds the last digits are rounded")]
    fn seconds(&self, of: impl Fn(&Counters) -> &Counter) -> Figure {
        Figure::Seconds(self.total(of) as f64 / 1e9)
    }

    fn histogram(&self, of: impl Fn(&Counters) -> &Histogram) -> Option<Figure> {
        Snapshot::of(self.workers.iter().map(|worker| of(worker))).map(Figure::Histogram)
    }

    /// A sample for what each side has sent.
    fn both_ways(&self, samples: &mut Samples<'_>, of: fn(&Traffic) -> &Counter) {
        for (side, direction) in DIRECTIONS {
            samples(&[("direction", direction)], self.sum(|worker| of(worker.from(side))));
        }
    }

    /// A histogram of what each side has sent.
    fn histogram_both_ways(&self, samples: &mut Samples<'_>, of: fn(&Traffic) -> &Histogram) {
        for (side, direction) in DIRECTIONS {
            if let Some(figure) = self.histogram(|worker| of(worker.from(side))) {
                samples(&[("direction", direction)], figure);
            }
        }
    }

    /// A sample for each side under this label.
    fn both_sides(&self, samples: &mut Samples<'_>, label: &'static str, of: fn(&Counters, Side) -> &Counter) {
        for side in [Side::Client, Side::App] {
            samples(&[(label, side.as_str())], self.sum(|worker| of(worker, side)));
        }
    }
}

/// Who sends, as a direction.
const DIRECTIONS: [(Side, &str); 2] = [(Side::Client, "from_client"), (Side::App, "from_app")];

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    use super::{Figure, Kind, Process, Queue, Seen, Usage, all};
    use crate::telemetry::counters::Counters;
    use crate::telemetry::reason::Reason;

    /// A process with a figure for everything.
    pub(crate) fn process() -> Process {
        Process {
            started: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
            engine: "epoll",
            engine_why: "io_uring_setup: \"EPERM\"\nseccomp \\ sysctl".into(),
            operations: vec![("recv", 3), ("send", 4)],
            connections_limit: 9000,
            buffers_lent: 1,
            buffers_limit: 963,
            events: Queue { waiting: 2, limit: 8192, dropped: 0 },
            spans: Queue { waiting: 3, limit: 2048, dropped: 5 },
            spans_exported: 6,
            metric_exports: [8, 9],
            log_lines_dropped: 7,
            log_lines_suppressed: 8,
            usage: Some(Usage {
                cpu: Duration::from_millis(1500),
                resident: 4096,
                virtual_memory: 8192,
                open_files: 12,
                most_files: Some(1024),
                threads: 5,
            }),
        }
    }

    #[test]
    fn names_follow_the_manners() {
        let mut names = HashSet::new();
        for metric in all() {
            assert!(names.insert(metric.name), "{} stands twice", metric.name);
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
            assert!(metric.help.ends_with('.') && !metric.help.contains("  "), "{}", metric.name);
            assert!(metric.name.starts_with("ringside_") || metric.name.starts_with("process_"), "{}", metric.name);
        }
    }

    #[test]
    fn figures_are_of_their_metrics_kind() {
        let (workers, process) = ([Arc::new(Counters::default())], process());
        for metric in all() {
            let mut samples = 0;
            metric.read(&Seen { workers: &workers, process: &process }, &mut |_, figure| {
                samples += 1;
                let is_histogram = matches!(figure, Figure::Histogram(_));
                assert_eq!(is_histogram, metric.kind == Kind::Histogram, "{}", metric.name);
                let unit = if matches!(figure, Figure::Seconds(_)) { "_seconds" } else { "" };
                assert!(metric.name.contains(unit), "{}", metric.name);
            });
            assert!(samples > 0, "{}", metric.name);
        }
    }

    #[test]
    fn workers_are_summed_series_by_series() {
        let workers = [Arc::new(Counters::default()), Arc::new(Counters::default())];
        workers[0].refused(Reason::TokenExpired).add(2);
        workers[1].refused(Reason::TokenExpired).add(3);
        workers[1].opened.add(7);
        let process = process();
        let metric = all().find(|metric| metric.name == "ringside_handshakes_total").expect("in the table");
        let mut samples = Vec::new();
        metric.read(&Seen { workers: &workers, process: &process }, &mut |labels, figure| {
            samples.push((labels[1].1.to_owned(), figure));
        });
        assert_eq!(samples.len(), 1 + Reason::ALL.len());
        samples.retain(|(_, figure)| *figure != Figure::Whole(0));
        assert_eq!(samples, [(String::new(), 7.into()), ("token_expired".to_owned(), 5.into())]);
    }
}
