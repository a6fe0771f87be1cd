//! The metrics, in one table that says how to read each.
//!
//! No label holds a subject, a path or an address: how many series there are is known before the first client comes.

use std::sync::Arc;
use std::time::SystemTime;

use super::counters::{Counter, Counters, Traffic};
use super::end::Why;
use super::reason::Reason;
use crate::peer::Side;

/// How a metric's value moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only up, from zero at the start of the process.
    Counter,
    /// Up and down, or a fact.
    Gauge,
}

/// A metric.
#[derive(Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// How its value moves.
    pub kind: Kind,
    /// What it says, and how to read it.
    pub help: &'static str,
    read: fn(&Seen<'_>, &mut Samples<'_>),
}

/// What the metrics are read from.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Each worker's counters.
    pub workers: &'a [Arc<Counters>],
    /// What is counted once in the process.
    pub process: &'a Process,
}

/// Figures and facts of the whole process.
#[derive(Clone, Debug)]
pub struct Process {
    /// When it started.
    pub started: SystemTime,
    /// The engine that runs: `io_uring` or `epoll`.
    pub engine: &'static str,
    /// Why that one.
    pub engine_why: String,
    /// Events that workers could not hand to the exporter.
    pub events_dropped: u64,
    /// Spans that did not reach the collector.
    pub spans_dropped: u64,
    /// Spans that did.
    pub spans_exported: u64,
    /// Log lines dropped.
    pub log_lines_dropped: u64,
}

/// Takes a metric's samples: labels with their values, and the figure.
pub type Samples<'s> = dyn FnMut(&[(&'static str, &str)], u64) + 's;

impl Metric {
    /// Gives each of the metric's samples to `samples`, always the same series in the same order.
    pub fn read(&self, seen: &Seen<'_>, samples: &mut Samples<'_>) {
        (self.read)(seen, samples);
    }
}

impl Seen<'_> {
    fn sum(&self, of: impl Fn(&Counters) -> &Counter) -> u64 {
        self.workers.iter().map(|worker| of(worker).get()).sum()
    }

    fn both_ways(&self, samples: &mut Samples<'_>, of: impl Fn(&Traffic) -> &Counter) {
        samples(&[("direction", "from_client")], self.sum(|worker| of(&worker.from_client)));
        samples(&[("direction", "from_app")], self.sum(|worker| of(&worker.from_app)));
    }

    fn both_sides(&self, samples: &mut Samples<'_>, label: &'static str, of: fn(&Counters, Side) -> &Counter) {
        for side in [Side::Client, Side::App] {
            samples(&[(label, side.as_str())], self.sum(|worker| of(worker, side)));
        }
    }
}

/// Every metric.
pub const ALL: &[Metric] = &[
    Metric {
        name: "ringside_connections_accepted_total",
        kind: Kind::Counter,
        help: "TCP connections accepted, whatever came of them. Its rate is the load of handshakes.",
        read: |seen, samples| samples(&[], seen.sum(|worker| &worker.accepted)),
    },
    Metric {
        name: "ringside_connections_held",
        kind: Kind::Gauge,
        help: "Client sockets held now, those still in their handshake included. Compare with the connection bound.",
        read: |seen, samples| samples(&[], seen.sum(|worker| &worker.held)),
    },
    Metric {
        name: "ringside_connections_open",
        kind: Kind::Gauge,
        help: "WebSockets relayed now. Held minus open is the number of handshakes in progress.",
        read: |seen, samples| samples(&[], seen.sum(|worker| &worker.open)),
    },
    Metric {
        name: "ringside_connections_ended_total",
        kind: Kind::Counter,
        help: "WebSockets ended, by who ended them and why, as in log lines and spans. All: sum without (by, why). A \
               why that is the name of a rule is a violation; all of those: sum over these names.",
        read: |seen, samples| {
            for why in Why::ALL {
                for &by in why.by() {
                    let labels = [("by", by.as_str()), ("why", why.as_str())];
                    samples(&labels, seen.sum(|worker| worker.ended(by, why)));
                }
            }
        },
    },
    Metric {
        name: "ringside_handshakes_total",
        kind: Kind::Counter,
        help: "Handshakes by outcome and, when refused, by the reason that the client got in ringside-reason.",
        read: |seen, samples| {
            samples(&[("outcome", "opened"), ("reason", "")], seen.sum(|worker| &worker.opened));
            for &reason in Reason::ALL {
                let labels = [("outcome", "refused"), ("reason", reason.as_str())];
                samples(&labels, seen.sum(|worker| worker.refused(reason)));
            }
        },
    },
    Metric {
        name: "ringside_frames_total",
        kind: Kind::Counter,
        help: "WebSocket frames relayed, control frames included. Live: counted while connections are open.",
        read: |seen, samples| seen.both_ways(samples, |traffic| &traffic.frames),
    },
    Metric {
        name: "ringside_messages_total",
        kind: Kind::Counter,
        help: "Data messages whose last frame was relayed. Many more frames than messages: fragments or pings.",
        read: |seen, samples| seen.both_ways(samples, |traffic| &traffic.messages),
    },
    Metric {
        name: "ringside_messages_compressed_total",
        kind: Kind::Counter,
        help: "Of the messages, those compressed by permessage-deflate. Their text is not checked for UTF-8.",
        read: |seen, samples| seen.both_ways(samples, |traffic| &traffic.compressed),
    },
    Metric {
        name: "ringside_bytes_total",
        kind: Kind::Counter,
        help: "Bytes of frames relayed, headers included, before TLS.",
        read: |seen, samples| seen.both_ways(samples, |traffic| &traffic.bytes),
    },
    Metric {
        name: "ringside_keepalive_pings_total",
        kind: Kind::Counter,
        help: "Pings of our own to sides that were silent. Stays 0 where keepalive is off or nobody is silent.",
        read: |seen, samples| seen.both_sides(samples, "to", Counters::pings),
    },
    Metric {
        name: "ringside_keepalive_pongs_total",
        kind: Kind::Counter,
        help: "Pongs that answered those Pings. Pings minus pongs: on their way, or to peers that are going or gone.",
        read: |seen, samples| seen.both_sides(samples, "from", Counters::pongs),
    },
    Metric {
        name: "ringside_throttled_total",
        kind: Kind::Counter,
        help: "Times reading from a client paused because it was over a rate. Rising: clients send more than they may.",
        read: |seen, samples| samples(&[], seen.sum(|worker| &worker.throttled)),
    },
    Metric {
        name: "ringside_lease_waits_total",
        kind: Kind::Counter,
        help: "Times a connection waited for a buffer because the pool was at its bound. Not 0: raise the bound.",
        read: |seen, samples| samples(&[], seen.sum(|worker| &worker.lease_waits)),
    },
    Metric {
        name: "ringside_accept_pauses_total",
        kind: Kind::Counter,
        help: "Times accepting paused at the connection bound or for want of descriptors. Not 0: clients waited.",
        read: |seen, samples| samples(&[], seen.sum(|worker| &worker.accept_pauses)),
    },
    Metric {
        name: "ringside_events_dropped_total",
        kind: Kind::Counter,
        help: "Handshakes and connections that got neither log line nor span because the export thread was behind.",
        read: |seen, samples| samples(&[], seen.process.events_dropped),
    },
    Metric {
        name: "ringside_spans_exported_total",
        kind: Kind::Counter,
        help: "Spans the collector took.",
        read: |seen, samples| samples(&[], seen.process.spans_exported),
    },
    Metric {
        name: "ringside_spans_dropped_total",
        kind: Kind::Counter,
        help: "Spans lost because the collector was slow, absent or refused them. Rising: look at the collector.",
        read: |seen, samples| samples(&[], seen.process.spans_dropped),
    },
    Metric {
        name: "ringside_log_lines_dropped_total",
        kind: Kind::Counter,
        help: "Log lines lost because standard error was not read fast enough.",
        read: |seen, samples| samples(&[], seen.process.log_lines_dropped),
    },
    Metric {
        name: "ringside_workers",
        kind: Kind::Gauge,
        help: "Worker threads.",
        read: |seen, samples| samples(&[], seen.workers.len() as u64),
    },
    Metric {
        name: "ringside_engine_info",
        kind: Kind::Gauge,
        help: "Always 1. The labels say which engine runs and why that one.",
        read: |seen, samples| {
            samples(&[("engine", seen.process.engine), ("why", &seen.process.engine_why)], 1);
        },
    },
    Metric {
        name: "ringside_build_info",
        kind: Kind::Gauge,
        help: "Always 1. The label says which version runs.",
        read: |_, samples| samples(&[("version", env!("CARGO_PKG_VERSION"))], 1),
    },
    Metric {
        name: "process_start_time_seconds",
        kind: Kind::Gauge,
        help: "When the process started, in seconds since 1970. A change is a restart, which ended every connection.",
        read: |seen, samples| {
            let since = seen.process.started.duration_since(SystemTime::UNIX_EPOCH);
            samples(&[], since.map_or(0, |since| since.as_secs()));
        },
    },
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;
    use std::time::SystemTime;

    use super::{ALL, Kind, Process, Seen};
    use crate::telemetry::counters::Counters;
    use crate::telemetry::reason::Reason;

    fn process() -> Process {
        Process {
            started: SystemTime::UNIX_EPOCH,
            engine: "epoll",
            engine_why: String::new(),
            events_dropped: 0,
            spans_dropped: 0,
            spans_exported: 0,
            log_lines_dropped: 0,
        }
    }

    #[test]
    fn names_follow_the_manners() {
        let mut names = HashSet::new();
        for metric in ALL {
            assert!(names.insert(metric.name), "{} stands twice", metric.name);
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
            assert!(metric.help.ends_with('.'), "{}", metric.name);
        }
    }

    #[test]
    fn workers_are_summed_series_by_series() {
        let workers = [Arc::new(Counters::default()), Arc::new(Counters::default())];
        workers[0].refused(Reason::TokenExpired).add(2);
        workers[1].refused(Reason::TokenExpired).add(3);
        workers[1].opened.add(7);
        let process = process();
        let metric = ALL.iter().find(|metric| metric.name == "ringside_handshakes_total").expect("in the table");
        let mut samples = Vec::new();
        metric.read(&Seen { workers: &workers, process: &process }, &mut |labels, n| {
            samples.push((labels[1].1.to_owned(), n));
        });
        assert_eq!(samples.len(), 1 + Reason::ALL.len());
        samples.retain(|(_, n)| *n > 0);
        assert_eq!(samples, [(String::new(), 7), ("token_expired".to_owned(), 5)]);
    }
}
